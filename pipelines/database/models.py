"""The serving tables that reports, dashboards and registries read (docs/tables.md)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite only numbers rows of an INTEGER key


class Base(DeclarativeBase):
    """Shared metadata, with constraint names that are the same on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        int: BigInteger(),
        list[dict[str, Any]]: JSON(),
        dict[str, Any]: JSON(),
    }


class Batch(Base):
    """One landed export. `batch_id` is the content hash of the export, so landing it twice is one row.

    The counts are lines of the export: `lines` = `accepted` + `quarantined` + `skipped`.
    """

    __tablename__ = "batch"

    batch_id: Mapped[str] = mapped_column(primary_key=True)
    institution: Mapped[str] = mapped_column(index=True)
    landed_at: Mapped[datetime]
    files: Mapped[int]
    lines: Mapped[int]
    accepted: Mapped[int]
    quarantined: Mapped[int]
    skipped: Mapped[int]
    state: Mapped[str]


class Quarantine(Base):
    """One thing of a batch that was set aside; see `pipelines.quarantine.QuarantineRow`.

    `state` is `open`, `still_failing` (it was tried again and set aside again), `back` (it was accepted in the end)
    or `skipped` (it was found to need no row). `first_seen` is when the batch that held it was first landed.
    """

    __tablename__ = "quarantine"
    __table_args__ = (Index(None, "institution", "rule_id"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.batch_id", ondelete="CASCADE"), index=True)
    institution: Mapped[str]
    source_file: Mapped[str]
    source_line: Mapped[int | None]
    resource_type: Mapped[str | None]
    resource_key: Mapped[str | None]
    rule_id: Mapped[str]
    reason: Mapped[str]
    step: Mapped[str]
    state: Mapped[str]
    first_seen: Mapped[datetime]


class UnmappedCode(Base):
    """A code or unit of a batch that says nothing to the pipeline; see `pipelines.terminology.unmapped`."""

    __tablename__ = "unmapped_code"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.batch_id", ondelete="CASCADE"), index=True)
    institution: Mapped[str]
    kind: Mapped[str]
    system: Mapped[str | None]
    code: Mapped[str | None]
    display: Mapped[str | None]
    zib_table: Mapped[str]
    element: Mapped[str]
    count: Mapped[int]
    example_file: Mapped[str]
    example_line: Mapped[int]
    cost: Mapped[int]


class OutcomePatient(Base):
    """One patient's part in one indicator, with the evidence behind it."""

    __tablename__ = "outcome_patient"
    __table_args__ = (Index(None, "outcome_set", "institution", "indicator", "index_date"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    institution: Mapped[str]
    outcome_set: Mapped[str]
    indicator: Mapped[str]
    indicator_version: Mapped[str]
    patient_key: Mapped[str | None]
    index_key: Mapped[str | None]
    index_date: Mapped[date | None]
    index_end: Mapped[date | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    numerator: Mapped[bool | None]
    value: Mapped[float | None]
    evidence: Mapped[list[dict[str, Any]] | None]


class IndicatorResult(Base):
    """One indicator of one institution in one period and stratum (docs/tables.md)."""

    __tablename__ = "indicator_result"

    outcome_set: Mapped[str] = mapped_column(primary_key=True)
    institution: Mapped[str] = mapped_column(primary_key=True)
    indicator: Mapped[str] = mapped_column(primary_key=True)
    period_kind: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    stratifier: Mapped[str] = mapped_column(primary_key=True)
    stratum: Mapped[str] = mapped_column(primary_key=True)
    indicator_version: Mapped[str]
    statistic: Mapped[str]
    denominator: Mapped[int]
    numerator: Mapped[int | None]
    value: Mapped[float | None]
    ci_low: Mapped[float | None]
    ci_high: Mapped[float | None]
    group_denominator: Mapped[int | None]
    group_value: Mapped[float | None]
    benchmark: Mapped[float | None]
    expected: Mapped[float | None]
    oe: Mapped[float | None]
    oe_low: Mapped[float | None]
    oe_high: Mapped[float | None]
    reliability: Mapped[float | None]
    comparable: Mapped[str]
    rank: Mapped[int | None]
    pending: Mapped[int]
    missing: Mapped[int]
    excluded: Mapped[int]
    outside: Mapped[int]
    as_of: Mapped[date]


class CaseMix(Base):
    """The case-mix model of an indicator, how good it is, or why there is none."""

    __tablename__ = "case_mix_model"

    outcome_set: Mapped[str] = mapped_column(primary_key=True)
    indicator: Mapped[str] = mapped_column(primary_key=True)
    indicator_version: Mapped[str]
    model: Mapped[dict[str, Any] | None]
    data_version: Mapped[str | None]
    patients: Mapped[int | None]
    events: Mapped[int | None]
    c_statistic: Mapped[float | None]
    brier: Mapped[float | None]
    calibration_intercept: Mapped[float | None]
    calibration_slope: Mapped[float | None]
    hosmer_lemeshow_p: Mapped[float | None]
    problem: Mapped[str | None]
    as_of: Mapped[date]


class PromScore(Base):
    """One score of one response; where the response belongs to an index event, with its moment (docs/tables.md)."""

    __tablename__ = "prom_score"
    __table_args__ = (Index(None, "outcome_set", "institution", "instrument", "moment"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    outcome_set: Mapped[str]
    institution: Mapped[str]
    patient_key: Mapped[str | None]
    instrument: Mapped[str | None]
    instrument_version: Mapped[str | None]
    score: Mapped[str | None]
    cohort: Mapped[str | None]
    index_key: Mapped[str | None]
    moment: Mapped[str | None]
    place: Mapped[str | None]
    days_from_index: Mapped[int | None]
    raw: Mapped[float | None]
    value: Mapped[float | None]
    se: Mapped[float | None]
    complete_items: Mapped[int | None]
    items: Mapped[int | None]
    missing_rule: Mapped[str | None]
    missing_reason: Mapped[str | None]
    direction: Mapped[str | None]
    scored_date: Mapped[date | None]
    status: Mapped[str | None]
    answered_by: Mapped[str | None]
    scored_by: Mapped[str]
    questionnaire: Mapped[str | None]
    resource_key: Mapped[str]


class PromDue(Base):
    """One questionnaire that a patient still has to answer."""

    __tablename__ = "prom_due"
    __table_args__ = (Index(None, "outcome_set", "institution", "due_from"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    outcome_set: Mapped[str]
    institution: Mapped[str]
    patient_key: Mapped[str]
    cohort: Mapped[str]
    index_key: Mapped[str]
    index_date: Mapped[date]
    planned: Mapped[bool]
    instrument: Mapped[str]
    instrument_version: Mapped[str]
    questionnaire: Mapped[str]
    moment: Mapped[str]
    due_from: Mapped[date]
    due_until: Mapped[date]
    target_date: Mapped[date]
    state: Mapped[str]
    as_of: Mapped[date]


class PromResponseRate(Base):
    """Response to one questionnaire of one cohort at one moment; the counts add up to `denominator`."""

    __tablename__ = "prom_response_rate"

    outcome_set: Mapped[str] = mapped_column(primary_key=True)
    institution: Mapped[str] = mapped_column(primary_key=True)
    cohort: Mapped[str] = mapped_column(primary_key=True)
    instrument: Mapped[str] = mapped_column(primary_key=True)
    moment: Mapped[str] = mapped_column(primary_key=True)
    index_events: Mapped[int]
    window_open: Mapped[int]
    denominator: Mapped[int]
    scored: Mapped[int]
    not_scorable: Mapped[int]
    proxy_refused: Mapped[int]
    unfinished: Mapped[int]
    late: Mapped[int]
    no_response: Mapped[int]
    deceased: Mapped[int]
    response_rate: Mapped[float | None]
    scored_rate: Mapped[float | None]
    as_of: Mapped[date]


class Delivery(Base):
    """A delivery that was made: the ledger. The unique pair keeps a rerun from delivering twice."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("registry", "content_sha256"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    registry_id: Mapped[str] = mapped_column("registry")  # `registry` is reserved on a declarative class
    outcome_set: Mapped[str]
    as_of: Mapped[date]
    content_sha256: Mapped[str]
    state: Mapped[str]
    path: Mapped[str]
    created_at: Mapped[datetime]


def table_of(model: type[Base]) -> Table:
    """The Core table behind a model."""
    return cast(Table, model.__table__)


def columns_of(model: type[Base]) -> list[str]:
    """Names of the columns a caller fills in, in table order: all but the row number."""
    return [column.name for column in table_of(model).columns if column.name != "id"]
