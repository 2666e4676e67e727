"""The way to a websocket: URLs, credentials, redirects."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.wire.credentials import SecretFile
from probes.wire.http.headers import Authorization, Login
from probes.wire.http.message import Request, Response
from probes.wire.http.options import Options
from probes.wire.url import Url, parse_url
from probes.wire.websocket.upgrade import (
    NO_BODY,
    header_lines,
    login_line,
    open_following,
    read_socket_url,
)
from tests.faults.tcp import talking, tcp_fault


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("ws://Example.org", "http://example.org/", id="ws"),
        pytest.param("WSS://example.org:8443/a?b", "https://example.org:8443/a?b", id="wss"),
        pytest.param("wss://[::1]/", "https://[::1]/", id="address"),
    ],
)
def test_the_upgrade_is_asked_with_http(text: str, want: str) -> None:
    assert str(read_socket_url(text)) == want


@pytest.mark.parametrize("text", ["http://a/", "ws:a", "a", "", "ftp://me:secret@a/"])
def test_another_url_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^want a ws:// or wss:// URL, got another one$"):
        read_socket_url(text)


@pytest.mark.parametrize(
    ("kind", "settings", "want"),
    [
        pytest.param(Login, {"username": "u", "password": "p"}, "Basic dTpw", id="basic"),
        pytest.param(
            Authorization, {"type": "Token", "credentials": "c"}, "Token c", id="a type of its own"
        ),
        pytest.param(Secret, "t", "Bearer t", id="bearer"),
    ],
)
async def test_who_asks(kind: Any, settings: Any, want: str) -> None:
    login = TypeAdapter(kind).validate_python(settings)

    assert await login_line(login, Recorder()) == want


async def test_what_stands_in_files_is_read_now_and_hidden(tmp_path: Path) -> None:
    secret, broken, recorder = tmp_path / "a", tmp_path / "b", Recorder()
    secret.write_text("one\n")
    broken.write_text("two\nlines\n")

    lines = await header_lines({"X": ["0", Secret("1"), SecretFile(str(secret))]}, recorder)

    assert lines == (("X", "0"), ("X", "1"), ("X", "one"))
    assert recorder.secrets == ["one"]
    with pytest.raises(CheckFailed, match="want a readable secret file") as caught:
        await header_lines({"X": [SecretFile(str(tmp_path / "nowhere"))]}, recorder)
    assert caught.value.reason is Reason.CONFIG
    with pytest.raises(CheckFailed, match=f"want a secret of one line in {broken}, got several"):
        await header_lines({"X": [SecretFile(str(broken))]}, recorder)


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\0"])
async def test_what_goes_into_the_head_is_one_line(text: str) -> None:
    with pytest.raises(CheckFailed, match="want a text of one line in the settings, got several"):
        await header_lines({"X": [text]}, Recorder())
    with pytest.raises(CheckFailed, match="want a secret of one line in the settings"):
        await login_line(Secret(text), Recorder())


async def follow(location: str, **how: Any) -> tuple[CheckFailed, Response]:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    async with tcp_fault(talking(answer.encode())) as port:
        url: Url = parse_url(f"http://127.0.0.1:{port}/")
        response = Response(url, NO_BODY)
        with pytest.raises(CheckFailed) as caught:
            await open_following(
                Request(url), Recorder(), Options(**how), response=response, max_message=1
            )
    return caught.value, response


@pytest.mark.parametrize(
    ("location", "how", "reason", "message"),
    [
        pytest.param(
            "/x", {"max_redirects": 2}, Reason.REDIRECT, "want at most 2 redirects, got 3, a loop",
            id="a loop",
        ),
        pytest.param(
            "ftp://x/", {}, Reason.BLOCKED, "want a redirect to http:// or https://, got 'ftp:'",
            id="another scheme",
        ),
        pytest.param(
            "ws://a@b@c/", {}, Reason.REDIRECT, "want a usable Location, got 'http://a@b@c/'",
            id="no URL",
        ),
        pytest.param(
            "/x", {"follow_redirects": False}, Reason.STATUS, "want status 101, got 302",
            id="not followed",
        ),
    ],
)  # fmt: skip
async def test_a_redirect_that_leads_nowhere_is_told_as_the_upgrade(
    location: str, how: dict[str, Any], reason: Reason, message: str
) -> None:
    failure, response = await follow(location, **how)

    assert failure.reason is reason
    assert failure.message == message
    assert (failure.phase, response.status) == ("upgrade", 302)


async def test_a_redirect_is_judged_by_the_policy() -> None:
    failure, _ = await follow("ws://169.254.169.254/")

    assert failure.reason is Reason.BLOCKED
