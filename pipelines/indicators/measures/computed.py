"""Events that are a clinical formula of other events (`ComputedEvent`)."""

from __future__ import annotations

from pipelines.indicators.events import ComputedEvent
from pipelines.indicators.measures.sql import in_range
from pipelines.sqlonfhir.values import quote

_FORMULAE = {
    "ckd_epi_2009": "egfr_ckd_epi_2009(creatinine_mg_dl(v0), age, sex)",
    "ckd_epi_2021": "egfr_ckd_epi_2021(creatinine_mg_dl(v0), age, sex)",
    "kfre_4_variable_5_year": "kfre_4_variable(v0, uacr_mg_g(v1), age, sex, 'non_north_american', 5)",
    "kfre_4_variable_2_year": "kfre_4_variable(v0, uacr_mg_g(v1), age, sex, 'non_north_american', 2)",
    "bmi": "body_mass_index(v0, v1)",
}

# Age is known when every day of birth and of measuring that the dates leave open gives the same.
_ROWS = """
INSERT INTO event
WITH input AS (
    SELECT first.*, first.value AS v0, p.sex,
           CASE WHEN age_on(p.birth_high, first.low) = age_on(p.birth_low, first.high)
                THEN age_on(p.birth_high, first.low) END AS age {values}
    FROM event AS first
    LEFT JOIN patient AS p USING (institution, patient_key)
    {joins}
    WHERE first.event = {first}
), computed AS (
    SELECT * REPLACE ({formula} AS value) FROM input
)
SELECT {name}, * EXCLUDE (event, v0, sex, age {names}) FROM computed
WHERE value IS NOT NULL {in_range}
"""

_OTHER = """
LEFT JOIN (
    SELECT first.institution, first.resource_key, first.low, other.value
    FROM event AS first
    JOIN event AS other ON other.event = {other} AND other.institution = first.institution
        AND other.patient_key = first.patient_key AND other.low = other.high
        AND first.low - other.low BETWEEN 0 AND {days}
    WHERE first.event = {first} AND first.low = first.high AND other.value IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY first.institution, first.resource_key, first.low
                               ORDER BY other.low DESC, other.instant DESC NULLS LAST, other.resource_key) = 1
) AS o{n} ON o{n}.institution = first.institution AND o{n}.resource_key = first.resource_key AND o{n}.low = first.low
"""


def computed_rows(name: str, event: ComputedEvent) -> str:
    """SQL that adds the rows of this event to `event`; reads `patient`."""
    first, *others = event.inputs
    numbers = range(1, len(others) + 1)
    joins = [
        _OTHER.format(other=quote(other), first=quote(first), days=event.within_days, n=n)
        for n, other in zip(numbers, others, strict=True)
    ]
    return _ROWS.format(
        name=quote(name),
        first=quote(first),
        joins="".join(joins),
        values="".join(f", o{n}.value AS v{n}" for n in numbers),
        names="".join(f", v{n}" for n in numbers),
        formula=_FORMULAE[event.formula],
        in_range="" if event.value is None else f"AND {in_range('value', event.value)}",
    )
