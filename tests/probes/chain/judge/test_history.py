"""What the heads of one endpoint do over time: chains.md 5.6, 5.9."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.chain.judge.views import KEPT
from probes.chain.model import Head, Thresholds
from probes.wire.websocket.heads import News, Sighting
from tests.probes.chain.judge.stage import START, Stage, detail, group, head, reasons, said, verdict


def walk(stage: Stage, *heads: Head) -> Stage:
    """Let *a* tell *heads* one after the other."""
    for told in heads:
        stage.run(a=stage.honest("a", head=told))
    return stage


def alone(**keys: Any) -> Stage:
    return Stage(group("a", **keys))


def counted(stage: Stage) -> tuple[int, int]:
    return stage.view("a").reorgs, stage.view("a").reorg_blocks


@pytest.mark.parametrize(
    ("heads", "want"),
    [
        pytest.param([head(10), head(11), head(15)], (0, 0), id="a chain that grows"),
        pytest.param([head(10), head(10)], (0, 0), id="a chain that stands"),
        pytest.param([head(10), head(10, hash="0xb")], (1, 1), id="another tip"),
        pytest.param([head(10), head(11, parent="0xb")], (1, 1), id="a parent that we do not know"),
        pytest.param(
            [head(9), head(10), head(9, hash="0xb"), head(10, hash="0xc", parent="0xb")],
            (1, 2),
            id="two blocks replaced",
        ),
        pytest.param([head(10), head(12), head(9, hash="0xb")], (0, 0), id="unknown height"),
        pytest.param([head(10), head(14), head(10, branch="b")], (1, 5), id="five replaced"),
        pytest.param(
            [head(10), head(10, hash="0xb"), head(10), head(10, hash="0xb")],
            (1, 1),
            id="two tips that take turns are two nodes, not many reorgs",
        ),
        pytest.param([Head(10), Head(9), Head(10)], (0, 0), id="no hashes"),
        pytest.param([head(10, parent=""), head(11, parent="")], (0, 0), id="no parents"),
    ],
)
def test_what_counts_as_a_reorg(heads: list[Head], want: tuple[int, int]) -> None:
    assert counted(walk(alone(), *heads)) == want


def test_blocks_that_the_websocket_announced_count_too() -> None:
    stage = alone()
    walk(stage, head(10))
    seen = [(11, "0xa"), (11, "0xb"), (12, "0xc")]
    told = tuple(Sighting(height, name, "", None, 0.0, 0.0) for height, name in seen)

    stage.run(
        a=stage.honest(
            "a", head=head(12, hash="0xc", parent=""), news=News(heads=3, sightings=told)
        )
    )
    stage.run(a=stage.honest("a", head=head(13, parent=""), news=News(heads=3, sightings=told)))

    assert counted(stage) == (1, 1)
    assert stage.view("a").heads_observed == 3


def test_a_listener_that_began_anew_is_read_from_its_beginning() -> None:
    stage = alone()
    stage.run(a=stage.honest("a", head=head(10), news=News(heads=50)))
    told = (Sighting(10, "0xb", "", None, 0.0, 0.0),)

    stage.run(a=stage.honest("a", head=head(11, parent=""), news=News(heads=1, sightings=told)))

    assert counted(stage) == (1, 1)


def test_a_balancer_counts_only_what_is_read() -> None:
    stage = alone()
    balanced = stage.group.endpoints[0].__class__("a", load_balanced=True)
    stage = Stage(group("a", endpoints=(balanced,)))
    told = (Sighting(10, "0xb", "", None, 0.0, 0.0),)

    stage.run(a=stage.honest("a", head=head(10)))
    stage.run(a=stage.honest("a", head=head(11), news=News(heads=1, sightings=told)))

    assert counted(stage) == (0, 0)


# --- moved


def test_the_time_of_the_last_move_is_when_the_head_was_first_seen() -> None:
    stage = alone()
    at = stage.now
    walk(stage, head(1000), head(1000), head(1000))

    view = stage.view("a")
    assert view.head_changed_mono == START.mono
    assert view.head_changed_wall == at.wall
    assert (view.heads_observed, view.has_moved) == (1, False)

    walk(stage, head(1001))
    assert stage.view("a").head_changed_mono == START.mono + 45
    assert stage.view("a").has_moved


def test_two_nodes_that_take_turns_do_not_make_a_halted_chain_look_alive() -> None:
    stage = walk(alone(), head(1000), head(999), head(1000), head(999), head(1000), head(998))

    assert stage.view("a").heads_observed == 1


def test_nor_do_two_that_are_far_apart() -> None:
    stage = alone(thresholds=Thresholds(lag_down=6))

    walk(stage, *[head(1000), head(900)] * 4)

    assert stage.view("a").heads_observed == 2


def test_a_block_in_the_place_of_another_is_a_move() -> None:
    stage = walk(alone(), head(1000), head(1000, hash="0xb"))

    assert stage.view("a").heads_observed == 2


def test_a_block_time_is_measured_between_moves_not_between_reads() -> None:
    stage = alone()
    for height in (10, 10, 10, 11, 11, 11, 12):
        stage.run(a=stage.honest("a", head=Head(height, seen=stage.now.mono)))

    assert stage.view("a").block_times == (45.0, 45.0)


# --- rollback


def test_a_head_that_goes_back_far_is_a_rollback_until_it_advances() -> None:
    stage = walk(alone(), head(5000))

    back = stage.run(a=stage.honest("a", head=head(3000, timestamp=stage.now.wall)))
    still = stage.run(a=stage.honest("a", head=head(3000, timestamp=stage.now.wall)))
    on = stage.run(a=stage.honest("a", head=head(3001, timestamp=stage.now.wall)))

    assert said(back, "a") == said(still, "a") == "degraded head_rollback"
    assert detail(back, "a") == (
        "want a head that advances, got one that went back 2000 blocks to 3000"
    )
    assert said(on, "a") == "up"


@pytest.mark.parametrize(("blocks", "is_rollback"), [(1024, False), (1025, True)])
def test_a_rollback_is_more_than_1024_blocks(blocks: int, is_rollback: bool) -> None:
    stage = walk(alone(), head(5000))

    judgement = stage.run(a=stage.honest("a", head=head(5000 - blocks)))

    assert ("head_rollback" in reasons(judgement, "a")) is is_rollback


def test_a_suspect_is_asked_who_it_is() -> None:
    stage = walk(alone(), head(5000), head(3000))

    assert stage.view("a").suspect


# --- jitter


def jitter(stage: Stage, *heights: int) -> list[str]:
    told = []
    for height in heights:
        judgement = stage.run(a=stage.honest("a", head=head(height, timestamp=stage.now.wall)))
        told.append(said(judgement, "a"))
    return told


def test_an_endpoint_that_falls_twice_is_several_nodes() -> None:
    stage = alone()

    told = jitter(stage, 1000, 999, 1001, 1000, 1002)

    assert told == ["up", "up", "up", "degraded head_jitter", "up"]


def test_one_fall_may_be_a_reorg() -> None:
    assert jitter(alone(), 1000, 999, 1001, 1002) == ["up"] * 4


def test_a_fall_with_another_hash_is_a_reorg() -> None:
    stage = alone()

    for height, branch in [(9, ""), (10, ""), (9, "b"), (10, "b"), (9, "c"), (10, "c")]:
        stage.run(a=stage.honest("a", head=head(height, branch=branch)))

    assert stage.view("a").falls == 0
    assert stage.view("a").reorgs == 2


def test_a_deep_fall_is_not_jitter() -> None:
    stage = alone(thresholds=Thresholds(lag_down=6))

    jitter(stage, 1000, 993, 1001, 994, 1002)

    assert stage.view("a").falls == 0


def test_falls_of_long_ago_are_forgotten() -> None:
    stage = alone()
    jitter(stage, 1000, 999, 1001, 1000)

    jitter(stage, *range(1002, 1002 + KEPT + 2))

    assert stage.view("a").falls == 0


@pytest.mark.parametrize(
    ("again", "want"),
    [
        pytest.param(1000, "up", id="the same"),
        pytest.param(1001, "up", id="later"),
        pytest.param(999, "degraded head_jitter", id="earlier"),
        pytest.param(-(10**400), "degraded head_jitter", id="absurd"),
    ],
)
def test_a_balancer_is_read_twice(again: int, want: str) -> None:
    balanced = group("a").endpoints[0].__class__("a", load_balanced=True)
    stage = Stage(group("a", endpoints=(balanced,)))

    judgement = stage.run(a=stage.honest("a", read_again=again))

    assert said(judgement, "a") == want


def test_one_node_that_falls_in_a_run_is_not_a_balancer() -> None:
    stage = alone()

    assert said(stage.run(a=stage.honest("a", read_again=1)), "a") == "up"


# --- bounds


@pytest.mark.parametrize("height", [-1, 2**63, 10**400, -(10**400)])
def test_a_height_that_cannot_be_is_an_invalid_answer(height: int) -> None:
    stage = alone()

    judgement = stage.run(a=stage.honest("a", head=Head(height)))

    assert said(judgement, "a") == "down invalid_response"
    assert verdict(judgement, "a").height is None
    assert detail(judgement, "a").startswith("want a height below 2^63, got ")
    assert len(detail(judgement, "a")) < 130


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(990, 1010), st.sampled_from("ab"), st.sampled_from("abc")),
        max_size=60,
    )
)
def test_counters_never_fall_and_history_is_bounded(blocks: list[tuple[int, str, str]]) -> None:
    stage = alone()
    last = (0, 0, 0)

    for height, own, parent in blocks:
        walk(stage, Head(height, f"0x{height}{own}", f"0x{height - 1}{parent}"))
        view = stage.view("a")
        now = (view.reorgs, view.reorg_blocks, view.heads_observed)
        assert all(after >= before for after, before in zip(now, last, strict=True))
        assert view.reorg_blocks >= view.reorgs
        assert len({height for height, _ in view.heads}) == len(view.heads) <= KEPT
        last = now
