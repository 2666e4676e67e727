"""One endpoint that says anything at all never changes the verdict of the honest majority."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.chain.judge.views import KEPT, MAX_TEXT
from probes.chain.model import Fees, Head, Health, Observation, Settled, Syncing
from probes.chain.reasons import ChainReason
from probes.result import Outcome
from probes.wire.websocket.heads import News, Sighting
from tests.probes.chain.judge.stage import UP, Stage, came_to, fault, group, said, verdict

heights = st.one_of(
    st.integers(-5, 2000),
    st.integers(-40, 400).map(lambda away: ("away", away)),
    st.sampled_from([0, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, -1, -(10**400)]),
)
stamps = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-4000, 4000).map(lambda away: ("away", away)),
)
hashes = st.one_of(st.sampled_from(["", "0xliar", "0x1000", "0x1001"]), st.text(max_size=8))
maybe_int = st.one_of(st.none(), st.integers(-5, 5000), st.just(10**400))


@st.composite
def lies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what the liar says in one run, without the truth it may refer to."""
    return {
        "height": draw(heights),
        "stamp": draw(stamps),
        "hash": draw(hashes),
        "parent": draw(hashes),
        "seen": draw(st.sampled_from([0.0, -1e9, 1e18, "now", "late"])),
        "chain_id": draw(st.sampled_from([None, "1", "1", "2", "x" * 500])),
        "genesis": draw(st.sampled_from([None, "0xgenesis", "0xother"])),
        "final": draw(st.one_of(st.none(), heights)),
        "settled": draw(st.sampled_from(["true", "lie", "nothing"])),
        "syncing": draw(
            st.one_of(st.none(), st.builds(Syncing, st.booleans(), st.none() | st.integers()))
        ),
        "health": draw(
            st.one_of(st.none(), st.builds(Health, st.none() | st.booleans(), maybe_int))
        ),
        "peers": draw(maybe_int),
        "lag": draw(maybe_int),
        "app": draw(st.one_of(st.none(), st.tuples(heights, hashes))),
        "latency": draw(st.sampled_from([None, 0.1, 1e9, math.nan])),
        "again": draw(maybe_int),
        "fault": draw(st.sampled_from([None, None, None, *ChainReason])),
        "peer": draw(st.sampled_from(["", "192.0.2.1", "192.0.2.2"])),
        "flags": draw(
            st.sampled_from(["", "", "not started", "left alone", "no head", "throttle"])
        ),
        "news": draw(st.booleans()),
    }


def lie(stage: Stage, name: str, told: dict[str, Any]) -> Observation:
    """Return the observation of a liar who knows the truth."""

    def height_of(value: Any) -> int:
        return int(stage.height + value[1] if isinstance(value, tuple) else value)

    stamp = told["stamp"]
    stamp = stage.now.wall + stamp[1] if isinstance(stamp, tuple) else stamp
    seen = {"now": stage.now.mono, "late": stage.now.mono + 9}.get(told["seen"], told["seen"])
    head = Head(height_of(told["height"]), told["hash"], told["parent"], stamp, seen)
    seen_all = Observation(
        name,
        asked={"head"},
        head=None if told["flags"] in ("no head", "left alone") or told["fault"] else head,
        fault=fault(told["fault"]) if told["fault"] else None,
        chain_id=told["chain_id"],
        genesis=told["genesis"],
        syncing=told["syncing"],
        health=told["health"],
        peers=told["peers"],
        shred_lag=told["lag"],
        abci_lag=told["lag"],
        app=told["app"] and (height_of(told["app"][0]), told["app"][1] * 90),
        consensus_round=told["lag"],
        latency_s=told["latency"],
        read_again=told["again"],
        peer=told["peer"],
        not_started=told["flags"] == "not started",
        left_alone=told["flags"] == "left alone",
        retry_after_s=1.0 if told["flags"] == "throttle" else None,
        fees=Fees(price=10**30),
        blockhash="liar",
        rejected=dict.fromkeys("abcde", told["settled"] == "lie"),
        capabilities={"archive": told["settled"] == "true"},
    )
    if told["final"] is not None:
        seen_all.tags["finalized"] = Head(height_of(told["final"]), told["hash"])
    if told["news"]:
        sighting = Sighting(head.height, head.hash, head.parent, stamp, 0.0, seen)
        seen_all.news = News(is_up=True, heads=3, missed=2, sightings=(sighting,) * 64)
    if told["settled"] != "true":
        lied = Settled("0xlie", "0xstate")
        numbers = range(stage.height - 40, stage.height + 2) if told["settled"] == "lie" else ()
        seen_all.settled = dict.fromkeys(numbers, lied)
    return seen_all


def truth(stage: Stage, name: str, run: int, behind: int, liar: str = "c") -> Observation:
    """Return the observation of an honest endpoint: identity and finality not in each run."""
    slow: dict[str, Any] = {"genesis": "0xgenesis"} if run % 5 == 0 else {"chain_id": None}
    seen = stage.honest(name, behind, **slow)
    if run % 2 == 0:
        final = max(1, stage.height - 70 - stage.height % 32)
        seen.tags["finalized"] = Head(final, f"0x{final}")
    seen.health = Health(ok=True)
    seen.syncing = Syncing(is_syncing=False)
    seen.shred_lag = seen.abci_lag = seen.consensus_round = 0
    seen.peers = 9
    if seen.head and run % 2:
        seen.app = (seen.head.height, came_to(seen.head.height))
    seen.rejected = {other: other == liar for other in "abc" if other != name}
    seen.blockhash = f"hash of {name}"
    return seen


