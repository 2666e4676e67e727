"""Keys of steps become steps: defaults merged in, texts compiled, every name proved.

Knows one step after the other; what concerns the whole is `probes.journey.loading.compile`'s.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from probes.journey.flaws import Path
from probes.journey.language.expression import Template, Tree, literal
from probes.journey.language.extract import Extract, ExtractKeys, extract
from probes.journey.language.judge import Expect, ExpectKeys, compile_expect
from probes.journey.loading.families import (
    IncludeKeys,
    LogKeys,
    RepeatKeys,
    SocketKeys,
    SqlKeys,
    ThinkKeys,
    TurnKeys,
    WaitKeys,
)
from probes.journey.loading.inclusion import Placed, headers_over
from probes.journey.loading.keys import (
    GraphqlKeys,
    Headers,
    HttpKeys,
    Poll,
    RpcKeys,
    StepKeys,
    WebKeys,
)
from probes.journey.loading.proof import Proof
from probes.journey.steps import (
    Body,
    Common,
    HttpStep,
    LogStep,
    RepeatStep,
    SocketStep,
    SqlStep,
    Step,
    ThinkStep,
    Turn,
    WaitStep,
)
from probes.journey.steps import Poll as PollStep
from probes.units import short
from probes.wire.url import parse_url

WEB = ("http://", "https://")
SOCKETS = ("ws://", "wss://")


class Assembly:
    """Makes the steps of one journey, in the order in which they are played."""

    def __init__(self, proof: Proof) -> None:
        self.is_relative = False
        """Whether a URL of it needs a base."""
        self._proof = proof
        self._makers: Mapping[type[StepKeys], Callable[[Any, Placed], Step]] = {
            HttpKeys: self._http,
            GraphqlKeys: self._graphql,
            RpcKeys: self._rpc,
            SocketKeys: self._socket,
            SqlKeys: self._sql,
            WaitKeys: self._wait,
            ThinkKeys: self._think,
            LogKeys: self._log,
            RepeatKeys: self._repeat,
            IncludeKeys: self._include,
        }

    def steps(self, placed: Iterable[Placed]) -> tuple[Step, ...]:
        """Return the steps of one part."""
        return tuple(self._step(it) for it in placed)

    def _step(self, placed: Placed) -> Step:
        make = self._makers[type(placed.keys)]
        with ExitStack() as around:
            if placed.guest is not None:
                around.enter_context(self._proof.guest(placed.guest.path, placed.guest.journey))
            around.enter_context(self._proof.played(placed.keys.load))
            if placed.keys.if_ is not None:
                around.enter_context(self._proof.perhaps())
            return make(placed.keys, placed)

    def _common(self, placed: Placed) -> Common:
        keys = placed.keys
        condition = None
        if keys.if_ is not None:
            condition = self._proof.condition((*placed.path, "if"), keys.if_)
        return Common(keys.name or "", condition, keys.load or "both", placed.path)

    # ------------------------------------------------------------------ over HTTP
    def _http(self, keys: HttpKeys, placed: Placed) -> HttpStep:
        verb = keys.verb
        common = self._common(placed)
        url = self._url((*placed.path, verb), getattr(keys, verb), WEB)
        params = tuple(
            (name, self._proof.tree((*placed.path, "params", name), value))
            for name, value in keys.params.items()
        )
        body = self._body(keys, placed.path)
        return self._web(keys, placed, (common, verb.upper(), url), params=params, body=body)

    def _body(self, keys: HttpKeys, path: Path) -> Body | None:
        values = {"json": keys.json_, "form": keys.form, "body": keys.body}
        for key in keys.bodies:
            value = self._proof.tree((*path, key), values[key])
            if key == "json":
                return Body("json", value)
            return Body("form" if key == "form" else "text", value)
        return None

    def _graphql(self, keys: GraphqlKeys, placed: Placed) -> HttpStep:
        asked, at = keys.graphql, (*placed.path, "graphql")
        common = self._common(placed)
        url = self._url((*at, "url"), asked.url, WEB)
        document: dict[str, Any] = {"query": literal(asked.query)}
        if asked.variables:
            document["variables"] = asked.variables
        if asked.operation is not None:
            document["operationName"] = asked.operation
        self._proof.tree((*at, "variables"), asked.variables)
        body = Body("json", self._proof.checked(document))
        return self._web(keys, placed, (common, "POST", url), body=body, envelope="graphql")

    def _rpc(self, keys: RpcKeys, placed: Placed) -> HttpStep:
        called, at = keys.rpc, (*placed.path, "rpc")
        common = self._common(placed)
        url = self._url((*at, "url"), called.url, WEB)
        call: dict[str, Any] = {"id": 1, "method": called.method}
        if called.version == "2.0":
            call = {"jsonrpc": "2.0", **call}
        if called.params is not None or called.version == "1.0":
            call["params"] = called.params or []
        self._proof.template((*at, "method"), called.method)
        self._proof.tree((*at, "params"), called.params)
        body = Body("json", self._proof.checked(call))
        return self._web(keys, placed, (common, "POST", url), body=body, envelope="rpc")

    def _web(
        self, keys: WebKeys, placed: Placed, begun: tuple[Common, str, Template], **more: Any
    ) -> HttpStep:
        http, path = placed.http, placed.path
        common, method, url = begun
        return HttpStep(
            common=common,
            method=method,
            url=url,
            headers=self._headers((*path, "headers"), keys.headers, http.headers),
            inherited=frozenset(headers_over(keys.headers, http.headers)) - keys.headers.keys(),
            timeout_s=http.timeout if keys.timeout is None else keys.timeout,
            redirects=http.redirects if keys.redirects is None else keys.redirects,
            max_body=http.max_body if keys.max_body is None else keys.max_body,
            expect=self._expect((*path, "expect"), keys.expect, wants_2xx=True)
            or Expect.status_2xx(),
            warn=self._expect((*path, "warn"), keys.warn),
            poll=self._poll((*path, "poll", "until"), keys.poll),
            extract=self._extracts((*path, "extract"), keys.extract),
            **more,
        )

    def _poll(self, path: Path, poll: Poll | None) -> PollStep | None:
        if poll is None:
            return None
        until = self._expect(path, poll.until) or Expect.anything()
        return PollStep(until, poll.every, poll.timeout)

    # ------------------------------------------------------------------ the other families
    def _socket(self, keys: SocketKeys, placed: Placed) -> SocketStep:
        talk, at = keys.ws, (*placed.path, "ws")
        timeout = placed.http.timeout if keys.timeout is None else keys.timeout
        return SocketStep(
            common=self._common(placed),
            url=self._url((*at, "url"), talk.url, SOCKETS),
            headers=self._headers((*at, "headers"), talk.headers, placed.http.headers),
            subprotocol=talk.subprotocol,
            turns=tuple(
                self._turn(turn, (*at, "dialog", index), timeout)
                for index, turn in enumerate(talk.dialog)
            ),
            timeout_s=timeout,
        )

    def _turn(self, turn: TurnKeys, path: Path, timeout_s: float) -> Turn:
        send = turn.send
        at = (*path, "send")
        tree = None
        if isinstance(send, str):
            tree = self._proof.tree(at, send)
        elif send is not None:
            tree = self._proof.tree((*at, "json"), send.json_)
        return Turn(
            send=tree,
            send_as="text" if send is None or isinstance(send, str) else "json",
            expect=self._expect((*path, "expect"), turn.expect),
            within=turn.within,
            timeout_s=min(timeout_s, timeout_s if turn.timeout is None else turn.timeout),
            extract=self._extracts((*path, "extract"), turn.extract),
        )

    def _sql(self, keys: SqlKeys, placed: Placed) -> SqlStep:
        asked, path = keys.sql, placed.path
        at = (*path, "sql")
        return SqlStep(
            common=self._common(placed),
            kind=asked.kind,
            target=self._proof.template((*at, "target"), asked.target),
            query=asked.query,
            parameters=tuple(
                self._proof.tree((*at, "parameters", index), value)
                for index, value in enumerate(asked.parameters)
            ),
            timeout_s=placed.http.timeout if keys.timeout is None else keys.timeout,
            expect=self._expect((*path, "expect"), keys.expect) or Expect.anything(),
            warn=self._expect((*path, "warn"), keys.warn),
            extract=self._extracts((*path, "extract"), keys.extract),
        )

    def _wait(self, keys: WaitKeys, placed: Placed) -> WaitStep:
        return WaitStep(self._common(placed), keys.wait)

    def _think(self, keys: ThinkKeys, placed: Placed) -> ThinkStep:
        return ThinkStep(self._common(placed), *keys.think)

    def _log(self, keys: LogKeys, placed: Placed) -> LogStep:
        common = self._common(placed)
        return LogStep(common, self._proof.template((*placed.path, "log"), keys.log))

    def _repeat(self, keys: RepeatKeys, placed: Placed) -> RepeatStep:
        common = self._common(placed)
        over: Tree | None = None
        if keys.repeat.over is not None:
            over = self._proof.tree((*placed.path, "repeat", "over"), keys.repeat.over)
        with self._proof.round(extracted(placed.inner)):
            inner = self.steps(placed.inner)
        return RepeatStep(common, keys.repeat.times, over, inner)

    def _include(self, _: IncludeKeys, placed: Placed) -> RepeatStep:
        # with a condition: it is judged once, in front of all its steps
        return RepeatStep(self._common(placed), 1, None, self.steps(placed.inner))

    # ------------------------------------------------------------------ parts of steps
    def _url(self, path: Path, text: str, schemes: tuple[str, ...]) -> Template:
        url = self._proof.template(path, text)
        if text.startswith(schemes):
            if url.is_constant:
                web = text.replace("ws", "http", 1) if schemes is SOCKETS else text
                self._proof.made(path, lambda: parse_url(web), None)
        elif not text or text[0] in "/?":
            self.is_relative = True
            if url.is_constant:
                self._proof.made(path, lambda: parse_url(f"http://host{text}"), None)
        elif not text.startswith("${"):
            forms = " or ".join(schemes)
            self._proof.flaw(path, f"want a path such as /login, or {forms}, got {short(text)}")
        return url

    def _headers(
        self, path: Path, own: Headers, outer: Headers
    ) -> tuple[tuple[str, Template], ...]:
        found: list[tuple[str, Template]] = []
        for name, text in headers_over(own, outer).items():
            if text is None:
                continue
            at = (*path, name) if name in own else ("http", "headers", name)
            value = self._proof.template(at, text)
            if value.is_constant and any(sign in text for sign in "\r\n\0"):
                self._proof.flaw(at, "want a text of one line, got line breaks or NUL")
            found.append((name, value))
        return tuple(found)

    def _expect(
        self, path: Path, keys: ExpectKeys | None, *, wants_2xx: bool = False
    ) -> Expect | None:
        if keys is None:
            return None
        expect = self._proof.made(
            path, lambda: compile_expect(keys, wants_2xx=wants_2xx), Expect.anything()
        )
        for key in ("headers", "header", "json", "css"):
            for name, wish in getattr(keys, f"{key}_" if key == "json" else key).items():
                self._proof.reads((*path, key, name), wish.reads)
        if keys.body is not None:
            self._proof.reads((*path, "body"), keys.body.reads)
        return expect

    def _extracts(self, path: Path, keys: Mapping[str, ExtractKeys]) -> tuple[Extract, ...]:
        found = [
            self._proof.made((*path, name), partial(extract, name, source), None)
            for name, source in keys.items()
        ]
        self._proof.learn(keys)
        return tuple(it for it in found if it is not None)


def extracted(placed: Iterable[Placed]) -> dict[str, str]:
    """Return every name that these steps take out of an answer, with the first such step."""
    found: dict[str, str] = {}
    for it in placed:
        keys = it.keys
        names: Iterable[str] = getattr(keys, "extract", ())
        if isinstance(keys, SocketKeys):
            names = [name for turn in keys.ws.dialog for name in turn.extract]
        for name in names:
            found.setdefault(name, keys.name or "")
        for name, step in extracted(it.inner).items():
            found.setdefault(name, step)
    return found
