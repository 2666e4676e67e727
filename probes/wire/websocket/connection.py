"""A websocket over a connection of ours: upgrade, messages, the close.

    socket = await open_websocket(url, recorder, options)
    await socket.send('{"method":"eth_subscribe", ...}')
    message = await socket.receive()          # raises CheckFailed when the peer has closed
    await socket.close()

The shell around `probes.wire.websocket.frames`; policy, TLS facts and phases are those of every
other dial. Pings are answered. Knows no deadline (its caller's cancellation is one) and nothing of
what the messages say.
"""

from importlib import import_module
from os import urandom
from time import monotonic

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.wire.http.exchange import reach
from probes.wire.http.hop import with_hint
from probes.wire.http.message import Limits, Response
from probes.wire.http.options import DEFAULT_OPTIONS, Options
from probes.wire.url import Url
from probes.wire.websocket.channel import Channel

# chains.md 4: of one answer, decoded; an announced head has 1 to 100 KiB.
MAX_MESSAGE_BYTES = 1024 * 1024
# Enough to tell the answer to our ping from any other.
PING_BYTES = 8
# RFC 6455, 7.4.1
NORMAL_CLOSURE = 1000
_NO_BODY = Limits(max_body=0, keep_body=False)


class Socket:
    """An open websocket; made by `open_websocket`. One task receives, one may send."""

    __slots__ = ("_channel", "subprotocol")

    def __init__(self, channel: Channel, subprotocol: str) -> None:
        self._channel = channel
        self.subprotocol = subprotocol
        """The one that the server chose; empty when it chose none."""

    @property
    def last_heard(self) -> float:
        """When the last byte came, on the clock of `time.monotonic`."""
        return self._channel.last_heard

    async def send(self, message: str | bytes) -> None:
        """Send one message; waits while the peer takes nothing.

        Raises:
            CheckFailed: the connection has ended.
        """
        channel = self._channel
        channel.open_frames().say(message)
        await channel.flush()

    async def ping(self) -> None:
        """Send a ping; its answer shows in `last_heard`.

        Raises:
            CheckFailed: the connection has ended.
        """
        channel = self._channel
        channel.open_frames().ping()
        await channel.flush()

    async def round_trip(self) -> float:
        """Send a ping, wait for its own answer, and return the seconds in between.

        Messages that come meanwhile are dropped.

        Raises:
            CheckFailed: as `receive`.
        """
        channel, payload = self._channel, urandom(PING_BYTES)
        channel.open_frames().ping(payload)
        sent = monotonic()
        await channel.flush()
        await channel.round_trip(payload)
        return channel.last_heard - sent

    async def ended(self) -> tuple[int | None, CheckFailed]:
        """Wait until the peer has ended the connection; messages that come meanwhile are dropped.

        Returns:
            The code of its goodbye, None without one, and how it looks to whoever wants a message.
        """
        end = await self._channel.ended()
        return self._channel.close_code, end

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            CheckFailed: ``closed`` with the peer's code and reason, ``protocol``, ``too_large``.
        """
        return await self._channel.receive()

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Say goodbye, wait a second at most for the peer's, and close. Again it does nothing."""
        await self._channel.close(code)

    def leave(self, code: int = NORMAL_CLOSURE) -> None:
        """Say goodbye and close, without waiting for the peer's."""
        self._channel.leave(code)

    def abort(self) -> None:
        """Close at once."""
        self._channel.abort()


async def open_websocket(  # noqa: PLR0913 - the whole upgrade, all but three by keyword
    url: Url,
    recorder: Recorder,
    options: Options = DEFAULT_OPTIONS,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    subprotocols: tuple[str, ...] = (),
    max_message: int = MAX_MESSAGE_BYTES,
    response: Response | None = None,
    hop: int = 0,
) -> Socket:
    """Connect and upgrade; phases ``resolve``, ``connect``, ``tls`` and ``upgrade``.

    Args:
        url: ``https`` for wss, ``http`` for ws: what the upgrade is asked with.
        recorder: gets the phases and what the dial found.
        options: how to connect; no redirect is followed.
        headers: of the user; they win over ours.
        subprotocols: to offer, the preferred one first.
        max_message: bytes of one message at most.
        response: filled with the answer to the upgrade, for a caller that wants its status.
        hop: 0 is the target, later ones came from a redirect.

    Raises:
        CheckFailed: as `reach` does; ``status`` for another answer than 101;
            ``protocol`` for a wrong one.
    """
    from probes.wire.websocket.frames import Frames, Upgrade  # noqa: PLC0415 - websockets: 22 ms of start

    host = next((value for name, value in headers if name.lower() == "host"), "")
    # the policy knows a websocket by the scheme of its own
    scheme = "wss" if url.is_tls else "ws"
    transport, channel = await reach(
        Channel, url, recorder, options, host=host, hop=hop, scheme=scheme
    )
    upgrade, response = Upgrade(subprotocols), response or Response(url, _NO_BODY)
    try:
        recorder.enter("upgrade")
        await channel.shake(upgrade.encode(url, headers), response)
        subprotocol = upgrade.judge(response)
        recorder.leave()
        channel.start(Frames(max_message))
    except CheckFailed as failure:
        failure.phase = "upgrade"
        raise with_hint(failure, transport) from None
    finally:
        if not channel.is_upgraded:
            channel.abort()
    return Socket(channel, subprotocol)


def load_library() -> None:
    """Do now, off the loop, what the first websocket would wait for."""
    import_module("probes.wire.websocket.frames")
