"""One endpoint in one sample: its connections, its notebook, and the talk that is had with it.

    visit = Visit(setup, access, plan, recorder)
    await visit.drive(dialect.look(...))       # yields calls, is sent their answers

The I/O shell under a `Talk`. Knows neither what is asked nor what an answer means for a verdict.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from probes.chain.answer.classify import classify, classify_batch, classify_get
from probes.chain.answer.inquiry import BATCH
from probes.chain.indexer.sources import Source
from probes.chain.model import Endpoint, Group, Observation, Try
from probes.chain.plan import Plan
from probes.chain.reasons import ChainReason
from probes.chain.settings import AccessKeys, EndpointKeys, endpoint_url, header_pairs
from probes.chain.talk import Answer, Ask, Dialect, Talk
from probes.recorder import Recorder
from probes.wire.address import IpChoice, literal_address
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.jsonrpc import Call, Line, Reply
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url

T = TypeVar("T")

NOBODY = Answer("transport", outcome="connect", detail="want a usable endpoint to ask, got none")
# As if nobody were there: nothing is learnt, and nobody is to blame.
SPENT = Answer(
    "transport",
    outcome="connect",
    reason=ChainReason.BUDGET_SHED,
    detail="want a call, got none left of the budget",
)
# What ends all asking: it cannot be reached, or wants to be left alone.
_FINAL = frozenset({"transport", "rate_limited", "plan_exhausted", "auth_failed"})


@dataclass(frozen=True, slots=True)
class Access:
    """How an endpoint is reached."""

    endpoint: Endpoint
    url: Url
    options: Options
    headers: tuple[tuple[str, str], ...] = ()
    ws: Url | None = None
    lcd: Url | None = None


def access_of(
    keys: EndpointKeys,
    shared: AccessKeys,
    default_ws: Callable[[str], str | None],
    ip: IpChoice,
    *,
    listens: bool,
) -> Access:
    """Return how the endpoint of *keys* is reached.

    Args:
        keys: of the endpoint.
        shared: of its group.
        default_ws: gives the websocket address of an endpoint that names none.
        ip: which address of a name is dialled.
        listens: whether websockets are used at all.
    """
    text = keys.http.get_secret_value()
    ws = keys.ws.get_secret_value() if keys.ws is not None else default_ws(text)
    ws = ws if listens else None
    tls = keys.tls or shared.tls or TlsOptions()
    return Access(
        endpoint=Endpoint(
            name=keys.name,
            role=keys.role,
            load_balanced=keys.load_balanced,
            websocket=ws is not None,
            health_text=keys.health_mode == "http_text",
            lcd=keys.lcd is not None,
        ),
        url=endpoint_url(text),
        options=Options(ip=ip, tls=tls, alpn=HTTP1_ALPN, follow_redirects=False),
        headers=header_pairs(shared.headers, keys.headers, keys.auth or shared.auth),
        ws=endpoint_url(ws) if ws is not None else None,
        lcd=endpoint_url(keys.lcd.get_secret_value()) if keys.lcd is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a sample needs to know of its group.

    Args:
        group: what is judged.
        dialect: how it speaks.
        access: by name of the endpoint.
        call_timeout_s: of one try.
        retries: of one call.
        sources: of its indexers.
    """

    group: Group
    dialect: Dialect
    access: Mapping[str, Access]
    call_timeout_s: float
    retries: int
    sources: tuple[Source, ...] = ()


