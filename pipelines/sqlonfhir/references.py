"""SQL of the key that a Reference holds, in every form in which exports write references."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.sqlonfhir.values import quote

_ID = r"[A-Za-z0-9\-.]{1,64}"
_TYPED_ID = rf"(?:^|/)([A-Z][A-Za-z]+/{_ID})(?:/_history/{_ID})?$"
_URN = rf"^urn:(?:uuid|oid):({_ID})$"


@dataclass(frozen=True, slots=True)
class Root:
    """The resource that a reference stands in: its type, and SQL of its id and of its contained resources."""

    type: str
    id: str
    contained: str


@dataclass(frozen=True, slots=True)
class ReferenceParts:
    """SQL of the elements of a Reference; `type` is null SQL where the release has no such element."""

    reference: str
    type: str
    system: str
    value: str


def key_of(parts: ReferenceParts, root: Root, wanted: str | None) -> str:
    """SQL of the key (``Type/id``, ``Type/Root.id#contained`` or ``Type?system|value``); null when there is none.

    Args:
        parts: the Reference.
        root: where it stands.
        wanted: the argument of getReferenceKey(); references to another type give null.
    """
    any_form = f"coalesce({_literal(parts.reference)}, {_other_form(parts, root, wanted)})"
    if wanted is None:
        return any_form
    # Nearly all references are relative: a match of the whole is much cheaper than finding a part.
    relative, to_another = (
        f"regexp_full_match({parts.reference}, {quote(type_ + '/' + _ID)})" for type_ in (wanted, "[A-Z][A-Za-z]+")
    )
    of_type = f"nullif(regexp_extract({any_form}, {quote(f'(?s)^{wanted}[/?].*')}), '')"
    return f"CASE WHEN {relative} THEN {parts.reference} WHEN {to_another} THEN NULL ELSE {of_type} END"


def _literal(reference: str) -> str:
    """The ``Type/id`` in a relative or absolute reference, with or without a version."""
    return f"nullif(regexp_extract({reference}, {quote(_TYPED_ID)}, 1), '')"


def _other_form(parts: ReferenceParts, root: Root, wanted: str | None) -> str:
    """A reference that does not name the type: to a contained resource, by URN, or by identifier only."""
    declared = f"nullif(regexp_extract({parts.type}, '[A-Za-z]+$'), '')"
    type_ = declared if wanted is None else f"coalesce({declared}, {quote(wanted)})"
    fragment = f"substr({parts.reference}, 2)"
    found = f"(list_filter({root.contained}, lambda c: c.id = {fragment})[1]).resourceType"
    # A contained resource that was made a row of its own has the id of its root in its own id.
    own = f"CASE WHEN contains({root.id}, '#') THEN split_part({root.id}, '#', 1) ELSE '{root.type}.' || {root.id} END"
    identified = f"{type_} || '?' || coalesce({parts.system}, '') || '|' || {parts.value}"
    return (
        f"CASE WHEN starts_with({parts.reference}, '#')"
        f" THEN coalesce({found}, {type_}) || '/' || {own} || {parts.reference}"
        f" WHEN regexp_matches({parts.reference}, {quote(_URN)})"
        f" THEN {type_} || '/' || regexp_extract({parts.reference}, {quote(_URN)}, 1)"
        f" WHEN {parts.value} IS NOT NULL THEN {identified} END"
    )
