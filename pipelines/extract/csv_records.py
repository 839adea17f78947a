"""CSV files split into records with their line numbers; what is no record becomes a flaw.

A well-formed file is recognised by counting marks in blocks, without reading a field, and stays where it is. Any other
file is read record by record, and its sound records are written aside, for a reader that takes no broken ones.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from pipelines.extract.records import Flaw, is_gzip

_BOM = codecs.BOM_UTF8
_BLOCK = 1 << 23
_NEWLINE, _RETURN = 10, 13


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How the file is written. `encoding` is a codec; `quote` is empty when fields are never quoted."""

    delimiter: str
    quote: str
    encoding: str


@dataclass(slots=True)
class CsvRecords:
    """The records of a file.

    Attributes:
        header: names of the columns; empty when the file is empty.
        path: UTF-8 file with the sound records, after `skip` lines, in the file's own delimiter.
        quote: the mark around quoted fields in it, if any.
        longest: bytes of its longest record.
        skip: lines before the first record.
        lines: 1-based line of the original file at which each sound record starts.
        quoted_breaks: whether a record spans several lines.
        flaws: what is no sound record.
        blank, continued: blank lines, and lines that go on with a record (or the header).
    """

    header: list[str]
    path: Path
    quote: str
    skip: int = 0
    longest: int = 0
    lines: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    quoted_breaks: bool = False
    flaws: list[Flaw] = field(default_factory=list)
    blank: int = 0
    continued: int = 0


