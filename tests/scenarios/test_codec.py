import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import codec
from scenarios.book import Book, Key
from scenarios.codec import MAX_BYTES, MAX_PARTS, ORDERS, REPORTS, Decoder, encode
from scenarios.histogram import Histogram
from scenarios.records import (
    Final,
    Hello,
    Log,
    Progress,
    Record,
    Secrets,
    Start,
    Stop,
    Told,
    Vitals,
)

# what a sane child says: no half of a pair of UTF-16
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**40)
SECONDS = st.floats(0, 1e6)


@st.composite
def books(draw: st.DrawFn) -> Book:
    book = Book({"request.duration": (2000,)})
    for _ in range(draw(st.integers(0, 5))):
        key = Key("request.duration", draw(TEXTS), draw(TEXTS), measured=draw(st.booleans()))
        book.time(key, draw(st.floats(0, 4000)))
        book.count(key._replace(metric="request.failed"), draw(NUMBERS))
    return book


RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(Hello, NUMBERS, NUMBERS, TEXTS, st.dictionaries(TEXTS, TEXTS), TEXTS),
    st.builds(
        Progress, NUMBERS, NUMBERS, SECONDS, NUMBERS, NUMBERS, SECONDS, books(),
        st.lists(st.builds(Told, TEXTS, TEXTS, TEXTS, NUMBERS)).map(tuple),
        st.builds(Vitals, SECONDS, SECONDS, SECONDS, NUMBERS, NUMBERS), NUMBERS,
    ),
    st.builds(Log, NUMBERS, TEXTS, TEXTS),
    st.builds(
        Final, NUMBERS, NUMBERS, st.sampled_from(["completed", "stopped", "plan_error"]), TEXTS,
        TEXTS, NUMBERS, NUMBERS, TEXTS, st.none() | st.integers(-5, 5),
    ),
    # the environment may hold bytes that are no text
    st.builds(Secrets, st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.text())),
              st.dictionaries(TEXTS, st.text(st.characters()))),
    st.builds(Start, SECONDS),
    st.builds(Stop, TEXTS, st.none() | SECONDS),
)  # fmt: skip


def comparable(record: Any) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in record.__slots__}
    return {name: it.as_dict() if isinstance(it, Book) else it for name, it in fields.items()}


@settings(max_examples=60)
@given(RECORDS)
def test_a_record_is_the_same_behind_the_socket(record: Record) -> None:
    decoder = Decoder()

    *before, last = [decoder.feed(data) for data in encode(record)]

    assert not any(before)
    assert type(last) is type(record)
    assert comparable(last) == comparable(record)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=200) | RECORDS.map(lambda it: encode(it)[0][:-1])))
def test_any_bytes_are_a_record_or_a_valueerror(datagrams: list[bytes]) -> None:
    decoder = Decoder()

    for data in datagrams:
        with pytest.raises(ValueError, match="want "):
            assert decoder.feed(data) is None
            raise ValueError("want the rest of it")


@settings(max_examples=30)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda it: st.lists(it) | st.dictionaries(st.text(), it)))  # fmt: skip
def test_any_json_below_a_known_word_is_a_record_or_a_valueerror(value: Any) -> None:
    for form in (*REPORTS, *ORDERS):
        data = {"t": form.__name__.lower(), "shard": 0, "book": value, "values": value}
        with pytest.raises(ValueError, match="want"):
            Decoder().feed(json.dumps(data).encode())


def long_progress(series: int) -> Progress:
    book = Book()
    for number in range(series):
        book.time(Key("request.duration", "buy", f"step {number}"), number / 100)
    return Progress(0, 1, 1.0, book=book)


