"""Shape `time_to_event`: days until an event, censored by death, by other events, by the horizon or by today."""

from __future__ import annotations

from pipelines.indicators.measures.sql import pairs
from pipelines.indicators.shapes import TimeToEvent, Window
from pipelines.sqlonfhir.values import quote

_ANSWER = """
reached AS MATERIALIZED ({event}), ended AS MATERIALIZED (
    SELECT index_id, 0 AS place, 'death' AS event, death_key AS resource_key, death_text AS text, death_low AS low,
           death_high AS high
    FROM followed
    WHERE died AND coalesce(death_low <= {until}, true)
    {censoring}
), day AS (
    SELECT c.index_id, c.index_date, reached.day AS event_day, ended.day AS end_day, ended.entry,
           coalesce(reached.day <= least(ended.day, {until}), false) AS happened,
           least(reached.day, ended.day, {until}) AS last_day
    FROM followed AS c
    LEFT JOIN (SELECT index_id, min(low) AS day FROM reached WHERE low = high GROUP BY index_id) AS reached
        ON reached.index_id = c.index_id
    LEFT JOIN (SELECT index_id, min(low) AS day,
                      arg_min({{'event': event, 'resource_key': resource_key, 'moment': text}},
                              (low, place, resource_key)) AS entry
               FROM ended WHERE low = high GROUP BY index_id) AS ended ON ended.index_id = c.index_id
), doubt AS (
    SELECT index_id FROM reached JOIN day USING (index_id)
    WHERE coalesce(low <> high, true)
      AND (low IS NULL OR low < last_day OR (low = last_day AND NOT happened))
    UNION
    SELECT index_id FROM ended JOIN day USING (index_id)
    WHERE coalesce(low <> high, true) AND coalesce(low < last_day, true)
), first AS (
    SELECT index_id, arg_min({{'resource_key': resource_key, 'text': text}}, (resource_key, text)) AS one
    FROM reached JOIN day USING (index_id)
    WHERE low = high AND low = event_day
    GROUP BY index_id
), answer AS (
    SELECT day.index_id, NULL::VARCHAR AS status,
           CASE WHEN doubt.index_id IS NOT NULL THEN 'event date incomplete' END AS reason, happened AS numerator,
           (last_day - index_date)::DOUBLE AS value, NULL::DATE AS found_low, NULL::DATE AS found_high,
           CASE WHEN reason IS NOT NULL THEN []
                WHEN happened THEN [{{'role': 'measure', 'event': {name}, 'resource_key': first.one.resource_key,
                                      'moment': first.one.text}}]
                WHEN end_day = last_day THEN [{{'role': 'follow_up_end', 'event': entry.event,
                                                'resource_key': entry.resource_key, 'moment': entry.moment}}]
                ELSE [] END AS evidence
    FROM day
    LEFT JOIN doubt ON doubt.index_id = day.index_id
    LEFT JOIN first ON first.index_id = day.index_id
)
"""


def time_to_event(measure: TimeToEvent) -> str:
    """The common table expressions of a time to event, the last one named `answer`."""
    horizon = Window(from_day=0, to_day=measure.horizon_days)
    after = Window(from_day=1, to_day=measure.horizon_days)
    censoring = "".join(
        f"""UNION ALL
    SELECT index_id, {place}, {quote(name)}, resource_key, text, low, high
    FROM ({pairs("followed", name, after)})
    """
        for place, name in enumerate(measure.censored_by, start=1)
    )
    return _ANSWER.format(
        event=pairs("followed", measure.event, horizon, same_side=measure.same_side),
        censoring=censoring,
        until=f"least(index_date + {measure.horizon_days}, $as_of)",
        name=quote(measure.event),
    )
