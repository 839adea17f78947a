"""A column of ``Type/id`` turned into a column of pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.pseudonyms import Pseudonyms

_WIDTH = 32


def pseudonym_column(pseudonyms: Pseudonyms, typed_ids: pa.ChunkedArray) -> pa.Array:
    """The pseudonyms of `typed_ids` (text), null where that is null. Each distinct value is hashed once."""
    encoded = typed_ids.combine_chunks().dictionary_encode()
    digests = pseudonyms.of_resources(encoded.dictionary.cast(pa.binary()).to_pylist())
    digits = b"".join(digests).hex().encode("ascii")
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * _WIDTH
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.string(), len(digests), buffers).take(encoded.indices)


def identifier_keys(typed_ids: pa.ChunkedArray) -> set[str]:
    """Those of `typed_ids` that name a resource by identifier: ``Type?system|value``."""
    distinct = typed_ids.unique()
    return set(distinct.filter(pc.match_substring(distinct, "?")).drop_null().to_pylist())


@dataclass(frozen=True, slots=True)
class Renamed:
    """Pseudonyms that turned out to stand for a resource with another one."""

    before: pa.Array
    after: pa.Array

    @classmethod
    def of(cls, pseudonyms: Pseudonyms, names: Mapping[str, str]) -> Renamed:
        """From ``Type/id`` by the other name of the resource."""
        pairs = [(pseudonyms.of_resource(old), pseudonyms.of_resource(new)) for old, new in names.items()]
        return cls(pa.array([old for old, _ in pairs], pa.string()), pa.array([new for _, new in pairs], pa.string()))

    def in_columns(self, rows: pa.Table, names: Iterable[str]) -> pa.Table:
        """The rows with the final keys in the columns `names`."""
        for name in names:
            keys = rows[name].combine_chunks()
            final = pc.coalesce(self.after.take(pc.index_in(keys, self.before)), keys)
            rows = rows.set_column(rows.column_names.index(name), name, final)
        return rows
