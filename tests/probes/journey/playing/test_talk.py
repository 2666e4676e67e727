"""Steps over a WebSocket and to a database: what goes out, what is judged, what is taken."""

from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.journey.language.expression import template, tree
from probes.journey.language.extract import extract
from probes.journey.model import (
    Dialog,
    Effect,
    Hear,
    Heard,
    Played,
    Query,
    Response,
    Rows,
    Say,
    State,
)
from probes.journey.playing.play import Context, play
from probes.journey.playing.talk import MAX_EVIDENCE_CHARACTERS
from probes.journey.steps import Common, SocketStep, SqlStep, Turn
from probes.redact import Secret
from probes.result import Failure, Phase, Reason
from tests.probes.journey.building import expect, http, journey, ok
from tests.probes.journey.memory import BASE, Clock, Memory, drive, run, scope

LOGIN = http("login", take={"token": "$.token", "user": "$.user"})


def socket_step(*turns: Turn, url: str = "/live", **more: Any) -> SocketStep:
    return SocketStep(Common("talk"), template(url), turns=turns, **more)


def sql_step(query: str = "select 1", **more: Any) -> SqlStep:
    return SqlStep(Common("rows"), "postgres", template("postgres://u:${secrets.pw}@h/d"), query,
                   **more)  # fmt: skip


def talking(heard: Heard, *turns: Turn, **more: Any) -> tuple[Played, Memory]:
    def handler(request: Any) -> Response:
        return ok({"token": "t-0-k-e-n", "user": 7}, 200, ("set-cookie", "sid=1; Path=/"))

    memory = Memory(handler, talk=lambda _: heard)
    it = journey(LOGIN, socket_step(*turns, **more), http("end", "/${id}"))
    return run(it, memory), memory


def dialog_of(memory: Memory) -> Dialog:
    return next(effect for effect in memory.effects if isinstance(effect, Dialog))


def test_a_talk_is_filled_in_before_it_begins() -> None:
    turns = (
        Turn(send=tree({"auth": "${token}", "n": 1}), send_as="json"),
        Turn(expect=expect({"json": {"$.user": "${user}"}}), within=3, timeout_s=2.0,
             extract=(extract("id", "$.id"),)),
        Turn(send=tree("bye ${user}")),
    )  # fmt: skip
    heard = Heard(
        ('{"user": 7, "id": "m-1"}',), seconds=0.25, phases=(Phase("upgrade", 0.1),), status=101
    )

    played, memory = talking(
        heard, *turns, url="ws://shop.test:81/live?t=${user}", subprotocol="v1",
        headers=(("Authorization", template("Bearer ${token}")),),
    )  # fmt: skip

    dialog = dialog_of(memory)
    assert played.failure is None
    assert str(dialog.url) == "http://shop.test:81/live?t=7"
    assert dialog.subprotocol == "v1"
    assert dialog.headers == (("Authorization", "Bearer t-0-k-e-n"), ("Cookie", "sid=1"))
    say, hear, bye = dialog.turns
    assert (say, bye) == (Say('{"auth":"t-0-k-e-n","n":1}'), Say("bye 7"))
    assert isinstance(hear, Hear)
    assert (hear.within, hear.timeout_s) == (3, 2.0)
    assert hear.wanted.miss(b'{"user": 7}') is None
    assert hear.wanted.miss("\ud800") is not None
    assert hear.wanted.miss('{"user": 8}') == "$.user: want 7, got 8"
    step = played.steps[1]
    assert (step.status, step.requests, step.seconds) == (101, (1, 0), 0.25)
    assert step.phases == (Phase("upgrade", 0.1),)
    assert memory.requests[-1].url.path_query == "/m-1"


def test_no_answer_says_whom_to_talk_to() -> None:
    played, memory = talking(Heard(), url="ws://user-${user}.test/live")

    assert [effect for effect in memory.effects if isinstance(effect, Dialog)] == []
    assert played.failure == Failure(
        Reason.BLOCKED,
        "want a WebSocket at an origin that the journey names, got http://user-7.test out of an "
        "answer",
    )


def test_a_secure_talk_is_asked_for_over_tls() -> None:
    _, memory = talking(Heard(), url="WSS://shop.test/live")

    assert str(dialog_of(memory).url) == "https://shop.test/live"


def test_a_turn_says_what_an_earlier_one_has_brought() -> None:
    turns = (
        Turn(extract=(extract("sub", "$.id"),)),
        Turn(send=tree({"subscribe": "${sub}", "as": "${user}"}), send_as="json"),
        Turn(expect=expect({"json": {"$.sub": "${sub}"}}), extract=(extract("id", "$.n"),)),
    )

    def talk(dialog: Dialog) -> Heard:
        first, say, last = dialog.turns
        assert isinstance(first, Hear)
        assert isinstance(say, Say)
        assert isinstance(last, Hear)
        assert first.wanted.miss('{"id": 5}') is None
        assert say.message == '{"subscribe":5,"as":7}'
        assert last.wanted.miss('{"sub": 6}') == "$.sub: want 5, got 6"
        assert last.wanted.miss('{"sub": 5, "n": 9}') is None
        return Heard(('{"id": 5}', '{"sub": 5, "n": 9}'))

    memory = Memory(lambda _: ok({"token": "t", "user": 7}), talk=talk)
    played = run(journey(LOGIN, socket_step(*turns)), memory)

    assert played.failure is None
    assert (played.values["sub"], played.values["id"]) == (5, 9)


