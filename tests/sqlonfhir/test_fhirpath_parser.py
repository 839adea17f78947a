"""FHIRPath text to a syntax tree, and errors that point at the character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sqlonfhir.fhirpath import (
    Binary,
    Call,
    FhirPathSyntaxError,
    Index,
    Literal,
    Member,
    Negative,
    Node,
    This,
    Variable,
    parse,
)

A, B, C = (Member(None, name) for name in "abc")
ONE = Literal(1, "integer")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a.b", Member(A, "b")),
        ("`div`.b", Member(Member(None, "div"), "b")),
        ("$this", This()),
        ("%name", Variable("name")),
        ("%`a name`", Variable("a name")),
        ("'it\\'s\\n'", Literal("it's\n", "string")),
        ("''", Literal("", "string")),
        ("12", Literal(12, "integer")),
        ("1.50", Literal(1.5, "decimal")),
        ("true", Literal(True, "boolean")),
        ("@2024-05", Literal("2024-05", "date")),
        ("@2024-05-01T10:00:00Z", Literal("2024-05-01T10:00:00Z", "dateTime")),
        ("@T10:00", Literal("10:00", "time")),
        ("-a", Negative(A)),
        ("a[1]", Index(A, ONE)),
        ("a[1].b", Member(Index(A, ONE), "b")),
        ("first()", Call(None, "first", ())),
        ("a.where(b = 1).c", Member(Call(A, "where", (Binary("=", B, ONE),)), "c")),
        ("a.join(', ')", Call(A, "join", (Literal(", ", "string"),))),
        ("a.ofType(FHIR.Quantity)", Call(A, "ofType", (Member(Member(None, "FHIR"), "Quantity"),))),
        (" a\n.\tb ", Member(A, "b")),
    ],
)  # fmt: skip
def test_expression(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a or b and c", "a or (b and c)"),
        ("a and b or c", "(a and b) or c"),
        ("a or b or c", "(a or b) or c"),
        ("a implies b or c", "a implies (b or c)"),
        ("a = b and b != c", "(a = b) and (b != c)"),
        ("a < b = b >= c", "(a < b) = (b >= c)"),
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a / b * c", "(a / b) * c"),
        ("a | b = c", "(a | b) = c"),
        ("a + b | c", "(a + b) | c"),
        ("a & b = c", "(a & b) = c"),
        ("-a.b + c", "(-(a.b)) + c"),
    ],
)
def test_precedence_is_that_of_fhirpath(text: str, same: str) -> None:
    assert parse(text) == parse(same)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 3),
        ("a b", 2),
        ("a.", 2),
        (".a", 0),
        ("a..b", 2),
        ("a.where(", 8),
        ("a.where(b", 9),
        ("a.f(b c)", 6),
        ("a.f(b,)", 6),
        ("a[1", 3),
        ("a[]", 2),
        ("(a", 2),
        ("a)", 1),
        ("a = ", 4),
        ("a = = b", 4),
        ("a ~ b", 2),
        ("a.'b'", 2),
        ("a.1", 2),
        ("'open", 0),
        ("  a # b", 4),
        ("a {}", 2),
        ("é", 0),
        ("a ! b", 2),
        ("%", 0),
        ("$total", 0),
        ("a is Quantity", 2),
    ],
)
def test_an_error_points_at_the_character(text: str, position: int) -> None:
    with pytest.raises(FhirPathSyntaxError, match=rf"at position {position} of"):
        parse(text)


def test_nesting_beyond_reason_is_an_error_too() -> None:
    for text in ("(" * 100_000, "-" * 100_000 + "1", "a.f(" * 50_000):
        with pytest.raises(FhirPathSyntaxError, match="too deeply"):
            parse(text)


@given(st.text(alphabet="ab.()[]'%$@`1-+*/=!<>|& \\\n,{}~T:", max_size=30))
def test_any_text_is_a_tree_or_a_syntax_error(text: str) -> None:
    try:
        parse(text)
    except FhirPathSyntaxError as error:
        assert "position" in str(error)
