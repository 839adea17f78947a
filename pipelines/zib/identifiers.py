"""References by identifier only, resolved against the resources of the same export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from pipelines.extract.exports import Export
from pipelines.extract.records import Record, read_records


def resolve_identifiers(export: Export, wanted: Set[str], maximum_line_bytes: int) -> Mapping[str, str]:
    """``Type/id`` by ``Type?system|value``, for those of `wanted` that name exactly one resource of the export.

    Reads the export again, but only when there is something to resolve.
    """
    if not wanted:
        return {}
    types = {key.partition("?")[0] for key in wanted}
    found: dict[str, str | None] = {}
    for file in export.files:
        if not file.is_fhir:
            continue
        for record in read_records(file.path, maximum_line_bytes=maximum_line_bytes):
            if not isinstance(record, Record) or record.resource["resourceType"] not in types:
                continue
            for key, typed_id in _named(record.resource):
                if key in wanted:
                    found[key] = typed_id if found.get(key, typed_id) == typed_id else None
    return {key: typed_id for key, typed_id in found.items() if typed_id is not None}


def _named(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each identifier of a resource as a key, with the ``Type/id`` of the resource."""
    type_, id_, identifiers = resource["resourceType"], resource.get("id"), resource.get("identifier")
    if not isinstance(id_, str):
        return
    for identifier in identifiers if isinstance(identifiers, list) else [identifiers]:
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            yield f"{type_}?{identifier.get('system') or ''}|{identifier['value']}", f"{type_}/{id_}"
