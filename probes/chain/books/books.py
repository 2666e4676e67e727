"""What a chain group shows as metrics, and what is kept for that between runs (chains.md 8).

    book      what a run found is entered: counts are added, gauges renewed
    samples   every series of the group at this moment

No address, hash, URL or text of a peer becomes a label. Frozen values in and out; knows no page and
has no verdict of its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from probes.chain.answer.rpcerror import KNOWN_CODES
from probes.chain.books.hearing import hear
from probes.chain.books.ledger import Labels, Ledger, Page
from probes.chain.books.metrics import METRICS, SOLANA_LATENCY
from probes.chain.judge.views import View, Views
from probes.chain.model import (
    CAPABILITIES,
    Endpoint,
    Family,
    Group,
    Judgement,
    Limits,
    Now,
    Observation,
    Try,
    Verdict,
)
from probes.chain.plan import SECOND_RUNS, period_s
from probes.chain.talk import Dialect, Survey
from probes.result import Outcome, Sample

__all__ = ["METRICS", "SOLANA_LATENCY", "Books", "book", "samples"]

OTHER = "other"
GROUP = ""
"""Name of the ledger of the group itself."""
HEALTH_METHOD = "getHealth"
# Calls that the node itself answered: a proxy that throttles is quick and proves nothing.
_ANSWERED = frozenset({"ok", "rpc_error", "unsupported", "missing_data"})
# chains.md 7
_NO_ERRORS = frozenset({"ok", "unsupported"})
_HEAD_TAG: Mapping[Family, str] = {"evm": "latest", "cosmos": "latest", "solana": "processed"}
_CHAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", re.ASCII)
# chains.md 10: a hash is no label, the name of the cluster is.
_CLUSTERS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": "mainnet-beta",
    "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY": "testnet",
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": "devnet",
}
_INFO = "chain_info"
# chains.md 8.2: so that no rule can fire on it.
_OF_REFERENCE = frozenset({"chain_head_height", "chain_head_timestamp_seconds", _INFO})
_USABLE = frozenset({Outcome.UP, Outcome.DEGRADED})


@dataclass(frozen=True, slots=True)
class Books:
    """What is kept, by name of the endpoint; ``Books()`` is that of a group never seen."""

    ledgers: Mapping[str, Ledger] = field(default_factory=dict[str, Ledger])

    def of(self, name: str) -> Ledger:
        """Return the ledger of an endpoint, also if nothing stands in it."""
        return self.ledgers.get(name) or Ledger()


def book(  # noqa: PLR0913, PLR0917 - the contract with the course of a run
    group: Group,
    books: Books,
    observations: Mapping[str, Observation],
    judgement: Judgement,
    views: Views,
    survey: Survey,
    now: Now,
    dialect: Dialect,
) -> Books:
    """Return the books after a run.

    Args:
        group: whose they are.
        books: before the run.
        observations: by endpoint.
        judgement: of the run.
        views: after the run.
        survey: what was found once per group.
        now: end of the run.
        dialect: tells the topics, and the method that is told by name.
    """
    scribe = _Scribe(group, dialect)
    verdicts = {verdict.name: verdict for verdict in judgement.endpoints}
    ledgers: dict[str, Ledger] = {}
    for endpoint in group.endpoints:
        name = endpoint.name
        page = Page(books.of(name), now.mono, group.every_s)
        seen, view = observations.get(name, Observation(name)), views.of(name)
        scribe.observed(page, endpoint, seen)
        scribe.viewed(page, endpoint, view, seen)
        if name in verdicts:
            scribe.judged(page, verdicts[name], judgement)
        ledgers[name] = page.close()
    page = Page(books.of(GROUP), now.mono, group.every_s)
    if judgement.reference is not None:
        page.renew("chain_reference_height", judgement.reference)
    scribe.surveyed(page, survey)
    ledgers[GROUP] = page.close()
    return Books(ledgers)


class _Scribe:
    """Knows which number of a run belongs where."""

    def __init__(self, group: Group, dialect: Dialect) -> None:
        self._group = group
        self._topics = {topic.name: topic for topic in dialect.topics}
        self._every_s = group.every_s
        self._second_s = SECOND_RUNS * group.every_s
        self._slow_s = period_s(group, None)
        self._methods = {dialect.head_method, *group.latency_methods}
        if group.family == "solana":
            self._methods.add(HEALTH_METHOD)

    # --- what an endpoint answered

    def observed(self, page: Page, endpoint: Endpoint, seen: Observation) -> None:
        """Enter what it said."""
        for one in seen.tries:
            self._tried(page, one)
        page.add("chain_probe_budget_shed_total", len(seen.shed))
        self._heads(page, seen)
        if seen.syncing is not None:
            # of a balanced endpoint it is asked now and then only
            every_s = self._slow_s if endpoint.load_balanced else self._every_s
            page.renew("chain_syncing", seen.syncing.is_syncing, every_s)
        if seen.peers is not None:
            page.renew("chain_peers", seen.peers, self._slow_s)
        for store, height in seen.earliest.items():
            page.renew("chain_earliest_height", height, self._slow_s, store=store)
        for capability, is_offered in seen.capabilities.items():
            if capability in CAPABILITIES:
                page.renew("chain_capability", is_offered, self._slow_s, capability=capability)
        # a topic that found a number anew has said all it knows: its other numbers end at once
        page.strike(topics=frozenset(topic for _, topic in seen.gauges.values() if topic))
        for series, (value, topic) in seen.gauges.items():
            every_s = period_s(self._group, self._topics.get(topic))
            page.renew_series(series, value, every_s, topic)

    def _tried(self, page: Page, one: Try) -> None:
        method = one.method if one.method in self._methods else OTHER
        page.add("chain_rpc_requests_total", 1, method=method, outcome=one.outcome)
        if one.outcome not in _NO_ERRORS:
            code = str(one.code) if one.code in KNOWN_CODES else OTHER
            page.add("chain_rpc_errors_total", 1, method=method, code=code)
        if one.seconds is not None and one.outcome in _ANSWERED:
            page.time("chain_rpc_request_duration_seconds", one.seconds, method=method)
            if self._group.family == "solana":
                page.time(SOLANA_LATENCY.name, one.seconds, method=method)

    def _heads(self, page: Page, seen: Observation) -> None:
        if seen.head is None:
            return
        default = _HEAD_TAG[self._group.family]
        for tag, head in {default: seen.head, **seen.tags}.items():
            every_s = self._every_s if tag == default else self._second_s
            page.renew("chain_head_height", head.height, every_s, tag=tag)
            if head.timestamp is not None:
                page.renew("chain_head_timestamp_seconds", head.timestamp, every_s, tag=tag)

    # --- what has been noticed over many runs

    def viewed(self, page: Page, endpoint: Endpoint, view: View, seen: Observation) -> None:
        """Enter what the judge remembers, who it is, and what its websocket brought."""
        page.raise_to("chain_heads_observed_total", view.heads_observed)
        page.raise_to("chain_reorgs_total", view.reorgs)
        page.raise_to("chain_reorg_blocks_total", view.reorg_blocks)
        if seen.head is not None and view.head_changed_wall is not None:
            page.renew("chain_head_changed_timestamp_seconds", view.head_changed_wall)
        if seen.chain_id is not None or seen.client:
            told = dict(page.strike(name=_INFO) or ())
            page.renew(
                _INFO,
                1,
                self._slow_s,
                chain_id=_chain_label(seen.chain_id) or told.get("chain_id", OTHER),
                client=seen.client or told.get("client", OTHER),
                role=endpoint.role,
            )
        self._listened(page, seen)

    def _listened(self, page: Page, seen: Observation) -> None:
        if seen.news is None:
            return
        page.heard, delays = hear(page.heard, seen.news, seen.head)
        for seconds in delays.behind_block:
            page.time("chain_ws_head_delay_seconds", seconds)
        for seconds in delays.behind_http:
            page.time("chain_ws_vs_http_seconds", seconds)
        page.raise_to("chain_ws_heads_total", page.heard.heads)
        page.raise_to("chain_ws_missed_heads_total", page.heard.missed)
        for reason, count in page.heard.reconnects.items():
            page.raise_to("chain_ws_reconnects_total", count, reason=reason)
        page.show_once("chain_ws_up", seen.news.is_up)
        if seen.news.is_up or seen.news.problem is not None:
            page.renew("chain_capability", seen.news.is_up, capability="websocket")
        if page.heard.last_wall is not None:
            page.renew("chain_ws_last_head_timestamp_seconds", page.heard.last_wall)

    # --- what it means

    def judged(self, page: Page, verdict: Verdict, judgement: Judgement) -> None:
        """Enter the verdict."""
        page.reasons |= {finding.reason.value for finding in verdict.findings}
        for name, value, every_s in (
            ("chain_head_lag_blocks", verdict.lag, self._every_s),
            ("chain_head_lag_seconds", verdict.lag_s, self._every_s),
            ("chain_finality_lag_blocks", verdict.finality_lag, self._second_s),
            ("chain_fork_disagreement", verdict.disagrees, self._every_s),
            ("chain_id_match", verdict.id_match, self._every_s),
        ):
            if value is not None:
                page.renew(name, value, every_s)
        if verdict.height is not None:
            page.renew("chain_block_time_seconds", judgement.block_time_s)

    def surveyed(self, page: Page, survey: Survey) -> None:
        """Enter what was found once per group; how often a number comes is learnt from itself."""
        for series, value in survey.gauges:
            since = page.since(series) or self._every_s
            page.renew_series(series, value, min(max(since, self._every_s), self._slow_s))
        for series, gained in survey.counts:
            page.add_to(series, gained)


def _chain_label(chain_id: str | None) -> str | None:
    if chain_id is None:
        return None
    chain_id = _CLUSTERS.get(chain_id, chain_id)
    # 40 characters are no hash: those of Solana have 43 or 44
    return chain_id if _CHAIN_ID.fullmatch(chain_id) else OTHER


def samples(group: Group, books: Books, judgement: Judgement, now: Now) -> list[Sample]:
    """Return every series of the group at *now*, the end of its last run."""
    where: Labels = (("chain", group.chain),)
    made = [
        *books.of(GROUP).samples(where, now.mono),
        Sample("chain_voters", float(judgement.voters), where),
        Sample("chain_halted", float(judgement.is_halted), where),
        Sample("chain_probe_last_run_timestamp_seconds", now.wall, where),
        Sample("chain_probe_interval_seconds", group.every_s, where),
    ]
    verdicts = {verdict.name: verdict for verdict in judgement.endpoints}
    for endpoint in group.endpoints:
        own = (*where, ("endpoint", endpoint.name))
        ledger, verdict = books.of(endpoint.name), verdicts.get(endpoint.name)
        kept = ledger.samples(own, now.mono)
        if endpoint.role == "reference":
            made += (sample for sample in kept if sample.name in _OF_REFERENCE)
            made += _state(verdict, ("chain_reference_up",), own)
            continue
        made += kept
        made += _state(verdict, ("chain_rpc_up", "chain_rpc_degraded"), own)
        made += _reasons(verdict, ledger, own)
        made += _thresholds(verdict, judgement.limits, own)
    return made


def _state(verdict: Verdict | None, names: tuple[str, ...], own: Labels) -> Iterator[Sample]:
    """Give what load balancers and alerts see; nothing while it is not known."""
    if verdict is None or verdict.outcome is Outcome.UNKNOWN:
        return
    exported = verdict.exported
    if exported is None or exported is Outcome.UNKNOWN:
        return
    values = (exported in _USABLE, exported is Outcome.DEGRADED)
    for name, value in zip(names, values, strict=False):
        yield Sample(name, float(value), own)


def _reasons(verdict: Verdict | None, ledger: Ledger, own: Labels) -> Iterator[Sample]:
    holding = {finding.reason.value for finding in verdict.findings} if verdict else set()
    for reason in sorted(ledger.reasons):
        is_held = float(reason in holding)
        yield Sample("chain_rpc_reason", is_held, (*own, ("reason", reason)))


def _thresholds(verdict: Verdict | None, limits: Limits, own: Labels) -> Iterator[Sample]:
    """Give what rules compare with, so that they need no copy of the file."""
    for name, value in (
        ("chain_head_lag_threshold_blocks", limits.lag_warn),
        ("chain_head_stale_threshold_seconds", limits.head_age_s),
        ("chain_finality_lag_threshold_blocks", verdict.finality_limit if verdict else None),
        ("chain_min_peers", limits.min_peers),
    ):
        if value is not None:
            yield Sample(name, value, own)
