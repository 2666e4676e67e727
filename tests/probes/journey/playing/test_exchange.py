"""One HTTP step: redirects, cookies, polls, envelopes, what is taken, what is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from probes.journey.language.expression import tree
from probes.journey.model import Pause, Played, Request, Response, State
from probes.journey.playing.evidence import MAX_EVIDENCE_BYTES
from probes.journey.playing.play import Context, play
from probes.redact import Secret
from probes.result import Failure, Phase, Reason
from probes.wire.http.redirect import Cookies
from probes.wire.url import parse_url
from tests.probes.journey.building import broken, http, journey, ok, repeat
from tests.probes.journey.memory import BASE, Clock, Memory, drive, run, scope


def once(answer: Response, **keys: Any) -> Played:
    return run(journey(http("it", **keys)), Memory(lambda _: answer))


def told(played: Played) -> tuple[Reason, str] | None:
    failure = played.failure
    return None if failure is None else (failure.reason, failure.message)


def redirecting(
    to: str, status: int = 302, *more: tuple[str, str]
) -> Callable[[Request], Response]:
    return lambda request: ok({}) if request.hop else ok(None, status, ("location", to), *more)


# --- redirects


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        pytest.param(301, "GET", b"", id="301"),
        pytest.param(303, "GET", b"", id="303"),
        pytest.param(307, "POST", b'{"a":1}', id="307"),
        pytest.param(308, "POST", b'{"a":1}', id="308"),
    ],
)
def test_a_redirect_is_a_request_of_its_own(status: int, method: str, body: bytes) -> None:
    memory = Memory(redirecting("/there?x=1", status))
    played = run(journey(http("it", "/here", method="POST", json={"a": 1})), memory)

    first, second = memory.requests
    assert (first.hop, second.hop) == (0, 1)
    assert (second.method, second.body, second.url.path_query) == (method, body, "/there?x=1")
    assert ("Content-Type" in dict(second.headers)) is bool(body)
    assert played.steps[0].requests == (2, 0)


LED = {"next": "$.next"}


@pytest.mark.parametrize(
    ("to", "hop", "headers"),
    [
        pytest.param(f"{BASE}/2", 0, {"X-Key": "k", "X-Own": "o", "Accept": "a"}, id="own origin"),
        pytest.param("http://pay.test/2", 1, {"X-Own": "o", "Accept": "a"}, id="another origin"),
    ],
)
def test_an_address_out_of_an_answer_is_trusted_like_a_redirect(
    to: str, hop: int, headers: dict[str, str]
) -> None:
    """What ``http:`` gives all steps goes to no origin that only an answer names."""
    memory = Memory(lambda _: ok({"next": to}))
    given = {"X-Key": "k", "X-Own": "o", "Accept": "a"}
    led = http("led", "${next}", headers=given, inherited=frozenset({"X-Key", "Accept"}))
    run(journey(http("ask", take=LED), led), memory)

    assert (memory.requests[1].hop, dict(memory.requests[1].headers)) == (hop, headers)


def test_an_address_out_of_an_answer_gets_no_more_when_it_redirects_to_itself() -> None:
    there = {"/1": ok(None, 302, ("location", "/2"))}
    memory = Memory(lambda r: there.get(r.url.path_query, ok({"next": "http://pay.test/1"})))
    led = http("led", "${next}", headers={"X-Key": "k", "Cookie": "all=1", "X-Own": "o"},
               inherited=frozenset({"X-Key", "Cookie"}))  # fmt: skip
    run(journey(http("ask", take=LED), led), memory)

    last = memory.requests[-1]
    assert str(last.url) == "http://pay.test/2"
    assert dict(last.headers) == {"X-Own": "o", "Referer": "http://pay.test/1"}


def test_an_answer_may_say_what_stands_behind_an_origin_of_the_file() -> None:
    memory = Memory(lambda _: ok({"next": "2"}))
    led = http("led", "http://pay.test/${next}", headers={"X-Key": "k"},
               inherited=frozenset({"X-Key"}))  # fmt: skip
    run(journey(http("ask", take=LED), led), memory)

    assert (memory.requests[1].hop, dict(memory.requests[1].headers)) == (0, {"X-Key": "k"})


def test_an_address_out_of_the_file_is_trusted_as_it_is_written() -> None:
    memory = Memory(lambda _: ok({}))
    led = http("led", "${to}/2", headers={"X-Key": "k"}, inherited=frozenset({"X-Key"}))
    run(journey(led, vars=(("to", tree("http://pay.test")),)), memory)

    assert (memory.requests[0].hop, dict(memory.requests[0].headers)) == (0, {"X-Key": "k"})


def test_another_origin_gets_harmless_headers_and_its_own_cookies_alone() -> None:
    jar = Cookies()
    for host in ("shop.test", "login.test"):
        jar.store(parse_url(f"http://{host}/"), [f"at={host}; Path=/"])
    memory = Memory(redirecting("http://login.test/sso"))
    step = http("it", headers={"Authorization": "Bearer x", "X-Api-Key": "k", "Accept": "a/b"})

    run(journey(step), memory, jar=jar)

    assert dict(memory.requests[0].headers)["Cookie"] == "at=shop.test"
    assert dict(memory.requests[1].headers) == {"Accept": "a/b", "Cookie": "at=login.test"}


def test_a_body_with_a_secret_never_leaves_its_origin() -> None:
    memory = Memory(redirecting("http://other.test/", 307))
    step = http("it", method="POST", json={"t": "${access_token}"})
    it = journey(http("login", take={"access_token": "$.t"}), step)
    memory.handler = lambda r: ok({"t": "x"}) if r.step == "login" else redirecting(
        "http://other.test/", 307)(r)  # fmt: skip

    played = run(it, memory)

    assert told(played) == (
        Reason.REDIRECT, "want a secret body to stay at its origin, got a 307 away from it",
    )  # fmt: skip
    assert played.steps[1].requests == (0, 1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"json": {"p": "${login}"}}, id="variable"),
        pytest.param({"form": {"p": "${login}"}}, id="in-a-form"),
        pytest.param({"text": "${base64(login)}"}, id="encoded"),
        pytest.param({"text": "${sha256(secrets.password)}"}, id="derived"),
    ],
)
def test_a_secret_that_came_by_way_of_a_variable_never_leaves_its_origin(body: Any) -> None:
    memory = Memory(redirecting("http://other.test/", 307))
    step = http("it", method="POST", **body)
    it = journey(
        step,
        vars=(("login", tree("${secrets.password}")),),
        secrets=(("password", Secret('it is "secret" & long')),),
    )

    failure = run(it, memory).failure
    assert failure is not None
    assert failure.reason is Reason.REDIRECT
    assert [request.url.host for request in memory.requests] == ["shop.test"]


def test_a_loop_ends_at_the_limit() -> None:
    memory = Memory(lambda _: ok(None, 302, ("location", "/again")))
    played = run(journey(http("it", redirects=3)), memory)

    assert len(memory.requests) == 4
    assert told(played) == (Reason.REDIRECT, "want at most 3 redirects, got 4, a loop")
    assert played.steps[0].requests == (3, 1)
    assert played.steps[0].facts["response"] == "status 302\nlocation: /again"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        pytest.param("file:///etc/passwd", Reason.BLOCKED, id="file"),
        pytest.param("gopher://x/", Reason.BLOCKED, id="gopher"),
        pytest.param("http://[::1", Reason.REDIRECT, id="no-url"),
        pytest.param("/" + "x" * 9000, Reason.REDIRECT, id="too-long"),
        pytest.param("http://a/\x00", Reason.REDIRECT, id="control"),
    ],
)
def test_a_redirect_to_nowhere_fails_the_step(location: str, reason: Reason) -> None:
    played = once(ok(None, 302, ("location", location)))

    assert played.failure is not None
    assert played.failure.reason is reason


def test_a_redirect_is_judged_itself_where_none_is_to_be_followed() -> None:
    answer = ok(None, 302, ("location", "/there"))

    assert once(answer, redirects=0, wants={"status": 302, "header": {"location": "/there"}}
                ).failure is None  # fmt: skip
    assert told(once(ok(None, 302))) == (Reason.STATUS, "want status 2xx, got 302")
    assert told(once(ok(None, 304, ("location", "/there")))) == (
        Reason.STATUS, "want status 2xx, got 304",
    )  # fmt: skip


def test_all_hops_share_the_time_of_the_step() -> None:
    memory = Memory(lambda _: ok(None, 302, ("location", "/again"), seconds=2.0))
    played = run(journey(http("it", timeout_s=5.0)), memory)

    assert [request.timeout_s for request in memory.requests] == pytest.approx([5.0, 3.0, 1.0])
    assert told(played) == (Reason.TIMEOUT, "want an answer within 1 s, got none")


# --- cookies


def test_cookies_of_every_answer_are_kept_for_the_journey() -> None:
    answers = {
        "a": [ok(None, 302, ("location", "/hop"), ("set-cookie", "hop=1; Path=/")),
              ok({}, 200, ("set-cookie", "sid=abcdefgh; Path=/"), ("set-cookie", "x=1; Path=/no"))],
        "b": [ok({}, 200, ("set-cookie", "err=1; Path=/"))],
        "c": [ok({})],
    }  # fmt: skip
    memory = Memory(lambda request: answers[request.step].pop(0))
    steps = [http(name, headers={"Cookie": "own=0"} if name == "c" else {}) for name in "abc"]

    played = run(journey(*steps), memory)

    sent = [dict(request.headers).get("Cookie") for request in memory.requests]
    assert sent == [None, "hop=1", "hop=1; sid=abcdefgh", "own=0; hop=1; sid=abcdefgh; err=1"]
    assert played.hidden == {"abcdefgh"}


def test_a_cookie_can_be_taken_and_its_value_is_hidden() -> None:
    answer = ok({}, 200, ("set-cookie", "sid=s3cr3t-value; Path=/"))
    played = once(answer, take={"who": {"cookie": "sid"}})

    assert played.values == {"who": "s3cr3t-value"}
    assert "s3cr3t-value" in played.hidden


def test_a_jar_that_is_handed_in_outlives_the_play() -> None:
    jar = Cookies()
    memory = Memory(lambda _: ok({}, 200, ("set-cookie", "sid=1; Path=/")))
    for _ in range(2):
        run(journey(http("a")), memory, jar=jar)

    assert [dict(r.headers).get("Cookie") for r in memory.requests] == [None, "sid=1"]


# --- polls


def test_a_poll_asks_until_the_answer_is_as_wanted() -> None:
    answers = iter(
        [ok({"s": "new"}), broken(Reason.REFUSED), ok(b"<html>", 502), ok({"s": "done"})]
    )
    memory = Memory(lambda _: next(answers))
    step = http("it", until={"json": {"$.s": "done"}}, every_s=0.5, take={"s": "$.s"})

    played = run(journey(step), memory)

    assert played.failure is None
    assert memory.pauses == [Pause(0.5)] * 3
    assert played.steps[0].requests == (3, 1)
    assert played.steps[0].seconds == 1.5
    assert played.values == {"s": "done"}


def test_a_poll_that_is_never_answered_as_wanted_is_a_timeout() -> None:
    memory = Memory(lambda _: ok({"s": "new"}, seconds=0.1))
    played = run(journey(http("it", until={"json": {"$.s": "done"}}, within_s=2.0)), memory)

    assert len(memory.requests) == 4
    assert told(played) == (
        Reason.TIMEOUT,
        (
            "want the awaited answer within 2s, got 4 attempts, the last with: "
            "$.s: want 'done', got 'new'"
        ),
    )
    assert played.steps[0].requests == (3, 1)
    assert memory.clock.now <= 1002


def test_a_poll_ends_with_the_time_of_the_journey() -> None:
    it = journey(http("it", until={"status": 201}, within_s=60.0), timeout_s=1.2)
    memory = Memory(lambda _: ok())

    assert told(run(it, memory)) == (
        Reason.TIMEOUT,
        ("want all steps within 1.2s, got 3 attempts, the last with: want status 201, got 200"),
    )
    assert memory.clock.now < 1001.2


def test_what_a_poll_found_is_judged_like_any_answer() -> None:
    step = http("it", until={"status": [200, 500]}, wants={"status": 200})

    assert told(run(journey(step), Memory(lambda _: ok(None, 500)))) == (
        Reason.STATUS, "want status 200, got 500",
    )  # fmt: skip


def test_a_poll_ends_at_once_by_a_fault_of_the_prober() -> None:
    memory = Memory(lambda _: broken(Reason.POLICY, "want an allowed address, got 127.0.0.1"))
    played = run(journey(http("it", until={"status": 200})), memory)

    assert len(memory.requests) == 1
    assert told(played) == (Reason.POLICY, "want an allowed address, got 127.0.0.1")


# --- envelopes


@pytest.mark.parametrize(
    ("envelope", "body", "told_of"),
    [
        pytest.param("graphql", {"data": {"a": 1}}, None, id="data"),
        pytest.param("graphql", {"data": {"a": 1}, "errors": []}, None, id="no-errors"),
        pytest.param("graphql", {"data": None, "errors": [{"message": "no such field"}]},
                     (Reason.BODY, "want no GraphQL errors, got 'no such field'"), id="errors"),
        pytest.param("graphql", {"data": None},
                     (Reason.BODY, "want a GraphQL answer with data, got {'data': None}"),
                     id="no-data"),
        pytest.param("graphql", {"errors": []},
                     (Reason.BODY, "want a GraphQL answer with data, got {'errors': []}"),
                     id="neither-data-nor-errors"),
        pytest.param("graphql", {"errors": "odd"},
                     (Reason.BODY, "want no GraphQL errors, got 'odd'"), id="odd-errors"),
        pytest.param("graphql", [1], (Reason.BODY, "want a GraphQL answer with data, got [1]"),
                     id="no-answer"),
        pytest.param("rpc", {"result": None}, None, id="result"),
        pytest.param("rpc", {"result": 1, "error": None}, None, id="null-error"),
        pytest.param("rpc", {"error": {"code": -32601, "message": "no such method"}},
                     (Reason.BODY, "want a result, got error -32601: 'no such method'"),
                     id="error"),
        pytest.param("rpc", {"error": "odd"}, (Reason.BODY, "want a result, got error 'odd'"),
                     id="odd-error"),
        pytest.param("rpc", {"error": None},
                     (Reason.BODY, "want a result, got null as the error"), id="nothing-at-all"),
        pytest.param("rpc", {}, (Reason.BODY, "want a JSON-RPC answer with a result, got {}"),
                     id="no-rpc-answer"),
        pytest.param("rpc", b"<html>", (Reason.PROTOCOL, None), id="html"),
        pytest.param("rpc", b"", (Reason.BODY, "want a JSON body, got an empty one"), id="empty"),
    ],
)  # fmt: skip
def test_the_protocol_in_the_body_is_judged_too(
    envelope: str, body: Any, told_of: tuple[Reason, str | None] | None
) -> None:
    found = told(once(ok(body), envelope=envelope))

    if told_of is None or told_of[1] is not None:
        assert found == told_of
    else:
        assert found is not None
        assert found[0] is told_of[0]


def test_the_status_of_an_envelope_comes_first() -> None:
    assert told(once(ok({"errors": [1]}, 400), envelope="graphql")) == (
        Reason.STATUS, "want status 2xx, got 400",
    )  # fmt: skip


# --- verdicts


def test_no_answer_fails_the_step_with_its_reason() -> None:
    played = once(broken(Reason.REFUSED, "want a connection, got refused"))

    assert told(played) == (Reason.REFUSED, "want a connection, got refused")
    assert played.steps[0].failure == Failure(
        Reason.REFUSED, "want a connection, got refused", "connect"
    )
    assert set(played.steps[0].facts) == {"request"}


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        pytest.param(500, Reason.CLOSED, Reason.STATUS, id="error-page-that-broke-off"),
        pytest.param(200, Reason.TOO_LARGE, Reason.TOO_LARGE, id="too-large"),
        pytest.param(500, Reason.RESOURCE, Reason.RESOURCE, id="own-fault-comes-first"),
    ],
)
def test_a_body_that_broke_off_is_not_judged(status: int, reason: Reason, expected: Reason) -> None:
    answer = ok(b'{"half', status, failure=Failure(reason, "want a whole body, got half"))
    played = once(answer, wants={"json": {"$.a": 1}})

    assert played.failure is not None
    assert played.failure.reason is expected
    assert played.steps[0].facts["response body"] == '{"half'


def test_a_missed_warning_degrades_and_never_fails() -> None:
    played = once(
        ok({"n": 1}, seconds=1.0), warn={"json": {"$.n": 2}, "duration": "1ms"}, take={"n": "$.n"}
    )

    step = played.steps[0]
    assert played.failure is None
    assert [(w.reason, w.message) for w in played.warnings] == [(Reason.BODY, "$.n: want 2, got 1")]
    assert step.expectations == {("status", "passed"): 1, ("json", "warned"): 1}
    assert played.values == {"n": 1}


def test_a_strict_value_that_is_not_there_fails_the_step() -> None:
    played = once(ok({"a": 1}), take={"a": "$.a", "token": "$.token"})

    assert played.failure is not None
    assert played.failure.reason is Reason.EXTRACT
    assert "token" in played.failure.message
    assert played.steps[0].requests == (0, 1)


def test_an_optional_value_of_an_earlier_round_is_forgotten() -> None:
    answers = iter([ok({"a": 1}), ok({})])
    step = http("it", take={"a": {"json": "$.a", "optional": True}})

    assert run(journey(repeat(step, times=2)), Memory(lambda _: next(answers))).values == {}


def test_the_whole_of_a_step_is_added_up() -> None:
    phases = (Phase("connect", 0.1), Phase("processing", 0.2))
    answers = iter([
        ok(None, 302, ("location", "/b"), seconds=0.3, phases=phases),
        ok({"a": 1}, seconds=0.2, phases=(Phase("processing", 0.2, complete=False),)),
    ])  # fmt: skip
    heard: list[tuple[int, int, Failure | None, bool]] = []

    def judged(request: Request, response: Response, why: Failure | None, warned: bool) -> None:
        heard.append((request.hop, response.status, why, warned))

    it = journey(http("it", method="POST", text="hello", warn={"status": 201}))
    step = run(it, Memory(lambda _: next(answers)), judged=judged).steps[0]

    assert step.seconds == 0.5
    assert step.phases == (
        Phase("connect", 0.1), Phase("processing", 0.4, complete=False),
    )  # fmt: skip
    assert (step.sent, step.received, step.status) == (5, len('{"a": 1}'), 200)
    assert heard == [(0, 302, None, False), (1, 200, None, True)]


# --- evidence and faults of texts


def test_the_failing_exchange_is_kept_clean_and_cut() -> None:
    body = b"\x1b[31mred\xff" + b"x" * 9000
    answer = ok(body, 500, ("set-cookie", "sid=abcdefghij"), ("x-a", "b"))
    played = once(answer, method="POST", headers={"Authorization": "Bearer hush-hush"},
                  json={"name": "Zoë"})  # fmt: skip

    facts = played.steps[0].facts
    assert facts["request"] == (
        "POST http://shop.test/\nAuthorization: ***\nContent-Type: application/json"
    )
    assert facts["request body"] == '{"name":"Zoë"}'
    assert facts["response"] == "status 500\nset-cookie: ***\nx-a: b"
    assert facts["response body"].startswith("\\x1b[31mred\\xffxx")
    assert len(facts["response body"]) < MAX_EVIDENCE_BYTES + 20
    assert {"hush-hush", "abcdefghij"} <= played.hidden


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        pytest.param("a\r\nX: y", {"headers": {"X-A": "${v}"}}, id="line-break-in-a-header"),
        pytest.param("a\x00", {"headers": {"X-A": "${v}"}}, id="nul-in-a-header"),
        pytest.param("x" * 9000, {"headers": {"X-A": "${v}"}}, id="endless-header"),
        pytest.param("a..b", {"headers": {"Host": "${v}"}}, id="host-that-is-none"),
        pytest.param("a\nb", {"url": "/${v}"}, id="line-break-in-a-url"),
        pytest.param("x" * 9000, {"url": "/${v}"}, id="endless-url"),
        pytest.param("ftp://x/", {"url": "${v}"}, id="foreign-scheme"),
        pytest.param("http://[::1", {"url": "${v}"}, id="no-host"),
        pytest.param(5, {"form": "${v}"}, id="form-of-a-number"),
        pytest.param([1], {"wants": {"json": {"$.v": {"gt": "${v}"}}}}, id="matcher"),
    ],
)
def test_what_an_answer_made_unsendable_blames_the_target(value: Any, keys: Any) -> None:
    it = journey(http("a", take={"v": "$.v"}), http("b", **keys))
    played = run(it, Memory(lambda _: ok({"v": value})))

    assert played.steps[1].state is State.FAILED
    assert played.failure is not None
    assert played.failure.reason is Reason.VALUE
    assert played.failure.message.startswith("want ")


def test_what_the_file_made_unsendable_blames_the_prober() -> None:
    played = once(ok(), headers={"X-A": "a\nb${run_id}"})

    assert played.failure is not None
    assert played.failure.reason is Reason.CONFIG


def test_a_number_beyond_all_bounds_cannot_be_sent() -> None:
    it = journey(http("a", take={"v": "$.v"}), http("b", json={"v": "${v}"}))
    played = run(it, Memory(lambda _: ok(b'{"v": 1e400}')))

    assert told(played) == (
        Reason.VALUE, "want numbers that JSON can write, got one beyond all bounds",
    )  # fmt: skip


def test_an_answer_of_another_kind_is_a_mistake_of_the_driver() -> None:
    with pytest.raises(TypeError, match="want a Response to a Request, got null"):
        drive(play(journey(http("a")), Context(scope(), Clock(), base_url=BASE)), lambda _: None)
