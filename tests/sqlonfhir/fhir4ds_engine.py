"""Runs views with fhir4ds-v2, under a Python that has it: cases as JSON on standard input, their rows on output.

A case is {"view": ..., "resources": [...]}; the answer to it is a list of rows, or null when fhir4ds raised an error.
"""

import json
import logging
import sys
from typing import Any

import fhir4ds


def rows_of(connection: Any, case: dict[str, Any]) -> list[dict[str, Any]] | None:
    connection.execute("DROP TABLE IF EXISTS resources")
    loader = fhir4ds.FHIRDataLoader(connection)
    for resource in case["resources"]:
        loader.load_resource(resource)
    try:
        result = connection.execute(fhir4ds.generate_view_sql(json.dumps(case["view"])))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    except Exception:
        return None


if __name__ == "__main__":
    logging.disable()
    one = fhir4ds.create_connection()
    json.dump([rows_of(one, case) for case in json.load(sys.stdin)], sys.stdout, default=str)
