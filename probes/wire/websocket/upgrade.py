"""The way to a websocket: what its upgrade says, who asks, and over which redirects it goes.

    request = Request(url, headers=await header_lines(...), ...)
    socket = await open_following(request, recorder, options, ...)

The shell above `probes.wire.websocket.connection`, for whoever wants to be sent elsewhere. Knows no
message.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.wire.credentials import SecretFile, read_credential, read_line
from probes.wire.http.headers import Authorization, Login
from probes.wire.http.message import Limits, Request, Response
from probes.wire.http.options import Options
from probes.wire.http.redirect import Trail, location_of
from probes.wire.url import Url, parse_url
from probes.wire.websocket.connection import Socket, open_websocket

# What a websocket's upgrade is asked with.
SCHEMES = {"ws": "http", "wss": "https"}
NO_BODY = Limits(max_body=0, keep_body=False)
"""The body of a refusal tells nothing that its status does not."""


@lru_cache(maxsize=4096)
def read_socket_url(text: str) -> Url:
    """Return the URL that the upgrade is asked with: ``http`` for ws, ``https`` for wss.

    Raises:
        ValueError: another scheme, or no such URL.
    """
    scheme, colon, rest = text.partition("://")
    plain_scheme = SCHEMES.get(scheme.lower())
    if not colon or plain_scheme is None:
        # the text may hold a password
        raise ValueError("want a ws:// or wss:// URL, got another one")
    return parse_url(f"{plain_scheme}://{rest}")


def basic_pair(user: str, password: str) -> str:
    """Return user and password as Basic sends them."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


async def header_lines(
    headers: Mapping[str, Iterable[str | Secret | SecretFile]], recorder: Recorder
) -> tuple[tuple[str, str], ...]:
    """Return *headers* as they go out, what is in files read now.

    Raises:
        CheckFailed: ``config``: a file that cannot be read, or holds several lines.
    """
    return tuple(
        [
            (name, await read_line(value, recorder))
            for name, values in headers.items()
            for value in values
        ]
    )


async def login_line(login: Login | Secret | SecretFile | Authorization, recorder: Recorder) -> str:
    """Return the value of ``Authorization``: Basic, Bearer, or of a type of its own.

    Raises:
        CheckFailed: as `header_lines`.
    """
    if isinstance(login, Login):
        user = await read_credential(login.username, recorder)
        secret = login.password
        password = "" if secret is None else await read_credential(secret, recorder)
        pair = basic_pair(user, password)
        recorder.hide(pair)
        return f"Basic {pair}"
    if isinstance(login, Authorization):
        return f"{login.type} {await read_line(login.credentials, recorder)}"
    return f"Bearer {await read_line(login, recorder)}"


async def open_following(
    request: Request,
    recorder: Recorder,
    options: Options,
    *,
    response: Response,
    max_message: int,
    subprotocols: tuple[str, ...] = (),
) -> Socket:
    """Connect and upgrade, over redirects where *options* say so.

    Args:
        request: its URL, headers and host.
        recorder: gets the phases and what the dial found.
        options: how to connect, and whether to follow.
        response: filled with the last answer.
        max_message: bytes of one message at most.
        subprotocols: to offer, the preferred one first.

    Raises:
        CheckFailed: as `open_websocket`; ``redirect``, ``blocked``.
    """
    trail: Trail | None = None
    while True:
        host = (("Host", request.host),) if request.host else ()
        try:
            return await open_websocket(
                request.url,
                recorder,
                options,
                headers=(*host, *request.headers),
                subprotocols=subprotocols,
                max_message=max_message,
                response=response,
                hop=response.redirects,
            )
        except CheckFailed as failure:
            location = location_of(response) if failure.reason is Reason.STATUS else None
            if location is None or not options.follow_redirects:
                raise
        trail = trail or Trail(request, options.max_redirects, nearness=options.stays_near)
        request = _next(trail, response, location)
        if trail.has_left:
            options = replace(options, tls=options.foreign_tls)
        response.begin(request.url, NO_BODY)


def _next(trail: Trail, response: Response, location: str) -> Request:
    """Return what a redirect asks for; ws:// and wss:// are read as what they upgrade."""
    scheme, colon, rest = location.partition("://")
    plain_scheme = SCHEMES.get(scheme.lower())
    try:
        return trail.next(response, f"{plain_scheme}{colon}{rest}" if plain_scheme else location)
    except CheckFailed as failure:
        failure.phase = "upgrade"
        raise
