"""gRPC servers that misbehave, over HTTP/2 in plain text: what is said to one call, by hand.

answering(play)          waits for the call, then says what *play* tells the connection to
answer(connection, ...)  an ordinary answer of gRPC: head, messages, trailers
dripped(play)            the same byte by byte
"""

import asyncio
from collections.abc import Callable, Sequence

import h2.config
import h2.connection
import h2.events

from tests.faults.tcp import Handler

Play = Callable[[h2.connection.H2Connection], None]
Headers = Sequence[tuple[str, str]]
HEAD = ((":status", "200"), ("content-type", "application/grpc"))
SERVING = b"\0\0\0\0\x02\x08\x01"


def answer(
    connection: h2.connection.H2Connection,
    *pieces: bytes,
    head: Headers = HEAD,
    trailers: Headers | None = (("grpc-status", "0"),),
) -> None:
    """Say *head*, *pieces* of a body and *trailers*; without the last two the head is all."""
    connection.send_headers(1, list(head), end_stream=not pieces and trailers is None)
    for number, piece in enumerate(pieces, 1):
        connection.send_data(1, piece, end_stream=trailers is None and number == len(pieces))
    if trailers is not None:
        connection.send_headers(1, list(trailers), end_stream=True)


def answering(
    play: Play, requests: list[dict[str, str]] | None = None, *, stays: bool = True, drip: int = 0
) -> Handler:
    """Say *play* to the first call, *drip* bytes a turn, then stay or half-close."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        connection.initiate_connection()
        is_called = False
        while not is_called:
            data = await reader.read(65536)
            if not data:
                return
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived) and requests is not None:
                    requests.append({str(n): str(v) for n, v in event.headers or []})
                is_called = is_called or isinstance(event, h2.events.StreamEnded)
        play(connection)
        said = connection.data_to_send()
        for at in range(0, len(said), drip or len(said) or 1):
            writer.write(said[at : at + (drip or len(said))])
            await writer.drain()
            await asyncio.sleep(0)
        if not stays:
            writer.write_eof()
        await reader.read()
        await asyncio.Event().wait()

    return handle
