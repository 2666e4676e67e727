import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition.blocks import (
    SLOTS_PER_CHUNK,
    Blocks,
    clean,
    decimal,
    heads,
    label_text,
    moment,
    number,
    select_slots,
)

# what a bytes decoder with "surrogateescape", and a careless one, can make of any bytes
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=80),
    st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(3.0, "3", id="an integer has no point"),
        pytest.param(True, "1", id="a bool is a number"),
        pytest.param(-0.0, "0", id="no negative zero"),
        pytest.param(0.1, "0.1", id="shortest text"),
        pytest.param(1795263735.061, "1795263735.061", id="a timestamp keeps its digits"),
        pytest.param(3668918509.0, "3668918509", id="an address hash keeps its digits"),
        pytest.param(2.0**53, "9007199254740992.0", id="beyond exact integers"),
        pytest.param(math.nan, "NaN", id="not a number"),
        pytest.param(math.inf, "+Inf", id="infinite"),
        pytest.param(-math.inf, "-Inf", id="negative infinite"),
    ],
)
def test_a_number_is_written_as_prometheus_reads_it(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_equal(value: float) -> None:
    assert float(number(value).replace("Inf", "inf")) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("plain text", "plain text", id="clean"),
        pytest.param("grüße", "grüße", id="letters of any language"),
        pytest.param("a\nb", "a\\x0ab", id="newline"),
        pytest.param("a\x00b\x7fc\x85d", "a\\x00b\\x7fc\\x85d", id="C0, DEL, C1"),
        pytest.param("a\u2028b\u2029", "a\\u2028b\\u2029", id="line and paragraph separator"),
        pytest.param("a\udcffb", "a\\xffb", id="a byte that was no UTF-8"),
        pytest.param("a\ud800b", "a\\ud800b", id="a lone surrogate"),
        pytest.param("x" * 300, "x" * 200, id="long"),
        pytest.param("é" * 150, "é" * 100, id="cut on a character boundary"),
        pytest.param("x" + "é" * 150, "x" + "é" * 99, id="cut before half a character"),
    ],
)
def test_a_label_value_is_cleaned(value: str, text: str) -> None:
    assert clean(value) == text


def test_a_label_value_is_escaped_and_labels_are_sorted() -> None:
    assert label_text([("b", 'say "hi"'), ("a", "back\\slash")]) == (
        'a="back\\\\slash",b="say \\"hi\\""'
    )


@pytest.mark.parametrize("name", ["", "a b", "a-b", "1a", "ä", 'a="1",b', "__", "__name__"])
def test_what_is_no_label_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="want a label name, got"):
        label_text([(name, "value")])


@given(ANY_TEXT, st.integers(1, 4096))
def test_any_label_value_is_one_line_of_bounded_utf8_that_reads_back(
    value: str, limit: int
) -> None:
    """T45, T46: no value of a target breaks the page."""
    text = f"a_family{{{label_text([('name', value)], limit)}}} 1\n"

    assert len(clean(value, limit).encode()) <= limit
    assert text.count("\n") == 1
    (family,) = text_string_to_metric_families(text)
    (sample,) = family.samples
    assert sample.labels == {"name": clean(value, limit)}


@pytest.mark.parametrize(
    ("name", "kind", "text", "openmetrics"),
    [
        ("x_seconds", "gauge", "x_seconds gauge", "x_seconds gauge"),
        ("x_total", "counter", "x_total counter", "x counter"),
        ("x_info", "info", "x_info gauge", "x info"),
        ("x_info", "gauge", "x_info gauge", "x_info gauge"),
        ("x_seconds", "summary", "x_seconds summary", "x_seconds summary"),
    ],
)
def test_the_head_of_a_family_differs_between_the_formats(
    name: str, kind: str, text: str, openmetrics: str
) -> None:
    plain, other = heads(name, kind, 'what\nit "is"')

    assert plain == f"# HELP {name} what\\nit 'is'\n# TYPE {text}\n".encode()
    assert other.endswith(f"# TYPE {openmetrics}\n".encode())


