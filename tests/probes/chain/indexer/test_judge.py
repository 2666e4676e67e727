"""Indexers: keys and presets, what a source said, the verdict."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.chain.indexer.judge import (
    COMPARE_EVERY_S,
    Progress,
    Reading,
    Tip,
    judge,
    read_document,
    wants_comparison,
)
from probes.chain.indexer.settings import Holds, IndexerKeys, Selector
from probes.chain.model import Now
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

NOW = Now(mono=5000.0, wall=1_700_000_000.0)
TIP = Tip(height=1000, block_time_s=2.0)


def keys(**given: Any) -> IndexerKeys:
    return IndexerKeys.model_validate(
        {"name": "subgraph", "preset": "thegraph", "url": "https://indexer.example/q"} | given
    )


def reasons(judged: Any) -> list[str]:
    return [finding.reason.value for finding in judged.verdict.findings]


THEGRAPH = {
    "data": {
        "_meta": {
            "block": {"number": 990, "hash": "0xABc", "timestamp": 1_699_999_980},
            "hasIndexingErrors": False,
        }
    }
}


def test_the_graph_tells_height_hash_time_and_health() -> None:
    assert read_document(keys(), THEGRAPH) == Reading(
        height=990, hash="0xabc", timestamp=1_699_999_980.0, healthy=True
    )


def test_indexing_errors_are_told() -> None:
    document = {"data": {"_meta": {"block": {"number": 990}, "hasIndexingErrors": True}}}

    reading = read_document(keys(), document)

    assert reading.healthy is False
    assert reading.detail == "want $.data._meta.hasIndexingErrors == false, got true"


@pytest.mark.parametrize(
    ("health", "fatal", "healthy"),
    [
        pytest.param("healthy", None, True, id="healthy"),
        pytest.param("unhealthy", None, False, id="unhealthy"),
        pytest.param("healthy", {"message": "handler failed"}, False, id="fatal error"),
    ],
)
def test_graph_node_is_read_by_its_preset(health: str, fatal: Any, healthy: bool) -> None:
    status = {
        "health": health,
        "fatalError": fatal,
        "chains": [{"latestBlock": {"number": "77", "hash": "0x1"}}],
    }
    document = {"data": {"indexingStatusForCurrentVersion": status}}

    reading = read_document(keys(preset="graph_node", subgraph="a/b"), document)

    assert (reading.height, reading.healthy) == (77, healthy)


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param([{"progressBlock": 12, "isReady": True}], id="a list"),
        pytest.param({"progressBlock": 12, "isReady": True}, id="an object"),
    ],
)
def test_envio_is_read_by_its_preset(meta: Any) -> None:
    assert read_document(keys(preset="envio"), {"data": {"_meta": meta}}).height == 12


def test_ponder_is_read_by_its_preset() -> None:
    document = {"mainnet": {"id": 1, "block": {"number": 5, "timestamp": 1_700_000_000}}}

    assert read_document(keys(preset="ponder"), document).height == 5


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"data": {"_meta": {"block": {"number": None}}}}, id="null"),
        pytest.param({"data": {"_meta": {"block": {"number": -4}}}}, id="negative"),
        pytest.param({"data": {"_meta": {"block": {"number": 1.5}}}}, id="a fraction"),
        pytest.param({"data": {"_meta": {"block": {"number": "x"}}}}, id="a text"),
    ],
)
def test_what_is_no_height_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="want a"):
        read_document(keys(), document)


@pytest.mark.parametrize(
    ("text", "document", "holds"),
    [
        ("$.ok", {"ok": True}, True),
        ("$.ok", {"ok": 1}, False),
        ("$.ok", {}, False),
        ("$.errors == false", {"errors": False}, True),
        ("$.errors == false", {"errors": None}, False),
        ("$.state != 'failed'", {"state": "synced"}, True),
        ("$.state != 'failed'", {"state": "failed"}, False),
        ('$.n == "1"', {"n": 1}, False),
        ("$.n == 1", {"n": 1}, True),
        ("$.n == null", {"n": None}, True),
    ],
)
def test_a_condition_holds_or_says_what_is_there(text: str, document: Any, holds: bool) -> None:
    assert (Holds(text).miss(document) is None) is holds


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": None}, "want source or preset, got neither"),
        ({"url": None}, "want url for source: graphql, got none"),
        ({"preset": None, "source": "graphql", "height": "$.a"}, "want query for source: graphql"),
        ({"preset": None, "source": "json"}, "want height for source: json, got none"),
        ({"preset": "graph_node"}, "want subgraph for preset: graph_node, got none"),
        ({"source": "sql", "preset": None}, "want kind for source: sql, got none"),
        ({"height": "$$"}, "JSONPath"),
        ({"healthy": "$.a == maybe"}, "want true, false, null, a whole number or a text in quotes"),
        ({"lag": {"warn": 9, "down": 3}}, "want warn of at most down \\(3\\), got 9"),
        ({"lag": "auto"}, "want a number or off for the lag of an indexer, got auto"),
        ({"preset": None, "source": "prometheus", "height": "a{b}"}, "want a series such as"),
    ],
)
def test_a_mistake_in_the_file_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("$", r"\$")):
        keys(**given)


PAGE = """\
# HELP synced_block Block that was indexed last
synced_block_total 1
synced_block{chain="goerli",db="a"} 7
synced_block{chain="mainnet",note="a } \\" b"} 1.2e+07 1700000000000
other 9
"""


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("other", "9"),
        ('synced_block{chain="goerli"}', "7"),
        ('synced_block{ chain = "mainnet" , }', "1.2e+07"),
        ("synced_block", "7"),
        ('synced_block{chain="sepolia"}', None),
        ("synced", None),
    ],
)
def test_a_series_is_found_by_name_and_labels(selector: str, value: str | None) -> None:
    assert Selector(selector).select(PAGE.encode()) == value


@given(st.text().map(str.encode) | st.binary())
def test_no_page_breaks_the_search_for_a_series(page: bytes) -> None:
    Selector("a").select(page)


@pytest.mark.parametrize(
    ("height", "outcome", "found"),
    [
        pytest.param(1000, Outcome.UP, [], id="level"),
        pytest.param(1005, Outcome.UP, [], id="ahead of the node"),
        pytest.param(980, Outcome.UP, [], id="at warn"),
        pytest.param(979, Outcome.DEGRADED, ["indexer_lag"], id="above warn"),
        pytest.param(900, Outcome.DEGRADED, ["indexer_lag"], id="at down"),
        pytest.param(899, Outcome.DOWN, ["indexer_lag"], id="above down"),
    ],
)
def test_lag_is_judged_in_blocks(height: int, outcome: Outcome, found: list[str]) -> None:
    judged = judge(keys(), Reading(height=height), None, TIP, node_hash=None, now=NOW)

    assert (judged.verdict.outcome, reasons(judged)) == (outcome, found)
    assert judged.verdict.lag is not None
    assert judged.verdict.lag >= 0


def test_lag_that_is_off_is_shown_and_not_judged() -> None:
    judged = judge(keys(lag="off"), Reading(height=1), None, TIP, node_hash=None, now=NOW)

    assert judged.verdict.outcome is Outcome.UP
    names = [name for (name, _), _ in judged.gauges]
    assert "chain_indexer_lag_blocks" in names
    assert "chain_indexer_lag_threshold_blocks" not in names


@pytest.mark.parametrize(
    ("height", "halted", "still_s", "found"),
    [
        pytest.param(990, False, 601, ["indexer_stalled"], id="behind and still"),
        pytest.param(990, False, 599, [], id="not long enough"),
        pytest.param(1000, False, 9000, [], id="level with a quiet chain"),
        pytest.param(990, True, 9000, [], id="the chain is halted"),
    ],
)
def test_standing_still_counts_while_the_chain_goes_on(
    height: int, halted: bool, still_s: float, found: list[str]
) -> None:
    before = Progress(height, NOW.mono - still_s)
    tip = Tip(1000, 2.0, is_halted=halted)

    judged = judge(keys(), Reading(height=height), before, tip, node_hash=None, now=NOW)

    assert reasons(judged) == found


def test_a_height_that_moves_is_not_stalled() -> None:
    before = Progress(989, NOW.mono - 9000)

    judged = judge(keys(), Reading(height=990), before, TIP, node_hash=None, now=NOW)

    assert judged.verdict.outcome is Outcome.UP
    assert judged.progress == Progress(990, NOW.mono)


def test_another_hash_at_its_height_is_a_fork_until_it_is_compared_again() -> None:
    reading = Reading(height=990, hash="0xaa")
    first = judge(keys(), reading, None, TIP, node_hash="0xBB", now=NOW)
    second = judge(keys(), reading, first.progress, TIP, node_hash=None, now=NOW)
    third = judge(keys(), reading, second.progress, TIP, node_hash="0xAA", now=NOW)

    assert reasons(first) == reasons(second) == ["indexer_fork"]
    assert reasons(third) == []


def test_hashes_are_compared_now_and_then() -> None:
    reading, later = Reading(height=990, hash="0xaa"), Now(NOW.mono + COMPARE_EVERY_S, NOW.wall)
    done = Progress(990, 0.0, compared=NOW.mono)

    assert wants_comparison(reading, None, NOW)
    assert not wants_comparison(reading, done, NOW)
    assert wants_comparison(reading, done, later)
    assert not wants_comparison(Reading(height=990), None, NOW)


def test_a_source_that_cannot_be_read_keeps_what_is_remembered() -> None:
    finding = Finding(ChainReason.HTTP_5XX, Outcome.DOWN, "want status 200, got 502")
    before = Progress(990, 1.0)

    judged = judge(keys(), Reading(finding=finding), before, TIP, node_hash=None, now=NOW)

    assert (judged.verdict.outcome, judged.progress) == (Outcome.DOWN, before)
    assert dict(judged.gauges) == {
        ("chain_indexer_lag_threshold_blocks", (("indexer", "subgraph"),)): 20.0,
        ("chain_indexer_healthy", (("indexer", "subgraph"),)): 0.0,
    }


def test_without_a_head_there_is_no_lag() -> None:
    judged = judge(keys(), Reading(height=990), None, Tip(None, 2.0), node_hash=None, now=NOW)

    assert (judged.verdict.outcome, judged.verdict.lag) == (Outcome.UP, None)


def test_lag_in_seconds_is_that_of_its_block() -> None:
    reading = Reading(height=990, timestamp=NOW.wall - 25)

    judged = judge(keys(), reading, None, TIP, node_hash=None, now=NOW)

    assert dict(judged.gauges)["chain_indexer_lag_seconds", (("indexer", "subgraph"),)] == 25.0


def test_dashboards_find_the_name_they_know() -> None:
    gauges = dict(judge(keys(), Reading(height=7), None, TIP, node_hash=None, now=NOW).gauges)
    labels = (("indexer", "subgraph"),)

    assert gauges["indexer_block_lag", labels] == gauges["chain_indexer_lag_blocks", labels] == 993


def test_what_our_own_fault_hides_is_not_told_as_unhealthy() -> None:
    """chains.md 1, decision 10."""
    ours = Finding(ChainReason.PROBE_NETWORK, Outcome.UNKNOWN, "want a socket, got none")

    judged = judge(keys(), Reading(finding=ours), None, Tip(10, 12.0), node_hash=None, now=NOW)

    assert judged.verdict.outcome is Outcome.UNKNOWN
    assert "chain_indexer_healthy" not in {name for (name, _), _ in judged.gauges}


def test_a_bare_lag_is_what_is_down() -> None:
    assert keys(lag=10).lag.down == 10.0
