"""The fit-gap report: one Dutch HTML page per institution and one for all, readable offline.

The pages are made from a run as it is stored (docs/fit-gap.md). A percentage over fewer cases than
`minimum_for_display` is not shown, and no number of patients is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipelines.feedback.dutch import long_date, number, percent
from pipelines.feedback.page import render, write_page

Content = Mapping[str, Any]

_STATUSES = {
    "ready": {"tone": "better", "sign": "●", "label": "gereed"},
    "partly": {"tone": "partly", "sign": "◐", "label": "deels"},
    "not": {"tone": "worse", "sign": "○", "label": "niet"},
    "unknown": {"tone": "unknown", "sign": "–", "label": "niet te beoordelen"},
}
_CONCLUSIONS = {
    "ready": {"tone": "better", "sign": "●", "label": "ja"},
    "partly": {"tone": "partly", "sign": "◐", "label": "deels"},
    "not": {"tone": "worse", "sign": "○", "label": "nee"},
    "unknown": {"tone": "unknown", "sign": "–", "label": "n.v.t."},
}
_TESTS = {"registrable": "Registreerbaar", "exchangeable": "Uitwisselbaar"}
_TOP_STEPS = 3


def write_fit_gap(run: Content, out: Path) -> list[Path]:
    """Write `index.html` and `<institution>.html` into `out`; the same run gives the same files.

    Raises:
        TransientError: a file could not be written.
    """
    shared = {
        "run": run["run"],
        "as_of": long_date(date.fromisoformat(run["as_of"])),
        "versions": run["versions"],
        "minimum": run["minimum_for_display"],
        "criteria": [_criterion(each) for each in run["criteria"].values()],
        "operationalisation": run["operationalisation"],
        "sources": run["sources"],
    }
    pages = [write_page(out / "index.html", render("fitgap_index.html.j2", **shared, **_index(run)))]
    for institution in run["institutions"]:
        html = render("fitgap.html.j2", **shared, **_institution(run, institution))
        pages.append(write_page(out / f"{institution['institution']}.html", html))
    return pages


def _index(run: Content) -> dict[str, Any]:
    tallies = {each["institution"]: _tally(each["indicators"]) for each in run["institutions"]}
    total = {name: sum(tally[name] for tally in tallies.values()) for name in ("ready", "partly", "not")}
    by_indicator = {(each["outcome_set"], each["indicator"]): each for each in run["overall"]["indicators"]}
    count = sum(len(each["indicators"]) for each in run["sets"])
    return {
        "summary": _index_summary(len(tallies), count, total),
        "tally": total,
        "top_steps": [_step(each, "indicatoren van instellingen") for each in run["overall"]["fixes"][:_TOP_STEPS]],
        "institutions": [
            {
                "name": each["institution"],
                "link": quote(f"{each['institution']}.html"),
                "tally": tallies[each["institution"]],
                "first": each["fixes"][0]["fixes"][0]["fix_nl"] if each["fixes"] else "Niets",
            }
            for each in run["institutions"]
        ],
        "sets": [
            {
                "title": each["title_nl"],
                "tally": _sum(by_indicator[each["id"], indicator["id"]] for indicator in each["indicators"]),
                "indicators": [
                    {"title": indicator["title_nl"], "tally": by_indicator[each["id"], indicator["id"]]}
                    for indicator in each["indicators"]
                ],
            }
            for each in run["sets"]
        ],
    }


def _index_summary(institutions: int, indicators: int, total: Mapping[str, int]) -> str:
    everything = sum(total.values())
    who = "1 instelling" if institutions == 1 else f"{number(institutions)} instellingen"
    ready, partly, absent = (percent(total[name] / everything) for name in ("ready", "partly", "not"))
    what = f"{who} en {number(indicators)} indicatoren"
    return f"{what}: {ready} van de combinaties is gereed, {partly} deels en {absent} niet."


def _institution(run: Content, institution: Content) -> dict[str, Any]:
    tally = _tally(institution["indicators"])
    steps = [_step(each, "indicatoren") for each in institution["fixes"]]
    changes = _changes(run, institution["institution"])
    return {
        "institution": institution["institution"],
        "summary": _summary(tally, len(institution["indicators"]), institution["fixes"]),
        "tally": tally,
        "top_steps": steps[:_TOP_STEPS],
        "more_steps": len(steps) > _TOP_STEPS,
        "all_steps": steps,
        "changes": changes,
        "change_summary": _change_summary(changes),
        "sets": [_set(each, institution) for each in run["sets"]],
        "elements": _elements(run, institution),
    }


def _tally(indicators: Sequence[Content]) -> dict[str, int]:
    counts = Counter(each["status"] for each in indicators)
    return {status: counts[status] for status in ("ready", "partly", "not")}


def _sum(tallies: Iterable[Content]) -> dict[str, int]:
    each = list(tallies)
    return {status: sum(tally[status] for tally in each) for status in ("ready", "partly", "not")}


def _summary(tally: Mapping[str, int], total: int, steps: Sequence[Content]) -> str:
    verb = "is" if tally["ready"] == 1 else "zijn"
    ready = f"Met deze gegevens {verb} {tally['ready']} van de {total} indicatoren gereed"
    sentence = f"{ready}, {tally['partly']} deels en {tally['not']} niet."
    fixes = [fix for step in steps for fix in step["fixes"]]
    if fixes:
        most = min(fixes, key=lambda fix: (-fix["touches"], fix["key"]))
        count = "1 indicator" if most["touches"] == 1 else f"{most['touches']} indicatoren"
        sentence += f" Het vaakst nodig, voor {count}: {most['fix_nl']}"
    return sentence


def _step(step: Content, what: str) -> dict[str, Any]:
    count = len(step["unlocks"])
    noun = what if count != 1 else what.replace("indicatoren", "indicator").replace("instellingen", "een instelling")
    verb = "wordt" if count == 1 else "worden"
    gain = f"Hierdoor {verb} {number(count)} {noun} gereed; in totaal {number(step['ready_after'])}."
    return {"fixes": step["fixes"], "gain": gain}


def _set(outcome_set: Content, institution: Content) -> dict[str, Any]:
    verdicts = {(each["outcome_set"], each["indicator"]): each for each in institution["indicators"]}
    test = next(each for each in institution["tests"] if each["outcome_set"] == outcome_set["id"])
    indicators = []
    for indicator in outcome_set["indicators"]:
        verdict = verdicts[outcome_set["id"], indicator["id"]]
        indicators.append(
            {
                "title": indicator["title_nl"],
                "status": _STATUSES[verdict["status"]],
                "cause": verdict["cause_nl"],
                "fix": verdict["gaps"][0]["fix_nl"] if verdict["gaps"] else None,
                "who": verdict["gaps"][0]["who_nl"] if verdict["gaps"] else None,
                "others": max(0, len(verdict["gaps"]) - 1),
            }
        )
    tests = [
        {"name": name, **test[key], "conclusion": _CONCLUSIONS[test[key]["conclusion"]]} for key, name in _TESTS.items()
    ]
    tally = _tally([each for each in institution["indicators"] if each["outcome_set"] == outcome_set["id"]])
    return {"title": outcome_set["title_nl"], "tally": tally, "indicators": indicators, "tests": tests}


def _elements(run: Content, institution: Content) -> list[dict[str, Any]]:
    results = {each["element"]: each for each in institution["elements"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in run["elements"]:
        result = results[each["element"]]
        place = " ".join([each["table"] + ":", ", ".join(each["columns"])])
        place += f"; zib {each['zib']}" if each["zib"] else ""
        place += f" {each['concept']}" if each["concept"] else ""
        place += f"; waardelijst {', '.join(each['value_sets'])}" if each["value_sets"] else ""
        groups.setdefault(each["table"], []).append(
            {
                "title": each["title_nl"],
                "place": place,
                "checks": [_check(run, name, check) for name, check in result["checks"].items()],
                "days": _days(result, run["minimum_for_display"]),
                "registrable": _CONCLUSIONS[result["registrable"]],
                "exchangeable": _CONCLUSIONS[result["exchangeable"]],
            }
        )
    return [{"title": name, "summary": _count(each), "elements": each} for name, each in sorted(groups.items())]


def _count(elements: Sequence[Content]) -> str:
    wanting = (_CONCLUSIONS["partly"], _CONCLUSIONS["not"])
    gaps = sum(each["registrable"] in wanting or each["exchangeable"] in wanting for each in elements)
    return f"{number(len(elements))} {'element' if len(elements) == 1 else 'elementen'}, {number(gaps)} niet in orde"


def _check(run: Content, name: str, check: Content) -> dict[str, Any]:
    criterion = run["criteria"][name]
    if criterion["presence"]:
        shown = "ja" if check["part"] else "nee"
    else:
        shown = _share(check["share"], check["whole"], run["minimum_for_display"])
    return {"label": criterion["label_nl"], "shown": shown, "status": _STATUSES[check["status"]]}


def _share(share: float | None, whole: int, minimum: int) -> str:
    if share is None:
        return "n.v.t."
    return percent(share) if whole >= minimum else "te weinig"


def _days(result: Content, minimum: int) -> str:
    timely = result["checks"].get("timely")
    if timely is None:
        return ""
    if timely["whole"] < minimum:
        return "nog niet te zeggen"
    return f"mediaan {number(result['median_days'])}, 90% binnen {number(result['p90_days'])}"


def _changes(run: Content, institution: str) -> dict[str, Any] | None:
    comparison = run.get("comparison")
    if not comparison:
        return None
    titles = {(s["id"], i["id"]): i["title_nl"] for s in run["sets"] for i in s["indicators"]}
    names = {each["element"]: each["title_nl"] for each in run["elements"]}
    minimum = run["minimum_for_display"]
    return {
        "run": comparison["run"],
        "as_of": long_date(date.fromisoformat(comparison["as_of"])),
        "indicators": [
            {
                "title": titles[each["outcome_set"], each["indicator"]],
                "before": _STATUSES[each["before"]],
                "after": _STATUSES[each["after"]],
                "better": list(_STATUSES).index(each["after"]) < list(_STATUSES).index(each["before"]),
            }
            for each in comparison["indicators"]
            if each["institution"] == institution
        ],
        "elements": [
            {
                "title": names[each["element"]],
                "check": run["criteria"][each["check"]]["label_nl"],
                "before": _share(each["before"], each["whole_before"], minimum),
                "after": _share(each["after"], each["whole_after"], minimum),
            }
            for each in comparison["elements"]
            if each["institution"] == institution and not run["criteria"][each["check"]]["presence"]
        ],
    }


def _change_summary(changes: Content | None) -> str:
    if changes is None:
        return ""
    better = sum(each["better"] for each in changes["indicators"])
    worse = len(changes["indicators"]) - better
    if not changes["indicators"]:
        return f"Geen oordeel is veranderd sinds {changes['as_of']}."
    return f"Sinds {changes['as_of']}: {better} beter, {worse} slechter."


def _criterion(criterion: Content) -> dict[str, str]:
    if criterion["presence"]:
        return {"label": criterion["label_nl"], "ready": "1 geval", "partly": "", "reason": criterion["reason"]}
    ready, partly = (f"{number(criterion[name] * 100)}%" for name in ("ready", "partly"))
    return {"label": criterion["label_nl"], "ready": ready, "partly": partly, "reason": criterion["reason"]}
