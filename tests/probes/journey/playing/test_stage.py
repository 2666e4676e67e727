"""What a play knows meanwhile: variables and their rank, time, whose fault, what is hidden."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from probes.errors import CheckFailed
from probes.journey.language.expression import Unset, template, tree
from probes.journey.model import Part
from probes.journey.playing.evidence import MAX_HIDDEN_CHARACTERS_OF_ALL
from probes.journey.playing.stage import MAX_LOG_CHARACTERS, MAX_LOGS, Context, Stage
from probes.journey.steps import Common, LogStep
from probes.matcher import MISSING
from probes.redact import Secret
from probes.result import Failure, Reason
from probes.wire.url import parse_url
from tests.probes.journey.building import http, journey, ok
from tests.probes.journey.memory import Clock, Memory, run, scope


class Rows:
    """A file of data with one row for each iteration below its length."""

    columns = frozenset({"user", "n"})
    digest, path, length, seed = "", "users.csv", 2, None
    pick: Literal["unique"] = "unique"

    def row(self, iteration: int, seed: int) -> Mapping[str, Any] | None:
        return {"user": f"u-{iteration}", "n": "row"} if iteration < self.length else None


def stage(*, clock: Clock | None = None, **keys: Any) -> Stage:
    values = keys.pop("values", None)
    context = Context(scope(values=values), clock or Clock(), base_url="http://shop.test")
    return Stage(journey(http("a"), **keys), context)


def test_values_have_a_rank() -> None:
    it = stage(
        feeder=Rows(), values={"kept": "extracted"},
        vars=(("n", tree("var")), ("kept", tree("var")), ("own", tree("${n}-${row.user}"))),
        secrets=(("pw", Secret("hush-hush")),),
    )  # fmt: skip
    it.prepare()

    assert it.scope.values == {"n": "row", "user": "u-0", "kept": "extracted", "own": "var-u-0"}
    assert it.scope.vars == {"n": "var", "kept": "var", "own": "var-u-0"}
    assert it.scope.secrets == {"pw": "hush-hush"}
    assert template("${secrets.pw}").text(it.scope) == "hush-hush"


def test_a_file_without_rows_left_is_the_probers_fault() -> None:
    played = run(journey(http("a"), feeder=Rows()), Memory(lambda _: ok()), iteration=2)

    assert played.failure == Failure(
        Reason.CONFIG,
        "want a row of users.csv for each play, got all 2 used (pick: unique)",
    )


def test_time_is_the_less_of_step_and_part() -> None:
    clock = Clock()
    it = stage(clock=clock)
    it.begin(10.0, "all steps")

    assert it.allowed(clock.now + 3) == 3.0
    assert it.allowed(clock.now + 30) == 10.0
    clock.now += 4
    assert it.left() == 6.0
    with pytest.raises(CheckFailed, match="want an answer in the time of the step"):
        it.allowed(clock.now)
    clock.now += 7
    assert it.left() == 0.0
    with pytest.raises(CheckFailed, match="want all steps within 10s, got no time left"):
        it.allowed(clock.now + 1)


def test_only_a_timeout_of_the_whole_names_the_whole() -> None:
    clock = Clock()
    it = stage(clock=clock)
    it.begin(5.0, "all steps")
    late = Failure(Reason.TIMEOUT, "want an answer within 1 s, got none", "processing")

    assert it.late(late, clock.now + 1) is late
    assert it.late(late, clock.now + 9).message == "want all steps within 5s, got no answer"
    assert it.late(late, clock.now + 9).phase == "processing"
    refused = Failure(Reason.REFUSED, "want a connection")
    assert it.late(refused, clock.now + 9) is refused


@pytest.mark.parametrize(
    ("timeout_s", "told"),
    [pytest.param(29.999_87, "30s", id="rounded"), pytest.param(-1.0, "0ms", id="over-already")],
)
def test_a_budget_is_told_as_people_write_it(timeout_s: float, told: str) -> None:
    clock = Clock()
    it = stage(clock=clock)
    it.begin(timeout_s, "all steps")
    clock.now += 30

    with pytest.raises(CheckFailed, match=f"want all steps within {told}, got no time left"):
        it.allowed(clock.now + 1)


def test_a_stop_is_no_reason_to_leave_a_mess() -> None:
    it = stage()
    it.begin(5.0, "all steps")
    it.context.stop()

    with pytest.raises(CheckFailed, match="got a stop of the prober"):
        it.allowed(9e9)
    it.part = Part.CLEANUP
    assert it.allowed(9e9) == 5.0


def test_blame_follows_the_names() -> None:
    it = stage()
    it.extracted("n", "$.n", 1)
    wrong = ValueError("want a, got b")

    assert it.blame(wrong, ["n", "m"]) == Failure(Reason.VALUE, "want a, got b")
    assert it.blame(wrong, ["m"]).reason is Reason.CONFIG
    assert it.blame(Unset("m"), []).reason is Reason.EXTRACT


@pytest.mark.parametrize(
    ("name", "source", "is_hidden"),
    [
        pytest.param("token", "$.t", True, id="telling-name"),
        pytest.param("it", {"cookie": "c"}, True, id="cookie"),
        pytest.param("it", {"header": "X-Api-Key"}, True, id="telling-header"),
        pytest.param("it", {"header": "Location"}, False, id="header"),
        pytest.param("it", {"json": "$.a"}, False, id="json"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(name: str, source: Any, is_hidden: bool) -> None:
    it = stage()
    it.extracted(name, source, "some-value")

    assert (it.played(None).hidden == {"some-value"}) is is_hidden


def test_a_value_that_is_gone_is_forgotten_only_where_an_answer_gave_it() -> None:
    it = stage(values={"own": 1})
    it.extracted("own", "$.a", MISSING)
    assert it.scope.values == {"own": 1}
    it.extracted("own", "$.a", 2)
    it.extracted("own", "$.a", MISSING)

    assert it.scope.values == {}
    assert it.played(None).values == {}


def test_logs_are_bounded() -> None:
    it = stage()
    for number in range(MAX_LOGS + 5):
        it.log(str(number), "x" * (MAX_LOG_CHARACTERS + 5))
    it.log("0", "again")
    logs = it.played(None).logs

    assert len(logs) == MAX_LOGS
    assert logs[0] == ("0", "again")
    assert len(logs[1][1]) == MAX_LOG_CHARACTERS


def test_parts_can_be_played_apart() -> None:
    memory = Memory(lambda _: ok())
    it = journey(
        http("b"), LogStep(Common("said"), template("x")),
        setup=(http("a"),), cleanup=(http("c"),),
    )  # fmt: skip

    first = run(it, memory, parts=(Part.SETUP,))
    second = run(it, memory, parts=(Part.STEPS,))

    assert [step.step for step in first.steps] == ["a"]
    assert [step.step for step in second.steps] == ["b", "said"]
    assert [request.step for request in memory.requests] == ["a", "b"]


def test_what_is_hidden_is_bounded() -> None:
    """Each text is looked for in all that is shown: cookies of a hostile server are many."""
    it = stage()
    it.hide(f"{number:04}{'x' * 4092}" for number in range(30))
    it.hide(["0000" + "x" * 4092, "sw0rdfish"])

    hidden = it.played(None).hidden
    assert len(hidden) == 16
    assert sum(map(len, hidden)) == MAX_HIDDEN_CHARACTERS_OF_ALL


def test_what_an_earlier_play_brought_is_trusted_no_more_than_an_answer() -> None:
    """A load plays the set-up apart: its token is known, and its address is still a stranger's."""
    context = Context(scope(), Clock(), brought={"token": "https://elsewhere.test/x"})
    it = Stage(journey(http("a"), vars=(("token", tree("own")),)), context)
    it.prepare()

    assert it.scope.values["token"] == "https://elsewhere.test/x"
    assert it.is_told(["token"])
    assert it.is_led_away(parse_url("https://elsewhere.test/x"), template("${token}"))
