"""JSON documents as Go reads them; `tests/probes/test_jsonpath.py` has those of our own reading."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.document import parse_doubles, parse_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"-0", 0.0),
        (b"18446744073709551617", 18446744073709551616.0),
        (b"1e308", 1e308),
        (b'\xef\xbb\xbf{"a": [1, "1", true, null]}', {"a": [1.0, "1", True, None]}),
    ],
)
def test_every_number_is_a_double(text: bytes, value: Any) -> None:
    found = parse_doubles(text)
    assert found == value
    assert not isinstance(found, int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1e309", "want numbers that a double can hold, got '1e309'"),
        (b"9" * 400, "want numbers that a double can hold, got '9999"),
        (b"9" * 1001, "want numbers of at most 1000 digits, got a longer one"),
        (b"[-Infinity]", "want JSON, got the number -Infinity"),
        (b'"\xff"', "want JSON in UTF-8, got other bytes"),
        (b"1 2", "want JSON, got Extra data at byte 2: b'1 2'"),
    ],
)
def test_what_is_no_document_is_told(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="want ") as caught:
        parse_doubles(text)
    assert str(caught.value).startswith(message)


@given(st.binary(max_size=60))
def test_both_readings_take_the_same_texts(text: bytes) -> None:
    readings = []
    for parse in (parse_json, parse_doubles):
        try:
            readings.append(parse(text))
        except ValueError:
            readings.append(ValueError)
    assert readings[0] == readings[1] or readings[1] is ValueError