def test_a_long_record_travels_in_parts_that_follow_each_other() -> None:
    parts = encode(long_progress(2000))
    decoder = Decoder(REPORTS)

    assert len(parts) > 2
    assert max(map(len, parts)) <= MAX_BYTES
    for data in parts[:-1]:
        assert decoder.feed(data) is None
    found = decoder.feed(parts[-1])

    assert isinstance(found, Progress)
    assert len(found.book.durations) == 2000
    assert isinstance(decoder.feed(encode(Log(0, "info", "next"))[0]), Log)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        pytest.param([1], "want part 1/", id="begins in the middle"),
        pytest.param([0, 2], "want part 2/", id="one is missing"),
        pytest.param([0, 0], "want part 2/", id="one comes twice"),
    ],
)
def test_parts_out_of_their_order_are_refused(order: list[int], message: str) -> None:
    parts, decoder = encode(long_progress(2000)), Decoder(REPORTS)

    with pytest.raises(ValueError, match=message):
        for number in order:
            decoder.feed(parts[number])


def test_nothing_comes_between_the_parts_of_a_record() -> None:
    decoder = Decoder(REPORTS)
    decoder.feed(encode(long_progress(2000))[0])

    with pytest.raises(ValueError, match="want part 2/"):
        decoder.feed(encode(Log(0, "info", "me first"))[0])


@pytest.mark.parametrize(
    "head", ["part 1/1", "part 1/513", "part 1/9999999999", "part 1/x", "part 1/-2", "part /"]
)
def test_a_number_of_parts_that_is_none_is_refused(head: str) -> None:
    with pytest.raises(ValueError, match=f"want part 1 of 2 to {MAX_PARTS}"):
        Decoder().feed(f"{head}\nxxx".encode())


def test_a_record_beyond_all_parts_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PARTS", 2)

    with pytest.raises(ValueError, match="want a record of at most 2 datagrams, got"):
        encode(long_progress(3000))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"seq": -1}, "want seq of 0 to", id="negative"),
        pytest.param({"seq": True}, "want int at seq, got true", id="a truth for a number"),
        pytest.param({"users": 2**60}, "want users of 0 to", id="too great"),
        pytest.param({"at_s": 10**400}, "want a finite number at at_s", id="longer than a float"),
        pytest.param({"extra": 1}, r"odd: \['extra'\]", id="a key too many"),
        pytest.param({"book": None}, "want the durations and numbers", id="no book"),
        pytest.param({"errors": [{"step": "a", "reason": "b", "text": "c", "count": -3}]},
                     "want a count of 0 to", id="negative count of an error"),
    ],
)  # fmt: skip
def test_a_progress_that_counts_nothing_is_refused(changed: dict[str, Any], message: str) -> None:
    data = json.loads(encode(Progress(0, 1, 1.0))[0]) | changed

    with pytest.raises(ValueError, match=message):
        Decoder(REPORTS).feed(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("total", 10**20, "want durations of at most"),
        ("greatest", 2**52, "want durations of at most"),
        ("count", 3, "add up to its count"),
    ],
)
def test_a_histogram_that_nobody_can_have_measured_is_refused(
    field: str, value: int, message: str
) -> None:
    histogram = Histogram()
    histogram.add(0.5)
    data = json.loads(encode(Progress(0, 1, 1.0))[0])
    key = [*Key("request.duration")]
    data["book"]["durations"] = [[key, histogram.as_dict() | {field: value}]]

    with pytest.raises(ValueError, match=message):
        Decoder(REPORTS).feed(json.dumps(data).encode())


def test_a_child_takes_orders_only_and_shows_no_secret_when_they_are_wrong() -> None:
    data = b'{"t":"secrets","values":{"buy":{"key":["hunter2"]}},"environ":{}}'

    for wrong in (data, data[:-1], encode(Log(0, "info", "hunter2"))[0], b"part 2/3\nhunter2"):
        with pytest.raises(ValueError, match="want") as caught:
            Decoder(ORDERS).feed(wrong)
        assert "hunter2" not in str(caught.value)


def test_a_whole_character_may_be_written_as_a_pair() -> None:
    record = Log(0, "info", "\N{PILE OF POO}")

    assert b"\\ud83d" in encode(record)[0]
    assert Decoder(REPORTS).feed(encode(record)[0]) == record
