"""Users of stock Locust files, unchanged, by the tickets of a shard: load.md 5.5.

    load_class    the file becomes user classes
    Stock         takes a ticket for each pick of a task, counts iterations, requests and set-ups

Locust's loop stays in charge: `on_start`, nested task sets, `interrupt` and `wait_time` work as
there. It is handed in and never imported here: whoever imports it patches the process.
"""

import ssl
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from probes.result import Outcome, Reason
from probes.units import short
from probes.wire.failures import classify
from scenarios.child.counting import INTERRUPTED, Asked, Counts
from scenarios.child.fence import Fenced
from scenarios.child.loading import PlanError
from scenarios.child.player import CutOff, Ticket
from scenarios.child.pool import Desk, Seat
from scenarios.plan import Part

# load.md 5.3
SETUP_WAIT_S = 1.0
# An exception of a client wraps that of the socket, a few deep.
_MAX_WRAPPED = 12
FIRST_ERROR = 400
OURS = "sonde"
"""In the context of a request that a journey has made: it is counted already."""


# --- the file


def load_class(part: Part, load: Callable[[str], tuple[Mapping[str, Any], Any]]) -> tuple[Any, str]:
    """Return the user class of a part, and a warning or an empty text.

    Args:
        part: of the mix, with a locust file.
        load: Locust's ``load_locustfile``.

    Raises:
        PlanError: the file is not what the plan was made with, breaks, or has no such class.
    """
    path = Path(part.locustfile)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path.name}: want a readable file, got {error.strerror}") from None
    if part.sha256 and sha256(content).hexdigest() != part.sha256:
        raise PlanError(f"{path.name}: want the file that the plan was made with, got another")
    # what breaks in there may be anything, an exit too
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(load, str(path))
        broken = loading.exception()
    if broken is not None:
        raise PlanError(_blame(broken, path))
    classes, shapes = loading.result()
    if part.name not in classes:
        known = ", ".join(sorted(classes)) or "none"
        raise PlanError(f"{path.name}: want a user class {short(part.name)}, got {known}")
    told = "a shape class is ignored: the stages of the scenario rule" if shapes else ""
    return classes[part.name], f"{path.name}: {told}" if told else ""


def _blame(error: BaseException, path: Path) -> str:
    """Return file, line and what happened."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or path).name}:{error.lineno}: {error.msg}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]  # fmt: skip
    where = f"{path.name}:{lines[-1]}" if lines else path.name
    return f"{where}: {type(error).__name__}: {short(str(error))}"


# --- requests


def reason_of(error: BaseException | None, status: int) -> Reason:
    """Return why a request of some client failed."""
    for inner in _unwrapped(error):
        if isinstance(inner, Fenced):
            return Reason.POLICY
        # those of `requests` are OSErrors too, and say nothing
        if isinstance(inner, ssl.SSLError) and not hasattr(inner, "reason"):
            return Reason.TLS  # made by hand: OpenSSL's own have one
        if isinstance(inner, OSError | EOFError) and not _is_of_client(inner):
            return classify(inner, phase=None).reason
        if "Timeout" in type(inner).__name__:
            return Reason.TIMEOUT
    if status >= FIRST_ERROR:
        return Reason.STATUS
    return Reason.VALUE


def own_reason(error: BaseException | None) -> Reason:
    """Return why the code of a locust file broke: the fence of the run, or the file itself."""
    is_fenced = any(isinstance(inner, Fenced) for inner in _unwrapped(error))
    return Reason.POLICY if is_fenced else Reason.INTERNAL


def _is_of_client(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("requests", "urllib3", "locust")


def _unwrapped(error: BaseException | None) -> list[BaseException]:
    """Return an exception and what it wraps, the innermost first."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(found) < _MAX_WRAPPED:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [one.__context__, one.__cause__, getattr(one, "reason", None), *one.args]
    return found[::-1]


# --- users


def _nobody(_: str) -> None:
    return


