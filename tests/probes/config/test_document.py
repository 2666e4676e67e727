"""One YAML text as data: what is taken, what is refused, where it stands, and how fast."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.config.document import Document, load_document
from probes.config.nodes import MAX_DEPTH, MAX_FILE_BYTES, Budget


def read(text: str | bytes) -> Document:
    return load_document(text.encode() if isinstance(text, str) else text, "p.yaml")


def told(text: str | bytes) -> list[str]:
    return [problem.with_column() for problem in read(text).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("country: no", {"country": "no"}, id="no is a text"),
        pytest.param("on: yes", {"on": "yes"}, id="on is a key, yes a text"),
        pytest.param("port: 22:22", {"port": "22:22"}, id="no numbers to the base of 60"),
        pytest.param("a: 1_000", {"a": "1_000"}, id="no underscores in numbers"),
        pytest.param("a: 2024-01-01", {"a": "2024-01-01"}, id="no dates"),
        pytest.param("a: 0x1f", {"a": "0x1f"}, id="no hex"),
        pytest.param("a: .inf", {"a": ".inf"}, id="no infinity"),
        pytest.param("a: '012'", {"a": "012"}, id="quotes keep zeros"),
        pytest.param("a: -17", {"a": -17}, id="whole number"),
        pytest.param("a: 1.5e3", {"a": 1500.0}, id="number"),
        pytest.param("a: +.5", {"a": 0.5}, id="number without whole part"),
        pytest.param("a: [true, False, TRUE]", {"a": [True, False, True]}, id="truth values"),
        pytest.param("a: [~, null, ]", {"a": [None, None]}, id="nothing"),
        pytest.param("a:", {"a": None}, id="empty value"),
        pytest.param("1: a\n2.0: b\ntrue: c", {"1": "a", "2.0": "b", "true": "c"}, id="keys"),
        pytest.param("", None, id="empty file"),
        pytest.param("# only a comment\n", None, id="comment"),
        pytest.param(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}, id="T7 BOM and CRLF"),
        pytest.param("a: &x [1]\nb: *x", {"a": [1], "b": [1]}, id="alias"),
        pytest.param(
            "a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}",
            {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}},
            id="merge key: own keys win",
        ),
        pytest.param(
            "a: &x {k: 1}\nb: &y {k: 2, m: 4}\nc: {<<: [*x, *y]}",
            {"a": {"k": 1}, "b": {"k": 2, "m": 4}, "c": {"k": 1, "m": 4}},
            id="merge key: the first of a list wins",
        ),
        pytest.param("a: '<<'\n'<<': 1", {"a": "<<", "<<": 1}, id="a quoted merge key is a key"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str | bytes, value: Any) -> None:
    document = read(text)

    assert document.problems == ()
    assert document.value == value
    assert repr(document.value) == repr(value)  # 1 is not True


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param(
            "a: 012",
            ["p.yaml:1:4: a: want a number without leading zeros, or a text in quotes, got 012"],
            id="T6 leading zero",
        ),
        pytest.param(
            "a: 1e400",
            ["p.yaml:1:4: a: want a finite number, or a text in quotes, got 1e400"],
            id="T9 infinite number",
        ),
        pytest.param(
            "a: 1234567890123456789",
            [
                (
                    "p.yaml:1:4: a: want a whole number of at most 18 digits, or a text in quotes,"
                    " got 1234567890123456789"
                )
            ],
            id="long number",
        ),
        pytest.param(
            "!!python/object/apply:os.system [touch /tmp/x]",
            [
                (
                    "p.yaml:1:1: want a value without a tag, got"
                    " 'tag:yaml.org,2002:python/object/apply:os.system'"
                )
            ],
            id="T1 python object",
        ),
        pytest.param(
            "a:\n  b: !secret x",
            ["p.yaml:2:6: a.b: want a value without a tag, got '!secret'"],
            id="own tag",
        ),
        pytest.param(
            "a: !!str 012",
            ["p.yaml:1:4: a: want a value without a tag, got 'tag:yaml.org,2002:str'"],
            id="standard tag",
        ),
        pytest.param(
            "a: 1\nb: 2\na: 3",
            ["p.yaml:3:1: a: want each key once, got 'a' again (first in line 1)"],
            id="T5 duplicate key",
        ),
        pytest.param(
            "x:\n- {k: 1, k: 2}",
            ["p.yaml:2:10: x.0.k: want each key once, got 'k' again (first in line 2)"],
            id="T5 duplicate key inside",
        ),
        pytest.param(
            "? [a]\n: b",
            ["p.yaml:1:3: ?: want a plain text as key, got something else"],
            id="key that is a list",
        ),
        pytest.param(
            "&a [*a]",
            ["p.yaml:1:1: 0: want an anchor without an alias of itself inside, got one"],
            id="T4 recursive alias",
        ),
        pytest.param(
            "a: 1\n<<: 5",
            ["p.yaml:2:5: want a mapping, or a list of them, behind '<<', got something else"],
            id="merge of a number",
        ),
        pytest.param(
            "a:\n\t- b", ["p.yaml:2:1: want spaces as indentation, got a tab"], id="T7 tab"
        ),
        pytest.param(
            "a: b: c",
            [
                (
                    "p.yaml:1:5: want quotes around a text with ': ' in it, or another indentation,"
                    " got neither"
                )
            ],
            id="colon in a text",
        ),
        pytest.param(
            "a: @b",
            ["p.yaml:1:4: want quotes around a text that begins with '@', got none"],
            id="at sign",
        ),
        pytest.param(
            "a: [1",
            [
                (
                    "p.yaml:2:1: want valid YAML, got: did not find expected ',' or ']'"
                    " (while parsing a flow sequence)"
                )
            ],
            id="open list",
        ),
        pytest.param(
            "a: *b", ["p.yaml:1:4: want valid YAML, got: found undefined alias"], id="no anchor"
        ),
        pytest.param(
            "a: &x 1\nb: &x 2",
            ["p.yaml:2:4: want each anchor once, got it again"],
            id="anchor twice",
        ),
        pytest.param(
            "a: 1\n--- \nb: 2",
            ["p.yaml:2:1: want one YAML document, got a second one"],
            id="two documents",
        ),
        pytest.param(
            "%YAML 1.1\n---\na: no",
            ["p.yaml:1:1: want no YAML directive, got '%'"],
            id="directive",
        ),
        pytest.param(
            b"a: b\nc: \x00",
            ["p.yaml:2:4: want printable text, got '\\x00' at byte 8"],
            id="T7 NUL",
        ),
        pytest.param(
            b"a: \xc3\xa4\nc: \xff",
            ["p.yaml:2:4: want UTF-8, got 0xff at byte 9"],
            id="T7 invalid UTF-8",
        ),
        pytest.param(
            b"\xef\xbb\xbfa: \xff",
            ["p.yaml:1:4: want UTF-8, got 0xff at byte 6"],
            id="T7 offset counts the BOM",
        ),
        pytest.param(
            "a: 1".encode("utf-16"),
            ["p.yaml:1:1: want UTF-8, got UTF-16 (its byte order mark stands at byte 0)"],
            id="T7 UTF-16",
        ),
        pytest.param(
            b"a" * (MAX_FILE_BYTES + 1),
            ["p.yaml: want a file of at most 4MiB, got a larger one"],
            id="T3 large file",
        ),
    ],
)
def test_mistakes_are_told_word_for_word(text: str | bytes, messages: list[str]) -> None:
    assert told(text) == messages


def bomb(levels: int, width: int) -> str:
    lines = ["l0: &l0 [" + ",".join(["x"] * width) + "]"]
    for level in range(1, levels):
        aliases = ",".join([f"*l{level - 1}"] * width)
        lines.append(f"l{level}: &l{level} [{aliases}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("[" * 20_000, "want at most 32 levels, got more", id="T3 lists"),
        pytest.param("{" * 20_000, "want at most 32 levels, got more", id="T3 mappings"),
        pytest.param("- " * 20_000, "want at most 32 levels, got more", id="T3 block lists"),
        pytest.param("? " * 20_000, "want at most 32 levels, got more", id="T3 keys"),
        pytest.param("!x [" * 20_000, "want at most 32 levels, got more", id="T3 with tags"),
        pytest.param("[" * 4_000_000, "want at most 32 levels, got more", id="T3 one long line"),
        pytest.param(bomb(9, 9), "want at most 10000 values made by aliases", id="T2 laughs"),
        pytest.param(
            "a0: &a0 [x]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)),
            "want at most 32 levels, aliases followed, got more",
            id="levels made by aliases",
        ),
    ],
)
def test_bombs_are_refused_within_a_second(text: str, want: str) -> None:
    before = time.process_time()
    messages = told(text)

    assert time.process_time() - before < 1
    assert want in messages[0]


def test_a_file_may_use_every_level_that_is_allowed() -> None:
    depth = MAX_DEPTH - 1

    assert told("[" * depth + "x" + "]" * depth) == []


def test_all_files_share_one_budget() -> None:
    budget = Budget(nodes=5)

    first = load_document(b"[1, 2]", "a", budget=budget)
    second = load_document(b"[1, 2]", "b", budget=budget)

    assert first.problems == ()
    (problem,) = second.problems
    assert problem.with_column() == "b:1:1: want at most 1000000 values in all files, got more"


PLACES = """\
a: 1
list:
  - name: x
    deep: {k: v}
  - &y {name: z}
