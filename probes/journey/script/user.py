"""The user of a journey in Python: what its function is given.

    from probes.journey.script.user import User

    async def checkout(user: User) -> None:
        answer = await user.post("login", "/api/login", json={"user": "ada"}, expect=200)
        token = answer.json()["token"]
        user.cleanup(logout, token)
        async with user.step("pay") as pay:
            await pay.post("/api/pay", headers={"Authorization": f"Bearer {token}"})
            user.expect(answer.status == 200, "want a paid cart")

Every request is a step or belongs to one, and is judged like a step in YAML: without ``expect`` its
status must be 2xx. What misses raises `CheckFailed`; code that catches it goes on, and the run is
degraded. Knows no process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Unpack

from probes.errors import CheckFailed
from probes.journey.language.view import View
from probes.journey.playing.tally import Tally
from probes.journey.script.answer import Answer
from probes.journey.script.asked import Defaults, Keys, http_step
from probes.journey.script.blame import one_line
from probes.journey.script.course import Course, OpenStep
from probes.journey.script.feed import OpenSocket, SocketStep
from probes.journey.steps import HttpStep
from probes.result import Failure, Reason
from probes.wire.http.options import Options

MAX_CLEANUPS = 100


class Step:
    """A step that is under way; its requests count together."""

    def __init__(self, user: "User", tally: Tally) -> None:
        self._user = user
        self._tally = tally

    @property
    def name(self) -> str:
        """Its name."""
        return self._tally.step

    async def get(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """GET; the keys are those of `Keys`."""
        return await self.request("GET", url, **keys)

    async def post(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """POST; the keys are those of `Keys`."""
        return await self.request("POST", url, **keys)

    async def put(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """PUT; the keys are those of `Keys`."""
        return await self.request("PUT", url, **keys)

    async def patch(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """PATCH; the keys are those of `Keys`."""
        return await self.request("PATCH", url, **keys)

    async def delete(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """DELETE; the keys are those of `Keys`."""
        return await self.request("DELETE", url, **keys)

    async def head(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """HEAD; the keys are those of `Keys`."""
        return await self.request("HEAD", url, **keys)

    async def options(self, url: str, **keys: Unpack[Keys]) -> Answer:
        """OPTIONS; the keys are those of `Keys`."""
        return await self.request("OPTIONS", url, **keys)

    async def request(self, method: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """Send a request and judge its answer.

        Args:
            method: such as ``GET``.
            url: a path behind the base URL, or an absolute one.
            keys: as `Keys` tells.

        Raises:
            CheckFailed: it failed.
        """
        user = self._user
        return await user.send(http_step(self.name, method, url, keys, user.defaults), self._tally)

    def expect(self, condition: object, message: str) -> None:
        """Fail the step when *condition* does not hold; *message* says what was wanted.

        Raises:
            CheckFailed: it does not.
        """
        self._user.expect(condition, message)

    def warn(self, condition: object, message: str) -> None:
        """Degrade the run when *condition* does not hold."""
        if not condition:
            self._tally.warn(Failure(Reason.VALUE, one_line(message)), "body")


class User:
    """Who plays a journey: sends requests, opens steps, expects."""

    def __init__(
        self, course: Course, *, defaults: Defaults, dialing: Options, secrets: Mapping[str, str]
    ) -> None:
        scope = course.stage.scope
        self.course = course
        self.defaults = defaults
        self.dialing = dialing
        self.cleanups: list[tuple[Callable[..., Awaitable[object]], tuple[Any, ...]]] = []
        self.vars: Mapping[str, Any] = scope.vars
        """``vars:`` of the journey, ``--var`` over them."""
        self.secrets: Mapping[str, str] = secrets
        """``secrets:`` of the journey; shown nowhere."""
        self.row: Mapping[str, Any] = scope.row or {}
        """The row of ``data:`` of this run."""
        self.run_id: str = scope.run_id
        """Different in each run."""
        self.iteration: int = scope.iteration
        """Number of the run, from 0."""

    # --- steps of one request

    async def get(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """GET, as a step of its own; the keys are those of `Keys`."""
        return await self.request("GET", step, url, **keys)

    async def post(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """POST, as a step of its own; the keys are those of `Keys`."""
        return await self.request("POST", step, url, **keys)

    async def put(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """PUT, as a step of its own; the keys are those of `Keys`."""
        return await self.request("PUT", step, url, **keys)

    async def patch(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """PATCH, as a step of its own; the keys are those of `Keys`."""
        return await self.request("PATCH", step, url, **keys)

    async def delete(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """DELETE, as a step of its own; the keys are those of `Keys`."""
        return await self.request("DELETE", step, url, **keys)

    async def head(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """HEAD, as a step of its own; the keys are those of `Keys`."""
        return await self.request("HEAD", step, url, **keys)

    async def options(self, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """OPTIONS, as a step of its own; the keys are those of `Keys`."""
        return await self.request("OPTIONS", step, url, **keys)

    async def request(self, method: str, step: str, url: str, **keys: Unpack[Keys]) -> Answer:
        """Send a request as a step of its own; the keys are those of `Keys`."""
        async with self.step(step) as opened:
            return await opened.request(method, url, **keys)

    # --- the others

    def step(self, name: str) -> "_Steps":
        """Open a step of several requests: ``async with user.step("pay") as pay: ...``."""
        return _Steps(self, self.course.step(name))

    def ws(
        self,
        step: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocol: str = "",
        timeout: float | None = None,
    ) -> AbstractAsyncContextManager[OpenSocket]:
        """Open a WebSocket as a step: ``async with user.ws("feed", "/feed") as socket: ...``."""
        timeout_s = self.defaults.timeout_s if timeout is None else timeout
        opened = self.course.step(step)
        return SocketStep(opened, self.dialing, url, headers or {}, subprotocol, timeout_s)

    def expect(self, condition: object, message: str) -> None:
        """Fail the step that is under way, or the run, when *condition* does not hold.

        Args:
            condition: anything; its truth counts.
            message: what was wanted, such as ``f"want a total of 3, got {total}"``.

        Raises:
            CheckFailed: it does not hold.
        """
        if not condition:
            raise CheckFailed(Reason.VALUE, one_line(message))

    def warn(self, condition: object, message: str) -> None:
        """Degrade the run when *condition* does not hold."""
        if not condition:
            self.course.stage.warn(Failure(Reason.VALUE, one_line(message), self.course.current))

    def log(self, name: str, text: object) -> None:
        """Note a fact of the run; the same name again replaces it."""
        self.course.stage.log(str(name)[:100], str(text))

    def hide(self, *secrets: str) -> None:
        """Keep texts out of every outlet, such as a token that was computed."""
        self.course.stage.hide(map(str, secrets))

    async def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        await asyncio.sleep(seconds)

    def cleanup(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Have ``await function(*arguments)`` run at the end, whatever happens; the last first.

        Raises:
            CheckFailed: ``config``: too many.
        """
        if len(self.cleanups) >= MAX_CLEANUPS:
            raise CheckFailed(Reason.CONFIG, f"want at most {MAX_CLEANUPS} clean-ups, got more")
        self.cleanups.append((function, arguments))

    async def send(self, step: HttpStep, tally: Tally) -> Answer:
        """Send a request that belongs to a step that is under way.

        Raises:
            CheckFailed: it failed.
        """
        came = await self.course.ask(step, tally)
        stage, response = self.course.stage, came.response
        cookies = {it.name: it.value for it in reversed(stage.jar.sent_to(came.request.url))}
        names = (wanted.name for wanted in step.extract)
        return Answer(
            View(status=response.status, headers=response.headers, body=response.body),
            url=str(came.request.url),
            seconds=response.seconds,
            cookies=cookies,
            values={it: stage.scope.values[it] for it in names if it in stage.scope.values},
        )


@dataclass(slots=True)
class _Steps(AbstractAsyncContextManager[Step]):
    """Opens a step."""

    user: User
    opened: OpenStep

    async def __aenter__(self) -> Step:
        await self.opened.__aenter__()
        return Step(self.user, self.opened.tally)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.opened.__aexit__(kind, error, traceback)
