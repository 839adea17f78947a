"""Made-up people: names, addresses, citizen service numbers and bodies. None of them exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

_FAMILIES = (
    ("", "Bakker"), ("", "Visser"), ("", "Smit"), ("", "Mulder"), ("", "Bos"), ("", "Vos"), ("", "Peters"),
    ("", "Hendriks"), ("", "Dekker"), ("", "Brouwer"), ("", "Dijkstra"), ("", "Kok"), ("de", "Vries"),
    ("de", "Boer"), ("de", "Groot"), ("van", "Dijk"), ("van", "Leeuwen"), ("van den", "Berg"),
    ("van der", "Meer"), ("van der", "Linden"),
)  # fmt: skip
_WOMEN = ("Maria", "Johanna", "Anna", "Wilhelmina", "Cornelia", "Elisabeth", "Hendrika", "Geertruida")
_MEN = ("Johannes", "Jan", "Cornelis", "Hendrik", "Willem", "Pieter", "Gerrit", "Jacobus")
_STREETS = ("Dorpsstraat", "Kerkstraat", "Molenweg", "Schoolstraat", "Julianalaan", "Beukenlaan", "Havenkade")
_CITIES = ("Waterdorp", "Lindeveen", "Oosterhaven", "Heuvelrode", "Nieuwmeer", "Zandbeek")
# Displays in synthetic-clinical.csv, with their share in percent.
_SMOKING = {"heeft nooit gerookt": 45, "rookte vroeger": 44, "rookt dagelijks tabak": 11}
_LETTERS = "ABCDEGHJKLMNPRSTVWXZ"

_BSN_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class Person:
    """One made-up patient; `key` is unique within the export and is the stem of its resource ids."""

    key: str
    bsn: str
    gender: str
    birth: date
    prefix: str
    family: str
    given: tuple[str, ...]
    street: str
    house_number: int
    postal_code: str
    city: str
    height_cm: int
    weight_kg: float
    systolic_mmhg: int
    diastolic_mmhg: int
    smoking: str

    @property
    def surname(self) -> str:
        """Family name with its prefix, as nl-core writes it in `name.family`."""
        return f"{self.prefix} {self.family}".strip()


def bsn_numbers() -> Iterator[str]:
    """Citizen service numbers that satisfy the eleven-test, from 999999990 down.

    The eleven-test: the digits times 9, 8, 7, 6, 5, 4, 3, 2 and -1 add up to a multiple of 11 (as 111222333
    of Nictiz' example nl-core-Patient-01 does). Counting down keeps to one known range of made-up numbers.
    """
    for stem in range(99_999_999, 0, -1):
        digits = f"{stem:08}"
        check = sum(int(digit) * weight for digit, weight in zip(digits, _BSN_WEIGHTS, strict=True)) % 11
        if check < 10:
            yield f"{digits}{check}"


def make_person(rng: Random, *, key: str, bsn: str, index_date: date) -> Person:
    """A patient for joint replacement on `index_date`: about 68 years old (sd 9), 62% women, BMI about 28.

    Ages, shares and body measures are operationalisation, chosen to look like an arthroplasty population.
    """
    gender = "female" if rng.random() < 0.62 else "male"
    age_days = round(min(92.0, max(40.0, rng.gauss(68, 9))) * 365.25) + rng.randrange(-180, 180)
    prefix, family = rng.choice(_FAMILIES)
    height = round(min(205.0, max(140.0, rng.gauss(166 if gender == "female" else 179, 7))))
    bmi = min(45.0, max(18.0, rng.gauss(28, 4.5)))
    return Person(
        key=key,
        bsn=bsn,
        gender=gender,
        birth=index_date - timedelta(days=age_days),
        prefix=prefix,
        family=family,
        given=tuple(rng.sample(_WOMEN if gender == "female" else _MEN, k=rng.choice((1, 1, 2)))),
        street=rng.choice(_STREETS),
        house_number=rng.randrange(1, 250),
        postal_code=f"{rng.randrange(1000, 9999)} {rng.choice(_LETTERS)}{rng.choice(_LETTERS)}",
        city=rng.choice(_CITIES),
        height_cm=height,
        weight_kg=round(bmi * (height / 100) ** 2, 1),
        systolic_mmhg=round(min(190.0, max(95.0, rng.gauss(138, 15)))),
        diastolic_mmhg=round(min(94.0, max(50.0, rng.gauss(78, 9)))),
        smoking=rng.choices(tuple(_SMOKING), tuple(_SMOKING.values()))[0],
    )