class Stock:
    """The users of locust files in one shard.

    Args:
        locust: ``TaskSet``, ``DefaultTaskSet``, ``StopUser``, ``StopTest``, and ``goings_on``:
            exceptions with which a task says how to go on.
        desk: hands out the tickets.
        counts: of the shard.
        environment: of Locust.
        parts: which class is of which part of the mix.
    """

    def __init__(
        self, locust: Any, desk: Desk, counts: Counts, environment: Any, parts: Mapping[int, str]
    ) -> None:
        self.desk = desk
        self.counts = counts
        self.environment = environment
        self.locust = locust
        self.ends: Callable[[str], None] = _nobody
        """Told how a user has asked for the end of the test."""
        self._parts = parts
        self._here = threading.local()
        self._is_open = desk.plan.model == "open"

    def subclass(self, kind: Any) -> Any:
        """Return a class that is *kind*, and tells us when it begins and ends."""
        stock = self

        def run(user: Any) -> None:
            try:
                kind.run(user)
            except CutOff:
                return
            except SystemExit as error:
                # gevent would end the whole process, without a last word
                stock.ends(f"SystemExit({error.code!r})")

        def on_start(user: Any) -> None:
            stock.set_up(user, kind)

        values = {"run": run, "on_start": on_start, "__module__": kind.__module__,
                  "sonde_seat": None, "sonde_turn": None, "sonde_took": True}  # fmt: skip
        return type(kind)(kind.__name__, (kind,), values)

    def set_up(self, user: Any, kind: Any) -> None:
        """Begin a user, again and again until it is good.

        Raises:
            Exception: Locust's ``StopUser``: it is to leave before that.
        """
        name = self._parts[user.sonde_seat.part]
        while True:
            self._here.turn = None
            self._here.name = name
            with Foreign(partial(self._has_set_up, user, name)):
                kind.on_start(user)
                return
            if self.desk.rest(user.sonde_seat, SETUP_WAIT_S):
                raise self.locust.StopUser

    def install(self) -> None:
        """Let every task set ask for a ticket before it plays a task, and wait as we say."""
        for kind in (self.locust.TaskSet, self.locust.DefaultTaskSet):
            kind.execute_task = _gated(self, kind.execute_task)
        task_set = self.locust.TaskSet
        task_set.wait = _waited(self, task_set.wait)

    def play(self, user: Any, execute: Callable[[], None]) -> None:
        """Play one pick of the tasks of *user* for one ticket.

        Raises:
            Exception: Locust's ``StopUser``: no ticket is left; what a task goes on by.
        """
        ticket = self.desk.take(user.sonde_seat)
        if ticket is None:
            raise self.locust.StopUser
        name = self._parts[user.sonde_seat.part]
        self._here.name = name
        user.sonde_took = True
        user.sonde_turn = self._here.turn = turn = _Turn(self, user, name, ticket)
        try:
            with Foreign(turn.end):
                execute()
        finally:
            user.sonde_turn = self._here.turn = None

    def wait(self, user: Any, seconds: Callable[[], float]) -> None:
        """Wait between two tasks; arrivals of the open model wait for nobody.

        Raises:
            Exception: Locust's ``StopUser``: it is to leave.
        """
        pause = 0.0 if self._is_open else seconds()
        if not user.sonde_took:
            # nothing was played: a nested set cannot begin, and would try for ever
            pause = max(pause, SETUP_WAIT_S)
        user.sonde_took = False
        if self.desk.rest(user.sonde_seat, pause):
            raise self.locust.StopUser

    def _has_set_up(self, user: Any, name: str, error: BaseException | None) -> bool:
        """Count one try to begin a user; return whether it may try again after *error*."""
        if error is None:
            self.counts.setup(name, None)
            return False
        self.heed(error)
        if not isinstance(error, Exception) or isinstance(error, self.locust.goings_on):
            return False
        self.counts.setup(name, "on_start")
        self.failed(user, error, "on_start")
        return True

    def failed(self, user: Any, error: Exception, name: str) -> None:
        """Tell of an exception in the code of a user."""
        self._here.where = name
        try:
            self.environment.events.user_error.fire(
                user_instance=user, exception=error, tb=error.__traceback__
            )
        finally:
            self._here.where = None

    def erred(self, exception: BaseException, **_: Any) -> None:
        """Tell of an exception; a listener of Locust's event, which knows of all of them."""
        # between two tasks: no tasks, a task set that cannot begin, a wait time that is none
        where = getattr(self._here, "where", None) or "user"
        error = getattr(exception, "original", exception)
        text = f"{type(error).__name__}: {exception}"
        self.counts.error(where, own_reason(error).value, text)

    def fenced(self, name: str, seconds: float, ticket: Ticket) -> None:
        """Count what the fence of the run has refused to a task."""
        outcome, reason = Outcome.UNKNOWN.value, Reason.POLICY.value
        asked = Asked(name, "task", "", 0, outcome, reason, ticket.is_measured)
        self.counts.request(asked, seconds)

    def heed(self, error: BaseException | None) -> None:
        """End the run where *error* asks for that."""
        if isinstance(error, self.locust.StopTest):
            self.ends(f"StopTest({short(str(error))})")

    def heard(
        self,
        request_type: str,
        name: str,
        response_time: float | None = None,
        response_length: int | None = None,
        exception: BaseException | None = None,
        **more: Any,
    ) -> None:
        """Count a request; a listener of Locust's event."""
        if more.get("context") == OURS:
            return
        turn: _Turn | None = getattr(self._here, "turn", None)
        journey = getattr(self._here, "name", None) or next(iter(self._parts.values()))
        is_setup = turn is None and hasattr(self._here, "turn")
        measured = turn.ticket.is_measured if turn else not is_setup and self.desk.is_measured()
        status = getattr(more.get("response"), "status_code", 0)
        status = status if isinstance(status, int) else 0
        outcome, reason = Outcome.UP, ""
        if exception is not None:
            found = reason_of(exception, status)
            outcome = Outcome.UNKNOWN if found.is_own_fault else Outcome.DOWN
            reason = found.value
            self.counts.error(str(name), reason, str(exception))
        asked = Asked(
            journey, str(name), str(request_type), status, outcome.value, reason, measured
        )
        self.counts.request(asked, (response_time or 0) / 1000, 0, max(0, response_length or 0))


