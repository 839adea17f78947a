"""The PROM questionnaires of the export: items with short labels, never the copyrighted item texts."""

from __future__ import annotations

from dataclasses import dataclass

CANONICAL = "http://uitkomststroom.nl/fhir/Questionnaire/"
VERSION = "1.0"

KOOS_HOOS_ANSWERS = "http://uitkomststroom.nl/fhir/CodeSystem/koos-hoos-answer"
EQ5D_LEVELS = "http://uitkomststroom.nl/fhir/CodeSystem/eq-5d-5l-level"
ITEM_CODES = "http://uitkomststroom.nl/fhir/CodeSystem/prom-item"


@dataclass(frozen=True, slots=True)
class Item:
    """One question: its linkId, a short label of our own, and the range of the answer."""

    link_id: str
    label: str
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One questionnaire; `code_system` holds its answer codes where a hospital codes the answers."""

    key: str
    title: str
    items: tuple[Item, ...]
    code_system: str | None = None

    @property
    def canonical(self) -> str:
        """Canonical URL without version."""
        return CANONICAL + self.key


def _difficulty(link_id: str, label: str) -> Item:
    """Difficulty from 0 (none) to 4 (extreme)."""
    return Item(link_id, label, 0, 4)


# Items of HOOS-PS and KOOS-PS: awell-health/awell-score @c37843e, citing Davis 2008 and Perruccio 2008.
HOOS_PS = Instrument(
    "hoos-ps",
    "HOOS-PS",
    (
        _difficulty("1_stairs", "descending stairs"),
        _difficulty("2_bath_shower", "in/out of bath or shower"),
        _difficulty("3_sit", "sitting"),
        _difficulty("4_running", "running"),
        _difficulty("5_turn_on_leg", "twisting/pivoting on loaded leg"),
    ),
    KOOS_HOOS_ANSWERS,
)
KOOS_PS = Instrument(
    "koos-ps",
    "KOOS-PS",
    (
        _difficulty("1_rise_from_bed", "rising from bed"),
        _difficulty("2_socks", "putting on socks"),
        _difficulty("3_rise_from_chair", "rising from sitting"),
        _difficulty("4_pickup_from_floor", "bending to floor"),
        _difficulty("5_turn_on_knee", "twisting/pivoting"),
        _difficulty("6_kneel", "kneeling"),
        _difficulty("7_staying_squat", "squatting"),
    ),
    KOOS_HOOS_ANSWERS,
)
# NRS pain at rest and during activity: in use by LROI (Peters 2020) and the ICHOM hip and knee set.
NRS_PAIN = Instrument(
    "nrs-pain",
    "NRS pain",
    (Item("rest", "pain at rest", 0, 10), Item("activity", "pain during activity", 0, 10)),
)
EQ5D = Instrument(
    "eq-5d-5l",
    "EQ-5D-5L",
    (
        Item("mobility", "mobility", 1, 5),
        Item("self_care", "self-care", 1, 5),
        Item("usual_activities", "usual activities", 1, 5),
        Item("pain_discomfort", "pain/discomfort", 1, 5),
        Item("anxiety_depression", "anxiety/depression", 1, 5),
        Item("vas", "health today", 0, 100),
    ),
    EQ5D_LEVELS,
)
INSTRUMENTS = (HOOS_PS, KOOS_PS, NRS_PAIN, EQ5D)
FUNCTION = {"hip": HOOS_PS, "knee": KOOS_PS}
