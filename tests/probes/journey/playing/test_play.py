"""Which steps are played, what fails them, what is skipped, and that the clean-up always runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.expression import template, tree
from probes.journey.model import Part, Pause, Played, Request, Response, State
from probes.journey.playing.play import MAX_ROUNDS, play
from probes.journey.playing.stage import MAX_PLAYED_STEPS, Context
from probes.journey.steps import Common, Journey, LogStep, ThinkStep, WaitStep
from probes.result import Reason
from tests.probes.journey.building import broken, http, journey, ok, repeat
from tests.probes.journey.memory import Clock, Memory, run, scope


def states(played: Played) -> dict[str, str]:
    return {step.step: step.state.value for step in played.steps}


def always(answer: Response) -> Memory:
    return Memory(lambda _: answer)


def by_step(**answers: Response) -> Memory:
    return Memory(lambda request: answers.get(request.step.replace("-", "_"), ok({})))


def test_every_step_is_played_in_order_and_hands_on_what_it_took() -> None:
    memory = by_step(login=ok({"token": "t-1", "id": 7}), cart=ok({"id": "c-1"}, 201))
    it = journey(
        http("cart", "/cart", method="POST", json={"user": "${id}"}, take={"cart": "$.id"}),
        http("pay", "/cart/${cart}/pay", headers={"Authorization": "Bearer ${token}"}),
        setup=(http("login", "/login", take={"token": "$.token", "id": "$.id"}),),
        cleanup=(http("tidy", "/cart/${cart}", method="DELETE"),),
    )

    played = run(it, memory)

    assert played.failure is None
    assert states(played) == dict.fromkeys(("login", "cart", "pay", "tidy"), "ok")
    assert [step.part for step in played.steps] == [
        Part.SETUP, Part.STEPS, Part.STEPS, Part.CLEANUP,
    ]  # fmt: skip
    assert [(r.method, str(r.url)) for r in memory.requests] == [
        ("GET", "http://shop.test/login"), ("POST", "http://shop.test/cart"),
        ("GET", "http://shop.test/cart/c-1/pay"), ("DELETE", "http://shop.test/cart/c-1"),
    ]  # fmt: skip
    assert memory.requests[1].body == b'{"user":7}'
    assert memory.requests[2].headers == (("Authorization", "Bearer t-1"),)
    assert played.values == {"token": "t-1", "id": 7, "cart": "c-1"}


def test_a_failed_step_skips_the_rest_but_the_clean_up() -> None:
    memory = by_step(second=ok({"why": "broken"}, 500))
    it = journey(
        http("first"), http("second"), http("third"), cleanup=(http("tidy"), http("sweep"))
    )

    played = run(it, memory)

    assert states(played) == {
        "first": "ok", "second": "failed", "third": "skipped", "tidy": "ok", "sweep": "ok",
    }  # fmt: skip
    assert played.failure is not None
    assert (played.failure.reason, played.failure.message) == (
        Reason.STATUS, "want status 2xx, got 500",
    )  # fmt: skip
    assert played.steps[1].facts["response body"] == '{"why": "broken"}'


def test_a_failed_clean_up_is_a_warning_and_the_others_still_run() -> None:
    memory = by_step(tidy=broken(Reason.REFUSED, "want a connection, got refused"))
    it = journey(http("first"), cleanup=(http("tidy"), http("sweep")))

    played = run(it, memory)

    assert played.failure is None
    assert states(played) == {"first": "ok", "tidy": "failed", "sweep": "ok"}
    assert [(w.reason, w.message) for w in played.warnings] == [
        (Reason.REFUSED, "step tidy: want a connection, got refused")
    ]


def test_a_clean_up_of_what_was_never_made_is_skipped_without_a_word() -> None:
    memory = by_step(make=ok(status=500))
    tidy = http("tidy", "/${made}", method="DELETE")
    it = journey(http("make", take={"made": "$.id"}), cleanup=(tidy, http("sweep")))

    played = run(it, memory)

    assert states(played) == {"make": "failed", "tidy": "skipped", "sweep": "ok"}
    assert played.warnings == ()


def test_what_was_made_too_late_is_tidied_up_all_the_same() -> None:
    memory = by_step(make=ok({"id": 5}, seconds=2.0))
    make = http("make", wants={"duration": {"lt": "1s"}}, take={"made": "$.id", "no": "$.nothing"})
    it = journey(make, cleanup=(http("tidy", "/${made}"),))

    played = run(it, memory)

    assert states(played) == {"make": "failed", "tidy": "ok"}
    assert played.failure is not None
    assert played.failure.message == "want duration < 1s, got 2s"
    assert memory.requests[-1].url.path_query == "/5"


def test_a_variable_that_only_a_skipped_step_sets_fails_with_extract() -> None:
    first = http("first", when="${run_id} == 2", take={"token": "$.t"})
    it = journey(first, http("second", "/${token}"))

    played = run(it, always(ok({})))

    assert states(played) == {"first": "skipped", "second": "failed"}
    assert played.failure is not None
    assert played.failure.reason is Reason.EXTRACT
    assert "want a value for ${token}, got none" in played.failure.message


@pytest.mark.parametrize(
    ("when", "state"),
    [
        pytest.param("${n} == 1", "ok", id="holds"),
        pytest.param("${n} == 2", "skipped", id="does-not-hold"),
        pytest.param("${nothing}", "skipped", id="unset-is-false"),
        pytest.param("${nothing} == 1", "failed", id="unset-in-a-comparison"),
    ],
)
def test_a_condition_decides_whether_a_step_is_played(when: str, state: str) -> None:
    it = journey(http("first", take={"n": "$.n"}), http("second", when=when))

    played = run(it, always(ok({"n": 1})))

    assert states(played)["second"] == state


def test_steps_of_the_other_player_are_not_there_at_all() -> None:
    it = journey(http("probe", load="skip"), http("load", load="only"), http("both"))

    assert list(states(run(it, always(ok())))) == ["probe", "both"]
    assert list(states(run(it, always(ok()), is_load=True))) == ["load", "both"]


# --- time


def test_the_journey_hands_down_what_is_left_of_its_time() -> None:
    memory = always(ok(seconds=2.0))
    it = journey(http("a"), http("b"), http("c"), timeout_s=5.0, cleanup=(http("tidy"),))

    played = run(it, memory)

    assert [r.timeout_s for r in memory.requests] == pytest.approx([5.0, 3.0, 1.0, 5.0])
    assert states(played) == {"a": "ok", "b": "ok", "c": "failed", "tidy": "ok"}
    assert played.failure is not None
    assert played.failure.reason is Reason.TIMEOUT
    assert played.failure.message == "want all steps within 5s, got no answer"


def test_a_step_that_finds_no_time_left_asks_nothing() -> None:
    memory = always(ok(seconds=1.0))
    it = journey(http("a", timeout_s=9), WaitStep(Common(""), 1.0), http("b"), timeout_s=2.0)

    played = run(it, memory)

    assert len(memory.requests) == 1
    assert played.failure is not None
    assert played.failure.message == "want all steps within 2s, got no time left"


def test_a_probe_may_give_less_time_than_the_journey_but_not_more() -> None:
    memory = always(ok())
    run(journey(http("a"), timeout_s=3.0), memory, timeout_s=1.0)
    run(journey(http("a"), timeout_s=3.0), memory, timeout_s=60.0)

    assert [request.timeout_s for request in memory.requests] == [1.0, 3.0]


def test_the_clean_up_has_a_time_of_its_own() -> None:
    memory = always(ok(seconds=1.0))
    it = journey(
        http("a"), cleanup=(http("x"), http("y"), http("z")), timeout_s=1.0, cleanup_timeout_s=2.0
    )

    played = run(it, memory)

    assert states(played) == {"a": "ok", "x": "ok", "y": "ok", "z": "failed"}
    assert "want all of the clean-up within 2s" in played.warnings[0].message


def test_waiting_longer_than_is_left_is_a_timeout() -> None:
    memory = always(ok())
    played = run(journey(WaitStep(Common(""), 9.0), timeout_s=2.0), memory)

    assert memory.pauses == [Pause(2.0)]
    assert played.failure is not None
    assert played.failure.reason is Reason.TIMEOUT


def test_users_think_in_a_load_and_in_a_probe_that_is_told_to() -> None:
    it = journey(ThinkStep(Common(""), 1.0, 3.0), http("a"))
    for context, thinks in (({}, False), ({"thinks": True}, True), ({"is_load": True}, True)):
        memory = always(ok())
        played = run(it, memory, **context)
        assert bool(memory.pauses) is thinks
        assert all(p.is_thinking and 1.0 <= p.seconds <= 3.0 for p in memory.pauses)
        assert played.steps[0].seconds == 0.0


def test_a_stop_ends_the_steps_and_is_never_green() -> None:
    def handler(request: Request) -> Response:
        context.stop()
        return ok()

    clock = Clock()
    context = Context(scope(), clock, base_url="http://shop.test")
    it = journey(http("a"), http("b"), cleanup=(http("tidy"),))

    played = Memory(handler, clock=clock).play(it, context)

    assert states(played) == {"a": "ok", "b": "failed", "tidy": "ok"}
    assert played.failure is not None
    assert played.failure.reason.is_own_fault


# --- repeat


def test_rounds_add_up_to_one_result() -> None:
    memory = always(ok({}, seconds=0.5))
    it = journey(repeat(http("page", "/${index}"), times=3), http("end"))

    played = run(it, memory)

    assert [r.url.path_query for r in memory.requests] == ["/0", "/1", "/2", "/"]
    page = played.steps[0]
    assert (page.rounds, page.requests, page.seconds) == (3, (3, 0), 1.5)


def test_a_list_out_of_an_answer_is_gone_through() -> None:
    memory = by_step(items=ok({"ids": [5, "x y", None]}))
    it = journey(http("items", take={"ids": "$.ids"}), repeat(http("one", "/${item}/${index}"),
                                                             over="${ids}"))  # fmt: skip

    run(it, memory)

    assert [r.url.path_query for r in memory.requests[1:]] == ["/5/0", "/x%20y/1", "/null/2"]


def test_a_loop_in_a_loop_gives_back_the_item_of_the_outer_one() -> None:
    inner = repeat(http("inner", "/${item}"), over=["a", "b"])
    memory = always(ok())
    run(journey(repeat(inner, http("outer", "/${item}"), over=[1, 2])), memory)

    assert [r.url.path_query for r in memory.requests] == ["/a", "/b", "/1", "/a", "/b", "/2"]


def test_an_included_journey_keeps_the_round_it_stands_in() -> None:
    memory = always(ok())
    run(journey(repeat(repeat(http("inner", "/${index}"), times=1), times=2)), memory)

    assert [r.url.path_query for r in memory.requests] == ["/0", "/1"]


def test_a_round_that_fails_ends_the_journey() -> None:
    answers = iter([ok(), ok(status=404), ok()])
    it = journey(repeat(http("page"), times=3), http("end"))

    played = run(it, Memory(lambda _: next(answers)))

    assert states(played) == {"page": "failed", "end": "skipped"}
    assert played.steps[0].rounds == 2
    assert played.steps[0].requests == (1, 1)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param("text", "want a list to go through, got 'text'", id="text"),
        pytest.param({"a": 1}, "want a list to go through, got {'a': 1}", id="mapping"),
        pytest.param(
            [0] * (MAX_ROUNDS + 1), "want at most 1000 rounds, got 1001", id="too-many-rounds"
        ),
    ],
)
def test_an_answer_that_is_no_list_of_rounds_fails(ids: Any, message: str) -> None:
    memory = by_step(items=ok({"ids": ids}))
    played = run(
        journey(http("items", take={"ids": "$.ids"}), repeat(http("one"), over="${ids}")), memory
    )

    assert played.failure is not None
    assert (played.failure.reason, played.failure.message) == (Reason.VALUE, message)


def test_loops_without_a_request_end_before_they_hold_the_loop() -> None:
    say = LogStep(Common("said"), template("${index}"))
    played = run(journey(repeat(repeat(say, times=1000), times=1000)), always(ok()))

    assert played.failure is not None
    assert played.failure.message == f"want at most {MAX_PLAYED_STEPS} steps in one play, got more"
    assert played.steps[0].rounds < MAX_PLAYED_STEPS


# --- logs, variables


def test_logs_are_facts_and_the_last_of_a_name_stays() -> None:
    say = LogStep(Common("", where=("steps", 1)), template("got ${n}"))
    named = LogStep(Common("said"), template("round ${index}"))
    it = journey(http("a", take={"n": "$.n"}), say, repeat(named, times=3))

    played = run(it, always(ok({"n": 1.5})))

    assert played.logs == (("log steps.1", "got 1.5"), ("said", "round 2"))
    assert states(played) == {"a": "ok", "said": "ok"}


def test_extracted_values_win_over_variables() -> None:
    memory = always(ok({"n": "new"}))
    it = journey(
        http("a", "/${n}/${vars.n}", take={"n": "$.n"}), http("b", "/${n}/${vars.n}"),
        vars=(("n", tree("old")), ("again", tree("${n}${run_id}"))),
    )  # fmt: skip

    run(it, memory)

    assert [r.url.path_query for r in memory.requests] == ["/old/old", "/new/old"]


def test_a_variable_that_cannot_be_made_is_the_files_fault() -> None:
    played = run(journey(http("a"), vars=(("n", tree("${missing}")),)), always(ok()))

    assert states(played) == {"a": "skipped"}
    assert played.failure is not None


# --- never raises


HOSTILE = st.one_of(
    st.builds(
        Response,
        status=st.sampled_from([0, 100, 200, 204, 301, 302, 303, 307, 308, 404, 500, 999]),
        headers=st.lists(
            st.tuples(
                st.sampled_from(["location", "set-cookie", "content-type", "x-y"]),
                st.one_of(
                    st.text(max_size=40),
                    st.sampled_from([
                        "/", "//evil.test/", "https://[::1", "file:///etc",
                        "a=b; Path=/; Max-Age=x",
                        "=;;", "text/html; charset=utf-99", "http://u:p@x/", "/\r\nx: y",
                    ]),
                ),
            ),
            max_size=4,
        ).map(tuple),
        body=st.one_of(
            st.binary(max_size=60),
            st.sampled_from([
                b'{"t": 1e400, "l": [1, 2]}', b'{"t": "\\ud800"}', b'{"t": "a\\r\\nb: c"}',
                b'{"t": "//evil", "l": "x"}', b'{"t": {"exists": true}}', b"[" * 99, b"NaN",
                b'{"t": null, "l": null}', b'{"t": "' + b"x" * 70000 + b'", "l": [[], {}]}',
            ]),
        ),
        seconds=st.floats(0, 3),
    ),
    st.sampled_from([Reason.TIMEOUT, Reason.CLOSED, Reason.POLICY, Reason.RESOURCE]).map(broken),
)  # fmt: skip

EVERYTHING = Journey(
    "all",
    timeout_s=20.0,
    setup=(
        http("login", method="POST", json={"a": "${run_id}"}, take={
            "t": {"json": "$.t", "default": "none"}, "l": {"json": "$.l", "optional": True},
        }),
    ),
    steps=(
        http("header", "/h", headers={"X-T": "${t}"}, params={"q": "${t}"},
             wants={"status": [200, 204, 404]}),
        http("body", "/b", method="PUT", form={"f": "${t}"},
             wants={"json": {"$.t": {"eq": "${t}"}}}, take={"u": "$.t"}),
        http("poll", "/p/${t}", until={"json": {"$.t": {"exists": True}}}, within_s=3.0,
             warn={"body": "x", "duration": "1s"}),
        repeat(http("round", "${u}"), over="${l}"),
        LogStep(Common("say"), template("${u} ${t}")),
        http("iffy", when="${t} > 3"),
    ),
    cleanup=(
        http("always"), http("tidy", "/${t}", method="DELETE"), http("sweep", "${u}"),
    ),
)  # fmt: skip
NAMES = ["login", "header", "body", "poll", "round", "say", "iffy", "always", "tidy", "sweep"]


@given(st.lists(HOSTILE, min_size=1, max_size=12))
def test_whatever_comes_the_play_ends_with_every_step_once(answers: list[Response]) -> None:
    asked = 0

    def handler(_: Request) -> Response:
        nonlocal asked
        asked += 1
        return answers[asked % len(answers)]

    memory = Memory(handler)
    played = run(EVERYTHING, memory)

    assert [step.step for step in played.steps] == NAMES
    assert len(memory.effects) < 2000
    assert sum(map(sum, (step.requests for step in played.steps))) == asked
    failed = [s for s in played.steps if s.state is State.FAILED and s.part is not Part.CLEANUP]
    assert played.failure is not None or not failed
    assert [step.rounds for step in played.steps if step.step == "always"] == [1]
    for step in played.steps:
        assert (step.state is State.FAILED) == (step.failure is not None)
        assert not any("\x00" in text or "\r" in text for text in step.facts.values())
    for request in memory.requests:
        assert 0 < request.timeout_s <= 20
        assert not any("\n" in value or "\r" in value for _, value in request.headers)


def test_a_step_that_asks_without_a_name_is_a_mistake_of_who_compiled_it() -> None:
    played = run(journey(http("")), always(ok()))

    assert played.failure is not None
    assert played.failure.reason is Reason.CONFIG


def test_a_play_that_is_thrown_away_is_quiet() -> None:
    game = play(journey(http("a")), Context(scope(), Clock(), base_url="http://shop.test"))
    assert isinstance(game.send(None), Request)

    game.close()
