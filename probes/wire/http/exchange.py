"""One HTTP exchange: resolve, connect, TLS, request, answer, redirects; timed and capped.

    response = await exchange(request, recorder, options)
    response.check()                          # raises what broke the body off

The shell between the dial (`probes.wire.net`) and the codecs (`probes.wire.http.http1`,
`probes.wire.http.h2`): every run opens a connection of its own and says ``Connection: close``.
Knows no expectation: what the answer should be is the kind's business.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TypeVar, cast

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.driver import load_driver
from probes.wire.http import http1
from probes.wire.http.hop import Wire, with_hint
from probes.wire.http.message import Request, Response
from probes.wire.http.options import DEFAULT_OPTIONS, HTTP1, HTTP1_ALPN, HTTP2, HTTP3_ALPN, Options
from probes.wire.http.proxies.tunnel import (
    Goal,
    Passage,
    Tls,
    Way,
    find_way,
    open_through,
    proxy_login,
)
from probes.wire.http.redirect import Trail, location_of
from probes.wire.net import open_connection, resolve, resolve_literal
from probes.wire.tls.peer import forget_peer
from probes.wire.tls.settings import server_name
from probes.wire.url import Url

P = TypeVar("P", bound=asyncio.Protocol)


def prepare(options: Options) -> None:
    """Do now, off the loop, what the first exchange over TLS would wait for."""
    options.prepare()
    if HTTP2 in options.alpn:
        import_module("probes.wire.http.h2")
    if options.alpn == HTTP3_ALPN:
        with suppress(ImportError):  # the run tells it
            import_module("probes.wire.http.h3.exchange")


async def exchange(
    request: Request,
    recorder: Recorder,
    options: Options = DEFAULT_OPTIONS,
    response: Response | None = None,
) -> Response:
    """Send *request* and return the final answer; its body may have broken off (`Response.check`).

    Args:
        request: what to send first.
        recorder: gets the phases and what the dial found.
        options: how to go about it.
        response: filled as bytes arrive, for a caller that wants what there is after a failure too.

    Raises:
        CheckFailed: no whole head came, or a redirect could not be followed.
    """
    response = response or Response(request.url, options.limits)
    hop_over = _hop_over_quic if options.alpn == HTTP3_ALPN else _hop
    way = await hop_over(request, recorder, options, response)
    if way is not None:
        await _hop_over_http1(request, recorder, options, response, way)
    location = location_of(response)
    if location is None or not options.follow_redirects:
        response.redirects += location is not None
        return response
    trail = Trail(request, options.max_redirects, nearness=options.stays_near)
    while location is not None:
        request = trail.next(response, location)
        if trail.has_left:
            options = replace(options, tls=options.foreign_tls)
        response.begin(request.url, options.limits)
        way = await hop_over(request, recorder, options, response)
        if way is not None:
            await _hop_over_http1(request, recorder, options, response, way)
        if not response.over_tls:
            forget_peer(recorder)
        location = location_of(response)
    return response


async def _hop(
    request: Request,
    recorder: Recorder,
    options: Options,
    response: Response,
    way: Way | None = None,
) -> Way | None:
    """Make one request over a TCP connection of its own.

    Returns:
        Where it went, if the server takes this request over HTTP/1.1 only; else None.
    """
    url, hop = request.url, response.redirects
    is_tls = url.is_tls
    encode: Callable[[Request], bytes] = http1.encode
    if options.proxies is not None or way is not None or (is_tls and options.tls.has_files):
        way = way or await find_way(
            url, recorder, options.proxies, ip=options.ip, servers=options.servers, hop=hop
        )
        transport, wire, encode = await _open(way, request, recorder, options, hop)
    else:
        # an address is found without a coroutine: one costs a microsecond in every run
        address = resolve_literal(url.host, url.port, recorder, ip=options.ip, hop=hop)
        if address is None:
            address = await resolve(
                url.host, url.port, recorder, ip=options.ip, servers=options.servers, hop=hop
            )
        way = Way(address, None)
        transport, wire = await open_connection(
            partial(Wire, recorder, options.limits.max_wire),
            address,
            recorder,
            context=options.tls.context(options.alpn) if is_tls else None,
            server_name=server_name(url, options.tls, request.host) if is_tls else None,
            hop=hop,
            source_ip=options.source_ip,
            scheme=url.scheme,
        )
    response.over_tls = is_tls
    wants_http1 = False
    try:
        if is_tls and _selected(transport) == HTTP2:
            wants_http1 = await _run_http2(wire, transport, request, response)
        else:
            codec = http1.Http1(response, head_only=request.method == "HEAD")
            try:
                await wire.run(codec, response, encode(request))
            finally:
                codec.close()
        if response.failure is None and not wants_http1:
            transport.close()
            return None
    except CheckFailed as failure:
        raise with_hint(failure, transport) from None
    finally:
        if not transport.is_closing():
            transport.abort()
    return way if wants_http1 else None


async def _open(
    way: Way, request: Request, recorder: Recorder, options: Options, hop: int
) -> tuple[asyncio.Transport, Wire, Callable[[Request], bytes]]:
    """Open a connection for *request*, and tell how it is written for whoever reads it first."""
    url = request.url
    transport, wire = await reach(
        lambda: Wire(recorder, options.limits.max_wire),
        url,
        recorder,
        options,
        host=request.host,
        alpn=options.alpn,
        hop=hop,
        way=way,
        tunnels=url.is_tls,
        scheme=url.scheme,
    )
    proxy = way.proxy
    if url.is_tls or proxy is None or proxy.is_socks:
        return transport, wire, http1.encode
    login = proxy_login(proxy)
    return transport, wire, lambda it: http1.encode_absolute(it, login)


async def reach(  # noqa: PLR0913 - the whole dial, all but four by keyword
    factory: Callable[[], P],
    url: Url,
    recorder: Recorder,
    options: Options,
    *,
    host: str = "",
    alpn: tuple[str, ...] = HTTP1_ALPN,
    hop: int = 0,
    way: Way | None = None,
    tunnels: bool = True,
    scheme: str,
) -> tuple[asyncio.Transport, P]:
    """Connect to the server of *url*, through a proxy where *options* want one.

    Phases ``resolve``, ``connect`` and, for https, ``tls``.

    Args:
        factory: makes the protocol.
        url: where to.
        recorder: gets phases, samples and facts.
        options: how.
        host: of the header Host, if it differs: that name is verified.
        alpn: protocols to offer over TLS.
        hop: 0 is the target, later ones came from a redirect.
        way: that was found before.
        tunnels: see `open_through`.
        scheme: see `open_connection`.

    Raises:
        CheckFailed: as `resolve`, `open_connection` and `open_through` do.
    """
    tls, proxies = None, options.proxies
    if way is None:
        way = await find_way(
            url, recorder, proxies, ip=options.ip, servers=options.servers, hop=hop
        )
    if url.is_tls:
        if options.tls.has_files:
            await options.tls.reread(recorder)
        tls = Tls(options.tls.context(alpn), server_name(url, options.tls, host))
    if proxies is not None and way.proxy is not None:
        passage = Passage(proxies, way.proxy, options.servers, options.source_ip, options.ip)
        goal = Goal(url, way.address, hop, scheme)
        return await open_through(passage, goal, factory, recorder, tls=tls, tunnels=tunnels)
    if way.address is None:
        raise ValueError("want an address to dial, got none: nobody else resolves it")
    return await open_connection(
        factory,
        way.address,
        recorder,
        context=tls.context if tls else None,
        server_name=tls.server_name if tls else None,
        hop=hop,
        source_ip=options.source_ip,
        scheme=scheme,
    )


async def _hop_over_http1(
    request: Request, recorder: Recorder, options: Options, response: Response, way: Way
) -> None:
    """Make a request once more, inside the same deadline, as its server wants it (RFC 9113, 8.1).

    Raises:
        CheckFailed: ``protocol``: HTTP/1.1 was not offered.
    """
    if HTTP1 not in options.alpn:
        message = "want HTTP/2, got HTTP_1_1_REQUIRED"
        raise CheckFailed(Reason.PROTOCOL, message, phase="processing")
    recorder.fact("http_fallback", "HTTP_1_1_REQUIRED")
    response.begin(request.url, options.limits)
    await _hop(request, recorder, replace(options, alpn=HTTP1_ALPN), response, way)


async def _hop_over_quic(
    request: Request, recorder: Recorder, options: Options, response: Response
) -> None:
    """Make one request over HTTP/3, which no server asks to be repeated.

    Raises:
        CheckFailed: ``redirect``: to http://, which QUIC does not know; ``config``: a proxy, or the
            extra ``http3`` is not installed; as `probes.wire.http.h3.exchange.ask` does.
    """
    url, hop = request.url, response.redirects
    if not url.is_tls:
        message = f"want a redirect to https:// for HTTP/3, got {short(str(url))}"
        raise CheckFailed(Reason.REDIRECT, message, phase="processing")
    if options.proxies is not None:
        raise CheckFailed(Reason.CONFIG, "want no proxy for HTTP/3, got one: none carries QUIC")
    await load_driver("pycurl", "http3", recorder)
    await load_driver("probes.wire.http.h3.exchange", "http3", recorder)
    from probes.wire.http.h3.exchange import ask  # noqa: PLC0415 - pycurl is an extra

    address = await resolve(
        url.host, url.port, recorder, ip=options.ip, servers=options.servers, hop=hop
    )
    await ask(request, address, recorder, options, response, hop=hop)


async def close_quic() -> None:
    """End what the exchanges over HTTP/3 of the running loop share, if there were any."""
    if "probes.wire.http.h3.engine" in sys.modules:
        from probes.wire.http.h3.engine import close_engine  # noqa: PLC0415 - only where it was loaded

        await close_engine()


async def _run_http2(
    wire: Wire, transport: asyncio.Transport, request: Request, response: Response
) -> bool:
    """Exchange over HTTP/2; return whether the server wants HTTP/1.1 instead."""
    from probes.wire.http.h2 import Http2  # noqa: PLC0415 - h2 costs 20 ms of start

    codec = Http2(request, response)
    first, codec.outgoing = codec.outgoing, b""
    try:
        await wire.run(codec, response, first)
    except CheckFailed:
        if codec.wants_http1:
            return True
        raise
    if response.failure is None:
        transport.write(codec.close())
    return False


def _selected(transport: asyncio.Transport) -> str | None:
    connection = transport.get_extra_info("ssl_object")
    return None if connection is None else cast("str | None", connection.selected_alpn_protocol())
