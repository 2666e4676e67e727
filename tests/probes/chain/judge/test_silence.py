"""Whether a websocket tells its heads: chains.md 9.1, decision 8."""

from dataclasses import replace
from typing import Any

import pytest

from probes.chain.model import Thresholds
from probes.wire.websocket.heads import News, Sighting
from tests.probes.chain.judge.stage import Stage, detail, group, said

AGE_S = 120.0


class Listened(Stage):
    """A stage whose endpoint *a* has a websocket."""

    news = News(is_up=True, up_since=4000.0)

    def hear(self, **changes: Any) -> str:
        """Run once after the websocket said *changes*; return what is said of it."""
        self.news = replace(self.news, **changes)
        return said(self.run(a=self.honest("a", news=self.news)), "a")

    def announce(self) -> str:
        """Run once after the websocket announced the head."""
        at = self.now.mono - 0.5
        told = Sighting(self.height, f"0x{self.height}", "", None, 0.0, at)
        return self.hear(heads=self.news.heads + 1, sightings=(told,), last_received=at)

    def asked(self) -> bool:
        return self.view("a").reconnect


def listened(**keys: Any) -> Listened:
    stage = Listened(group("a", **keys), every_s=12)
    for _ in range(5):
        assert stage.announce() == "up"
    return stage


def test_a_websocket_that_announces_is_fine() -> None:
    stage = listened()

    assert {stage.announce() for _ in range(40)} == {"up"}


def test_the_first_silence_dials_again_and_the_second_is_told() -> None:
    stage = listened()

    told = []
    while not stage.asked():
        told.append(stage.hear())
    assert len(told) == 12
    stage.news = replace(stage.news, up_since=stage.now.mono - 6, reconnects={"silent": 1})
    while told[-1] == "up":
        told.append(stage.hear())
        assert not stage.asked()

    assert told == ["up"] * (len(told) - 1) + ["degraded ws_silent"]
    assert len(told) in range(22, 27)


def test_it_says_for_how_long_it_heard_nothing() -> None:
    stage = listened()
    judgement = stage.repeat(30, lambda: {"a": stage.honest("a", news=stage.news)})

    want = "want the websocket to announce heads, got none for "
    assert detail(judgement, "a").startswith(want)
    assert detail(judgement, "a").endswith(" s while the head moved")


def test_the_next_head_ends_the_silence() -> None:
    stage = listened()
    for _ in range(30):
        stage.hear()

    assert stage.announce() == "up"
    assert {stage.hear() for _ in range(10)} == {"up"}


def test_it_is_dialled_again_now_and_then() -> None:
    stage = listened()

    asked = []
    for run in range(100):
        stage.hear()
        asked += [run] if stage.asked() else []

    gaps = {after - before for after, before in zip(asked[1:], asked, strict=False)}
    assert len(asked) >= 3
    assert gaps <= {26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36}


def test_silence_while_the_head_stands_still_is_none() -> None:
    stage = listened(thresholds=Thresholds(head_age_s="off"))
    at = stage.height - 1

    judgement = stage.repeat(60, lambda: {"a": stage.at("a", at, news=stage.news)})

    assert said(judgement, "a") == "up"


def test_the_first_block_after_a_quiet_hour_accuses_nobody() -> None:
    stage = listened(thresholds=Thresholds(head_age_s="off"))
    stage.elapsed_s += 3600

    first = stage.hear()
    second = stage.announce()

    assert (first, second) == ("up", "up")
    assert not stage.asked()


def test_a_websocket_that_was_never_heard_is_silent_too() -> None:
    stage = Listened(group("a"), every_s=12)

    told = [stage.hear() for _ in range(40)]

    assert told[-1] == "degraded ws_silent"


def test_a_websocket_that_is_not_up_is_not_silent() -> None:
    stage = listened()

    told = {stage.hear(is_up=False) for _ in range(40)}

    assert told == {"up"}


def test_silence_that_is_off_is_not_judged() -> None:
    stage = Listened(group("a", thresholds=Thresholds(ws_silent_after_s="off")), every_s=12)

    assert {stage.hear() for _ in range(60)} == {"up"}


@pytest.mark.parametrize(
    ("problem", "want"),
    [
        ("unavailable", "degraded ws_unavailable"),
        ("subscribe_failed", "degraded ws_subscribe_failed"),
        ("closed", "degraded ws_closed"),
    ],
)
def test_what_is_wrong_with_the_connection(problem: Any, want: str) -> None:
    stage = listened()

    assert stage.hear(is_up=False, problem=problem, detail="want status 101, got 403") == want


def test_a_problem_without_words_is_told_all_the_same() -> None:
    stage = listened()

    judgement = stage.run(a=stage.honest("a", news=News(problem="closed")))

    assert detail(judgement, "a") == "got 'closed'"


def test_heads_that_were_left_out_are_told_once() -> None:
    stage = listened()

    judgement = stage.run(a=stage.honest("a", news=replace(stage.news, missed=2)))

    assert said(judgement, "a") == "degraded ws_missed_heads"
    assert detail(judgement, "a") == "want every head announced, got 2 left out"
    assert stage.hear(missed=2) == "up"
    assert stage.hear(missed=3) == "degraded ws_missed_heads"


def test_a_listener_that_began_anew_left_nothing_out() -> None:
    stage = listened()
    stage.hear(missed=9)

    assert stage.hear(missed=0, heads=0) == "up"


def test_slots_without_a_block_are_left_out_by_everybody() -> None:
    stage = Listened(group("a", family="solana"), block_s=0.4, every_s=12)
    stage.announce()

    assert stage.hear(missed=40) == "up"


def test_without_a_websocket_nothing_is_judged() -> None:
    stage = Stage(group("a"))

    assert said(stage.settle(40), "a") == "up"
