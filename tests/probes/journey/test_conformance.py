"""Every driver tells the same of the same journey: the check over a wire, and the one in memory.

Each row is a journey as a file writes it, played against the same fake through each of `DRIVERS`
and in memory: states, reasons, messages, requests as they came, values, warnings, hidden texts.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.model import Played
from probes.journey.steps import Journey
from probes.result import Reason
from tests.probes.journey.conformance import DRIVERS, Fake, Play, by_memory, listening, told

Step = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One journey and how it ends.

    Attributes:
        steps: as in a file.
        keys: of the journey.
        reason: why it fails; None: it goes through.
        timed: how often it asks depends on the clock.
    """

    steps: list[Step]
    keys: dict[str, Any] = field(default_factory=dict)
    reason: Reason | None = None
    timed: bool = False


def row(
    name: str, *steps: Step, reason: Reason | None = None, timed: bool = False, **keys: Any
) -> Any:
    return pytest.param(Row(list(steps), keys, reason, timed), id=name)


def get(name: str, path: str = "/ok", **more: Any) -> Step:
    return {"name": name, "get": path, **more}


def post(name: str, path: str = "/echo", **more: Any) -> Step:
    return {"name": name, "post": path, **more}


LATER = get("later")
HOME = {"$.path": "/echo/home"}

