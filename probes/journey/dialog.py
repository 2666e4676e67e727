"""A WebSocket's talk as a journey wants it: open, say and hear in turn, close.

Knows no interpreter and no expectation: what a message should be is asked of its `Wanted`.
"""

import asyncio
from time import monotonic

from probes.errors import CheckFailed
from probes.journey.model import Dialog, Hear, Heard, Say
from probes.journey.outgoing import judge_lines, too_late
from probes.recorder import Recorder
from probes.result import Failure, Reason
from probes.wire.http.message import Limits, Response
from probes.wire.http.options import Options
from probes.wire.websocket.connection import Socket, open_websocket

_NO_BODY = Limits(max_body=0, keep_body=False)


async def hold(dialog: Dialog, options: Options) -> Heard:
    """Open a WebSocket, say and hear what *dialog* wants, close it; never raises but cancelled."""
    recorder = Recorder(asyncio.get_running_loop().time() + dialog.timeout_s)
    started = monotonic()
    upgrade = Response(dialog.url, _NO_BODY)
    heard: list[str | bytes] = []
    failure: Failure | None = None
    try:
        judge_lines(dialog.headers)
        async with asyncio.timeout(dialog.timeout_s):
            socket = await open_websocket(
                dialog.url,
                recorder,
                options,
                headers=dialog.headers,
                subprotocols=(dialog.subprotocol,) if dialog.subprotocol else (),
                max_message=dialog.max_message,
                response=upgrade,
            )
            try:
                recorder.enter("transfer")
                await _converse(socket, dialog, heard)
                recorder.leave()
                await socket.close()
            finally:
                socket.abort()
    except TimeoutError:
        # the goodbye of a peer that has said everything is a courtesy
        if recorder.phase_name is not None:
            failure = too_late(dialog.timeout_s, recorder)
    except CheckFailed as error:
        failure = Failure(error.reason, error.message, error.phase or recorder.phase_name)
    return Heard(
        messages=tuple(heard),
        seconds=monotonic() - started,
        phases=recorder.phases,
        failure=failure,
        status=upgrade.status,
        facts=recorder.facts,
    )


async def _converse(socket: Socket, dialog: Dialog, heard: list[str | bytes]) -> None:
    for turn in dialog.turns:
        match turn:
            case Say():
                await socket.send(turn.message)
            case Hear():
                heard.append(await _hear(socket, turn))


async def _hear(socket: Socket, turn: Hear) -> str | bytes:
    """Return the message that is wanted.

    Raises:
        CheckFailed: ``body``: none of those that came; ``timeout``: none came.
    """
    miss, seen = "", 0
    try:
        async with asyncio.timeout(turn.timeout_s):
            for _ in range(turn.within):
                came = await socket.receive()
                seen += 1
                found = turn.wanted.miss(came)
                if found is None:
                    return came
                miss = found
    except TimeoutError:
        if not seen:
            wanted = f"want a message within {turn.timeout_s:g} s, got none"
            raise CheckFailed(Reason.TIMEOUT, wanted) from None
        miss = f"{miss} (no other within {turn.timeout_s:g} s)"
    where = f" in the last of {seen} messages" if seen > 1 else ""
    raise CheckFailed(Reason.BODY, f"{miss}{where}")