again: *y
merged:
  <<: *y
  own: 1
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        pytest.param((), False, (1, 1, 0), id="root"),
        pytest.param(("a",), False, (1, 4, 1), id="value"),
        pytest.param(("a",), True, (1, 1, 1), id="key"),
        pytest.param(("list",), False, (2, 1, 1), id="a list is where its key is"),
        pytest.param(("list", 0), False, (3, 5, 2), id="item"),
        pytest.param(("list", 0, "deep", "k"), False, (4, 15, 4), id="deep"),
        pytest.param(("list", 0, "no", "such"), False, (3, 5, 2), id="nearest above"),
        pytest.param(("list", 7), False, (2, 1, 1), id="no such item"),
        pytest.param(("again", "name"), False, (5, 15, 2), id="through an alias"),
        pytest.param(("merged", "name"), False, (5, 15, 2), id="through a merge"),
        pytest.param(("merged", "own"), False, (9, 8, 2), id="beside a merge"),
        pytest.param(("a", "b"), False, (1, 4, 1), id="below a scalar"),
    ],
)
def test_places_are_found(
    path: tuple[str | int, ...], key: bool, place: tuple[int, int, int]
) -> None:
    spot = read(PLACES).locate(path, key=key)

    assert (spot.line, spot.column, spot.depth) == place


