"""docker-compose.yml as a test reads it, and its services as commands that run without containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN_IMAGE = SERVICES["scheduler"]["image"]
ONE_SHOT = {"prepare"}
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class Native:
    """What stands in for the network and the mounts of the containers: texts to replace."""

    replacements: Mapping[str, str]
    variables: Mapping[str, str]
    """What `.env` says."""

    def command(self, service: str) -> list[str]:
        """The command of a service."""
        return [self._text(word) for word in SERVICES[service]["command"]]

    def health_check(self, service: str) -> list[str]:
        """The command that tells whether a service is well."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        return [self._text(word) for word in (words if kind == "CMD" else ["sh", "-c", *words])]

    def environment(self, service: str) -> dict[str, str]:
        """The environment of a service."""
        return {name: self._text(value) for name, value in SERVICES[service].get("environment", {}).items()}

    def _text(self, text: str) -> str:
        text = _VARIABLE.sub(lambda found: self.variables.get(found[1], found[2]), text).replace("$$", "$")
        olds = "|".join(map(re.escape, self.replacements))  # in one pass: what was put in is not replaced again
        return re.sub(olds, lambda found: self.replacements[found[0]], text)
