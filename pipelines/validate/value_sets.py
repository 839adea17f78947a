"""The value sets that suites check codes against: the CSV files of `mappings/zib/value_sets/`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.errors import TerminalError

_COLUMNS = ("url", "name", "version", "kind", "system", "code", "display")


@dataclass(frozen=True, slots=True)
class ValueSets:
    """All value sets.

    Attributes:
        members: `url`, `system` and `code`; a null code stands for every code of the system.
        names: name and version by url, for people.
    """

    members: pa.Table
    names: dict[str, str]

    def __contains__(self, url: object) -> bool:
        return url in self.names


def load_value_sets(folder: Path) -> ValueSets:
    """Read every file of the folder; none when it is absent.

    Raises:
        TerminalError: ``VALUE-SET-DEFINITION`` when a file has not the columns of its README.
    """
    tables = [_read(path) for path in sorted(folder.glob("*.csv"))]
    empty = pa.schema([(name, pa.string()) for name in _COLUMNS]).empty_table()
    joined = pa.concat_tables([empty, *tables])
    rows = zip(*(joined[name].to_pylist() for name in ("url", "name", "version")), strict=True)
    return ValueSets(
        members=joined.select(["url", "system", "code"]),
        names={url: f"{name} {version}" for url, name, version in rows},
    )


def require(value_sets: ValueSets, urls: Collection[str], where: str) -> None:
    """Check that these value sets are known.

    Raises:
        TerminalError: ``VALUE-SET-DEFINITION``.
    """
    unknown = sorted(url for url in urls if url not in value_sets)
    if unknown:
        raise TerminalError(
            "VALUE-SET-DEFINITION",
            f"value set {', '.join(unknown)} is not in mappings/zib/value_sets",
            where=where,
            remedy="Add its file, or correct the url in the suite.",
        )


def _read(path: Path) -> pa.Table:
    try:
        table = pa_csv.read_csv(
            path,
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in _COLUMNS},
                include_columns=list(_COLUMNS),
                null_values=[""],
                strings_can_be_null=True,
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=False),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise TerminalError(
            "VALUE-SET-DEFINITION",
            "the file is not of the documented shape",
            where=str(path),
            remedy="Give it the columns of mappings/zib/value_sets/README.md.",
        ) from error
    return table
