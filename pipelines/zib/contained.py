"""Contained resources as resources of their own.

A contained resource gets the id ``<RootType>.<rootId>#<its id>``, which is what a reference ``#<its id>`` in its root
is read as. References from one to its siblings stay as they are, for they are read the same way; `#`, which stands
for the root, is written out.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.sqlonfhir.values import Schema
from pipelines.zib.shape import misfit


@dataclass(frozen=True, slots=True)
class ContainedFlaw:
    """Why a contained resource, and with it the line it stands in, cannot be used."""

    rule_id: str
    reason: str


def promoted(root: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Iterator[dict[str, Any] | ContainedFlaw]:
    """The contained resources of `root` whose types are in `schemas`, as resources of their own.

    `root` is a resource with a type and an id. Types without a table are left out.
    """
    root_type, root_id = root["resourceType"], root["id"]
    contained = [item for item in root["contained"] if item is not None]
    siblings = [
        {name: item[name] for name in ("resourceType", "id") if isinstance(item.get(name), str)}
        for item in contained
        if isinstance(item, dict)
    ]
    for item in contained:
        if not isinstance(item, dict) or not isinstance(item.get("resourceType"), str):
            yield ContainedFlaw("RESOURCE-NO-TYPE", f"{root_type}.contained: it has no resourceType")
            continue
        if (schema := schemas.get(item["resourceType"])) is None:
            continue
        if not isinstance(item.get("id"), str) or not item["id"]:
            yield ContainedFlaw("RESOURCE-NO-ID", f"{root_type}.contained: it has no id")
            continue
        resource = copy.deepcopy(item)
        resource["id"] = f"{root_type}.{root_id}#{item['id']}"
        resource["contained"] = siblings
        _write_root_out(resource, f"{root_type}/{root_id}")
        found = misfit(resource, schema, f"{root_type}.contained.{item['resourceType']}")
        yield ContainedFlaw("VALUE-WRONG-TYPE", found) if found else resource


def digest(contained: Any) -> int:
    """A number that differs, for all practical purposes, when the contained resources do."""
    text = json.dumps(contained, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _write_root_out(node: Any, root: str) -> None:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            if node.get("reference") == "#":
                node["reference"] = root
            stack += [value for value in node.values() if isinstance(value, (dict, list))]
