"""What is asked once per EVM group, of the first usable primary: calls, contracts, the gas price.

Its verdicts are steps of their own: they change what is said of the group, never of an endpoint.
It lives on what the endpoints' own calls leave of the budget, and saves up for what costs more.
Pure: knows no wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.chain.answer.inquiry import UNHEARD
from probes.chain.evm import contracts, gas
from probes.chain.evm.contracts import Contract, Reading, Scan
from probes.chain.evm.gas import NO_TIPS, Baseline, Rules, Tip
from probes.chain.evm.scan import Scanner
from probes.chain.model import Group, Judgement, Now, Observation, Series, Verdict
from probes.chain.plan import saved_calls
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Answer, Ask, Survey, Talk
from probes.result import Outcome
from probes.units import short

# Calls a run that the endpoint itself is worth: head, syncing, finalized (two in every second run),
# round 2 (two) and one of the slow ones.
OWN_CALLS = 6
# The answer of a contract is as old as this at most.
CALLS_EVERY_S = 60.0
# A word of the EVM, in hex digits.
WORD_DIGITS = 64
# The endpoint, not the contract, is to blame: its own verdict tells.
_NOT_OURS = UNHEARD | {"missing_data", "node_unhealthy"}


@dataclass(frozen=True, slots=True)
class ContractCall:
    """A call whose answer is judged.

    Args:
        name: of the step.
        to: address.
        data: selector and arguments, in hex.
        expect: the whole answer in lower case; None: not judged so.
        uint_min: the first word must be at least this; None: not judged so.
    """

    name: str
    to: str
    data: str
    expect: str | None = None
    uint_min: int | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """What is kept from run to run.

    Args:
        scan: of the contracts.
        baseline: of the gas price.
        tips: by endpoint.
        called: when the contracts were called, monotonic; None: never.
        answers: what came of it.
        saved: calls that may be made.
    """

    scan: Scan = field(default_factory=Scan)
    baseline: Baseline = field(default_factory=Baseline)
    tips: Mapping[str, Tip] = field(default_factory=lambda: NO_TIPS)
    called: float | None = None
    answers: tuple[Verdict, ...] = ()
    saved: float | None = None


@dataclass(frozen=True, slots=True)
class Oversight:
    """See the module.

    Args:
        calls: whose answers are judged.
        rules: when gas is too dear; None: it is not judged.
        contracts: that are watched.
        confirmations: depth at which blocks are read; None: that at which forks are judged.
        max_blocks: read in one run.
        is_compat: whether the names of other dashboards are told, too.
    """

    calls: tuple[ContractCall, ...] = ()
    rules: Rules | None = field(default_factory=Rules)
    contracts: tuple[Contract, ...] = ()
    confirmations: int | None = None
    max_blocks: int = 50
    is_compat: bool = False

    def survey(
        self,
        group: Group,
        observations: Mapping[str, Observation],
        judgement: Judgement,
        now: Now,
        memory: object,
    ) -> Talk[Survey]:
        """Ask and judge."""
        notes = memory if isinstance(memory, Notes) else Notes()
        found = _Found()
        tips = gas.confirmed(notes.tips, observations, now)
        prices = gas.prices(tips, observations)
        baseline = self._judge_gas(found, group, judgement, notes.baseline, (prices, now))
        saved = saved_calls(group, OWN_CALLS, notes.saved)
        called, answers, spent = yield from self._call(notes, now, saved)
        found.steps += answers
        scan, read = yield from self._scan(found, notes.scan, judgement, (now, saved - spent))
        kept = Notes(scan, baseline, tips, called, answers, saved - spent - read)
        return found.survey(kept)

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        """Return the cursor of the scan and the past of the gas price."""
        if not isinstance(memory, Notes):
            return None
        kept: dict[str, Any] = {}
        if memory.scan.blocks:
            kept["scan"] = contracts.durable(memory.scan)
        if hours := gas.durable(memory.baseline):
            kept["gas"] = hours
        return kept or None

    def restored(self, kept: Mapping[str, Any]) -> Notes:
        """Return the notes made of what `durable` gave."""
        scan = contracts.restored(kept.get("scan")) if self.contracts else Scan()
        return Notes(scan, gas.restored(kept.get("gas")))

    # --- gas

    def _judge_gas(
        self,
        found: "_Found",
        group: Group,
        judgement: Judgement,
        baseline: Baseline,
        known: tuple[Mapping[str, float], Now],
    ) -> Baseline:
        rules, (prices, now) = self.rules, known
        primaries = {one.name for one in group.endpoints if one.role == "primary"}
        voters = {verdict.name for verdict in judgement.endpoints if verdict.is_voter}
        price = gas.group_price(prices[name] for name in voters & primaries & prices.keys())
        if price is not None and self.is_compat:
            found.gauge("indexer_avg_gas_price", price)
        if rules is None:
            return baseline
        verdict, baseline = gas.judge(rules, baseline, price, now, group.every_s)
        found.outliers = gas.outliers(prices, rules.floor_wei)
        found.gauge("evm_gas_spike_floor_wei", rules.floor_wei)
        if price is None or verdict.ratio is None or verdict.mean is None:
            return baseline
        found.gauge("evm_gas_price_ratio", verdict.ratio)
        if rules.is_degraded:
            found.steps += (_gas_step(rules, price, verdict.mean, is_spike=verdict.is_spike),)
        return baseline

    # --- calls

    def _call(
        self, notes: Notes, now: Now, saved: float
    ) -> Talk[tuple[float | None, tuple[Verdict, ...], int]]:
        """Call the contracts when it is time; return when, what came, and what it cost."""
        is_due = notes.called is None or now.mono - notes.called >= CALLS_EVERY_S
        if not self.calls or not is_due or saved < len(self.calls):
            return notes.called, notes.answers, 0
        asks = tuple(
            Ask("calls", "eth_call", ({"to": call.to, "data": call.data}, "latest"))
            for call in self.calls
        )
        answers: tuple[Answer, ...] = yield asks
        verdicts = [
            _call_verdict(call, answer)
            for call, answer in zip(self.calls, answers, strict=True)
            if answer.kind not in _NOT_OURS
        ]
        was_heard = len(verdicts) == len(self.calls)
        return now.mono if was_heard else notes.called, tuple(verdicts), len(asks)

    # --- contracts

    def _scan(
        self, found: "_Found", scan: Scan, judgement: Judgement, left: tuple[Now, float]
    ) -> Talk[tuple[Scan, int]]:
        """Read on; return what is known and what it cost."""
        if not self.contracts:
            return scan, 0
        now, calls = left
        by_address = {contract.address: contract for contract in self.contracts}
        scanner = Scanner(by_address, scan, int(calls))
        head = _head(judgement)
        depth = self.confirmations
        safe = (head or 0) - (judgement.limits.fork_depth if depth is None else depth)
        if head is not None and safe >= 0:
            yield from scanner.run(head, safe, self.max_blocks)
        self._count(found, scanner.scan, scanner.reading)
        scan = contracts.settled(scanner.scan, scanner.reading, now)
        found.steps += contracts.verdicts(self.contracts, scan)
        if scanner.reading.problem:
            finding = Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, scanner.reading.problem)
            found.steps += (Verdict("contracts", Outcome.DEGRADED, (finding,)),)
        if scan.cursor is not None:
            found.gauge("evm_contract_scan_height", scan.cursor.height)
            if head is not None:
                lag = max(0, safe - scan.cursor.height)
                found.gauge("evm_contract_scan_lag_blocks", lag)
        return scan, scanner.spent

    def _count(self, found: "_Found", scan: Scan, reading: Reading) -> None:
        found.count("evm_contract_scan_reorgs_total", reading.reorgs)
        for key, number in contracts.counts(self.contracts, scan, reading).items():
            contract, *rest = key
            match rest:
                case ["event", event]:
                    found.count("evm_contract_events_total", number, contract, event=event)
                    if self.is_compat:
                        found.count("indexer_events_total", number, contract, event_type=event)
                case ["gas"]:
                    found.count("evm_contract_gas_used_total", number, contract)
                case _:
                    result = rest[0]
                    name = "evm_contract_transactions_total"
                    found.count(name, number, contract, result=result)
                    if self.is_compat:
                        name = "indexer_contract_tx_total"
                        found.count(name, number, contract, status=result)


class _Found:
    """What one survey found."""

    def __init__(self) -> None:
        self.steps: tuple[Verdict, ...] = ()
        self.outliers: tuple[tuple[str, str], ...] = ()
        self._gauges: list[tuple[Series, float]] = []
        self._counts: list[tuple[Series, float]] = []

    def gauge(self, name: str, value: float) -> None:
        self._gauges.append(((name, ()), value))

    def count(self, name: str, number: float, contract: str = "", **labels: str) -> None:
        own = (("contract", contract),) if contract else ()
        self._counts.append(((name, (*own, *labels.items())), number))

    def survey(self, notes: Notes) -> Survey:
        return Survey(
            steps=self.steps,
            gauges=tuple(self._gauges),
            counts=tuple(self._counts),
            outliers=self.outliers,
            memory=notes,
        )


def _head(judgement: Judgement) -> int | None:
    """Return the height that contracts are read towards."""
    heights = [
        verdict.height
        for verdict in judgement.endpoints
        if verdict.is_voter and verdict.height is not None
    ]
    return judgement.reference or max(heights, default=None)


def _gas_step(rules: Rules, price: float, mean: float, *, is_spike: bool) -> Verdict:
    if not is_spike:
        return Verdict("gas", Outcome.UP)
    want = f"want at most {rules.factor:g} times its mean of {gas.gwei(mean)}"
    finding = Finding(
        ChainReason.GAS_SPIKE, Outcome.DEGRADED, f"gas costs {gas.gwei(price)}, {want}"
    )
    return Verdict("gas", Outcome.DEGRADED, (finding,))


def _call_verdict(call: ContractCall, answer: Answer) -> Verdict:
    name = f"call {call.name}"
    if answer.ok:
        problem = _mismatch(call, answer.result)
    elif answer.kind == "reverted":
        problem = f"want an answer, got a revert: {answer.message or answer.detail}"
    else:
        finding = Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, f"eth_call: {answer.detail}")
        return Verdict(name, Outcome.DEGRADED, (finding,))
    if not problem:
        return Verdict(name, Outcome.UP)
    finding = Finding(ChainReason.ASSERTION_FAILED, Outcome.DOWN, problem)
    return Verdict(name, Outcome.DOWN, (finding,))


def _mismatch(call: ContractCall, result: object) -> str:
    """Return what is wrong with an answer; empty if nothing is."""
    text = result.lower() if isinstance(result, str) else ""
    if not text.startswith("0x") or set(text[2:]) - set("0123456789abcdef"):
        return f"want bytes in hex, got {short(result)}"
    if call.expect is not None and text != call.expect:
        return f"want {short(call.expect)}, got {short(text)}"
    if call.uint_min is None:
        return ""
    word = text[2 : 2 + WORD_DIGITS]
    if len(word) < WORD_DIGITS:
        return f"want a number of at least {call.uint_min}, got {short(text)}: no contract there?"
    number = int(word, 16)
    return "" if number >= call.uint_min else f"want at least {call.uint_min}, got {number}"
