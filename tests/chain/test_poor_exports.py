"""Exports a hospital really sends on a bad day: the chain goes on and says what it could not use."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.chain import Chain
from pipelines.summary import print_summary

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def patient(id_: str, **elements: str) -> str:
    return json.dumps({"resourceType": "Patient", "id": id_, "birthDate": "1950-01-01", **elements})


def test_without_any_operation_there_is_no_delivery_and_no_error(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    export = tmp_path / "exports" / "noord"
    export.mkdir(parents=True)
    (export / "Patient.ndjson").write_text(patient("a") + "\n", encoding="utf-8")
    result = Chain.at(tmp_path / "home").run(
        tmp_path / "exports", as_of=date(2025, 12, 31), now=NOW, on_progress=lambda done, total: None
    )
    assert (result.batches[0].accepted, result.deliveries, result.signals) == (1, [], [])
    print_summary(result)
    assert "Nothing stands out" in capsys.readouterr().out


def test_a_line_beyond_the_limit_is_set_aside_though_duckdb_could_read_it(tmp_path: Path) -> None:
    export = tmp_path / "exports" / "noord"
    export.mkdir(parents=True)
    lines = [patient("a"), patient("b", language="n" * 20_000_000), patient("c")]
    (export / "Patient.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = Chain.at(tmp_path / "home").run(
        tmp_path / "exports", as_of=date(2025, 12, 31), now=NOW, on_progress=lambda done, total: None
    )
    assert result.batches[0].reasons == {"LINE-TOO-LONG": 1}
    assert result.batches[0].accepted == 2


def test_the_bundles_of_a_list_do_not_stand_in_for_each_other(tmp_path: Path) -> None:
    def weight(id_: str, kg: float) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "id": id_,
            "status": "final",
            "meta": {"profile": ["http://nictiz.nl/fhir/StructureDefinition/nl-core-BodyWeight"]},
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "subject": {"reference": "Patient/a"},
            "effectiveDateTime": "2025-01-01",
            "valueQuantity": {"value": kg, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        }

    bundles = [
        [json.loads(patient("a")), weight("o1", 99_999)],
        [weight("o2", 71), weight("o3", 88_888)],
        [weight("o4", 73), weight("o5", 77_777)],
    ]
    export = tmp_path / "exports" / "noord"
    export.mkdir(parents=True)
    document = [
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}
        for resources in bundles
    ]
    (export / "list.json").write_text(json.dumps(document), encoding="utf-8")
    result = Chain.at(tmp_path / "home").run(
        tmp_path / "exports", as_of=date(2025, 12, 31), now=NOW, on_progress=lambda done, total: None
    )
    (batch,) = result.batches
    assert (batch.accepted, batch.quarantined) == (3, 3)