class Visit:
    """One endpoint in one sample.

    Args:
        setup: of the group.
        access: how it is reached.
        plan: what it is to be asked.
        recorder: of its own phases and facts; its deadline bounds every call.
    """

    def __init__(self, setup: Setup, access: Access, plan: Plan, recorder: Recorder) -> None:
        self.access = access
        self.plan = plan
        self.recorder = recorder
        self.seen = Observation(
            access.endpoint.name, shed=set(plan.shed), left_alone=plan.left_alone
        )
        self.started_at = datetime.now(UTC)
        self._ended: dict[str, Answer] = {}
        self._setup = setup
        # phases of another service are no phases of the endpoint
        self._aside = Recorder(recorder.deadline)
        self._lines: dict[str, Line] = {}
        for url in (access.url, access.ws, access.lcd):
            if url is not None and literal_address(url.host, url.port) is None:
                # the name in the file is all that is shown: some providers put a key into the host
                recorder.hide(url.host)

    @property
    def endpoint(self) -> Endpoint:
        """Whom it asks."""
        return self.access.endpoint

    @property
    def lost(self) -> Answer | None:
        """Why nothing more is asked in this sample."""
        return self._ended.get("rpc")

    def limit(self, ends: float) -> None:
        """Let every call end by *ends*, on the clock of the loop."""
        self.recorder.deadline = self._aside.deadline = ends

    async def drive(self, talk: Talk[T]) -> T:
        """Let *talk* ask until it is done."""
        answer: Answer | tuple[Answer, ...] | None = None
        while True:
            try:
                wanted = talk.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(wanted, Ask):
                answer = await self._answer(wanted)
            elif self._travels_as_one(wanted):
                answer = await self._batch(wanted)
            else:
                answer = tuple([await self._answer(ask) for ask in wanted])

    def _travels_as_one(self, wanted: tuple[Ask, ...]) -> bool:
        """Return whether *wanted* is sent as a batch: one is proven, or this is the proof."""
        allowed = self.plan.batch or {ask.topic for ask in wanted} == {BATCH}
        return allowed and len(wanted) > 1 and {ask.via for ask in wanted} == {"rpc"}

    def close(self) -> None:
        """End the connections."""
        for line in self._lines.values():
            line.close()

    async def _batch(self, asks: tuple[Ask, ...]) -> tuple[Answer, ...]:
        line = self._line("rpc")
        if self.lost is not None or line is None:
            return (self.lost or NOBODY,) * len(asks)
        if any(self._is_spent(ask, len(asks)) for ask in asks):
            return (SPENT,) * len(asks)
        reply = await line.batch([_call(ask) for ask in asks])
        answers = classify_batch(self._setup.group.family, asks, reply, wall())
        for ask, answer in zip(asks, answers, strict=True):
            self._note(ask, answer)
        self._judge(asks[0], answers[0])
        return answers

    async def _answer(self, ask: Ask) -> Answer:
        service = "lcd" if ask.via == "lcd" else "rpc"
        ended = self._ended.get(service)
        if ended is not None:
            return ended
        line = self._line(service)
        if line is None:
            return NOBODY
        if self._is_spent(ask):
            return SPENT
        if ask.via == "rpc":
            reply = await line.call(_call(ask))
        else:
            reply = await line.get(ask.path, max_body=ask.max_body)
        for earlier in reply.earlier:
            self._note(ask, self._classify(ask, earlier))
        if reply.earlier:
            self.recorder.fact("tries", f"{1 + len(reply.earlier)} of {ask.method}")
        answer = self._classify(ask, reply)
        self._note(ask, answer)
        self._judge(ask, answer)
        return answer

    def _is_spent(self, ask: Ask, calls: int = 1) -> bool:
        """Return whether the budget has no room for *calls*, and note what it costs us.

        A scan may want more than any plan foresees. Without a core method there is no judgement.
        """
        if ask.core or len(self.seen.tries) + calls <= self.plan.calls:
            return False
        self.seen.shed.add(ask.topic)
        return True

    def _classify(self, ask: Ask, reply: Reply) -> Answer:
        if ask.via == "rpc":
            return classify(self._setup.group.family, ask, reply, wall())
        return classify_get(reply, wall())

    def _note(self, ask: Ask, answer: Answer) -> None:
        seen = self.seen
        seen.tries.append(Try(ask.method, answer.outcome, answer.code, answer.seconds or None))
        if ask.via == "lcd":
            return
        self.seen.peer = self._lines["rpc"].session.peer
        if answer.kind == "rate_limited":
            seen.retry_after_s = max(answer.retry_after_s or 0.0, seen.retry_after_s or 0.0)

    def _judge(self, ask: Ask, answer: Answer) -> None:
        if answer.kind in _FINAL:
            service = "lcd" if ask.via == "lcd" else "rpc"
            self._ended[service] = replace(answer, seconds=0.0)

    def _line(self, service: str) -> Line | None:
        line = self._lines.get(service)
        if line is None:
            access = self.access
            url = access.lcd if service == "lcd" else access.url
            if url is None:
                return None
            line = self._lines[service] = Line(
                url,
                self.recorder if service == "rpc" else self._aside,
                access.options,
                headers=access.headers,
                call_timeout_s=self._setup.call_timeout_s,
                retries=self._setup.retries,
            )
        return line


def _call(ask: Ask) -> Call:
    return Call(ask.method, ask.params, ask.max_body, ask.timed)


def wall() -> float:
    """Return Unix time in seconds."""
    return datetime.now(UTC).timestamp()
