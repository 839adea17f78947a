"""A column of ``Type/id`` turned into a column of pseudonyms."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

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