def test_blocks_are_joined_in_the_order_of_their_slots() -> None:
    blocks = Blocks()
    family = blocks.family("x", "gauge", "X")
    slots = [blocks.take_slot() for _ in range(SLOTS_PER_CHUNK + 2)]
    for slot in reversed(slots):
        family.put(slot, f"x {slot}\n".encode())

    pieces = family.pieces()

    assert len(pieces) == 2
    assert b"".join(pieces) == b"".join(b"x %d\n" % slot for slot in slots)
    assert blocks.series == len(slots)


def test_an_equal_block_costs_no_new_join() -> None:
    blocks = Blocks()
    family = blocks.family("x", "gauge", "X")
    slot = blocks.take_slot()
    family.put(slot, b"x 1\n")
    before = family.pieces()

    family.put(slot, bytes(bytearray(b"x 1\n")))

    assert family.pieces()[0] is before[0]


def test_a_freed_slot_is_empty_in_every_family_and_given_out_again() -> None:
    blocks = Blocks()
    families = [blocks.family(name, "gauge", "text") for name in ("x", "y")]
    slot = blocks.take_slot()
    for family in families:
        family.put(slot, b"x 1\nx 2\n")

    blocks.free_slot(slot)

    assert [family.pieces() for family in families] == [[], []]
    assert blocks.series == 0
    assert blocks.take_slot() == slot


def test_a_dropped_family_keeps_nothing() -> None:
    blocks = Blocks(frozenset({"x"}))
    family = blocks.family("x", "gauge", "X")

    family.put(blocks.take_slot(), b"x 1\n")

    assert family.pieces() == []
    assert blocks.series == 0


def test_renewed_blocks_are_empty_and_know_the_slots() -> None:
    blocks = Blocks()
    blocks.family("x", "gauge", "X").put(blocks.take_slot(), b"x 1\n")

    new = blocks.renewed(frozenset())

    assert (new.series, new.families) == (0, {})
    assert new.take_slot() == 1


@given(st.sets(st.integers(0, 3 * SLOTS_PER_CHUNK)))
def test_a_selection_shows_the_chosen_slots_alone(chosen: set[int]) -> None:
    blocks = Blocks()
    family = blocks.family("x", "gauge", "X")
    for _ in range(2 * SLOTS_PER_CHUNK):
        slot = blocks.take_slot()
        family.put(slot, f"x {slot}\n".encode())

    text = b"".join(family.selected(select_slots(chosen))).decode()

    wanted = sorted(slot for slot in chosen if slot < 2 * SLOTS_PER_CHUNK)
    assert text == "".join(f"x {slot}\n" for slot in wanted)


@given(st.floats(min_value=-1e15, max_value=1e15))
def test_a_decimal_reads_back_as_the_number_rounded_to_six_places(value: float) -> None:
    assert float(decimal(value)) == round(value, 6)
    assert float(moment(value)) == round(value, 3)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(0.0, "0", id="nothing"),
        pytest.param(-0.0000001, "0", id="nothing with a sign"),
        pytest.param(100.0, "100", id="no point behind an integer"),
        pytest.param(0.25, "0.25", id="no zeros at the end"),
        pytest.param(0.0000049, "0.000005", id="no exponent"),
    ],
)
def test_a_decimal_is_as_short_as_can_be(value: float, told: str) -> None:
    assert decimal(value) == told


def test_a_renewed_block_stands_where_the_old_one_stood() -> None:
    blocks = Blocks()
    family = blocks.family("a", "gauge", "A.")
    slots = [blocks.take_slot() for _ in range(SLOTS_PER_CHUNK + 1)]
    for slot in slots[0], slots[-1]:
        blocks.renew(slot, {"a": "a 1\n"})
    before = b"".join(family.pieces())

    blocks.renew(SLOTS_PER_CHUNK, {"a": "a 222\n"})

    assert (before, b"".join(family.pieces())) == (b"a 1\na 1\n", b"a 1\na 222\n")
    assert blocks.series == 2
