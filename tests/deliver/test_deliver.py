"""A delivery is whole or absent, the same when repeated, and says what it holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from delivery_tables import AS_OF, Numbers, indicator, results
from fhir.resources.R4B.measurereport import MeasureReport

from pipelines.deliver import folder
from pipelines.deliver.definition import Registry, load_registry
from pipelines.deliver.registry import Delivery, deliver
from pipelines.errors import TerminalError, TransientError

LROI = Path(__file__).resolve().parents[2] / "mappings/registries/lroi.yaml"
VERSIONS = {"mapping": "2020.1", "codes": "1"}
CELLS: Numbers = {
    ("noord", "2026-01"): (40, 10), ("noord", "2026-02"): (41, 10), ("oost", "2026-01"): (44, 10),
    ("oost", "2026-02"): (45, 10), ("zuid", "2026-01"): (4, 3), ("zuid", "2026-02"): (48, 10),
}  # fmt: skip


@pytest.fixture
def registry() -> Registry:
    return load_registry(LROI)


def send(out: Path, registry: Registry, frame: pd.DataFrame | None = None, **versions: str) -> Delivery:
    frame = results(CELLS) if frame is None else frame
    named = frame.drop_duplicates("indicator")
    indicators = {
        name: indicator(name, kind) for name, kind in zip(named["indicator"], named["statistic"], strict=True)
    }
    return deliver(frame, registry, indicators, as_of=AS_OF, versions=VERSIONS | versions, out=out)


def read(delivery: Delivery) -> list[dict[str, str]]:
    text = (delivery.path / "indicatoren.csv").read_bytes().decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


def test_the_csv_is_written_as_the_registry_defines(tmp_path: Path, registry: Registry) -> None:
    rows = read(send(tmp_path, registry))
    assert rows[2] == {
        "Instelling": "noord", "Uitkomstenset": "knie-heupartrose", "Indicator": "revisie",
        "Indicatorversie": "1.0.0", "Soort": "proportion", "Periode": "totaal", "Noemer": "81",
        "Teller": "20",
        "Waarde": "0,2469", "Ondergrens_95": "0,2469", "Bovengrens_95": "0,2469", "Onderdrukt": "",
        "Noemer_groep": "222", "Waarde_groep": "0,2387", "Onderdrukt_groep": "", "Peildatum": "01-03-2026",
    }  # fmt: skip


def test_hidden_cells_hold_no_number_and_say_so(tmp_path: Path, registry: Registry) -> None:
    delivery = send(tmp_path, registry)
    hidden = [row for row in read(delivery) if row["Onderdrukt"] == "onderdrukt"]
    assert [(row["Instelling"], row["Periode"]) for row in hidden] == [
        ("noord", "2026-01"), ("noord", "2026-02"), ("zuid", "2026-01"), ("zuid", "2026-02")
    ]  # fmt: skip
    own = ("Noemer", "Teller", "Waarde", "Ondergrens_95", "Bovengrens_95")
    assert all(row[header] == "" for row in hidden for header in own)
    assert delivery.suppressed == 4


def test_a_mean_and_a_proportion_go_in_one_file(tmp_path: Path, registry: Registry) -> None:
    frame = pd.concat([results(CELLS), results(CELLS, "koos-ps", "mean")], ignore_index=True)
    rows = read(send(tmp_path, registry, frame))
    totals = [row for row in rows if row["Indicator"] == "koos-ps" and row["Periode"] == "totaal"]
    assert [(row["Noemer"], row["Teller"], row["Waarde"]) for row in totals] == [
        ("81", "", "10,0000"), ("89", "", "10,0000"), ("52", "", "10,0000")
    ]  # fmt: skip


def test_the_manifest_proves_the_csv_and_names_the_versions(tmp_path: Path, registry: Registry) -> None:
    delivery = send(tmp_path, registry)
    manifest = json.loads((delivery.path / "manifest.json").read_text(encoding="utf-8"))
    contents = {name: (delivery.path / name).read_bytes() for name in ("indicatoren.csv", "measure-reports.ndjson")}
    assert manifest["files"] == [
        {"name": name, "sha256": sha256(content).hexdigest(), "bytes": len(content), "rows": 9}
        for name, content in contents.items()
    ]
    assert manifest["versions"] == {"codes": "1", "mapping": "2020.1"}
    assert manifest["small_cells"]["suppressed_cells"] == delivery.suppressed
    assert [column["header"] for column in manifest["columns"]] == list(read(delivery)[0])
    assert sha256((delivery.path / "manifest.json").read_bytes()).hexdigest() == delivery.content_sha256
    place = tmp_path / "lroi" / "knie-heupartrose" / f"2026-03-01-{delivery.content_sha256[:8]}"
    assert delivery.path == place


def test_the_same_results_in_another_order_are_the_same_delivery(tmp_path: Path, registry: Registry) -> None:
    first = send(tmp_path, registry)
    before = {path.name: path.stat().st_mtime_ns for path in first.path.iterdir()}
    again = send(tmp_path, registry, results(CELLS).sample(frac=1, random_state=1))
    assert again == first
    assert {path.name: path.stat().st_mtime_ns for path in first.path.iterdir()} == before
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]


def test_other_versions_are_another_delivery(tmp_path: Path, registry: Registry) -> None:
    assert send(tmp_path, registry, mapping="2020.2").path != send(tmp_path, registry).path


@pytest.mark.parametrize("step", ["_sync_folder", "_write_and_rename"])
def test_a_crash_leaves_nothing_half(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, step, full)
        with pytest.raises(TransientError, match="No space left"):
            send(tmp_path, registry)
    assert list((tmp_path / "lroi" / "knie-heupartrose").iterdir()) == []
    assert send(tmp_path, registry).rows == 9


def test_another_process_that_was_first_is_no_error(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = folder._write_and_rename

    def raced(aside: Path, final: Path, files: Mapping[str, bytes]) -> None:
        final.mkdir()
        for name, content in files.items():
            (final / name).write_bytes(content)
        write(aside, final, files)

    monkeypatch.setattr(folder, "_write_and_rename", raced)
    delivery = send(tmp_path, registry)
    assert [path.name for path in delivery.path.parent.iterdir()] == [delivery.path.name]


def test_a_delivery_that_was_edited_is_not_taken_for_the_same(tmp_path: Path, registry: Registry) -> None:
    delivery = send(tmp_path, registry)
    (delivery.path / "indicatoren.csv").write_text("edited")
    with pytest.raises(TerminalError, match="DELIVERY-CHANGED"):
        send(tmp_path, registry)


def test_totals_that_do_not_add_up_are_refused(tmp_path: Path, registry: Registry) -> None:
    frame = results(CELLS)
    frame.loc[(frame["institution"] == "oost") & (frame["period"] == "total"), "denominator"] += 1
    with pytest.raises(TerminalError, match="do not add up for indicator revisie"):
        send(tmp_path, registry, frame)


def test_months_without_a_total_are_refused(tmp_path: Path, registry: Registry) -> None:
    frame = results(CELLS)
    frame = frame[(frame["institution"] != "oost") | (frame["period"] != "total")]
    with pytest.raises(TerminalError, match="do not add up for indicator revisie"):
        send(tmp_path, registry, frame)


def test_an_institution_whose_operations_have_no_complete_date_is_delivered(tmp_path: Path, registry: Registry) -> None:
    frame = results(CELLS)
    total = frame[(frame["institution"] == "zuid") & (frame["period"] == "total")].iloc[0].to_dict()
    undated = {"institution": "west", "denominator": 0, "numerator": 0, "excluded": 3}
    empty = dict.fromkeys(("value", "ci_low", "ci_high"))
    frame = pd.concat([frame, pd.DataFrame([total | undated | empty])], ignore_index=True)
    (row,) = [row for row in read(send(tmp_path, registry, frame)) if row["Instelling"] == "west"]
    assert (row["Periode"], row["Noemer"], row["Teller"], row["Waarde"]) == ("totaal", "0", "0", "")
    assert row["Onderdrukt"] == ""


def test_a_group_without_the_institution_itself_is_refused(tmp_path: Path, registry: Registry) -> None:
    frame = results(CELLS)
    frame["group_denominator"] -= frame["denominator"]
    with pytest.raises(TerminalError, match="different groups"):
        send(tmp_path, registry, frame)


def test_nothing_to_deliver_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(TerminalError, match="no results of this outcome set"):
        send(tmp_path, registry, results(CELLS).assign(outcome_set="cva"))
    with pytest.raises(TerminalError, match="columns are missing: ci_low"):
        send(tmp_path, registry, results(CELLS).drop(columns="ci_low"))


def test_no_text_of_a_delivery_starts_a_formula_and_numbers_stay_numbers(tmp_path: Path, registry: Registry) -> None:
    cells: Numbers = {("=cmd|x", period): counts for (name, period), counts in CELLS.items() if name == "noord"}
    rows = read(send(tmp_path, registry, results(cells)))
    assert {row["Instelling"] for row in rows} == {"'=cmd|x"}
    assert [row["Noemer"] for row in rows if row["Periode"] == "totaal"] == ["81"]


def test_measure_reports_hold_what_the_csv_holds_and_mask_what_it_hides(tmp_path: Path, registry: Registry) -> None:
    delivery = send(tmp_path, registry)
    lines = (delivery.path / "measure-reports.ndjson").read_text(encoding="utf-8").splitlines()
    reports = [MeasureReport.model_validate_json(line) for line in lines]
    rows = read(delivery)
    assert len(reports) == len(rows)
    for row, report in zip(rows, reports, strict=True):
        denominator, numerator = report.group[0].population
        assert report.measure == "http://uitkomststroom.nl/fhir/Measure/revisie|1.0.0"
        if row["Onderdrukt"]:
            assert (denominator.count, numerator.count, report.group[0].measureScore.value) == (None, None, None)
        else:
            assert (str(denominator.count), str(numerator.count)) == (row["Noemer"], row["Teller"])
            assert f"{report.group[0].measureScore.value:.4f}".replace(".", ",") == row["Waarde"]