class Foreign:
    """The code of a locust file runs in here.

    Args:
        judge: gets what it raised, None: nothing; says whether that is dealt with.
    """

    __slots__ = ("_judge",)

    def __init__(self, judge: Callable[[BaseException | None], bool]) -> None:
        self._judge = judge

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        return self._judge(error)


class _Turn:
    """One iteration, which has begun: it counts how the task starts and how it ends."""

    def __init__(self, stock: Stock, user: Any, name: str, ticket: Ticket) -> None:
        self._stock = stock
        self._user = user
        self._name = name
        self._began = monotonic()
        self.ticket = ticket
        stock.counts.started(
            name,
            measured=ticket.is_measured,
            delay_s=None if ticket.due_at is None else self._began - ticket.due_at,
        )

    def end(self, error: BaseException | None) -> bool:
        """Count how the task ended; return whether *error* is dealt with, without a traceback.

        Raises:
            Exception: Locust's ``StopUser``, in the place of a user who was cut off.
        """
        stock, outcome, is_dealt_with = self._stock, Outcome.UP.value, False
        if error is not None and not isinstance(error, Exception):
            # cut off, killed, out of a time of its own, or an exit
            outcome = INTERRUPTED
        elif error is not None and not isinstance(error, stock.locust.goings_on):
            outcome, is_dealt_with = Outcome.DOWN.value, True
            if own_reason(error) is Reason.POLICY:
                # of a socket of its own: no client tells of this request
                outcome = Outcome.UNKNOWN.value
                stock.fenced(self._name, monotonic() - self._began, self.ticket)
        ended, due = monotonic(), self.ticket.due_at
        stock.counts.ended(
            self._name,
            outcome,
            ended - self._began,
            None if due is None else ended - due,
            measured=self.ticket.is_measured,
        )
        if is_dealt_with and isinstance(error, Exception):
            stock.failed(self._user, error, "task")
        stock.heed(error)
        if isinstance(error, CutOff):
            raise stock.locust.StopUser from None
        return is_dealt_with


def _gated(stock: Stock, execute: Any) -> Any:
    task_set = stock.locust.TaskSet

    def execute_task(self: Any, task: Any) -> None:
        seat: Seat | None = getattr(self.user, "sonde_seat", None)
        if seat is None or (isinstance(task, type) and issubclass(task, task_set)):
            execute(self, task)
        else:
            stock.play(self.user, lambda: execute(self, task))

    return execute_task


def _waited(stock: Stock, original: Any) -> Any:
    def wait(self: Any) -> None:
        user = self.user
        if getattr(user, "sonde_seat", None) is None or user.sonde_turn is not None:
            # a pause that the task itself asks for
            original(self)
        else:
            stock.wait(user, self.wait_time)

    return wait
