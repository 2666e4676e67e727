"""Scalars of a blackbox.yml: what each sort of field takes, and what it makes of it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.config.blackbox.reading import (
    IF_BLACKBOX,
    ONLY_BLACKBOX,
    Written,
    read_bool,
    read_duration,
    read_int,
    read_octets,
    read_size,
    read_text,
)
from probes.config.document import load_document

READERS = (read_bool, read_duration, read_int, read_octets, read_size, read_text)


def plain(text: str) -> Written:
    return Written.of(text, is_plain=True)


def quoted(text: str) -> Written:
    return Written.of(text)


@pytest.mark.parametrize(
    ("reader", "value", "wanted"),
    [
        pytest.param(read_text, plain("012"), "012", id="a text that reads as a number"),
        pytest.param(read_text, plain("no"), "no", id="a text that reads as a word"),
        pytest.param(read_text, None, "", id="a text of nothing"),
        pytest.param(read_bool, plain("yEs"), True, id="yes in any case"),
        pytest.param(read_bool, plain("n"), False, id="n"),
        pytest.param(read_bool, quoted("off"), False, id="a word in quotes"),
        pytest.param(read_int, plain("0x1f"), 31, id="hexadecimal"),
        pytest.param(read_int, plain("017"), 15, id="octal, old"),
        pytest.param(read_int, plain("0o17"), 15, id="octal, new"),
        pytest.param(read_int, plain("-0b11"), -3, id="base 2"),
        pytest.param(read_int, plain("1_000"), 1000, id="thousands"),
        pytest.param(read_int, plain("200.7"), 200, id="a fraction"),
        pytest.param(read_int, None, 0, id="a number of nothing"),
        pytest.param(read_duration, plain("1m30s"), 90.0, id="minutes"),
        pytest.param(read_duration, plain("1.5h"), 5400.0, id="a fraction of hours"),
        pytest.param(read_duration, plain("500us"), 0.0005, id="microseconds"),
        pytest.param(read_duration, plain("3µs2ns"), 0.000003002, id="nanoseconds"),
        pytest.param(read_duration, plain("-5s"), 0.0, id="negative is not set"),
        pytest.param(read_duration, plain("0s"), 0.0, id="zero is not set"),
        pytest.param(read_duration, quoted("0"), 0.0, id="zero in quotes"),
        pytest.param(read_size, plain("10KB"), 10240, id="KB"),
        pytest.param(read_size, plain("10KiB"), 10240, id="KiB"),
        pytest.param(read_size, plain("1.5MB"), 1572864, id="a fraction of MB"),
        pytest.param(read_size, plain("1MB500KB"), 1560576, id="several units"),
        pytest.param(read_size, plain("0"), 0, id="no limit"),
        pytest.param(read_size, plain("-1KB"), 0, id="negative is no limit"),
        pytest.param(read_octets, Written.of("?", octets=b"\xff"), b"\xff", id="binary"),
        pytest.param(read_octets, plain("é"), b"\xc3\xa9", id="text as UTF-8"),
    ],
)
def test_a_field_reads(reader: Callable[[object], Any], value: object, wanted: object) -> None:
    assert reader(value) == wanted
    assert type(reader(value)) is type(wanted)


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        pytest.param(read_bool, plain("1"), id="a number as boolean"),
        pytest.param(read_bool, quoted("true"), id="true in quotes"),
        pytest.param(read_bool, None, id="nothing as boolean"),
        pytest.param(read_int, quoted("200"), id="a number in quotes"),
        pytest.param(read_int, plain("2xx"), id="a word as number"),
        pytest.param(read_int, plain("9" * 19), id="a number of 19 digits"),
        pytest.param(read_duration, plain("0"), id="a bare zero"),
        pytest.param(read_duration, plain("5"), id="a bare number"),
        pytest.param(read_duration, plain("1d"), id="days"),
        pytest.param(read_duration, plain("5 s"), id="a blank"),
        pytest.param(read_duration, plain("99999999h"), id="longer than Go's"),
        pytest.param(read_size, plain("10"), id="a size without a unit"),
        pytest.param(read_size, plain("10kb"), id="a small unit"),
        pytest.param(read_size, plain("99EB"), id="larger than Go's"),
        pytest.param(read_text, ["a"], id="a list as text"),
        pytest.param(read_octets, {"a": "b"}, id="a mapping as text"),
    ],
)
def test_a_field_refuses(reader: Callable[[object], Any], value: object) -> None:
    with pytest.raises(ValueError, match=r"^want .*, got "):
        reader(value)


@pytest.mark.parametrize("reader", READERS)
@given(text=st.text(max_size=20), is_plain=st.booleans())
def test_any_text_is_read_or_refused(
    reader: Callable[[object], Any], text: str, is_plain: bool
) -> None:
    told = "want"
    try:
        reader(Written.of(text, is_plain=is_plain))
    except ValueError as error:
        told = str(error)

    assert told.startswith("want")


def document(text: str, *, only: bool = True) -> Any:
    return load_document(text.encode(), "b.yml", foreign=ONLY_BLACKBOX if only else IF_BLACKBOX)


def test_scalars_stay_as_they_are_written_and_no_variable_is_expanded() -> None:
    value = document('a: 012\nb: no\nc: "${HOME}"\nd: null\ne: 1.10\n').value

    assert value == {"a": "012", "b": "no", "c": "${HOME}", "d": None, "e": "1.10"}
    assert value["a"].is_plain
    assert not value["c"].is_plain


def test_binary_is_the_only_tag() -> None:
    found = document("a: !!binary |\n  AAEC\n  /w==\nb: !!binary '*'\nc: !mine x\n")

    assert found.value["a"].octets == b"\x00\x01\x02\xff"
    assert [problem.message for problem in found.problems] == [
        "want base64 behind !!binary, got '*'",
        "want a value without a tag but !!binary, got '!mine'",
    ]


def test_aliases_and_merges_are_followed_within_the_budget() -> None:
    found = document("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a\n")

    assert found.value["b"] == {"x": "1", "y": "2"}
    assert found.value["c"] == {"x": "1"}


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]

    (problem, *_) = document("\n".join(lines)).problems

    assert "values made by aliases" in problem.message


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        pytest.param("modules: {a: {prober: http}}", True, id="a prober"),
        pytest.param("modules: {a: {}, b: {prober: http}}", True, id="one of several"),
        pytest.param("modules: {a: {prober: http}}\n---\nx: [", True, id="a second document"),
        pytest.param("modules: {a: {prober: http}, }\nfoo: 1", True, id="an unknown key beside"),
        pytest.param("version: 1\nmodules: {a: {prober: http}}", False, id="a version"),
        pytest.param("modules: {a: {kind: http, prober: x}}", False, id="a kind"),
        pytest.param("modules: {a: {porber: http, http: {}}}", True, id="a misspelt prober"),
        pytest.param("modules: {a: {porber: http}}", False, id="nothing that tells"),
        pytest.param("modules: {a: {prober: http}}\nprobes: []", False, id="probes"),
        pytest.param("modules: {}", False, id="no module"),
        pytest.param("modules: [a]", False, id="a list"),
        pytest.param("- modules", False, id="no mapping"),
        pytest.param("version: 1\n---\nx: 1", False, id="two documents of ours"),
    ],
)
def test_a_blackbox_yml_is_told_by_its_probers(text: str, is_one: bool) -> None:
    assert document(text, only=False).is_foreign is is_one
