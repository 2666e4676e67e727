"""The head of an answer, read once: which value counts where a header came more than once."""

import gzip

import pytest

from probes.wire.http.message import Limits, Response
from probes.wire.url import parse_url

URL = parse_url("http://example.org/")


def answer(*headers: tuple[bytes, bytes], status: int = 200) -> Response:
    response = Response(URL)
    response.headers = list(headers)
    response.take_head(status, "1.1")
    return response


def test_the_first_value_of_a_header_counts_and_all_are_kept() -> None:
    response = answer((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))

    assert response.first == {b"a": b"1", b"b": b"2"}
    assert response.values("A") == ["1", "3"]


def test_a_next_hop_begins_without_a_head() -> None:
    response = answer((b"location", b"/"), (b"content-length", b"5"), status=302)
    before = response.location

    response.begin(URL, Limits())

    assert before == b"/"
    assert (response.status, response.first, response.content_length) == (0, {}, 0)
    assert response.location is None


@pytest.mark.parametrize(
    ("headers", "status", "length"),
    [
        pytest.param([(b"content-length", b"5"), (b"content-length", b"6")], 200, 5, id="first"),
        pytest.param([], 200, -1, id="none"),
        pytest.param([(b"content-length", b"x")], 200, -1, id="no number"),
        pytest.param([(b"content-length", b"9" * 19)], 200, -1, id="too long a number"),
        pytest.param(
            [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], 200, -1, id="chunked"
        ),
        pytest.param([(b"content-length", b"5")], 304, 0, id="no body"),
    ],
)
def test_the_length_is_told_where_it_is_known(
    headers: list[tuple[bytes, bytes]], status: int, length: int
) -> None:
    assert answer(*headers, status=status).content_length == length


@pytest.mark.parametrize(
    ("encodings", "is_read"),
    [
        pytest.param([b"gzip"], True, id="one"),
        pytest.param([b"", b"gzip"], True, id="behind an empty one"),
        pytest.param([b"gzip", b""], True, id="before an empty one"),
        pytest.param([b"gzip", b"br"], False, id="two"),
    ],
)
def test_empty_content_encodings_are_none(encodings: list[bytes], is_read: bool) -> None:
    """RFC 9110, 5.6.1.2: empty elements of a list are ignored."""
    response = answer(*[(b"content-encoding", encoding) for encoding in encodings])

    response.body.feed(gzip.compress(b"ok"))

    assert (response.body.failure is None) is is_read
    assert (response.body.data == b"ok") is is_read
