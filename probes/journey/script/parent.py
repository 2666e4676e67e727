"""Plays a script: starts its child, hears what it tells, ends it whatever it does.

    timeout          SIGTERM: the function ends, the clean-ups run
    + clean-up       SIGKILL to the whole session

The child is believed nothing: what is no report is its code's mistake. It gets no secret but by its
order, no environment but a few words, and no directory of ours but that of the probe file. Knows
neither a probe nor what the code does.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from probes.errors import CheckFailed
from probes.journey.language.expression import Unset
from probes.journey.model import Played, StepResult
from probes.journey.playing.evidence import clean, hideable, texts_in
from probes.journey.playing.stage import Context, Stage
from probes.journey.script.compile import Script
from probes.journey.script.orders import (
    MAX_LINE_BYTES,
    MAX_REPORT_BYTES,
    MAX_STEPS,
    Order,
    order_line,
    read_line,
    tls_keys,
)
from probes.result import Failure, Reason
from probes.units import format_duration, short
from probes.wire.http.options import Options
from probes.wire.policy import POLICY

# A loaded machine takes this long to wake a child that was told to end.
GRACE_S = 0.5
# From SIGKILL to the end of a process: microseconds, but for one that hangs in the kernel.
KILL_S = 1.0
# Everything beyond timeout and clean-up that a play may take.
BEYOND_S = 2 * GRACE_S + KILL_S
# What a person reads of prints; the fact is shorter.
MAX_OUTPUT_BYTES = 16 * 2**10
MAX_SHOWN_CHARACTERS = 2000
PASSED_ON = ("PATH", "TZ", "LD_LIBRARY_PATH")
# Ours may lie beside the child's working directory and not among the installed packages.
PACKAGES = str(Path(__file__).resolve().parents[3])
COMMAND = (sys.executable, "-P", "-X", "utf8", "-m", "probes.journey.script.child")


async def play_script(
    script: Script,
    context: Context,
    options: Options,
    salvage: Callable[[Played], None] = lambda _: None,
) -> Played:
    """Play *script* once.

    A cancelled play first tidies up, in its own budget; a second cancellation cuts that off.

    Args:
        script: compiled.
        context: of this play: scope, base URL, timeout.
        options: how servers are dialled.
        salvage: gets what there was of a cancelled play.

    Raises:
        CancelledError: of the run.
    """
    began = monotonic()
    stage = Stage(script.journey, context)
    try:
        order = _order(script, stage, options, began)
    except CheckFailed as error:
        return Played(failure=Failure(error.reason, error.message))
    except (Unset, ValueError) as error:
        return Played(failure=stage.blame(error, ()))
    child = _Child(script)
    try:
        await child.start(order)
        await child.wait(order.ends_at + GRACE_S)
        child.terminate()
        await child.wait(order.ends_at + order.cleanup_s + 2 * GRACE_S)
    except OSError as error:
        text = f"want to start Python for a journey, got {error.strerror}"
        return Played(failure=Failure(Reason.RESOURCE, text))
    except asyncio.CancelledError:
        child.terminate()
        with suppress(asyncio.CancelledError):
            await child.wait(monotonic() + order.cleanup_s + GRACE_S)
        salvage(_with_hidden(child.played(order), stage))
        raise
    finally:
        await child.kill()
    return _with_hidden(child.played(order), stage)


def _with_hidden(played: Played, stage: Stage) -> Played:
    made = {*stage.scope.hidden, *hideable(texts_in(list(stage.scope.secrets.values())))}
    return replace(played, hidden=played.hidden | made)


def _order(script: Script, stage: Stage, options: Options, began: float) -> Order:
    """Return what the child is told.

    Raises:
        CheckFailed, Unset, ValueError: of what the journey brings itself.
    """
    stage.prepare()
    scope, context, journey = stage.scope, stage.context, script.journey
    timeout_s = journey.timeout_s
    if context.timeout_s is not None:
        timeout_s = min(timeout_s, context.timeout_s)
    return Order(
        path=str(script.path),
        source=script.source,
        function=script.function,
        journey=journey.name,
        base_url=context.base_url or journey.base_url,
        run_id=scope.run_id,
        iteration=scope.iteration,
        ends_at=began + timeout_s,
        timeout_s=timeout_s,
        cleanup_s=journey.cleanup_timeout_s,
        vars=dict(scope.vars),
        row=dict(scope.row or {}),
        secrets=dict(scope.secrets),
        headers=tuple((name, template.text(scope)) for name, template in script.headers),
        request_s=script.timeout_s,
        redirects=script.redirects,
        max_body=script.max_body,
        names=script.names,
        origins=script.origins,
        tls=tls_keys(options.tls),
        ip=options.ip,
        policy=POLICY.get(),
    )


@dataclass(slots=True)
class _Child:
    """One child and what it has said."""

    script: Script
    _process: "asyncio.subprocess.Process | None" = None
    _tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    _writer: asyncio.StreamWriter | None = None
    _ended: Played | None = None
    _steps: dict[str, StepResult] = field(default_factory=dict)
    _nonsense: str = ""
    _output: dict[str, bytes] = field(default_factory=dict)
    _is_killed: bool = False

    async def start(self, order: Order) -> None:
        """Start it and give it its order.

        Raises:
            OSError: it does not start.
        """
        ours, theirs = socket.socketpair()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *COMMAND,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env=dict(_environment(self.script)),
                cwd=self.script.directory,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        # no pipe: uvloop closes the descriptor of a pipe twice, and the second time it may be that
        # of a file which another thread has just opened
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._listen(reader)),
            loop.create_task(self._collect("stdout", process.stdout)),
            loop.create_task(self._collect("stderr", process.stderr)),
        ]
        if process.stdin is not None:
            process.stdin.write(order_line(order))
            # a child that takes nothing is told by its end
            with suppress(OSError):
                await process.stdin.drain()

    async def wait(self, until: float) -> None:
        """Wait for its last word, at most until then; without one, for its end."""
        process = self._process
        if process is None or not self._tasks:
            return
        await asyncio.wait(self._tasks[:1], timeout=max(0.0, until - monotonic()))
        if self._ended is None and self._tasks[0].done():
            # the pipe ends a moment before its writer
            left = min(GRACE_S, max(0.0, until - monotonic()))
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await process.wait()

    def terminate(self) -> None:
        """Ask it to end its function and to tidy up."""
        self._signal(signal.SIGTERM, to_all=False)

    async def kill(self) -> None:
        """End every process of its session."""
        process = self._process
        if process is None:
            return
        self._is_killed = self._ended is None and process.returncode is None
        # also behind its own end: what it has started and left behind is of its session
        self._signal(signal.SIGKILL, to_all=True)
        if process.stdin is not None:
            process.stdin.close()
        _, late = await asyncio.wait(
            [*self._tasks, asyncio.ensure_future(process.wait())], timeout=KILL_S
        )
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        if self._writer is not None:
            self._writer.close()

    def _signal(self, number: signal.Signals, *, to_all: bool) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if to_all:
                os.killpg(process.pid, number)
            elif process.returncode is None:
                process.send_signal(number)

    # --- what it says

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        size = 0
        try:
            while self._ended is None and (line := await reader.readline()):
                size += len(line)
                if size > MAX_REPORT_BYTES:
                    raise ValueError("want a report of bounded size, got a flood")  # noqa: TRY301 - one place judges
                self._take(read_line(line))
        except ValueError as error:
            self._nonsense = str(error)

    def _take(self, said: StepResult | Played) -> None:
        if isinstance(said, Played):
            self._ended = said
        elif said.step in self._steps or len(self._steps) < MAX_STEPS:
            self._steps[said.step] = said

    async def _collect(self, name: str, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (some := await stream.read(MAX_OUTPUT_BYTES)):
            self._output[name] = (self._output.get(name, b"") + some)[-MAX_OUTPUT_BYTES:]

    def played(self, order: Order) -> Played:
        """Return what became of the play."""
        played = self._ended
        if played is None:
            played = Played(steps=tuple(self._steps.values()), failure=self._why(order))
        logs = [
            (name, clean(data.decode("utf-8", "replace"))[-MAX_SHOWN_CHARACTERS:].strip())
            for name, data in sorted(self._output.items())
        ]
        return replace(played, logs=(*played.logs, *(it for it in logs if it[1])))

    def _why(self, order: Order) -> Failure:
        """Return why there is no last word."""
        if self._nonsense:
            return Failure(Reason.CONFIG, self._nonsense)
        if self._is_killed or monotonic() >= order.ends_at:
            text = f"want all steps within {format_duration(order.timeout_s)}, got no end"
            return Failure(Reason.TIMEOUT, text)
        code = self._process.returncode if self._process is not None else None
        words = self._output.get("stderr", b"").decode("utf-8", "replace").strip()
        last = f": {short(words.rpartition(chr(10))[2])}" if words else ""
        text = f"want {self.script.path.name} to end by itself, got its process ended with {code}"
        return Failure(Reason.CONFIG, f"{text}{last}")


def _environment(script: Script) -> Mapping[str, str]:
    """Return what the code sees: nothing of ours but what it cannot live without."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {
        "LANG": "C.UTF-8",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - where everybody's is
        "PYTHONPATH": PACKAGES,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**passed, **own, **dict(script.environ)}