families = st.sampled_from([("evm", 12.0), ("evm", 0.25), ("cosmos", 6.0), ("solana", 0.4)])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    family=families,
    order=st.permutations("abc"),
    said_by_liar=st.lists(lies(), min_size=1, max_size=12),
    behind=st.lists(st.integers(0, 1), min_size=24, max_size=24),
    knows_id=st.booleans(),
    before=st.integers(0, 4),
)
def test_what_one_of_three_says_changes_nothing_for_the_other_two(
    family: tuple[Any, float],
    order: list[str],
    said_by_liar: list[dict[str, Any]],
    behind: list[int],
    knows_id: bool,
    before: int,
) -> None:
    keys = {"family": family[0], "chain_id": "1" if knows_id else None}
    stage = Stage(group("".join(order), **keys), block_s=family[1])
    lags = [*behind, *behind]

    for run in range(before + len(said_by_liar)):
        told: dict[str, Any] = {
            name: truth(stage, name, run, lags[run + at]) for at, name in enumerate("ab")
        }
        if run >= before:
            told["c"] = lie(stage, "c", said_by_liar[run - before])
        judgement = stage.run(**told)

        for name in "ab":
            known = verdict(judgement, name)
            assert known.outcome is UP, (run, said(judgement, name), known.findings)
            assert known.lag is None or 0 <= known.lag <= 2, (run, known)
        assert not judgement.is_halted
        assert all(known.lag is None or known.lag >= 0 for known in judgement.endpoints)
        assert (judgement.reference or stage.height) <= stage.height


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    said_by_liar=st.lists(lies(), min_size=1, max_size=6),
    family=families,
    names=st.permutations("abc"),
)
def test_the_order_of_the_endpoints_changes_no_verdict(
    said_by_liar: list[dict[str, Any]], family: tuple[Any, float], names: list[str]
) -> None:
    stages = [
        Stage(group(order, family=family[0]), block_s=family[1])
        for order in ("abc", "".join(names))
    ]

    for run, told in enumerate(said_by_liar):
        judgements = [
            stage.run(
                a=truth(stage, "a", run, 0), b=truth(stage, "b", run, 1), c=lie(stage, "c", told)
            )
            for stage in stages
        ]

        first, second = ({known.name: known for known in it.endpoints} for it in judgements)
        assert first == second
        assert judgements[0].outcome is judgements[1].outcome
        assert stages[0].views == replace(stages[1].views)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    said_by_liar=st.lists(lies(), min_size=1, max_size=8),
    family=families,
    names=st.sampled_from(["c", "ca", "cab"]),
)
def test_memory_is_bounded_whatever_is_said(
    said_by_liar: list[dict[str, Any]], family: tuple[Any, float], names: str
) -> None:
    stage = Stage(group(names, family=family[0], chain_id=None), block_s=family[1])

    for told in said_by_liar * 12:
        stage.run(c=lie(stage, "c", told))

    view = stage.view("c")
    lists = (view.polled, view.chain, view.orphans, view.block_times, view.finality_lags)
    assert all(len(kept) <= KEPT for kept in lists)
    assert all(len(name) <= MAX_TEXT for _, name in (*view.polled, *view.chain, *view.orphans))
    assert len(view.told) <= 20
    assert view.app is None or len(view.app[1]) <= MAX_TEXT
    assert set(stage.views.endpoints) == set(names)


@pytest.mark.parametrize(
    ("family", "block_s"),
    [
        pytest.param("evm", 12.0, id="slow blocks"),
        pytest.param("evm", 0.25, id="several blocks a second"),
        pytest.param("solana", 0.4, id="slots"),
    ],
)
@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(said_by_liar=st.lists(lies(), min_size=1, max_size=10), wild=st.integers(0, 10))
def test_after_any_past_honest_endpoints_are_believed_again(
    family: Any, block_s: float, said_by_liar: list[dict[str, Any]], wild: int
) -> None:
    stage = Stage(group("abc", family=family), block_s=block_s)

    # for a while all of them, then two of them say anything
    for run, lied in enumerate(said_by_liar):
        everybody: dict[str, Any] = {"c": lie(stage, "c", lied), "b": lie(stage, "b", lied)}
        if run < wild:
            everybody["a"] = lie(stage, "a", {**lied, "height": ("away", run * 7)})
        stage.run(**everybody)
    last = None
    for run in range(80):
        if last is not None and last.outcome is UP and run > 3:
            break
        told = {name: truth(stage, name, run, 0, liar="") for name in "abc"}
        last = stage.run(a=told["a"], b=told["b"], c=told["c"])

    assert last is not None
    assert last.outcome is UP, [(known.name, known.findings) for known in last.endpoints]
    assert last.voters == 3
    assert {known.outcome for known in last.endpoints} == {Outcome.UP}
