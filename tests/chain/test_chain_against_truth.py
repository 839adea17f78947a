"""The whole chain on synthetic hospitals: it must find what the generator says is true, and lose nothing."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from serving_databases import Databases, slow_on_postgres

from pipelines.chain import Chain, RunResult
from pipelines.database.session import transaction
from pipelines.settings import Settings
from pipelines.synthetic.defects import KINDS
from pipelines.synthetic.export import synthesise

pytestmark = slow_on_postgres
AS_OF = date(2025, 12, 31)
NOW = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
HOSPITALS = 4

# Which rule finds which defect. A local code is no error: it is counted by a warning.
RULES = {
    "broken-json": {"LINE-NOT-JSON"},
    "wrong-type": {"VALUE-WRONG-TYPE"},
    "impossible-date": {"DATE-IMPOSSIBLE"},
    "unknown-unit": {"BODY-WEIGHT-UNIT-UNKNOWN"},
    "missing-reference": {"REFERENCE-PATIENT-MISSING"},
    "missing-id": {"RESOURCE-NO-ID"},
    "missing-status": {"BODY-WEIGHT-STATUS-MISSING", "RESOURCE-INVALID"},
    "unknown-status": {"BODY-WEIGHT-STATUS-UNKNOWN"},
    "missing-subject": {"BODY-WEIGHT-PATIENT-MISSING"},
    "missing-unit": {"BODY-WEIGHT-UNIT-MISSING"},
    "implausible-value": {"BODY-WEIGHT-RANGE"},
    "before-birth": {"BODY-WEIGHT-MOMENT-BEFORE-BIRTH"},
}


@dataclass
class Finished:
    exports: Path
    home: Path
    truth: dict[str, Any]
    result: RunResult
    database_url: str

    def chain(self) -> Chain:
        return Chain(self.home, Settings(database_url=self.database_url))

    def quarantine(self) -> list[dict[str, Any]]:
        paths = sorted(self.home.glob("batches/*/*/quarantine.ndjson"))
        return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]

    def results(self) -> dict[tuple[str, str], tuple[int, int | None, float | None]]:
        with transaction(self.chain().engine) as connection:
            rows = connection.exec_driver_sql(
                "SELECT institution, indicator, denominator, numerator, value"
                " FROM indicator_result WHERE period = 'total'"
            ).fetchall()
        return {(institution, indicator): tuple(rest) for institution, indicator, *rest in rows}


@pytest.fixture(scope="module")
def finished(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("chain")
    exports, home = folder / "exports", folder / "home"
    synthesise(exports, hospitals=HOSPITALS, patients=60, seed=7, as_of=AS_OF, defect_share=0.02)
    url = databases.of(home)
    result = Chain(Chain.at(home).home, Settings(database_url=url)).run(
        exports, as_of=AS_OF, now=NOW, on_progress=lambda done, total: None
    )
    return Finished(exports, home, json.loads((exports / "truth.json").read_bytes()), result, url)


def test_the_hospitals_write_both_releases(finished: Finished) -> None:
    assert [institution["release"] for institution in finished.truth["institutions"]] == ["r4", "r4", "r4", "stu3"]


def test_every_indicator_of_every_hospital_equals_the_truth(finished: Finished) -> None:
    found = finished.results()
    compared = 0
    for institution in finished.truth["institutions"]:
        for indicator, expected in institution["expected"].items():
            denominator, numerator, value = found.get((institution["institution"], indicator), (0, None, None))
            assert denominator == expected["denominator"], (institution["institution"], indicator)
            if denominator:
                assert numerator == expected["numerator"], (institution["institution"], indicator)
                assert value == pytest.approx(expected["value"], abs=1e-9), (institution["institution"], indicator)
            compared += 1
    assert compared == HOSPITALS * 19


def test_every_defect_is_found_by_its_rule_and_nothing_else_is_set_aside(finished: Finished) -> None:
    defects = {(d["institution"], d["file"], d["line"]): d["kind"] for d in finished.truth["defects"]}
    found = defaultdict(set)
    for row in finished.quarantine():
        found[(row["institution"], row["source_file"], row["source_line"])].add(row["rule_id"])
    assert set(found) <= set(defects), "a sound line was set aside"
    assert set(defects.values()) == set(KINDS)
    for place, kind in defects.items():
        if kind in RULES:
            assert found[place] <= RULES[kind], (place, kind)
            assert found[place], (place, kind)
        else:
            assert place not in found, (place, kind)


def test_duplicates_are_skipped_and_local_codes_are_counted(finished: Finished) -> None:
    kinds = Counter(defect["kind"] for defect in finished.truth["defects"])
    assert sum(batch.skipped for batch in finished.result.batches) == kinds["duplicate"] > 0
    checks = [json.loads(path.read_bytes())["checks"] for path in finished.home.glob("batches/*/*/checks.json")]
    local = [check for batch in checks for check in batch if check["rule_id"] == "LABORATORY-CODE-NOT-STANDARD"]
    assert sum(check["failed"] for check in local) == kinds["unmapped-code"] > 0
    assert {check["severity"] for check in local} == {"warning"}


def test_no_check_fails_on_what_is_sound(finished: Finished) -> None:
    failed: dict[str, Counter[str]] = {"error": Counter(), "warning": Counter()}
    for path in finished.home.glob("batches/*/*/checks.json"):
        for check in json.loads(path.read_bytes())["checks"]:
            failed[check["severity"]][check["rule_id"]] += check["failed"]
    assert set(+failed["error"]) <= set().union(*RULES.values())
    # True warnings: a planted local code; and a revision, which has a code of our own because no public source names a
    # standard one (mappings/codes/README.md).
    procedures = DeltaTable(str(finished.home / "lake" / "zib_procedure")).to_pyarrow_table()
    own = procedures["procedure_system"].to_pylist().count("http://uitkomststroom.nl/fhir/CodeSystem/procedure")
    local = Counter(defect["kind"] for defect in finished.truth["defects"])["unmapped-code"]
    assert own > 0
    assert +failed["warning"] == {"LABORATORY-CODE-NOT-STANDARD": local, "PROCEDURE-CODE-NOT-STANDARD": own}


def test_every_line_is_accounted_for(finished: Finished) -> None:
    for batch in finished.result.batches:
        assert batch.lines == batch.accepted + batch.quarantined + batch.skipped
    written = sum(sum(i["resources"].values()) for i in finished.truth["institutions"])
    assert sum(batch.lines for batch in finished.result.batches) == written + len(finished.truth["defects"])


def test_a_second_run_changes_nothing(finished: Finished) -> None:
    before = finished.results(), sorted(finished.home.glob("deliveries/*/*/*"))
    again = finished.chain().run(
        finished.exports, as_of=AS_OF, now=datetime(2026, 1, 6, tzinfo=UTC), on_progress=lambda d, t: None
    )
    assert all(batch.reused for batch in again.batches)
    assert (finished.results(), sorted(finished.home.glob("deliveries/*/*/*"))) == before


def test_no_direct_identifier_leaves_the_landing_zone(finished: Finished) -> None:
    """Names, BSNs, addresses and the hospital's own ids of every patient, searched in every byte that was written."""
    secrets = _identifiers(finished.exports)
    assert len(secrets) > 200
    for path in finished.home.rglob("*"):
        if path.is_file() and "landing" not in path.relative_to(finished.home).parts:
            assert not _contained(secrets, _readable(path)), f"an identifier is in {path.name}"


def test_the_landing_zone_is_private_and_verbatim(finished: Finished) -> None:
    for path in (finished.home / "landing").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.name
    landed = {path.name.partition(".")[0] for path in finished.home.glob("landing/*/objects/*")}
    import hashlib

    delivered = [p for folder in finished.exports.iterdir() if folder.is_dir() for p in folder.iterdir()]
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in delivered} == landed


def _identifiers(exports: Path) -> set[bytes]:
    """BSN, family name with birth date, postal code with city, and id of every patient in the plain NDJSON exports."""
    found: set[bytes] = set()
    for path in exports.glob("*/Patient.ndjson"):
        for line in path.read_text(encoding="utf-8").splitlines():
            patient = json.loads(line)
            found.add(patient["id"].encode())
            found.update(identifier["value"].encode() for identifier in patient.get("identifier", []))
            found.update(a["postalCode"].encode() for a in patient.get("address", []) if "postalCode" in a)
    return found


def _contained(secrets: set[bytes], content: bytes) -> bool:
    return any(secret in content for secret in secrets)


def _readable(path: Path) -> bytes:
    """The bytes of a file; of Parquet, which is compressed, its text columns."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return "\n".join(str(value) for name in table.column_names for value in table[name].unique().to_pylist()).encode()
