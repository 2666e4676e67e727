"""What came, looked at from several sides."""

import re
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.view import (
    MAX_FOUND,
    MAX_HTML_BYTES,
    MAX_HTML_ELEMENTS,
    View,
    check_selector,
    read_json,
)


def page(html: str) -> View:
    return View(status=200, headers=(("content-type", "text/html"),), body=html.encode())


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        pytest.param("text/plain", "ü".encode(), "ü", id="utf-8 by default"),
        pytest.param("text/plain", b"a\xffb", "a�b", id="foreign bytes are replaced"),
        pytest.param("text/plain", b"\xef\xbb\xbfa", "a", id="byte order mark"),
        pytest.param("text/html; charset=ISO-8859-1", b"\xfc", "ü", id="latin-1"),
        pytest.param('text/html; charset="windows-1252"', b"\x80", "€", id="quoted"),
        pytest.param("text/html;Charset = shift_jis", b"\x83\x65", "テ", id="blanks"),
        pytest.param("text/plain; charset=base64", b"YQ==", "YQ==", id="no text encoding"),
        pytest.param("text/plain; charset=unicode_escape", rb"\x41", r"\x41", id="no code"),
        pytest.param("text/plain; charset=klingon", b"a", "a", id="unknown"),
    ],
)
def test_a_body_is_text_in_its_charset(content_type: str, body: bytes, text: str) -> None:
    view = View(headers=(("date", "x"), ("content-type", content_type)), body=body)

    assert view.text == text
    assert view.utf8 == text.encode()


def test_a_body_without_a_type_is_text() -> None:
    assert View(body=b"x").text == "x"
    assert View().text == ""


def test_a_body_is_a_document() -> None:
    view = View(body=b'\xef\xbb\xbf {"a": [1, null]} ')

    assert view.document() == {"a": [1, None]}
    assert view.document() is view.document()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "want JSON, got an empty body", id="204"),
        pytest.param(b" \r\n", "want JSON, got an empty body", id="blanks"),
        pytest.param(b"<html>", "want JSON, got Expecting value at byte 0: b'<html>'", id="a page"),
        pytest.param(b'"\xff"', "want JSON in UTF-8, got other bytes", id="latin-1"),
        pytest.param(b"[" * 99 + b"]" * 99, "want JSON of at most 64 levels, got more", id="deep"),
    ],
)
def test_what_is_no_document_is_told_each_time(body: bytes, message: str) -> None:
    view = View(body=body)

    for _ in range(2):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            view.document()


def test_rows_of_a_query_are_the_document() -> None:
    rows: list[Any] = []

    assert View(document=rows).document() is rows


@pytest.mark.parametrize(
    ("body", "document"),
    [
        pytest.param(rb'"a\ud800b"', "a�b", id="half a character"),
        pytest.param(
            rb'{"\uDFFF": ["\ud83d\ude00", 1]}', {"�": ["😀", 1]}, id="whole ones are kept"
        ),
        pytest.param(rb'"\\ud800"', r"\ud800", id="an escaped backslash"),
    ],
)
def test_texts_of_a_document_can_be_sent_again(body: bytes, document: Any) -> None:
    assert read_json(body) == document


def test_headers_are_found_in_any_case() -> None:
    view = View(headers=(("set-cookie", "a"), ("x", "1"), ("set-cookie", "b")))

    assert view.header("Set-Cookie") == ["a", "b"]
    assert view.header("y") == []


HTML = """<title>Shop</title>
<form id=login><input name=csrf value="t&amp;1"><input name=keep checked></form>
<p class=price> 12 <b>EUR</b>
 net</p><p>x</p>"""


@pytest.mark.parametrize(
    ("selector", "attribute", "values"),
    [
        pytest.param("title", None, ["Shop"], id="text"),
        pytest.param("p.price", None, ["12 EUR net"], id="text as a reader sees it"),
        pytest.param("#login input[name=csrf]", "value", ["t&1"], id="attribute"),
        pytest.param("input", "checked", [""], id="attribute without a value"),
        pytest.param("p", None, ["12 EUR net", "x"], id="several"),
        pytest.param("p", "id", [], id="no such attribute"),
        pytest.param("em", None, [], id="no such element"),
    ],
)
def test_elements_are_found(selector: str, attribute: str | None, values: list[str]) -> None:
    assert page(HTML).css(selector, attribute) == values


def test_as_many_elements_are_read_as_wanted() -> None:
    view = page("<p>x" * (MAX_FOUND + 5))

    assert view.css("p", None, limit=2) == ["x", "x"]
    assert len(view.css("p", None)) == MAX_FOUND


def test_a_page_is_read_in_its_charset() -> None:
    view = View(
        headers=(("content-type", "text/html; charset=iso-8859-1"),),
        body="<p>ü".encode("latin-1"),
    )

    assert view.css("p", None) == ["ü"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b"x" * (MAX_HTML_BYTES + 1),
            "want HTML of at most 2097152 bytes, got 2097153",
            id="too long",
        ),
        pytest.param(
            b"<p></p>" * (MAX_HTML_ELEMENTS + 1),
            "want HTML of at most 10000 elements, got 10001",
            id="too many elements",
        ),
    ],
)
def test_a_page_is_bounded(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        View(body=body).css("p", None)


def test_a_page_that_nests_as_deep_as_it_may_is_read_in_time() -> None:
    """lexbor looks through all open elements for each block."""
    view = page("<div>" * MAX_HTML_ELEMENTS)
    start = time.monotonic()

    assert view.css("div div div p", None) == []
    assert len(view.css("div", None)) == MAX_FOUND
    assert time.monotonic() - start < 3


@given(st.binary(max_size=200) | st.text(alphabet="<>/=\"'apdivtable! -").map(str.encode))
def test_no_body_makes_a_view_fail(body: bytes) -> None:
    view = View(headers=(("content-type", "text/html; charset=utf-16"),), body=body)

    view.text.encode()
    assert all(isinstance(text, str) for text in View(body=body).css("div, p a", None))


@pytest.mark.parametrize("selector", ["p[", "::x", "p:foo", "p::before", "", "a, ,b"])
def test_what_is_no_selector_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match=f"^want a CSS selector, got {re.escape(repr(selector))}$"):
        check_selector(selector)


@pytest.mark.slow
def test_the_library_is_read_when_a_page_is() -> None:
    code = (
        "import sys; import probes.journey.language.view as view;"
        "assert 'selectolax' not in sys.modules;"
        "view.View(body=b'x').css('p', None); assert 'selectolax' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
