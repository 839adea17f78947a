"""A command as a process of its own ends at once, and leaves nothing half done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_LEAVE = """
import atexit, sys
from pipelines.process import begin, leave
begin()
atexit.register(print, "asked for")
print("said", end=" ")
{work}
leave()
"""
_STORE = """
import sqlalchemy as sa
from pipelines.database.session import open_database, transaction
engine = open_database("sqlite:///" + sys.argv[1])
with transaction(engine) as connection:
    connection.execute(sa.text("CREATE TABLE note (said VARCHAR)"))
"""
_AHEAD = """
import logging
from pipelines.ahead import load_ahead
from pipelines.validate.gx_session import gx_session
logging.basicConfig(level=logging.DEBUG)
before = logging.getLogger("great_expectations").propagate
thread = load_ahead()
assert load_ahead() is thread
with gx_session() as session:
    assert session.context.suites.all() == []
assert logging.getLogger("great_expectations").propagate == before
"""


def _ended(work: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _LEAVE.format(work=work), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_said_and_what_was_asked_for_at_the_end_are_done() -> None:
    ended = _ended("")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "said asked for\n", "")


def test_the_database_is_one_whole_file(tmp_path: Path) -> None:
    ended = _ended(_STORE, str(tmp_path / "uitkomst.db"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["uitkomst.db"]


def test_what_is_loaded_ahead_is_waited_for_and_silent() -> None:
    ended = _ended(_AHEAD)
    assert (ended.returncode, ended.stderr) == (0, "")
