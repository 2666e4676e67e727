"""The state that traffic sees: chains.md 6.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.judge.evaluate import health
from probes.chain.judge.smoothing import smooth
from probes.chain.judge.views import View
from probes.chain.model import EndpointHealth, Group, Judgement
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome
from tests.probes.chain.judge.stage import DEGRADED, DOWN, START, UNKNOWN, UP, Stage, group

WORDS = {"u": UP, "g": DEGRADED, "d": DOWN, "?": UNKNOWN}
LETTERS = {outcome: letter for letter, outcome in WORDS.items()}
known = st.sampled_from("ugd")


def exported(raw: str, who: Group | None = None) -> str:
    """Return the exported states of a row of raw outcomes, as letters; ``-`` is none yet."""
    view, told = View(), ""
    for letter in raw:
        recent, state = smooth(view, WORDS[letter], (), who or group())
        view = View(recent=recent, exported=state)
        told += LETTERS[state] if state else "-"
    return told


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        pytest.param("u", "u", id="the first is taken at once"),
        pytest.param("d", "d", id="also when it is down"),
        pytest.param("?d", "-d", id="unknown is no first"),
        pytest.param("ududu", "uuuuu", id="one down is nothing"),
        pytest.param("udd", "uud", id="two are down"),
        pytest.param("ddudu", "ddddd", id="one up is nothing"),
        pytest.param("dduu", "dddu", id="two are up"),
        pytest.param("u?d?d", "uuuud", id="unknown neither counts nor interrupts"),
        pytest.param("ugg", "uug", id="degraded"),
        pytest.param("ugdgd", "uuggg", id="to the best of the worse ones"),
        pytest.param("ugddd", "uugdd", id="and then further"),
        pytest.param("ddug", "dddg", id="to the worst of the better ones"),
        pytest.param("guu", "ggu", id="well again"),
    ],
)
def test_transitions_need_two_runs(raw: str, want: str) -> None:
    assert exported(raw) == want


def test_the_number_of_runs_is_configured() -> None:
    assert exported("uddddu", group(down_after=4, up_after=1)) == "uuuudu"
    assert exported("udu", group(down_after=1, up_after=1)) == "udu"


def test_the_wrong_network_is_taken_at_once() -> None:
    wrong = Finding(ChainReason.WRONG_NETWORK, DOWN)
    view = View(recent=(UP, UP), exported=UP)

    assert smooth(view, DOWN, (wrong,), group())[1] is DOWN


@given(st.text("ugd?", max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_what_lasts_is_exported_and_memory_is_bounded(raw: str, down: int, up: int) -> None:
    who = group(down_after=down, up_after=up)

    for letter in "ugd":
        assert exported(raw + letter * max(down, up), who)[-1] == letter


@given(st.text("ud", min_size=1, max_size=40))
def test_a_state_never_changes_by_one_run(raw: str) -> None:
    told = exported(raw)

    for at in range(1, len(told)):
        assert told[at] == told[at - 1] or raw[at] == raw[at - 1]


# --- what load balancers are told


def listen(
    stage: Stage, judgement: Judgement, last: tuple[EndpointHealth, ...] = ()
) -> EndpointHealth:
    return health(stage.group, judgement, stage.views, last, START)[0]


def test_an_endpoint_that_is_up_is_told_with_its_head() -> None:
    stage = Stage(group("a"))

    told = listen(stage, stage.run())

    assert told == EndpointHealth("it", "a", UP, (), 1000, told.head_age_s, START.wall)
    assert told.head_age_s == pytest.approx(0.05, abs=0.01)


def test_why_it_is_not_up_is_told() -> None:
    stage = Stage(group("a"))

    told = listen(stage, stage.run(a=stage.silent("a", ChainReason.TIMEOUT)))

    assert (told.outcome, told.reasons) == (DOWN, ("timeout",))


def test_what_is_not_yet_confirmed_is_not_told() -> None:
    stage = Stage(group("a"))
    stage.settle()

    told = listen(stage, stage.run(a=stage.silent("a", ChainReason.TIMEOUT)))

    assert (told.outcome, told.reasons) == (UP, ())


def test_while_it_recovers_the_reason_stays() -> None:
    stage = Stage(group("a"))
    down = (listen(stage, stage.run(a=stage.silent("a", ChainReason.TIMEOUT))),)

    told = listen(stage, stage.run(), down)

    assert (told.outcome, told.reasons) == (DOWN, ("timeout",))
    assert listen(stage, stage.run(), (told,)).outcome is UP


def test_an_unknown_run_leaves_what_was_told_and_says_so() -> None:
    stage = Stage(group("a"))
    last = (listen(stage, stage.run()),)

    told = listen(stage, stage.run(a=None), last)

    assert told.is_unknown
    assert (told.outcome, told.checked_wall, told.height) == (UP, START.wall, 1000)


def test_one_that_was_never_known_has_no_outcome() -> None:
    stage = Stage(group("a"))

    told = listen(stage, stage.run(a=None))

    assert told == EndpointHealth("it", "a", None, is_unknown=True)


def test_every_outcome_has_a_letter() -> None:
    assert set(WORDS.values()) == set(Outcome)
