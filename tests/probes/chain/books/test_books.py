"""What a group shows as metrics: which series, what they say, and when they end."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.books.books import Books, book, samples
from probes.chain.books.ledger import LIFETIMES, MAX_SERIES
from probes.chain.books.metrics import METRICS, SOLANA_LATENCY
from probes.chain.judge.views import View, Views
from probes.chain.model import (
    Endpoint,
    Group,
    Head,
    Judgement,
    Limits,
    Now,
    Observation,
    Syncing,
    Try,
    Verdict,
)
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Dialect, Survey, Topic
from probes.result import Outcome, Sample
from probes.wire.websocket.heads import News, Sighting

OWN, OTHER, PUBLIC = Endpoint("own"), Endpoint("other"), Endpoint("public", role="reference")
EVERY_S = 15.0
LIMITS = Limits(
    head_age_s=120.0, lag_warn=2.0, lag_down=6.0, finality_lag=None, fork_depth=3,
    latency_warn_s=1.0, latency_down_s=None, min_peers=5.0, shred_lag=None, txpool_full=None,
    ws_silent_after_s=None,
)  # fmt: skip
NO_LIMITS = Limits(
    head_age_s=None, lag_warn=None, lag_down=None, finality_lag=None, fork_depth=3,
    latency_warn_s=None, latency_down_s=None, min_peers=None, shred_lag=None, txpool_full=None,
    ws_silent_after_s=None,
)  # fmt: skip
START = 1000.0


class Speech:
    """As much of a dialect as the books ask for."""

    head_method = "eth_getBlockByNumber"
    topics = (Topic("head", "fast"), Topic("finalized", "second"), Topic("gas", "slow"))


class Diary:
    """A group whose runs are entered one after the other."""

    def __init__(self, *endpoints: Endpoint, **keys: Any) -> None:
        outline: dict[str, Any] = {"family": "evm", "chain": "eth", "every_s": EVERY_S}
        self.group = Group(**outline | {"endpoints": endpoints or (OWN,)} | keys)
        self.books = Books()
        self.mono = START - EVERY_S

    def run(
        self,
        *seen: Observation,
        verdicts: Iterable[Verdict] | None = None,
        views: Mapping[str, View] | None = None,
        survey: Survey | None = None,
        **judged: Any,
    ) -> dict[str, float]:
        """Enter a run; return all series as text."""
        self.mono += EVERY_S
        if verdicts is None:
            verdicts = [Verdict(one.name, Outcome.UP, exported=Outcome.UP)
                        for one in self.group.endpoints]  # fmt: skip
        outline: dict[str, Any] = {
            "outcome": Outcome.UP,
            "finding": None,
            "blamed": "",
            "limits": LIMITS,
            "endpoints": tuple(verdicts),
            "block_time_s": 12.0,
        }
        judgement = Judgement(**outline | judged)
        now = Now(self.mono, 1_700_000_000.0 + self.mono)
        self.books = book(
            self.group, self.books, {one.endpoint: one for one in seen}, judgement,
            Views(endpoints=views or {}), survey or Survey(), now, cast("Dialect", Speech()),
        )  # fmt: skip
        made = samples(self.group, self.books, judgement, now)
        assert_declared(made)
        shown = {text(sample): sample.value for sample in made}
        assert len(shown) == len(made), "a series twice"
        return shown


def text(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sample.labels if name != "chain")
    assert dict(sample.labels)["chain"] == "eth"
    return f"{sample.name}{{{labels}}}"


def assert_declared(made: Iterable[Sample]) -> None:
    declared = {metric.name: metric for metric in (*METRICS, SOLANA_LATENCY)}
    for sample in made:
        name, labels = sample.name, {label for label, _ in sample.labels}
        if name.startswith(("evm_", "solana_slot", "indexer_contract")):
            continue  # of a dialect
        for suffix in ("_bucket", "_sum", "_count"):
            family = declared.get(name.removesuffix(suffix))
            if name.endswith(suffix) and family is not None and family.type == "histogram":
                name = family.name
        labels.discard("le")
        assert set(declared[name].labels) == labels, sample


def seen(name: str = "own", **keys: Any) -> Observation:
    made = Observation(name)
    for key, value in keys.items():
        setattr(made, key, value)
    return made


def test_a_run_is_told_by_its_counters_and_its_durations() -> None:
    diary = Diary(latency_methods=frozenset({"eth_call"}))
    tries = [
        Try("eth_getBlockByNumber", "ok", seconds=0.02),
        Try("eth_call", "rpc_error", 3, 0.3),
        Try("eth_chainId", "unsupported", -32601, 0.001),
        Try("eth_gasPrice", "rpc_error", -31999, 99.0),
        Try("eth_syncing", "rate_limited", None, 0.001),
        Try("eth_syncing", "timeout"),
    ]
    diary.run(seen(tries=tries))

    shown = diary.run(seen(tries=tries[:1], shed={"gas", "peers"}))

    head, other = "method=eth_getBlockByNumber", "method=other"
    requests = {key: value for key, value in shown.items() if "requests_total" in key}
    assert requests == {
        f"chain_rpc_requests_total{{endpoint=own,{head},outcome=ok}}": 2,
        "chain_rpc_requests_total{endpoint=own,method=eth_call,outcome=rpc_error}": 1,
        f"chain_rpc_requests_total{{endpoint=own,{other},outcome=unsupported}}": 1,
        f"chain_rpc_requests_total{{endpoint=own,{other},outcome=rpc_error}}": 1,
        f"chain_rpc_requests_total{{endpoint=own,{other},outcome=rate_limited}}": 1,
        f"chain_rpc_requests_total{{endpoint=own,{other},outcome=timeout}}": 1,
    }
    errors = {key: value for key, value in shown.items() if "errors_total" in key}
    assert errors == {
        "chain_rpc_errors_total{endpoint=own,method=eth_call,code=3}": 1,
        # an unknown code, a throttling and a timeout
        f"chain_rpc_errors_total{{endpoint=own,{other},code=other}}": 3,
    }
    durations = "chain_rpc_request_duration_seconds"
    buckets = [
        shown[f"{durations}_bucket{{endpoint=own,{head},le={bound}}}"]
        for bound in ("0.005", "0.01", "0.025", "0.05", "10.0", "+Inf")
    ]
    assert buckets == [0, 0, 2, 2, 2, 2]
    assert shown[f"{durations}_sum{{endpoint=own,{head}}}"] == pytest.approx(0.04)
    assert shown[f"{durations}_count{{endpoint=own,{head}}}"] == 2
    # who throttles is quick: that is no latency of the node
    assert shown[f"{durations}_count{{endpoint=own,{other}}}"] == 2
    assert shown[f"{durations}_bucket{{endpoint=own,{other},le=10.0}}"] == 1
    assert shown["chain_probe_budget_shed_total{endpoint=own}"] == 2


def test_solana_has_its_latencies_under_the_name_that_its_users_know() -> None:
    diary = Diary(family="solana")
    shown = diary.run(seen(tries=[Try("getHealth", "ok", seconds=1.0)]))

    assert shown["solana_rpc_latency_seconds_count{endpoint=own,method=getHealth}"] == 1
    assert shown["chain_rpc_request_duration_seconds_count{endpoint=own,method=getHealth}"] == 1
    assert not any("solana" in key for key in Diary().run(seen(tries=[Try("x", "ok", None, 1.0)])))


@pytest.mark.parametrize(
    ("raw", "exported", "shown"),
    [
        (Outcome.UP, Outcome.UP, (1, 0)),
        (Outcome.DEGRADED, Outcome.DEGRADED, (1, 1)),
        (Outcome.DOWN, Outcome.DOWN, (0, 0)),
        (Outcome.DOWN, Outcome.UP, (1, 0)),
        (Outcome.UNKNOWN, Outcome.UP, (None, None)),
        (Outcome.UNKNOWN, None, (None, None)),
        (Outcome.UP, Outcome.UNKNOWN, (None, None)),
        (Outcome.UP, None, (None, None)),
    ],
)
def test_the_state_of_an_endpoint_is_absent_while_it_is_not_known(
    raw: Outcome, exported: Outcome | None, shown: tuple[int | None, int | None]
) -> None:
    series = Diary().run(seen(), verdicts=[Verdict("own", raw, exported=exported)])

    assert series.get("chain_rpc_up{endpoint=own}") == shown[0]
    assert series.get("chain_rpc_degraded{endpoint=own}") == shown[1]


def test_a_reason_is_shown_since_it_first_held_and_no_other() -> None:
    diary = Diary()
    stale = Finding(ChainReason.HEAD_STALE, Outcome.DOWN, "head is old")
    assert not any("rpc_reason" in key for key in diary.run(seen()))

    held = diary.run(seen(), verdicts=[Verdict("own", Outcome.DOWN, (stale,))])
    after = diary.run(seen())

    assert {key: value for key, value in held.items() if "rpc_reason" in key} == {
        "chain_rpc_reason{endpoint=own,reason=head_stale}": 1
    }
    assert after["chain_rpc_reason{endpoint=own,reason=head_stale}"] == 0


def test_thresholds_are_told_and_absent_when_they_are_off() -> None:
    names = {
        "chain_head_lag_threshold_blocks", "chain_head_stale_threshold_seconds",
        "chain_finality_lag_threshold_blocks", "chain_min_peers",
    }  # fmt: skip
    limited = Verdict("own", Outcome.UP, exported=Outcome.UP, finality_limit=64.0)

    on = Diary().run(seen(), verdicts=[limited])
    off = Diary().run(seen(), limits=NO_LIMITS)

    assert [on[f"{name}{{endpoint=own}}"] for name in sorted(names)] == [64, 2, 120, 5]
    assert not names & {key.partition("{")[0] for key in off}


def test_the_group_has_its_own_numbers() -> None:
    shown = Diary(OWN, OTHER).run(seen(), voters=2, is_halted=True, reference=77)

    assert shown["chain_voters{}"] == 2
    assert shown["chain_halted{}"] == 1
    assert shown["chain_reference_height{}"] == 77
    assert shown["chain_probe_interval_seconds{}"] == EVERY_S
    assert shown["chain_probe_last_run_timestamp_seconds{}"] == 1_700_000_000 + START


def full() -> Observation:
    """Return an endpoint that told everything."""
    told = seen(
        head=Head(100, "0xa", timestamp=5.0),
        tags={"latest": Head(100, "0xa", timestamp=5.0), "finalized": Head(64, "0xb")},
        syncing=Syncing(is_syncing=False),
        peers=25,
        earliest={"block": 1},
        capabilities={"logs": True, "batch": False, "never heard of": True},
        chain_id="1",
        client="Geth/1.13",
        tries=[Try("eth_getBlockByNumber", "ok", seconds=0.01)],
    )
    told.gauge("head", "evm_base_fee_wei", 7)
    told.gauge("gas", "evm_priority_fee_wei", 9, percentile="50")
    told.gauge("gas", "evm_gas_price_wei", 8)
    return told


def full_verdict(name: str = "own") -> Verdict:
    return Verdict(
        name, Outcome.UP, exported=Outcome.UP, height=100, lag=1, lag_s=12.0, id_match=True,
        disagrees=False, finality_lag=36, finality_limit=108.0,
    )  # fmt: skip


VIEW = View(heads_observed=4, reorgs=1, reorg_blocks=2, head_changed_wall=1_700_000_900.0)


def test_what_was_told_and_judged_is_shown() -> None:
    shown = Diary().run(full(), verdicts=[full_verdict()], views={"own": VIEW})

    told = {key: value for key, value in shown.items() if "_rpc_" not in key and "thres" not in key}
    assert told == {
        "chain_head_height{endpoint=own,tag=latest}": 100,
        "chain_head_height{endpoint=own,tag=finalized}": 64,
        "chain_head_timestamp_seconds{endpoint=own,tag=latest}": 5,
        "chain_head_changed_timestamp_seconds{endpoint=own}": 1_700_000_900,
        "chain_heads_observed_total{endpoint=own}": 4,
        "chain_reorgs_total{endpoint=own}": 1,
        "chain_reorg_blocks_total{endpoint=own}": 2,
        "chain_head_lag_blocks{endpoint=own}": 1,
        "chain_head_lag_seconds{endpoint=own}": 12,
        "chain_finality_lag_blocks{endpoint=own}": 36,
        "chain_block_time_seconds{endpoint=own}": 12,
        "chain_fork_disagreement{endpoint=own}": 0,
        "chain_id_match{endpoint=own}": 1,
        "chain_syncing{endpoint=own}": 0,
        "chain_peers{endpoint=own}": 25,
        "chain_min_peers{endpoint=own}": 5,
        "chain_earliest_height{endpoint=own,store=block}": 1,
        "chain_capability{endpoint=own,capability=logs}": 1,
        "chain_capability{endpoint=own,capability=batch}": 0,
        "chain_info{endpoint=own,chain_id=1,client=Geth/1.13,role=primary}": 1,
        "chain_probe_budget_shed_total{endpoint=own}": 0,
        "evm_base_fee_wei{endpoint=own}": 7,
        "evm_priority_fee_wei{endpoint=own,percentile=50}": 9,
        "evm_gas_price_wei{endpoint=own}": 8,
        "chain_voters{}": 0,
        "chain_halted{}": 0,
        "chain_probe_last_run_timestamp_seconds{}": 1_700_000_000 + START,
        "chain_probe_interval_seconds{}": EVERY_S,
    }


FAST = {
    "chain_head_height{endpoint=own,tag=latest}",
    "chain_head_timestamp_seconds{endpoint=own,tag=latest}",
    "chain_head_changed_timestamp_seconds{endpoint=own}", "chain_head_lag_blocks{endpoint=own}",
    "chain_head_lag_seconds{endpoint=own}", "chain_block_time_seconds{endpoint=own}",
    "chain_fork_disagreement{endpoint=own}", "chain_id_match{endpoint=own}",
    "chain_syncing{endpoint=own}", "evm_base_fee_wei{endpoint=own}",
}  # fmt: skip
SECOND = {
    "chain_head_height{endpoint=own,tag=finalized}", "chain_finality_lag_blocks{endpoint=own}",
}  # fmt: skip
SLOW = {
    "chain_peers{endpoint=own}", "chain_earliest_height{endpoint=own,store=block}",
    "chain_capability{endpoint=own,capability=logs}",
    "chain_capability{endpoint=own,capability=batch}",
    "chain_info{endpoint=own,chain_id=1,client=Geth/1.13,role=primary}",
    "evm_priority_fee_wei{endpoint=own,percentile=50}", "evm_gas_price_wei{endpoint=own}",
}  # fmt: skip


def test_a_gauge_ends_three_of_its_intervals_after_its_last_success() -> None:
    diary = Diary()
    diary.run(full(), verdicts=[full_verdict()], views={"own": VIEW})
    down = Verdict("own", Outcome.DOWN, exported=Outcome.UP)

    runs = [diary.run(seen(), verdicts=[down]) for _ in range(LIFETIMES * 20)]

    assert set(runs[LIFETIMES - 2]) >= FAST | SECOND | SLOW
    assert not FAST & set(runs[LIFETIMES - 1])
    assert set(runs[LIFETIMES * 2 - 2]) >= SECOND | SLOW
    assert not SECOND & set(runs[LIFETIMES * 2 - 1])
    assert set(runs[LIFETIMES * 20 - 2]) >= SLOW
    assert not SLOW & set(runs[LIFETIMES * 20 - 1])
    # what counts stays
    assert runs[-1]["chain_heads_observed_total{endpoint=own}"] == 4
    assert (
        "chain_rpc_request_duration_seconds_count{endpoint=own,method=eth_getBlockByNumber}"
        in (runs[-1])
    )


def test_a_topic_that_answers_again_takes_back_what_it_does_not_repeat() -> None:
    """solana_slots_behind is absent while the node does not say."""
    diary = Diary()
    diary.run(full())
    again = seen()
    again.gauge("gas", "evm_gas_price_wei", 10)

    shown = diary.run(again)

    assert shown["evm_gas_price_wei{endpoint=own}"] == 10
    assert "evm_priority_fee_wei{endpoint=own,percentile=50}" not in shown
    assert "evm_base_fee_wei{endpoint=own}" in shown


def test_syncing_of_a_balanced_endpoint_lasts_as_long_as_its_question() -> None:
    diary = Diary(Endpoint("own", load_balanced=True))
    diary.run(full())

    shown = [diary.run(seen()) for _ in range(10)][-1]

    assert "chain_syncing{endpoint=own}" in shown


def test_another_word_of_its_identity_replaces_the_one_before() -> None:
    diary = Diary()
    diary.run(seen(chain_id="1"))
    client = diary.run(seen(client="Geth/1.13"))
    moved = diary.run(seen(chain_id="5"))

    def infos(shown: dict[str, float]) -> list[str]:
        return [key for key in shown if key.startswith("chain_info")]

    assert infos(client) == ["chain_info{endpoint=own,chain_id=1,client=Geth/1.13,role=primary}"]
    assert infos(moved) == ["chain_info{endpoint=own,chain_id=5,client=Geth/1.13,role=primary}"]


@pytest.mark.parametrize(
    ("chain_id", "label"),
    [
        ("1", "1"),
        ("neutron-1", "neutron-1"),
        ("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d", "mainnet-beta"),
        ("9" * 44, "other"),
        ('x"} 1\n', "other"),
        ("https://x", "other"),
        ("", "other"),
    ],
)
def test_no_hash_and_no_text_of_a_peer_becomes_a_label(chain_id: str, label: str) -> None:
    shown = Diary().run(seen(chain_id=chain_id))

    assert f"chain_info{{endpoint=own,chain_id={label},client=other,role=primary}}" in shown


def test_a_reference_shows_four_families_so_that_no_rule_can_fire_on_it() -> None:
    told = full()
    told.endpoint = "public"
    diary = Diary(OWN, PUBLIC)
    verdicts = [full_verdict(), full_verdict("public")]
    shown = diary.run(full(), told, verdicts=verdicts, views={"public": VIEW})
    down = Verdict("public", Outcome.DOWN, exported=Outcome.DOWN)
    after = diary.run(full(), told, verdicts=[full_verdict(), down])

    families = {key.partition("{")[0] for key in shown if "endpoint=public" in key}
    assert families == {
        "chain_reference_up", "chain_info", "chain_head_height", "chain_head_timestamp_seconds",
    }  # fmt: skip
    assert shown["chain_reference_up{endpoint=public}"] == 1
    assert after["chain_reference_up{endpoint=public}"] == 0


def test_an_endpoint_that_is_gone_leaves_nothing() -> None:
    diary = Diary(OWN, OTHER)
    diary.run(full(), seen("other", tries=[Try("x", "ok", seconds=1.0)]))
    diary.group = Diary(OWN).group

    assert not any("endpoint=other" in key for key in diary.run(full()))


def test_what_was_found_once_per_group_has_no_endpoint() -> None:
    diary = Diary()
    gained = (("evm_contract_transactions_total", (("contract", "Skill"), ("result", "failed"))), 2)
    survey = Survey(gauges=((("evm_contract_scan_height", ()), 9),), counts=(gained,))
    diary.run(survey=survey)

    shown = diary.run(survey=survey)

    assert shown["evm_contract_scan_height{}"] == 9
    assert shown["evm_contract_transactions_total{contract=Skill,result=failed}"] == 4


def test_how_long_a_number_of_the_group_lasts_is_learnt_from_how_often_it_comes() -> None:
    diary = Diary()
    rare = Survey(gauges=((("chain_indexer_height", (("indexer", "graph"),)), 9),))
    key = "chain_indexer_height{indexer=graph}"

    first = [key in diary.run(survey=rare if number % 2 == 0 else None) for number in range(10)]
    ends = [key in diary.run() for _ in range(7)]

    assert all(first)
    assert ends == [True, True, True, True, False, False, False]


def news(*heights: int, up: bool = True, received: float = START, **keys: Any) -> News:
    sightings = tuple(
        Sighting(height, timestamp=1_699_999_990.0, received_at=1_700_000_000.5,
                 received=received + number)
        for number, height in enumerate(heights)
    )  # fmt: skip
    return News(is_up=up, sightings=sightings, heads=len(heights), **keys)


def test_what_a_websocket_brought_is_counted_once() -> None:
    diary = Diary(Endpoint("own", websocket=True))
    both = news(5, 6, missed=1, reconnects={"closed": 2})
    diary.run(seen(news=both))

    shown = diary.run(seen(news=both))

    assert {key: value for key, value in shown.items() if "ws_" in key and "bucket" not in key} == {
        "chain_ws_up{endpoint=own}": 1,
        "chain_ws_last_head_timestamp_seconds{endpoint=own}": 1_700_000_000.5,
        "chain_ws_heads_total{endpoint=own}": 2,
        "chain_ws_missed_heads_total{endpoint=own}": 1,
        "chain_ws_reconnects_total{endpoint=own,reason=closed}": 2,
        "chain_ws_head_delay_seconds_sum{endpoint=own}": 21.0,
        "chain_ws_head_delay_seconds_count{endpoint=own}": 2,
    }


def test_a_websocket_that_is_silent_keeps_telling_when_it_last_spoke() -> None:
    """ChainWsSilent compares with it."""
    diary = Diary(Endpoint("own", websocket=True))
    silent = news(5, up=False)

    shown = [diary.run(seen(news=silent)) for _ in range(20)][-1]
    gone = diary.run(seen())

    assert shown["chain_ws_last_head_timestamp_seconds{endpoint=own}"] == 1_700_000_000.5
    assert shown["chain_ws_up{endpoint=own}"] == 0
    assert "chain_ws_up{endpoint=own}" not in gone


def test_counts_of_a_listener_that_began_anew_are_added() -> None:
    diary = Diary(Endpoint("own", websocket=True))
    diary.run(seen(news=News(heads=100, missed=7, reconnects={"closed": 3})))
    diary.run(seen(news=News(heads=4, reconnects={"silent": 1})))

    shown = diary.run(seen(news=News(heads=6, missed=1, reconnects={"silent": 1, "closed": 1})))

    assert shown["chain_ws_heads_total{endpoint=own}"] == 106
    assert shown["chain_ws_missed_heads_total{endpoint=own}"] == 8
    assert shown["chain_ws_reconnects_total{endpoint=own,reason=closed}"] == 4
    assert shown["chain_ws_reconnects_total{endpoint=own,reason=silent}"] == 1


def test_both_sights_of_a_head_are_compared_once_when_the_later_comes() -> None:
    diary = Diary(Endpoint("own", websocket=True))

    def count(shown: dict[str, float]) -> tuple[float | None, float | None]:
        name = "chain_ws_vs_http_seconds"
        return shown.get(f"{name}_count{{endpoint=own}}"), shown.get(f"{name}_sum{{endpoint=own}}")

    # HTTP saw 10 at second 1000; the websocket told it 2.5 s later
    first = diary.run(seen(news=news(), head=Head(10, seen=1000.0)))
    late = diary.run(seen(news=news(10, received=1002.5), head=Head(10, seen=1015.0)))
    assert count(first) == (None, None)
    assert count(late) == (1, 2.5)

    # the websocket told 11 first; HTTP follows: it came before
    early = diary.run(seen(news=news(10, 11, received=1002.5), head=Head(10, seen=1030.0)))
    both = diary.run(seen(news=news(10, 11, received=1002.5), head=Head(11, seen=1045.0)))
    again = diary.run(seen(news=news(10, 11, received=1002.5), head=Head(11, seen=1060.0)))
    assert count(early) == (1, 2.5)
    assert count(both) == count(again) == (2, 2.5)


TRIES = st.builds(
    Try,
    method=st.text(max_size=8),
    outcome=st.sampled_from(["ok", "rpc_error", "timeout", "unsupported"]),
    code=st.none() | st.integers(),
    seconds=st.none() | st.floats(0, 100),
)
NEWS = st.none() | st.builds(
    News,
    is_up=st.booleans(),
    sightings=st.lists(
        st.builds(
            Sighting,
            height=st.integers(0, 20),
            timestamp=st.none() | st.floats(-10, 10),
            received_at=st.floats(0, 2e9),
            received=st.floats(0, 5000),
        ),
        max_size=5,
    ).map(tuple),
    heads=st.integers(0, 100),
    missed=st.integers(0, 100),
    reconnects=st.dictionaries(st.sampled_from(["closed", "silent"]), st.integers(0, 9)),
)
FINDINGS = st.lists(
    st.builds(Finding, st.sampled_from(list(ChainReason)), st.just(Outcome.DOWN)), max_size=3
).map(tuple)
NUMBERS = st.floats() | st.integers(-5, 10**30) | st.just(10**400)
SEEN = st.builds(
    seen,
    tries=st.lists(TRIES, max_size=5),
    shed=st.sets(st.sampled_from(["a", "b"])),
    head=st.none() | st.builds(Head, height=st.integers(0, 20), seen=st.floats(0, 5000)),
    peers=st.none() | st.integers(0, 10**12),
    chain_id=st.none() | st.text(max_size=50),
    news=NEWS,
    gauges=st.dictionaries(
        st.tuples(
            st.sampled_from(["evm_a", "evm_b"]),
            st.sampled_from([(), (("x", "1"),), (("x", "2"),)]),
        ),
        st.tuples(NUMBERS, st.sampled_from(["gas", "head", ""])),
        max_size=4,
    ),
)
VIEWS = st.builds(View, heads_observed=st.integers(0, 9), reorgs=st.integers(0, 9))


@given(st.lists(st.tuples(SEEN, FINDINGS, VIEWS, st.floats(0, 400)), max_size=8))
def test_counters_never_fall_and_series_are_few(
    runs: list[tuple[Observation, tuple[Finding, ...], View, float]],
) -> None:
    diary = Diary(Endpoint("own", websocket=True))
    before: dict[str, float] = {}
    counting = tuple(metric.name for metric in METRICS if metric.type != "gauge")
    for told, findings, view, pause in runs:
        diary.mono += pause
        verdict = Verdict("own", Outcome.DOWN, findings, exported=Outcome.DOWN)
        shown = diary.run(told, verdicts=[verdict], views={"own": view})
        for key, value in before.items():
            if key.startswith(counting):
                assert shown[key] >= value
        for key, value in shown.items():
            assert value == value, key  # noqa: PLR0124 - no NaN
            if key.startswith(counting):
                assert value >= 0
        before = shown
    assert len(before) <= 300


def test_a_dialect_that_lets_a_peer_name_its_series_is_stopped() -> None:
    diary = Diary()
    told = seen()
    for number in range(MAX_SERIES + 100):
        told.gauge("gas", "evm_bad", 1, event=str(number))

    shown = diary.run(told, survey=Survey(
        counts=tuple((("evm_worse", (("event", str(number)),)), 1.0)
                     for number in range(MAX_SERIES + 100)),
    ))  # fmt: skip

    assert sum("evm_bad" in key for key in shown) <= MAX_SERIES
    assert sum("evm_worse" in key for key in shown) == MAX_SERIES


def test_every_family_keeps_the_names_of_its_labels() -> None:
    names = [metric.name for metric in METRICS]

    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.labels[0] == "chain"
        assert (metric.type == "counter") == metric.name.endswith("_total")
        assert metric.lasting or metric.type == "gauge"
