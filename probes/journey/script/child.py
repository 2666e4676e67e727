"""The child in which the code of one play runs: ``python -P -m probes.journey.script.child FD``.

    stdin    one Order; its end means that the parent is gone, and so is the child
    FD       lines of JSON: steps as they end, the end
    stdout, stderr    the user's own

SIGTERM ends the function, even one that never awaits; the clean-ups run all the same, in their own
time. Knows no probe and no file.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from types import FrameType, ModuleType
from typing import Any, cast

from probes.errors import CheckFailed
from probes.journey.driver import Driver
from probes.journey.language.closures import Scope
from probes.journey.language.functions import chance
from probes.journey.model import Part, Played, StepResult
from probes.journey.playing.stage import Context
from probes.journey.script.asked import Defaults
from probes.journey.script.blame import blame, one_line, trace
from probes.journey.script.course import Course
from probes.journey.script.orders import Order, end_line, read_order, step_line
from probes.journey.script.user import User
from probes.journey.steps import Journey
from probes.result import Failure, Reason
from probes.units import format_duration
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.policy import POLICY
from probes.wire.tls.settings import TlsOptions

MODULE = "sonde_journey"
# From being told to stop to having stopped; code that swallows the word is left behind.
STOP_S = 0.5


class Overdue(BaseException):
    """Raised where the code is, when it must end and may never await."""


@dataclass(slots=True)
class _Ending:
    """The end of the code, wherever it is.

    Args:
        task: in which the code runs.
        main: which watches it, and is not to be disturbed.
        loop: of both.
    """

    task: "asyncio.Task[None]"
    main: "asyncio.Task[Any] | None"
    loop: asyncio.AbstractEventLoop
    is_over: bool = False

    def heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler
        """End the code at the word of the parent; a second word is one in vain.

        Raises:
            Overdue: in the middle of the code, which gives the loop no turn.
        """
        if self.is_over:
            return
        self.is_over = True
        self.loop.call_soon_threadsafe(self.task.cancel)
        if asyncio.current_task(self.loop) not in (None, self.main):
            # it may be in a loop without an await, where no cancellation reaches it
            raise Overdue


@dataclass(slots=True)
class Play:
    """One play in this process.

    Args:
        order: what is played.
        write: takes lines for the parent.
    """

    order: Order
    write: Callable[[bytes], None]

    async def run(self) -> Played:
        """Play, tidy up, and return what became of it."""
        order = self.order
        tls = TlsOptions.model_validate(order.tls)
        options = Options(ip=order.ip, tls=tls, alpn=HTTP1_ALPN, follow_redirects=False)
        with POLICY.set(order.policy):
            async with Driver(options) as driver:
                course = self._course(driver)
                user = User(
                    course,
                    defaults=Defaults(
                        order.headers, order.request_s, order.redirects, order.max_body
                    ),
                    dialing=options,
                    secrets=dict(order.secrets),
                )
                failure = await self._main(course, user)
                await self._tidy_up(course, user)
                return course.played(failure)

    def _course(self, driver: Driver) -> Course:
        order = self.order
        scope = Scope(
            run_id=order.run_id,
            iteration=order.iteration,
            random=chance(None, 0),
            now=lambda: datetime.now(UTC),
            environ=os.environ,
            row=order.row,
            vars=order.vars,
            secrets=order.secrets,
        )
        journey = Journey(
            name=order.journey,
            base_url=order.base_url,
            timeout_s=order.timeout_s,
            cleanup_timeout_s=order.cleanup_s,
        )
        context = Context(scope, monotonic)
        course = Course(
            journey,
            context,
            driver,
            blame=self._blame,
            names=order.names,
            origins=order.origins,
            told=self._told,
        )
        course.stage.prepare()
        # what the journey has was filled in by the parent
        scope.row, scope.vars, scope.secrets = order.row, order.vars, order.secrets
        return course

    def _told(self, step: StepResult) -> None:
        self.write(step_line(step))

    # --- the function

    async def _main(self, course: Course, user: User) -> Failure | None:
        order, stage = self.order, course.stage
        stage.part = Part.STEPS
        stage.begin(max(0.0, order.ends_at - monotonic()), "all steps")
        task = asyncio.ensure_future(self._call(user))
        ending = _Ending(task, asyncio.current_task(), asyncio.get_running_loop())
        signal.signal(signal.SIGTERM, ending.heard)
        await asyncio.wait({task}, timeout=max(0.0, order.ends_at - monotonic()))
        is_late, ending.is_over = ending.is_over or not task.done(), True
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_S)
        failure = self._end_of(task) if task.done() else None
        failure = self._late() if is_late else failure
        if failure is not None and failure.phase is None and course.current is not None:
            failure = Failure(failure.reason, failure.message, course.current)
        return failure

    async def _call(self, user: User) -> None:
        try:
            function = load(self.order)
            await function(user)
        except (SystemExit, KeyboardInterrupt) as error:
            # they would end the loop, and with it the clean-ups
            text = f"want a function that returns, got {type(error).__name__}"
            raise CheckFailed(Reason.CONFIG, text) from None

    def _end_of(self, task: "asyncio.Task[None]") -> Failure | None:
        """Return why the function did not go through."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            return None
        if not isinstance(error, CheckFailed | Overdue | asyncio.CancelledError):
            sys.stderr.write(f"{one_line(repr(error))}\n{trace(error, self.order.path)}\n")
        return self._blame(error)

    def _late(self) -> Failure:
        order = self.order
        if monotonic() < order.ends_at:
            return Failure(Reason.INTERNAL, "want all steps, got a stop of the prober")
        text = f"want all steps within {format_duration(order.timeout_s)}, got no end"
        return Failure(Reason.TIMEOUT, text)

    def _blame(self, error: BaseException) -> Failure:
        if isinstance(error, Overdue | asyncio.CancelledError):
            return self._late()
        return blame(error, self.order.path)

    # --- clean-ups

    async def _tidy_up(self, course: Course, user: User) -> None:
        stage = course.stage
        stage.part = Part.CLEANUP
        stage.begin(self.order.cleanup_s, "all of the clean-up")
        while user.cleanups:
            function, arguments = user.cleanups.pop()
            task = asyncio.ensure_future(_called(function, arguments))
            await asyncio.wait({task}, timeout=stage.left())
            name = getattr(function, "__name__", "clean-up")
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=STOP_S)
                budget = format_duration(self.order.cleanup_s)
                text = f"clean-up {name}: want all of the clean-up within {budget}, got no end"
                stage.warn(Failure(Reason.TIMEOUT, text))
                return
            error = task.exception() if not task.cancelled() else asyncio.CancelledError()
            if error is not None:
                failure = self._blame(error)
                stage.warn(Failure(failure.reason, f"clean-up {name}: {failure.message}"))