def read_csv_records(path: Path, dialect: CsvDialect, *, work: Path, maximum_line_bytes: int) -> CsvRecords:
    """Split a file, gzipped or not.

    Args:
        work: private folder; a file `records.csv` may be left in it, for the caller to remove.
        maximum_line_bytes: longer lines, and records that span more, become flaws.
    """
    plain = path
    try:
        if is_gzip(path) or dialect.encoding != "utf-8":
            plain = work / "plain.csv"
            if not _transcribe(path, plain, dialect.encoding):
                return _record_by_record(path, dialect, work, maximum_line_bytes)
            plain = plain.replace(work / "records.csv")
        found = _well_formed(plain, dialect, maximum_line_bytes)
        return found or _record_by_record(path, dialect, work, maximum_line_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        flaw = Flaw(None, "GZIP-DAMAGED", "the gzip file is damaged or cut short; nothing in it is read")
        return CsvRecords([], path, "", flaws=[flaw])
    finally:
        (work / "plain.csv").unlink(missing_ok=True)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def _transcribe(path: Path, target: Path, encoding: str) -> bool:
    """Write the file unzipped and in UTF-8; False when it holds bytes that are no text."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with _opened(path) as source, target.open("wb") as file:
        try:
            while block := source.read(_BLOCK):
                file.write(decoder.decode(block).encode("utf-8"))
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _well_formed(path: Path, dialect: CsvDialect, maximum: int) -> CsvRecords | None:
    """The records of a file in which nothing has to be set aside; None for any other file."""
    with path.open("rb") as file:
        first = file.readline(maximum + 1)
    header = _parsed(first, dialect)
    if header is None or _open_after(dialect, first.removeprefix(_BOM), False) is not False:
        return None
    if not first.endswith(b"\n"):
        return None
    check = _Check(dialect, len(header), first.endswith(b"\r\n"), maximum)
    with path.open("rb") as file:
        file.seek(len(first))
        rest = b""
        while block := file.read(_BLOCK):
            rest = check.take(rest + block)
            if check.failed:
                return None
        if rest:
            rest = check.take(rest + (b"\r\n" if check.returns else b"\n"))
        if check.failed or rest:
            return None
    lines = np.concatenate(check.starts) if check.starts else np.empty(0, np.int64)
    continued = check.line - 2 - lines.size
    return CsvRecords(
        _named(header),
        path,
        dialect.quote,
        skip=1,
        longest=max(len(first), check.longest),
        lines=lines,
        quoted_breaks=continued > 0,
        continued=int(continued),
    )


class _Check:
    """Counts delimiters, quotes and line ends in blocks of whole records."""

    def __init__(self, dialect: CsvDialect, fields: int, returns: bool, maximum: int) -> None:
        self._delimiter = ord(dialect.delimiter)
        self._quote = ord(dialect.quote) if dialect.quote else None
        self._fields = fields
        self._maximum = maximum
        self.returns = returns
        self.line = 2
        self.starts: list[npt.NDArray[np.int64]] = []
        self.failed = False
        self.longest = 0

    def take(self, block: bytes) -> bytes:
        """Check the whole records in a block that starts with one; gives what comes after them."""
        data = np.frombuffer(block, np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        delimiters = np.flatnonzero(data == self._delimiter)
        ends = newlines
        if self._quote is not None and self._quote in block:
            quotes = np.flatnonzero(data == self._quote)
            ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
            delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
            if ends.size:
                self._check_quotes(data[: ends[-1] + 1], quotes[quotes < ends[-1]])
        if not ends.size:
            self.failed = self.failed or len(block) > self._maximum
            return block
        self._check_records(data, block, ends, delimiters)
        number = np.searchsorted(newlines, ends)
        starts = np.concatenate([[0], number[:-1] + 1]) + self.line
        self.starts.append(starts.astype(np.int64))
        self.line += int(number[-1]) + 1
        return block[ends[-1] + 1 :]

    def _check_quotes(self, data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> None:
        """A quote opens after a delimiter or line end and closes before one; two in a row stand for one."""
        around = np.array([self._delimiter, _NEWLINE, _RETURN, self._quote], np.uint8)
        opening, closing = quotes[::2], quotes[1::2]
        before = data[opening[opening > 0] - 1]
        self.failed = self.failed or not (
            np.isin(before, around[[0, 1, 3]]).all() and np.isin(data[closing + 1], around).all()
        )

    def _check_records(
        self, data: npt.NDArray[np.uint8], block: bytes, ends: npt.NDArray[np.intp], delimiters: npt.NDArray[np.intp]
    ) -> None:
        counted = np.diff(np.searchsorted(delimiters, ends), prepend=0)
        lengths = np.diff(ends, prepend=-1)
        self.longest = max(self.longest, int(lengths.max()))
        returns = int(np.count_nonzero(data[: ends[-1] + 1] == _RETURN))
        body = block[: ends[-1] + 1]
        self.failed = (
            self.failed
            or bool((counted != self._fields - 1).any())
            or bool((lengths > self._maximum + 1).any())
            or bool((lengths <= 1 + self.returns).any())
            or returns != (ends.size if self.returns else 0)
            or (self.returns and bool((data[ends - 1] != _RETURN).any()))
            or b"\0" in body
        )
        if not self.failed:
            try:
                body.decode("utf-8")
            except UnicodeDecodeError:
                self.failed = True


def _record_by_record(path: Path, dialect: CsvDialect, work: Path, maximum: int) -> CsvRecords:
    target = work / "sound.csv"
    found = CsvRecords([], work / "records.csv", dialect.quote or '"')
    lines: list[int] = []
    with _opened(path) as file, target.open("w", encoding="utf-8", newline="") as aside:
        # All fields are quoted: Python quotes no field for a lone carriage return, which readers take for a line end.
        writer = csv.writer(
            aside,
            delimiter=dialect.delimiter,
            quotechar=found.quote,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL,
        )
        for item in _Splitter(file, dialect, maximum, found):
            if isinstance(item, Flaw):
                found.flaws.append(item)
                if not found.header:
                    found.flaws = [Flaw(None, item.rule_id, f"its header cannot be read: {item.reason}")]
                    break
                continue
            line, fields = item
            if not found.header:
                found.header = _named(fields)
            elif len(fields) != len(found.header):
                what = f"it has {len(fields)} fields where the header has {len(found.header)}"
                found.flaws.append(Flaw(line, "CSV-FIELDS", what))
            else:
                writer.writerow(fields)
                lines.append(line)
                # A quote is doubled when it is written, and a field with one gets two around it.
                width = sum(2 * len(text.encode("utf-8")) + 3 for text in fields)
                found.longest = max(found.longest, width)
                found.quoted_breaks = found.quoted_breaks or any("\n" in text or "\r" in text for text in fields)
    target.replace(found.path)
    found.lines = np.asarray(lines, np.int64)
    return found


class _Splitter:
    """The records of a file as (line, fields), and flaws."""

    def __init__(self, file: BinaryIO, dialect: CsvDialect, maximum: int, found: CsvRecords) -> None:
        self._file = file
        self._dialect = dialect
        self._maximum = maximum
        self._found = found
        self._ahead: deque[bytes] = deque()

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Flaw]:
        number = 0
        while line := self._next():
            number += 1
            if number == 1:
                line = line.removeprefix(_BOM)
            if len(line) > self._maximum and not line.endswith(b"\n"):
                while (rest := self._file.readline(self._maximum)) and not rest.endswith(b"\n"):
                    pass
                yield Flaw(number, "LINE-TOO-LONG", f"the line is longer than {self._maximum} bytes")
            elif not line.strip():
                self._found.blank += 1
            else:
                more = self._whole(line)
                if more is None:
                    yield Flaw(number, "CSV-QUOTE", "a quote is opened or closed in the wrong place")
                    continue
                yield self._record(number, b"".join([line, *more]))
                number += len(more)
                self._found.continued += len(more)

    def _next(self) -> bytes:
        return self._ahead.popleft() if self._ahead else self._file.readline(self._maximum + 1)

    def _whole(self, line: bytes) -> list[bytes] | None:
        """The lines after `line` that belong to its record; None when its quotes are wrong."""
        taken: list[bytes] = []
        state = _open_after(self._dialect, line, False)
        size = len(line)
        while state is True:
            following = self._next()
            size += len(following)
            if following:
                taken.append(following)
            if not following or size > self._maximum:
                state = None
                break
            state = _open_after(self._dialect, following, True)
        if state is None:
            self._ahead.extendleft(reversed(taken))
            return None
        return taken

    def _record(self, number: int, raw: bytes) -> tuple[int, list[str]] | Flaw:
        fields = _parsed(raw, self._dialect)
        if fields is None:
            return Flaw(number, "CSV-ENCODING", f"the line is not valid {self._dialect.encoding}")
        return number, fields


def _open_after(dialect: CsvDialect, line: bytes, inside: bool) -> bool | None:
    """Whether a quoted field is open after `line`; None when a quote stands in the wrong place."""
    quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
    if not quote or (not inside and quote not in line):
        return inside
    bare, at = line.rstrip(b"\r\n"), 0
    while True:
        if not inside:
            while at < len(bare) and not bare.startswith(quote, at):
                at = bare.find(delimiter, at) + 1
                if not at:
                    return False
            if at >= len(bare):
                return False
            at += 1
        at = _closing(bare, quote, at)
        if at < 0:
            return True
        if at == len(bare):
            return False
        if not bare.startswith(delimiter, at):
            return None
        inside, at = False, at + 1


def _closing(line: bytes, quote: bytes, at: int) -> int:
    """The place after the quote that closes a field, two in a row being text; -1 when it stays open."""
    while (at := line.find(quote, at)) >= 0:
        if not line.startswith(quote, at + 1):
            return at + 1
        at += 2
    return -1


def _parsed(raw: bytes, dialect: CsvDialect) -> list[str] | None:
    """The fields of one record whose quotes are sound; None when it is no text."""
    try:
        text = raw.decode(dialect.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not dialect.quote or dialect.quote not in text:
        return text.split(dialect.delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, quotechar=dialect.quote)
    csv.field_size_limit(1 << 30)
    return next(reader, [])


def _named(header: list[str]) -> list[str]:
    return [name.strip() for name in header]
