"""PROM scores over time around the index operation: before, and at each moment after it."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.statistics.intervals import t_interval

_SQL = """
WITH scored AS (
    SELECT index_event.institution, wanted.cohort AS joint, wanted.instrument, wanted.score, wanted.moment,
           prom_score.value
    FROM moment_score
    JOIN index_event USING (index_id)
    JOIN wanted USING (wanted_id)
    JOIN prom_score ON prom_score.institution = index_event.institution
        AND prom_score.resource_key = moment_score.resource_key
        AND prom_score.instrument = wanted.instrument AND prom_score.score = wanted.score
)
SELECT own.*, everyone.group_mean
FROM (SELECT institution, joint, instrument, score, moment, count(*) AS n, avg(value ORDER BY value) AS mean,
             stddev_samp(value ORDER BY value) AS sd
      FROM scored GROUP BY ALL) AS own
JOIN (SELECT joint, instrument, score, moment, avg(value ORDER BY value) AS group_mean
      FROM scored GROUP BY ALL) AS everyone USING (joint, instrument, score, moment)
ORDER BY ALL
"""


def trajectories(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Mean score per institution and moment, right after `evaluate` on the same connection.

    Returns:
        columns `institution`, `joint` (the cohort), `instrument`, `score`, `moment`, `n`, `mean`, `ci_low` and
        `ci_high` (95% t interval, null for one patient), and `group_mean` over the patients of all institutions.
        Scores keep the direction they are stored in.
    """
    means = connection.sql(_SQL).to_arrow_table()
    n, mean, sd = (np.asarray(means[name].to_pandas(), dtype=np.float64) for name in ("n", "mean", "sd"))
    low, high = t_interval(mean, sd, n)
    return (
        means.drop_columns(["sd"])
        .append_column("ci_low", pa.array(low, from_pandas=True))
        .append_column("ci_high", pa.array(high, from_pandas=True))
    )
