"""HAR and trace leave without credentials, and still open."""

import base64
import io
import json
import zipfile
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.browser.child.scrub import scrub_har, scrub_trace
from probes.redact import Redactor

SECRET = 'p@ss "w/ü'
HIDE = Redactor((SECRET,))
SPELLINGS = (
    SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode(),
    json.dumps(SECRET)[1:-1],
)  # fmt: skip


def har(headers: list[dict[str, str]], **more: Any) -> bytes:
    return json.dumps({"log": {"entries": [{"request": {"headers": headers, **more}}]}}).encode()


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "Set-Cookie", "proxy-authorization", "X-Api-Key"]
)
def test_a_header_that_carries_credentials_is_starred(name: str) -> None:
    cleaned = json.loads(scrub_har(har([{"name": name, "value": "canary-4711"}]), HIDE))

    assert cleaned["log"]["entries"][0]["request"]["headers"] == [{"name": name, "value": "***"}]


def test_cookies_are_starred_and_other_headers_are_not() -> None:
    data = har([{"name": "Accept", "value": "text/html"}], cookies=[{"name": "a", "value": "b"}])

    request = json.loads(scrub_har(data, HIDE))["log"]["entries"][0]["request"]

    assert request["headers"] == [{"name": "Accept", "value": "text/html"}]
    assert request["cookies"] == [{"name": "a", "value": "***"}]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_known_secret_is_starred_wherever_it_stands(spelling: str) -> None:
    data = har([{"name": "x", "value": spelling}], url=f"http://x/{spelling}", **{spelling: 1})

    text = json.dumps(json.loads(scrub_har(data, HIDE)), ensure_ascii=False)

    assert spelling not in text


def test_a_body_in_base64_is_cleaned_inside() -> None:
    picture = base64.b64encode(b"\x89PNG canary").decode()
    body = base64.b64encode(f"\0 token {SECRET} end".encode()).decode()
    for text, wanted in ((body, b"\0 token *** end"), (picture, b"\x89PNG canary"), ("?", None)):
        data = har([], content={"encoding": "base64", "text": text})

        request = json.loads(scrub_har(data, HIDE))["log"]["entries"][0]["request"]

        cleaned = request["content"]["text"]
        assert (base64.b64decode(cleaned) if wanted else cleaned) == (wanted or "***")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_har_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="want JSON, got something else"):
        scrub_har(data, HIDE)


def packed(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    return target.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


def test_a_trace_is_a_zip_of_json_lines_again() -> None:
    pixels = b"\x89PNG" + SECRET.encode()
    lines = [{"type": "input", "value": SECRET}, {"headers": {"Cookie": "canary"}}]
    members = unpacked(
        scrub_trace(
            packed(
                {
                    "trace.trace": b"\n".join(json.dumps(it).encode() for it in lines) + b"\n",
                    "resources/a.html": f"<p>{SECRET}</p>".encode() + b"\xff",
                    "resources/b.json": json.dumps({"token": SECRET}).encode(),
                    "resources/c.json": b"no JSON " + SECRET.encode(),
                    "resources/d.png": pixels,
                }
            ),
            HIDE,
        )
    )

    assert [json.loads(line) for line in members["trace.trace"].splitlines()] == [
        {"type": "input", "value": "***"},
        {"headers": {"Cookie": "***"}},
    ]
    assert members["resources/a.html"] == b"<p>***</p>\xff"
    assert json.loads(members["resources/b.json"]) == {"token": "***"}
    assert members["resources/c.json"] == b"no JSON ***"
    # what is in a picture cannot be taken out
    assert members["resources/d.png"] == pixels


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(packed({"a": b"x" * 1000})[:-30], id="cut off"),
        pytest.param(packed({"trace.trace": b"{\n"}), id="broken line"),
    ],
)
def test_what_is_no_trace_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="want "):
        scrub_trace(data, HIDE)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.browser.child.scrub.MAX_UNPACKED_BYTES", 10)

    with pytest.raises(ValueError, match="want a trace that can be read, got 11 bytes in it"):
        scrub_trace(packed({"a": b"x" * 11}), HIDE)


VALUES = st.recursive(
    st.sampled_from(SPELLINGS) | st.text(max_size=8) | st.integers() | st.none(),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.sampled_from(SPELLINGS), it),
    max_leaves=8,
)


@given(VALUES)
def test_no_secret_survives_at_any_depth(value: Any) -> None:
    cleaned = json.loads(scrub_har(json.dumps(value).encode(), HIDE))

    text = json.dumps(cleaned, ensure_ascii=False)
    assert not any(spelling in text for spelling in SPELLINGS)
