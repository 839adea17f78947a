"""Settings, read from environment variables `UITKOMST_*` or a `.env` file in the working directory.

What is secret may stand in a file instead, named after its variable in lower case (`uitkomst_pseudonym_key`), in the
folder that `UITKOMST_SECRETS` names.
"""

from __future__ import annotations

import os
import secrets
from functools import cache
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import TerminalError

PROJECT = Path(__file__).resolve().parent.parent
MINIMUM_KEY_BYTES = 32
"""RFC 2104, section 3: a key shorter than the hash output lowers the strength of HMAC."""


class Settings(BaseSettings):
    """What an operator may set.

    Attributes:
        home: folder that holds landing zone, lake, database, reports and deliveries.
        pseudonym_key: secret key of the pseudonyms; at least 32 bytes. Without it a key file in `home` is used.
        retention_days: how long landed files are kept.
        database_url: SQLAlchemy URL; by default SQLite in `home`.
        mappings: folder with mappings; expectations: folder with data checks.
        maximum_line_bytes: a longer line is set aside.
        prom_response_pattern: also give PROMIS response-pattern scores.
    """

    model_config = SettingsConfigDict(env_prefix="UITKOMST_", env_file=".env", extra="ignore")

    home: Path = Path("var")
    pseudonym_key: SecretStr | None = None
    retention_days: int = 90
    database_url: str | None = None
    mappings: Path = PROJECT / "mappings"
    expectations: Path = PROJECT / "expectations"
    maximum_line_bytes: int = 16 * 1024 * 1024
    prom_response_pattern: bool = False


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        TerminalError: `SETTING-INVALID` naming the variable.
    """
    try:
        return Settings(_secrets_dir=os.environ.get("UITKOMST_SECRETS"))
    except ValidationError as error:
        name = "UITKOMST_" + str(error.errors()[0]["loc"][0]).upper()
        what = error.errors()[0]["msg"]
        raise TerminalError("SETTING-INVALID", what, where=name, remedy="Correct the environment variable.") from None


def pseudonym_key(home: Path | None) -> bytes:
    """The key of the pseudonyms: the setting, else the key file in `home` (made on first use).

    With neither a setting nor a `home` the key is random and gone when the process ends.

    Raises:
        TerminalError: `KEY-TOO-SHORT` or `KEY-UNREADABLE`.
    """
    configured = settings().pseudonym_key
    if configured is not None:
        return _long_enough(configured.get_secret_value().encode(), "UITKOMST_PSEUDONYM_KEY")
    if home is None:
        return secrets.token_bytes(MINIMUM_KEY_BYTES)
    path = home / "pseudonym.key"
    home.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            return _long_enough(path.read_text(encoding="ascii").strip().encode(), str(path))
        except OSError as error:
            raise TerminalError(
                "KEY-UNREADABLE", str(error.strerror), where=str(path), remedy="Make it readable for this user."
            ) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(MINIMUM_KEY_BYTES) + "\n")
    return _long_enough(path.read_text(encoding="ascii").strip().encode(), str(path))


def _long_enough(key: bytes, where: str) -> bytes:
    if len(key) < MINIMUM_KEY_BYTES:
        raise TerminalError(
            "KEY-TOO-SHORT",
            f"the key has {len(key)} bytes, {MINIMUM_KEY_BYTES} are needed",
            where=where,
            remedy="Make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
        )
    return key
