"""The report is one file that needs nothing, names nobody else, and says what a clinician needs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import feedback_data as data
import pandas as pd
import pytest

from pipelines.database.store import DataQuality
from pipelines.errors import TransientError
from pipelines.feedback.report import write_index


class Page(HTMLParser):
    """Elements with their attributes, and the text a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.seen: list[str] = []
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.seen).split())


@pytest.fixture(scope="module")
def outlier(tmp_path_factory: pytest.TempPathFactory) -> str:
    return data.write(data.OUTLIER, tmp_path_factory.mktemp("reports")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return data.write(data.SMALL, tmp_path_factory.mktemp("reports")).read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_from_outside(outlier: str) -> None:
    elements = Page(outlier).elements
    assert not [e for e in elements if e[0] == "script" and "src" in e[1]]
    links = [attrs["href"] or "" for _, attrs in elements if "href" in attrs]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "default-src 'none'" in outlier


def test_the_chart_scripts_are_in_the_page_once(outlier: str) -> None:
    assert outlier.count("window.vegaEmbed") == 1


def test_no_other_institution_is_named(outlier: str) -> None:
    others = set(data.INSTITUTIONS) - {data.OUTLIER}
    assert not [name for name in others if name in outlier]


def test_the_summary_leads_with_what_stands_out(outlier: str) -> None:
    text = Page(outlier).text
    summary = text[text.index("In het kort", 400) : text.index("Alle indicatoren", 600)]
    assert "Revisie binnen 1 jaar na eerste totale heupprothese ▼▼ ongunstiger" in summary
    assert re.search(r"\d,\d% \(\d+ van \d+ patiënten; 95%-interval \d,\d% tot \d+,\d%\)", summary)


def test_the_page_says_whose_when_and_which_period(outlier: str) -> None:
    text = Page(outlier).text
    assert "Knie- en heupartrose: ziekenhuis-eem" in text
    assert "Peildatum 1 maart 2026" in text
    assert "januari 2024 tot en met oktober 2025" in text
    assert "Vergeleken met 11 andere instellingen" in text
    assert "zib-mapping 2020; codes 2026-02" in text


def test_every_number_a_reader_sees_has_a_decimal_comma(outlier: str) -> None:
    text = Page(outlier).text
    assert not re.findall(r"\d+\.\d+%", text.split("Definities en bronnen")[-2])


def test_the_page_can_be_read_without_seeing_it(outlier: str) -> None:
    elements = Page(outlier).elements
    charts = [attrs for _, attrs in elements if attrs.get("class") == "chart"]
    assert len(charts) > 2 * len(data.outcome_set().indicators) - 1
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    assert [tag for tag, _ in elements].count("caption") == [tag for tag, _ in elements].count("table")
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_too_few_patients_are_said_and_not_shown(tmp_path: Path) -> None:
    results = data.results()
    mask = (results["institution"] == data.SMALL) & (results["indicator"] == "hip-revision-1y")
    results.loc[mask & (results["period"] == "total"), ["denominator", "numerator", "value"]] = [9, 4, 4 / 9]
    page = data.write(data.SMALL, tmp_path, results=results).read_text(encoding="utf-8")
    assert "Te weinig gegevens: 9 patiënten" in page
    assert "44,4%" not in page
    assert str(4 / 9) not in page


def test_a_small_institution_sees_longer_periods_and_words_instead_of_small_numbers(small: str) -> None:
    assert "Per half jaar van het begin" in Page(small).text
    assert "Te weinig gegevens: minder dan 10 patiënten." in Page(small).text


def test_data_quality_counts_every_line(outlier: str) -> None:
    text = Page(outlier).text
    assert "Aangeleverd: 48.210 regels" in text
    assert "Aanvaard 47.655 98,8%" in text
    assert "CODE-UNMAPPED 203" in text


def test_an_institution_without_results_gets_a_page(tmp_path: Path) -> None:
    nothing = DataQuality(lines=0, accepted=0, quarantined=0, skipped=0, top_reasons=[])
    page = Page(data.write("leeg", tmp_path, quality=nothing).read_text(encoding="utf-8")).text
    assert "Gevallen geen gevallen" in page
    assert f"voor {len(data.outcome_set().indicators)} zijn er te weinig gegevens" in page


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)<"
    page = data.write(name, tmp_path, versions={"<b>": "</script>"}).read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<b>" not in page


def test_the_same_input_gives_the_same_file(tmp_path: Path, outlier: str) -> None:
    shuffled: pd.DataFrame = data.results().sample(frac=1, random_state=3)
    path = data.write(data.OUTLIER, tmp_path, results=shuffled)
    assert path.read_text(encoding="utf-8") == outlier


def test_a_crash_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{data.SMALL}.html"
    path.write_text("earlier")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TransientError, match="REPORT-WRITE"):
        data.write(data.SMALL, tmp_path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "earlier")]


def test_the_index_links_every_report(tmp_path: Path) -> None:
    chosen = data.outcome_set()
    reports = [tmp_path / chosen.id / f"{name}.html" for name in ("noord", "zuid & co")]
    path = write_index(reports, outcome_sets=[chosen], as_of=data.AS_OF, out=tmp_path)
    links = [attrs["href"] for tag, attrs in Page(path.read_text(encoding="utf-8")).elements if tag == "a"]
    assert links == ["knie-heupartrose/noord.html", "knie-heupartrose/zuid%20%26%20co.html"]
