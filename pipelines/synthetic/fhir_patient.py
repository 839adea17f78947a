"""nl-core-Patient of a made-up person."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipelines.synthetic.chart import EXTENSIONS, Chart, Resource, timestamp
from pipelines.synthetic.people import Person

_HL7 = "http://hl7.org/fhir/StructureDefinition/"


def patient(chart: Chart, death: date | None) -> Resource:
    """Patient with BSN, name, address and death, in the shape of Nictiz' nl-core-Patient-01."""
    person = chart.person
    resource = chart.start("Patient", "", "nl-core-Patient")
    resource["id"] = person.key
    gender = chart.codes.clinical("Female" if person.gender == "female" else "Male")
    resource |= {
        "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": person.bsn}],
        "name": [_name(person)],
        "gender": person.gender,
        "_gender": {
            "extension": [{"url": EXTENSIONS + "ext-CodeSpecification", "valueCodeableConcept": gender.concept()}]
        },
        "birthDate": person.birth.isoformat(),
        "address": [_address(person)],
    }
    if death is None:
        resource["deceasedBoolean"] = False
    elif chart.dialect.with_times:
        # Half an hour after midnight: read as UTC it would be the day before.
        resource["deceasedDateTime"] = timestamp(death, 0, 30)
    else:
        resource["deceasedDateTime"] = death.isoformat()
    return resource


def _name(person: Person) -> dict[str, Any]:
    parts = [{"url": _HL7 + "humanname-own-name", "valueString": person.family}]
    if person.prefix:
        parts.insert(0, {"url": _HL7 + "humanname-own-prefix", "valueString": person.prefix})
    qualifier = {"extension": [{"url": _HL7 + "iso21090-EN-qualifier", "valueCode": "BR"}]}
    return {
        "use": "official",
        "text": " ".join((*person.given, person.surname)),
        "family": person.surname,
        "_family": {"extension": parts},
        "given": list(person.given),
        "_given": [qualifier for _ in person.given],
    }


def _address(person: Person) -> dict[str, Any]:
    return {
        "use": "home",
        "type": "both",
        "line": [f"{person.street} {person.house_number}"],
        "_line": [
            {
                "extension": [
                    {"url": _HL7 + "iso21090-ADXP-streetName", "valueString": person.street},
                    {"url": _HL7 + "iso21090-ADXP-houseNumber", "valueString": str(person.house_number)},
                ]
            }
        ],
        "city": person.city,
        "postalCode": person.postal_code,
        "country": "Nederland",
    }