JOURNEYS = [
    # --- requests as they are sent
    row("one request", get("a")),
    row("three requests", get("a"), post("b"), get("c", "/echo?x=1")),
    row("every verb", *({"name": verb, verb: "/echo"} for verb in
                        ("get", "post", "put", "patch", "delete", "options"))),
    row("head has no body", {"name": "a", "head": "/ok", "expect": 200}),
    row("parameters are encoded", get("a", "/echo?z=1", params={"q": "a b&ü", "l": [1, 2]})),
    row("a JSON body", post("a", json={"name": "Ünï", "n": 1.5, "none": None, "l": [True]})),
    row("a form", post("a", form={"user": "ann b", "p": "a&b=c"})),
    row("a text", post("a", body="plain ${vars.x}", headers={"Content-Type": "text/x"}),
        vars={"x": "é"}),
    row("headers over defaults", get("a", "/echo", headers={"X-A": "2", "X-None": None}),
        http={"headers": {"x-a": "1", "X-B": "b", "X-None": "gone"}}),
    row("user and password in the URL", get("a", "/echo", headers={"Authorization": "Basic eDp5"})),
    # --- variables
    row("a value goes on", get("a", extract={"id": "$.items[0].id"}),
        post("b", "/echo/${id}", json={"id": "${id}", "text": "n${id}"})),
    row("many values", get("a", extract={"ids": "$.items[*].id", "first": "$.items[0]"}),
        post("b", json={"ids": "${ids}", "first": "${first}"})),
    row("a header and a pattern", get("a", "/echo", extract={
        "trace": {"header": "x-TRACE"}, "word": {"regex": '"path": "/([a-z]+)"'}})),
    row("CSS", get("a", "/page", extract={
        "csrf": {"css": "#login input", "attribute": "value"}, "title": {"css": "h1"}},
        expect={"css": {".item": {"size": 2}}})),
    row("an optional value and a default", get("a", extract={
        "x": {"json": "$.x", "optional": True}, "y": {"json": "$.y", "default": [1]}}),
        post("b", json={"y": "${y}"})),
    row("a value that is not there", get("a", extract={"id": "$.nope"}), LATER,
        reason=Reason.EXTRACT),
    row("functions", post("a", json={
        "a": "${uuid()}", "b": "${now('unix')}", "c": "${random(['x', 'y'])}", "d": "${seq()}",
        "e": "${sha256(run_id)}", "f": "${randint(1, 9)}", "g": "${hmac('k', 'v')}"})),
    row("secrets", post("a", "/echo", json={"p": "${secrets.word}"}, expect=500),
        secrets={"word": "opensesame"}, reason=Reason.STATUS),
    row("a condition", get("a", "/ok", extract={"ok": "$.ok"}),
        get("b", "/echo/b", **{"if": "${ok} == true"}),
        get("c", "/echo/c", **{"if": "${ok} == false"})),
    # --- cookies and redirects
    row("cookies are kept", get("a", "/set?a=1&b=2"), get("b", "/echo"), get("c", "/forget/a"),
        get("d", "/echo")),
    row("a cookie as a value", get("a", "/set?sid=s-12345678", extract={"sid": {"cookie": "sid"}})),
    row("a form that redirects", post("a", "/login", form={"u": "x"}, expect={"json": HOME}),
        get("b", "/echo")),
    row("a redirect keeps the method", post("a", "/to/307?url=/echo", json={"x": 1})),
    row("a redirect makes it GET", post("a", "/to/302?url=/echo", json={"x": 1})),
    row("a redirect that is judged", get("a", "/to/301?url=/echo", redirects=0, expect={
        "status": 301, "headers": {"Location": "/echo"}})),
    row("some hops", get("a", "/hops/3"), http={"redirects": 3}),
    row("too many hops", get("a", "/hops/4"), LATER, http={"redirects": 3},
        reason=Reason.REDIRECT),
    row("a loop", get("a", "/loop"), LATER, reason=Reason.REDIRECT),
    row("another origin", get("s", "/set?a=1"),
        post("a", "/away", json={"x": 1}, headers={"Authorization": "Bearer t-12345678"})),
    row("a redirect to nowhere", get("a", "/to/302?url=ftp:%2F%2Fx%2F"), reason=Reason.BLOCKED),
    # --- judgement
    row("a wrong status", get("a", "/status/500"), LATER, reason=Reason.STATUS),
    row("a wanted status", get("a", "/status/404", expect=[404, 410])),
    row("304 is judged", get("a", "/empty/304", expect=304)),
    row("a page of errors in Latin-1", get("a", "/latin"), LATER, reason=Reason.STATUS),
    row("wrong JSON", get("a", expect={"json": {"$.ok": False, "$.items": {"size": 2}}}),
        reason=Reason.BODY),
    row("no JSON", get("a", "/page", expect={"json": {"$.ok": True}}), reason=Reason.PROTOCOL),
    row("204 has no JSON", get("a", "/empty/204", expect={"json": {"$.a": 1}}), reason=Reason.BODY),
    row("a wrong header", get("a", expect={"headers": {"X-Nope": "x"}}), reason=Reason.BODY),
    row("warnings", get("a", warn={"status": 201, "json": {"$.ok": False}}), LATER),
    row("gzip", get("a", "/packed", expect={"json": {"$.packed": 1}})),
    # --- polls and loops
    row("a poll that is met at once", get("a", poll={"until": {"json": {"$.ok": True}}})),
    row("a poll that is met later", get("a", "/number", extract={"n": "$.n"}, poll={
        "until": {"json": {"$.n": 3}}, "every": "100ms", "timeout": "5s"})),
    row("a poll over a flaky wire", get("a", "/flaky/2", poll={
        "until": {"json": {"$.ok": True}}, "every": "100ms", "timeout": "5s"})),
    row("a poll that is never met", get("a", "/number", poll={
        "until": {"json": {"$.n": 0}}, "every": "100ms", "timeout": "250ms"}), LATER,
        reason=Reason.TIMEOUT, timed=True),
    row("a loop of rounds", {"repeat": {"times": 3, "steps": [get("a", "/echo/${index}")]}}),
    row("a loop over values", get("a", extract={"ids": "$.items[*].id"}),
        {"repeat": {"over": "${ids}", "steps": [post("b", json={"id": "${item}"})]}}),
    row("a loop that breaks off", {"repeat": {"over": [200, 500, 200], "steps": [
        get("a", "/status/${item}")]}}, LATER, reason=Reason.STATUS),
    # --- parts
    row("setup and cleanup", get("a", "/echo/a"), setup=[get("s", extract={"i": "$.items[0].id"})],
        cleanup=[{"name": "c", "delete": "/echo/${i}"}]),
    row("cleanup after a failure", get("a", "/status/500"), setup=[get("s")],
        cleanup=[get("c", "/echo/c"), get("d", "/status/500"), get("e", "/echo/e")],
        reason=Reason.STATUS),
    row("cleanup of nothing", get("a", "/status/500", extract={"i": "$.id"}),
        cleanup=[{"name": "c", "delete": "/echo/${i}"}], reason=Reason.STATUS),
    row("a log and a pause", get("a", extract={"ok": "$.ok"}), {"wait": "1ms"},
        {"log": "ok is ${ok}", "name": "note"}, {"think": "1s"}),
    row("for a load alone", get("a", load="only"), get("b", load="skip")),
    # --- other protocols over HTTP
    row("GraphQL", {"name": "a", "graphql": {"url": "/graphql", "query": "query Q { x }",
        "variables": {"n": 1}, "operation": "Q"}, "extract": {"q": "$.data.echo.query"}}),
    row("GraphQL with errors", {"name": "a", "graphql": {"url": "/graphql", "query": "broken"}},
        reason=Reason.BODY),
    row("JSON-RPC", {"name": "a", "rpc": {"url": "/rpc", "method": "eth_blockNumber"},
        "expect": {"json": {"$.result": "0x10"}}}),
    row("JSON-RPC with an error", {"name": "a", "rpc": {"url": "/rpc", "method": "nope",
        "params": [1]}}, reason=Reason.BODY),
    # --- what goes wrong on the wire
    row("too large", get("a", "/big", max_body="1KiB"), LATER, reason=Reason.TOO_LARGE),
    row("too late", get("a", "/late", timeout="100ms"), LATER, reason=Reason.TIMEOUT),
    row("too late for the journey", get("a", "/late"), LATER, timeout="100ms",
        cleanup=[get("c")], reason=Reason.TIMEOUT),
    row("closed without a word", post("a", "/broken/closed"), LATER, reason=Reason.CLOSED),
    row("garbage", get("a", "/broken/garbage"), LATER, reason=Reason.PROTOCOL),
    row("cut in the middle", get("a", "/broken/cut"), LATER, reason=Reason.CLOSED),
    row("cut in the middle of an error", get("a", "/broken/cut", expect=500),
        reason=Reason.STATUS),
    row("corrupt gzip", get("a", "/broken/corrupt"), LATER, reason=Reason.PROTOCOL),
]  # fmt: skip


def compiled(row: Row) -> Journey:
    keys = JourneyKeys.model_validate({"steps": row.steps, **row.keys})
    return compile_journey("it", keys, World(Path(), {}))


async def played(play: Play, journey: Journey) -> tuple[Played, Fake, str]:
    fake = Fake()
    async with listening(fake) as base:
        return await play(journey, fake, base), fake, base


def test_there_are_enough_of_them() -> None:
    assert len(JOURNEYS) >= 30
    assert len({row.id for row in JOURNEYS}) == len(JOURNEYS)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("row", JOURNEYS)
async def test_a_driver_tells_what_every_other_tells(row: Row, driver: str) -> None:
    journey, fake = compiled(row), Fake()
    came, other, base = await played(DRIVERS[driver], journey)
    wanted = told(await by_memory(journey, fake, base), fake, timed=row.timed)

    assert told(came, other, timed=row.timed) == wanted
    assert (came.failure and came.failure.reason) == row.reason