YAML_PIECES = st.sampled_from(
    ["a: ", "- ", "[", "]", "{", "}", "&x ", "*x", "<<: ", "!t ", "? ", "|\n", "'", '"', "\n", "  ",
     "#", ",", ": ", "1", "no", "012", "~", "\t", "${A}", "\x00", "\ud7ff", "---", "%", "\r", "é"]
)  # fmt: skip


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(YAML_PIECES, max_size=60).map("".join)))
def test_any_text_is_a_value_or_a_problem(text: str | bytes) -> None:
    document = read(text)

    for problem in document.problems:
        assert problem.message.startswith("want ")
        assert problem.line >= 1
        assert problem.column >= 1
    if document.problems and document.value is None:
        assert len(document.problems) == 1


def test_below_a_key_texts_are_expanded_in_another_way() -> None:
    text = b"""
a: &a ["${x}", {k: "${x}"}]
b: {c: *a, d: "${x}", <<: {e: "${x}"}}
f: *a
g: {b: "${x}"}
"""
    document = load_document(
        text, "it.yaml", expand=str.upper, expand_below={"b": lambda it: f"<{it}>"}
    )

    assert document.problems == ()
    assert document.value == {
        "a": ["${X}", {"k": "${X}"}],
        "b": {"c": ["<${x}>", {"k": "<${x}>"}], "d": "<${x}>", "e": "<${x}>"},
        "f": ["${X}", {"k": "${X}"}],
        "g": {"b": "${X}"},
    }


def test_aliases_are_counted_where_texts_are_expanded_in_another_way() -> None:
    items = ", ".join(["x"] * 600)
    text = f"a: &a [{items}]\nb: [{', '.join(['*a'] * 20)}]\n".encode()

    document = load_document(text, "it.yaml", expand_below={"b": str})

    assert {problem.line for problem in document.problems} == {1}
    assert "values made by aliases" in document.problems[0].message
