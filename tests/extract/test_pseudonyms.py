"""One pseudonym, made in Python and in SQL."""

import hashlib
import hmac

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract.pseudonyms import Pseudonyms
from pipelines.zib.keys import pseudonym_column

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
KEYS = st.binary(min_size=1, max_size=130)
KEY = bytes(range(32))


def in_sql(pseudonyms: Pseudonyms, text: str | None) -> str | None:
    with duckdb.connect() as connection:
        pseudonyms.register(connection)
        row = connection.execute("SELECT pseudonym_of_identifier(?::VARCHAR)", [text]).fetchone()
    assert row is not None
    return row[0]


@settings(max_examples=60, deadline=None)
@given(key=KEYS, text=TEXT)
def test_sql_and_python_agree(key: bytes, text: str) -> None:
    pseudonyms = Pseudonyms(key, "noord")
    assert in_sql(pseudonyms, text) == pseudonyms.of_identifier(text)


@settings(max_examples=60, deadline=None)
@given(key=KEYS, institution=TEXT, texts=st.lists(TEXT, max_size=5))
def test_many_at_once_and_one_by_one_agree(key: bytes, institution: str, texts: list[str]) -> None:
    pseudonyms = Pseudonyms(key, institution)
    many = pseudonyms.of_resources(text.encode() for text in texts)
    assert [digest.hex() for digest in many] == [pseudonyms.of_resource(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(institution=TEXT, texts=st.lists(st.none() | TEXT, max_size=6), cut=st.integers(0, 6))
def test_a_column_of_keys_and_one_by_one_agree(institution: str, texts: list[str | None], cut: int) -> None:
    pseudonyms = Pseudonyms(KEY, institution)
    column = pa.chunked_array([pa.array(texts[:cut], pa.string()), pa.array(texts[cut:], pa.string())])
    expected = [None if text is None else pseudonyms.of_resource(text) for text in texts]
    assert pseudonym_column(pseudonyms, column).to_pylist() == expected
    assert pseudonym_column(pseudonyms, column.slice(1)).to_pylist() == expected[1:]


@pytest.mark.parametrize("size", [32, 63, 64, 65, 200])
def test_keys_around_the_block_size_of_sha256(size: int) -> None:
    key, text = b"\xff" * size, "bsn:é'"
    pseudonyms = Pseudonyms(key, "het 'ziekenhuis'")
    assert in_sql(pseudonyms, text) == hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]
    expected = hmac.new(key, f"het 'ziekenhuis'|{text}".encode(), hashlib.sha256).hexdigest()[:32]
    assert [digest.hex() for digest in pseudonyms.of_resources([text.encode()])] == [expected]


def test_it_is_the_first_128_bits_of_hmac_sha256() -> None:
    expected = hmac.new(KEY, b"bsn:999990019", hashlib.sha256).hexdigest()[:32]
    assert Pseudonyms(KEY, "noord").of_identifier("bsn:999990019") == expected


def test_no_value_has_no_pseudonym() -> None:
    assert in_sql(Pseudonyms(KEY, "noord"), None) is None


def test_a_resource_is_known_within_its_institution_a_person_everywhere() -> None:
    north, south = Pseudonyms(KEY, "noord"), Pseudonyms(KEY, "zuid")
    assert north.of_resource("Patient/1") != south.of_resource("Patient/1")
    assert north.of_identifier("bsn:999990019") == south.of_identifier("bsn:999990019")
    assert north.of_identifier("bsn:999990019") != Pseudonyms(KEY[::-1], "noord").of_identifier("bsn:999990019")


def test_the_key_is_not_shown() -> None:
    assert "000102" not in repr(Pseudonyms(KEY, "noord"))
    assert repr(KEY) not in repr(Pseudonyms(KEY, "noord"))