async def _called(function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
    try:
        await function(*arguments)
    except (SystemExit, KeyboardInterrupt) as error:
        text = f"want a clean-up that returns, got {type(error).__name__}"
        raise CheckFailed(Reason.CONFIG, text) from None


def load(order: Order) -> Callable[[User], Awaitable[object]]:
    """Run the module and return its function.

    Raises:
        Exception: what the module raises.
        CheckFailed: ``config``: there is no such function.
    """
    module = ModuleType(MODULE)
    module.__file__ = order.path
    # dataclasses and pickle look a module up by its name
    sys.modules[MODULE] = module
    exec(compile(order.source, order.path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user's own code, in a process of its own
    function: Any = getattr(module, order.function, None)
    if not callable(function):
        raise CheckFailed(Reason.CONFIG, f"want a function {order.function}, got none")
    return cast("Callable[[User], Awaitable[object]]", function)


def _follow_parent() -> None:
    """End with the parent: its end of the pipe closes, whatever it died of."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Play what stdin orders."""
    reports = int(sys.argv[1])
    order = read_order(sys.stdin.buffer.readline())
    # what the code starts must not hold the pipe open, nor read our stdin
    os.set_inheritable(reports, False)  # noqa: FBT003 - as the library has it
    threading.Thread(target=_follow_parent, daemon=True).start()
    with os.fdopen(reports, "wb", buffering=0) as channel:

        def write(line: bytes) -> None:
            rest = memoryview(line)
            while rest:
                rest = rest[channel.write(rest) or 0 :]

        played = asyncio.run(Play(order, write).run())
        sys.stdout.flush()
        sys.stderr.flush()
        write(end_line(played))
    # threads and children of the code are not waited for
    os._exit(0)


if __name__ == "__main__":
    main()