def test_what_a_turn_did_not_bring_ends_the_talk() -> None:
    turns = (
        Turn(extract=(extract("sub", {"json": "$.id", "optional": True}),)),
        Turn(send=tree("${sub}")),
        Turn(expect=expect({"body": "${sub}"})),
        Turn(extract=(extract("more", "$.more"),)),
    )

    def talk(dialog: Dialog) -> Heard:
        first, say, hear, last = dialog.turns
        assert isinstance(first, Hear)
        assert isinstance(say, Say)
        assert first.wanted.miss("{}") is None
        with pytest.raises(CheckFailed, match=r"want a value for \${sub}, got none"):
            say.message  # noqa: B018 - it is made when it is read
        assert isinstance(hear, Hear)
        with pytest.raises(CheckFailed, match="want a value for"):
            hear.wanted.miss("x")
        assert isinstance(last, Hear)
        with pytest.raises(CheckFailed, match="want more, a value") as caught:
            last.wanted.miss("{}")
        return Heard(failure=Failure(caught.value.reason, caught.value.message))

    memory = Memory(lambda _: ok({"token": "t", "user": 7}), talk=talk)
    played = run(journey(LOGIN, socket_step(*turns)), memory)

    assert played.failure is not None
    assert played.failure.reason is Reason.EXTRACT


def test_a_talk_that_breaks_off_fails_with_what_was_heard() -> None:
    failure = Failure(Reason.BODY, "$.a: want 1, got 2", "transfer")
    heard = Heard(("\x1b[1mhello", b"\x00"), failure=failure, status=101, facts={"peer": "h:1"})
    played, _ = talking(heard, Turn(expect=expect({"json": {"$.a": 1}})))

    assert played.failure == failure
    assert played.steps[1].requests == (0, 1)
    assert played.steps[1].facts == {
        "request": "WebSocket http://shop.test/live",
        "peer": "h:1",
        "response body": "\\x1b[1mhello\nb'\\x00'",
    }
    assert played.steps[2].state is State.SKIPPED


def test_a_message_without_the_value_fails_the_talk() -> None:
    played, _ = talking(Heard(("{}",)), Turn(extract=(extract("id", "$.id"),)))

    assert played.failure is not None
    assert played.failure.reason is Reason.EXTRACT
    assert played.steps[1].requests == (0, 1)


def test_a_header_of_two_lines_never_goes_out() -> None:
    played, memory = talking(Heard(), headers=(("X-A", template("a\n${user}")),))

    assert played.failure is not None
    assert not [effect for effect in memory.effects if isinstance(effect, Dialog)]


# --- SQL


def test_a_query_is_asked_with_its_parameters_and_judged_over_its_rows() -> None:
    rows = Rows(({"n": 3, "who": "a"}, {"n": 4, "who": "b"}), seconds=0.5)
    memory = Memory(lambda _: ok({"token": "t", "user": 7}), database=lambda _: rows)
    step = sql_step(
        "select n from t where id = $1", parameters=(tree("${user}"), tree([1])),
        expect=expect({"json": {"$[0].n": 3, "$": {"size": 2}}}),
        warn=expect({"json": {"$[1].n": 5}, "duration": "1ms"}),
        extract=(extract("who", "$[*].who"),),
    )  # fmt: skip
    it = journey(LOGIN, step, secrets=(("pw", Secret("hush")),))

    played = run(it, memory)

    query = memory.effects[-1]
    assert isinstance(query, Query)
    assert (query.target, query.parameters) == ("postgres://u:hush@h/d", (7, [1]))
    assert played.failure is None
    assert played.values["who"] == ["a", "b"]
    assert [warning.message for warning in played.warnings] == ["$[1].n: want 5, got 4"]
    assert played.steps[1].requests == (1, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(Rows(({"n": 1},)), "$[0].n: want 2, got 1", id="other-rows"),
        pytest.param(Rows(()), "$[0].n: want 2, got nothing", id="no-rows"),
        pytest.param(
            Rows(failure=Failure(Reason.REFUSED, "want a connection, got refused")),
            "want a connection, got refused", id="no-answer",
        ),
    ],
)  # fmt: skip
def test_rows_that_are_not_as_wanted_fail_the_step(rows: Rows, message: str) -> None:
    step = SqlStep(Common("rows"), "postgres", template("postgres://h/d"), "select n",
                   expect=expect({"json": {"$[0].n": 2}}))  # fmt: skip
    played = run(journey(step), Memory(lambda _: ok(), database=lambda _: rows))

    assert played.failure is not None
    assert played.failure.message == message
    assert played.steps[0].requests == (0, 1)
    assert played.steps[0].facts["request"] == "select n"


@pytest.mark.parametrize("step", [socket_step(), sql_step()])
def test_an_answer_of_another_kind_is_a_mistake_of_the_driver(step: Any) -> None:
    def nothing(_: Effect) -> None:
        return None

    it = journey(step, secrets=(("pw", Secret("hush")),))
    with pytest.raises(TypeError, match="want "):
        drive(play(it, Context(scope(), Clock(), base_url=BASE)), nothing)


def test_what_was_heard_says_where_it_was_cut() -> None:
    """Behind an ellipsis a secret may go on: who redacts it must know."""
    failure = Failure(Reason.BODY, "$.a: want 1, got 2", "transfer")
    played, _ = talking(Heard(("x" * 5000,), failure=failure), Turn(expect=expect({"body": "y"})))

    assert played.steps[1].facts["response body"] == "x" * MAX_EVIDENCE_CHARACTERS + "…"
