"""Questionnaire and QuestionnaireResponse, as the hospital's PROM platform writes them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pipelines.synthetic.chart import Chart, Resource, timestamp
from pipelines.synthetic.hospitals import Dialect
from pipelines.synthetic.instruments import (
    EQ5D_LEVELS,
    INSTRUMENTS,
    ITEM_CODES,
    KOOS_HOOS_ANSWERS,
    VERSION,
    Instrument,
    Item,
)
from pipelines.synthetic.proms import Response

_GROUP = "questions"


def questionnaires(dialect: Dialect) -> Iterator[Resource]:
    """One Questionnaire per instrument, with short labels only."""
    for instrument in INSTRUMENTS:
        items = [_question(instrument, item, dialect) for item in instrument.items]
        yield {
            "resourceType": "Questionnaire",
            "id": instrument.key,
            "url": instrument.canonical,
            "version": VERSION,
            "name": instrument.title.replace("-", "").replace(" ", ""),
            "title": instrument.title,
            "status": "active",
            "subjectType": ["Patient"],
            "item": [{"linkId": _GROUP, "type": "group", "item": items}] if dialect.grouped_items else items,
        }


def responses(rng: Random, chart: Chart, answered: tuple[Response, ...]) -> Iterator[Resource]:
    """One QuestionnaireResponse per questionnaire filled in."""
    for number, response in enumerate(answered, start=1):
        items = _answered_items(rng, response, chart.dialect)
        yield chart.start("QuestionnaireResponse", f"prom-{number}", None) | {
            "questionnaire": f"{response.instrument.canonical}|{VERSION}",
            "status": "completed",
            "subject": chart.subject(),
            "authored": timestamp(response.on, rng.randrange(7, 23), rng.randrange(60)),
            "source": chart.subject(),
            "item": [{"linkId": _GROUP, "item": items}] if chart.dialect.grouped_items else items,
        }


def _question(instrument: Instrument, item: Item, dialect: Dialect) -> dict[str, Any]:
    question: dict[str, Any] = {
        "linkId": item.link_id,
        "code": [{"system": ITEM_CODES, "code": f"{instrument.key}.{item.link_id}", "display": item.label}],
        "text": item.label,
        "type": "integer",
    }
    system = _answer_system(instrument, item, dialect)
    if system is not None:
        levels = range(item.lowest, item.highest + 1)
        question["type"] = "choice"
        question["answerOption"] = [{"valueCoding": {"system": system, "code": str(level)}} for level in levels]
    return question


def _answered_items(rng: Random, response: Response, dialect: Dialect) -> list[dict[str, Any]]:
    """Answered items; a skipped item is left out, or present without an answer."""
    items: list[dict[str, Any]] = []
    for item in response.instrument.items:
        if item.link_id in response.answers:
            value = response.answers[item.link_id]
            system = _answer_system(response.instrument, item, dialect)
            answer: dict[str, Any] = {"valueInteger": value}
            if system is not None:
                answer = {"valueCoding": {"system": system, "code": str(value)}}
            items.append({"linkId": item.link_id, "answer": [answer]})
        elif rng.random() < 0.5:
            items.append({"linkId": item.link_id})
    return items


def _answer_system(instrument: Instrument, item: Item, dialect: Dialect) -> str | None:
    """Code system of the answer where this hospital codes it; None where it writes a number."""
    coded = (dialect.coded_koos_hoos and instrument.code_system == KOOS_HOOS_ANSWERS) or (
        dialect.coded_eq5d and instrument.code_system == EQ5D_LEVELS and item.link_id != "vas"
    )
    return instrument.code_system if coded else None
