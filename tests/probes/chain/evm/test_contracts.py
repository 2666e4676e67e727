from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.evm.contracts import (
    KEPT_BLOCKS,
    MAX_IDS_PER_BLOCK,
    Block,
    Contract,
    Log,
    Reading,
    Scan,
    Transaction,
    counts,
    durable,
    matches,
    read_logs,
    read_receipts,
    restored,
    settled,
    verdicts,
)
from probes.chain.evm.scan import MAX_RUNS_BEHIND, RECEIPTS_PER_BATCH, Scanner
from probes.chain.evm.signature import topic0
from probes.chain.model import Now
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer
from probes.result import Outcome
from tests.probes.chain.evm.evm_node import (
    LOST,
    NOW,
    UNSUPPORTED,
    Canned,
    CannedNode,
    Params,
    block_hash,
    error,
    ok,
)
from tests.probes.chain.evm.evm_node import block as make_block

SKILL, OTHER = "0x" + "5c" * 20, "0x" + "0d" * 20
CREATED = topic0("ProfileCreated(address,uint256)")
CONTRACTS = {
    SKILL: Contract("Skill", SKILL, {CREATED: "ProfileCreated"}),
    OTHER: Contract("Other", OTHER),
}


def tx(number: int) -> str:
    return block_hash(number, "transaction ")


class Chain(CannedNode):
    """A chain with transactions to contracts."""

    def __init__(self, head: int = 100, **canned: Canned) -> None:
        super().__init__(head, **canned)
        self.branch = dict.fromkeys(range(2000), "a")
        self.sent: dict[int, list[tuple[str, str, Any]]] = {}
        self.logged: dict[int, list[dict[str, Any]]] = {}
        self.canned |= {
            "eth_getBlockByNumber": self.block_by_number,
            "eth_getBlockReceipts": self.receipts,
            "eth_getTransactionReceipt": self.receipt,
            "eth_getLogs": self.logs,
            **canned,
        }

    def hash(self, height: int) -> str:
        return block_hash(height, self.branch[height])

    def send(self, height: int, number: int, status: Any = "0x1", to: str = SKILL) -> None:
        self.sent.setdefault(height, []).append((tx(number), to, status))

    def log(self, height: int, number: int, topic: str = CREATED, **more: Any) -> None:
        log = {
            "address": SKILL.upper().replace("0X", "0x"), "topics": [topic], "data": "0x",
            "blockNumber": hex(height), "blockHash": self.hash(height),
            "transactionHash": tx(number), "logIndex": "0x0", "removed": False, **more,
        }  # fmt: skip
        self.logged.setdefault(height, []).append(log)

    def block_by_number(self, params: Params) -> Answer:
        height = int(params[0], 16)
        if height > self.head:
            return ok(None)
        found = make_block(height, self.branch[height], parent=self.hash(height - 1))
        found["transactions"] = [
            {"hash": name, "to": to} for name, to, _ in self.sent.get(height, [])
        ]
        return ok(found)

    def _receipt(self, height: int, sent: tuple[str, str, Any]) -> dict[str, Any]:
        name, to, status = sent
        receipt = {"transactionHash": name, "to": to, "gasUsed": "0x5208"}
        receipt["blockHash"] = self.hash(height)
        return receipt if status is None else {**receipt, "status": status}

    def receipts(self, params: Params) -> Answer:
        height = int(params[0], 16)
        return ok([self._receipt(height, sent) for sent in self.sent.get(height, [])])

    def receipt(self, params: Params) -> Answer:
        found = [
            self._receipt(height, one)
            for height, sent in self.sent.items()
            for one in sent
            if one[0] == params[0]
        ]
        return ok(found[0] if found else None)

    def logs(self, params: Params) -> Answer:
        query = params[0]
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        assert query["address"] == [SKILL]
        return ok([log for at, logs in self.logged.items() if first <= at <= last for log in logs])


class Runs:
    """A scan from run to run, and the counters it fills."""

    def __init__(self, chain: Chain, confirmations: int = 3, calls: int = 50) -> None:
        self.chain, self.confirmations, self.calls = chain, confirmations, calls
        self.scan = Scan()
        self.now = NOW
        self.reading = Reading()
        self.total: dict[tuple[str, ...], float] = {}
        self.reorgs = 0

    def run(self, max_blocks: int = 50) -> "Runs":
        scanner = Scanner(CONTRACTS, self.scan, self.calls)
        head = self.chain.head
        self.chain.drive(scanner.run(head, head - self.confirmations, max_blocks))
        self.reading = scanner.reading
        for key, number in counts(CONTRACTS.values(), scanner.scan, self.reading).items():
            assert number >= 0
            self.total[key] = self.total.get(key, 0) + number
        self.scan = settled(scanner.scan, self.reading, self.now)
        self.reorgs += self.reading.reorgs
        self.now = Now(self.now.mono + 15, self.now.wall + 15)
        return self

    @property
    def cursor(self) -> int | None:
        return self.scan.cursor.height if self.scan.cursor else None


def test_a_first_run_begins_at_the_safe_height_and_counts_nothing() -> None:
    chain = Chain(100)
    chain.send(97, 1)

    runs = Runs(chain).run()

    assert runs.cursor == 97
    assert chain.methods == ["eth_getBlockByNumber"]
    assert runs.total == {
        ("Skill", "success"): 0, ("Skill", "failed"): 0, ("Skill", "gas"): 0,
        ("Skill", "event", "ProfileCreated"): 0, ("Skill", "event", "other"): 0,
        ("Other", "success"): 0, ("Other", "failed"): 0, ("Other", "gas"): 0,
    }  # fmt: skip


def test_transactions_and_events_are_counted_once_they_are_deep_enough() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(101, 1)
    chain.send(101, 2, status="0x0")
    chain.send(101, 3, status=None)
    chain.send(101, 4, to=OTHER)
    chain.send(101, 5, to="0x" + "11" * 20)
    chain.log(101, 1)
    chain.log(101, 1, topic="0x" + "22" * 32)

    chain.head = 103
    runs.run()
    assert runs.total["Skill", "success"] == 0
    chain.head = 104
    runs.run().run()

    assert runs.cursor == 101
    assert runs.total == {
        ("Skill", "success"): 1, ("Skill", "failed"): 1, ("Skill", "gas"): 3 * 21_000,
        ("Skill", "event", "ProfileCreated"): 1, ("Skill", "event", "other"): 1,
        ("Other", "success"): 1, ("Other", "failed"): 0, ("Other", "gas"): 21_000,
    }  # fmt: skip
    assert runs.reading.problem == ""


def test_receipts_are_asked_only_for_blocks_that_matter() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(99, 1)
    chain.head = 103
    chain.asked.clear()

    runs.run()

    blocks = ["eth_getBlockByNumber"] * 2
    assert chain.methods == [*blocks, "eth_getBlockReceipts", "eth_getBlockByNumber", "eth_getLogs"]
    assert chain.asked[0].params == ("0x62", True)


def test_a_transaction_that_makes_the_contract_counts() -> None:
    made = {"transactions": [{"hash": tx(7), "to": None, "creates": SKILL}]}

    assert matches(made, CONTRACTS) == {tx(7): "Skill"}


def test_a_run_reads_no_more_blocks_than_it_may() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 200

    assert runs.run(max_blocks=20).cursor == 117
    assert runs.run(max_blocks=20).cursor == 137


def test_a_run_makes_no_more_calls_than_it_may() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    for height in range(98, 200):
        chain.send(height, height)
    chain.head = 200
    runs.calls = 8
    chain.asked.clear()

    runs.run()

    assert runs.cursor == 100
    assert len(chain.asked) <= 8
    assert runs.total["Skill", "success"] == 3


def test_a_scan_that_is_hopelessly_behind_begins_anew() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 97 + 3 + MAX_RUNS_BEHIND * 5 + 1

    runs.run(max_blocks=5)

    assert runs.cursor == chain.head - 3
    assert runs.reorgs == 0


# --- nodes that give less


def test_without_receipts_by_block_they_are_asked_one_by_one() -> None:
    chain = Chain(100, eth_getBlockReceipts=UNSUPPORTED)
    runs = Runs(chain, calls=200).run()
    for number in range(RECEIPTS_PER_BATCH + 5):
        chain.send(98, number + 1, status="0x0" if number < 3 else "0x1")
    chain.head = 101

    runs.run()

    assert (runs.total["Skill", "failed"], runs.total["Skill", "success"]) == (3, 22)
    assert [len(batch) for batch in chain.batches] == [RECEIPTS_PER_BATCH, 5]
    assert runs.reading.problem == ""
    chain.send(99, 99)
    chain.head = 102
    runs.run()
    assert chain.methods.count("eth_getBlockReceipts") == 1


def test_a_node_that_allows_short_ranges_gets_short_ranges() -> None:
    def logs(params: Params) -> Answer:
        query = params[0]
        span = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
        if span > 3:
            return error(-32005, "query exceeds max block range 3", "eth_getLogs")
        return chain.logs(params)

    chain = Chain(100, eth_getLogs=logs)
    runs = Runs(chain).run()
    for height in range(98, 118):
        chain.log(height, height)
    chain.head = 120

    runs.run()

    assert runs.cursor == 117
    assert runs.total["Skill", "event", "ProfileCreated"] == 20
    assert runs.reading.problem == ""


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(error(-32005, "block range", "eth_getLogs"), id="not even one block"),
        pytest.param(UNSUPPORTED, id="not offered"),
        pytest.param(error(-32600, "bad"), id="bad parameters"),
    ],
)
def test_a_node_without_logs_does_not_keep_transactions_from_being_counted(answer: Answer) -> None:
    chain = Chain(100, eth_getLogs=answer)
    runs = Runs(chain).run()
    chain.send(98, 1)
    chain.head = 101

    runs.run()

    assert runs.cursor == 98
    assert runs.total["Skill", "success"] == 1
    assert runs.reading.problem.startswith("eth_getLogs: ")


@pytest.mark.parametrize(
    "method",
    ["eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"],
)
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(LOST, "", id="lost"),
        pytest.param(Answer("rate_limited"), "", id="throttled"),
        pytest.param(error(-32000, "header not found"), "", id="not there yet"),
        pytest.param(error(-32603, "Internal error"), "error -32603 'Internal error'", id="error"),
    ],
)
def test_what_is_not_complete_is_read_again_in_the_next_run(
    method: str, answer: Answer, problem: str
) -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(98, 1)
    chain.log(98, 1)
    chain.head = 101
    sound = chain.canned[method]

    chain.canned[method] = answer
    runs.run()
    assert runs.cursor == 97
    assert not any(runs.total.values())
    assert runs.reading.problem == (f"{method}: {problem}" if problem else "")
    chain.canned[method] = sound
    runs.run()

    assert runs.cursor == 98
    assert runs.total["Skill", "success"] == 1
    assert runs.total["Skill", "event", "ProfileCreated"] == 1


def test_one_receipt_that_fails_makes_the_block_wait() -> None:
    chain = Chain(100, eth_getBlockReceipts=UNSUPPORTED, eth_getTransactionReceipt=LOST)
    runs = Runs(chain).run()
    chain.send(98, 1)
    chain.head = 101

    assert runs.run().cursor == 97

    chain.canned["eth_getTransactionReceipt"] = ok(None)
    assert runs.run().cursor == 97
    chain.canned["eth_getTransactionReceipt"] = chain.receipt
    assert runs.run().cursor == 98


def test_a_node_that_is_behind_is_waited_for() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    scanner = Scanner(CONTRACTS, runs.scan, 50)

    chain.drive(scanner.run(106, 103, 50))

    assert [block.height for block in scanner.reading.blocks] == [98, 99, 100]
    assert scanner.reading.problem == ""


@pytest.mark.parametrize(
    ("method", "result", "problem"),
    [
        pytest.param(
            "eth_getBlockByNumber",
            make_block(5),
            "eth_getBlockByNumber: want block 98, got '0x5'",
            id="another block",
        ),
        pytest.param(
            "eth_getBlockByNumber",
            make_block(98, parent=block_hash(97), transactions=None),
            "want a list of transactions, got null",
            id="no transactions",
        ),
        pytest.param(
            "eth_getBlockByNumber",
            make_block(98, parent=block_hash(97), transactions=["0x12"]),
            "want transactions, got '0x12'",
            id="hashes of transactions",
        ),
        pytest.param(
            "eth_getBlockReceipts", {}, "want a list of receipts, got {}", id="no receipts"
        ),
        pytest.param("eth_getBlockReceipts", ["0x"], "want receipts, got '0x'", id="text receipts"),
        pytest.param("eth_getLogs", {}, "eth_getLogs: want a list of logs, got {}", id="no logs"),
        pytest.param("eth_getLogs", [1], "eth_getLogs: want logs, got 1", id="numbers as logs"),
    ],
)
def test_nonsense_is_told_and_not_counted(method: str, result: Any, problem: str) -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(98, 1)
    chain.head = 101
    chain.canned[method] = ok(result)

    runs.run()

    assert runs.reading.problem == problem
    assert runs.cursor == 97
    assert not any(runs.total.values())


# --- reorgs


def test_a_reorg_under_the_cursor_goes_back_to_the_last_common_block() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(104, 1)
    chain.log(104, 1)
    chain.head = 110
    runs.run()
    assert runs.cursor == 107

    chain.branch |= dict.fromkeys(range(104, 2000), "b")
    chain.sent = {}
    chain.logged = {}
    chain.send(105, 1)
    chain.send(106, 2)
    chain.log(105, 1)
    chain.log(106, 2)
    chain.head = 112
    runs.run()
    assert (runs.cursor, runs.reorgs) == (103, 1)
    runs.run()

    assert runs.cursor == 109
    # what was counted on the other branch is not counted again
    assert runs.total["Skill", "success"] == 2
    assert runs.total["Skill", "event", "ProfileCreated"] == 2


def test_going_back_takes_few_calls_however_deep_it_is() -> None:
    chain = Chain(200)
    runs = Runs(chain).run()
    chain.head = 250
    runs.run(max_blocks=60)
    chain.branch |= dict.fromkeys(range(200, 2000), "b")
    chain.head = 260
    chain.asked.clear()

    runs.run()

    assert (runs.cursor, runs.reorgs) == (199, 1)
    assert len(chain.asked) <= 8


def test_a_chain_that_began_anew_is_read_from_its_safe_height() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.branch = dict.fromkeys(range(2000), "b")
    chain.head = 20

    runs.run()
    assert (runs.cursor, runs.reorgs) == (None, 1)

    assert runs.run().cursor == 17


def test_a_chain_that_began_anew_and_has_outgrown_the_cursor_is_noticed() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.branch = dict.fromkeys(range(2000), "b")
    chain.head = 150

    runs.run()
    assert (runs.cursor, runs.reorgs) == (None, 1)

    assert runs.run().cursor == 147


def test_a_head_that_fell_without_a_reorg_changes_nothing() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 110
    runs.run()
    chain.head = 104

    runs.run()

    assert (runs.cursor, runs.reorgs) == (107, 0)


def test_a_node_that_cannot_tell_is_not_taken_for_a_reorg() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 110
    runs.run()
    chain.head, chain.canned["eth_getBlockByNumber"] = 104, LOST

    runs.run()

    assert (runs.cursor, runs.reorgs) == (107, 0)


def test_blocks_that_do_not_fit_together_end_the_run() -> None:
    """Behind a balancer each block may come of another node."""
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 110

    def of_two_nodes(params: Params) -> Answer:
        is_other = params[0] == hex(104)
        return ok(make_block(104, "b")) if is_other else chain.block_by_number(params)

    chain.canned["eth_getBlockByNumber"] = of_two_nodes
    runs.run()

    assert runs.cursor == 103
    assert runs.reorgs == 0


@pytest.mark.parametrize("of_what", ["receipts", "logs"])
def test_what_is_of_another_branch_is_read_again(of_what: str) -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.send(98, 1)
    chain.log(98, 1)
    chain.head = 101
    if of_what == "logs":
        chain.logged[98][0]["blockHash"] = block_hash(98, "b")
    else:
        receipt = {"transactionHash": tx(1), "status": "0x1", "blockHash": block_hash(98, "b")}
        chain.canned["eth_getBlockReceipts"] = ok([receipt])

    runs.run()

    assert runs.cursor == 97
    assert not any(runs.total.values())


def test_logs_that_a_reorg_removed_and_logs_of_strangers_do_not_count() -> None:
    removed = {"address": SKILL, "removed": True}
    strange = {"address": "0x" + "99" * 20}

    assert read_logs([removed, strange], CONTRACTS) == ()


def test_a_log_without_topics_is_another_event() -> None:
    log = {"address": SKILL, "topics": [], "blockNumber": "0x1", "blockHash": "0xAB"}

    assert read_logs([log], CONTRACTS)[0].event == "other"


def test_receipts_of_other_transactions_are_passed_over() -> None:
    receipts = [None, {"transactionHash": tx(9)}, {"transactionHash": None}]
    found = read_receipts(receipts, {}, Block(1, "0x"))

    assert found == ()


# --- failure ratio


def tallied(*statuses: tuple[int, bool]) -> Scan:
    """A scan of transactions, each so many minutes ago."""
    scan = Scan()
    for number, (ago, is_ok) in enumerate(sorted(statuses, reverse=True)):
        reading = Reading(transactions=[Transaction(str(number), 1, "Skill", is_ok, 1)])
        scan = settled(scan, reading, Now(100_000.0 - 60 * ago, 0))
    return settled(scan, Reading(), Now(100_000.0, 0))


def test_more_failures_than_allowed_are_degraded() -> None:
    scan = tallied(*[(1, True)] * 8, *[(2, False)] * 2)

    found = verdicts(CONTRACTS.values(), scan)

    assert [verdict.outcome for verdict in found] == [Outcome.DEGRADED, Outcome.UP]
    assert found[0].name == "contract Skill"
    finding = found[0].findings[0]
    assert finding.reason is ChainReason.CONTRACT_FAILURES
    assert finding.detail == "2 of 10 transactions failed in 10 min, want at most 10 %"


@pytest.mark.parametrize(
    "scan",
    [
        pytest.param(tallied(), id="no transactions"),
        pytest.param(tallied(*[(1, True)] * 4, *[(1, False)] * 5), id="too few to tell"),
        pytest.param(tallied(*[(1, True)] * 9, (1, False)), id="as many as allowed"),
        pytest.param(tallied(*[(1, True)] * 8, *[(10, False)] * 2), id="too long ago"),
    ],
)
def test_failures_that_are_few_or_old_are_fine(scan: Scan) -> None:
    assert all(verdict.outcome is Outcome.UP for verdict in verdicts(CONTRACTS.values(), scan))


# --- memory


def test_a_scan_remembers_a_bounded_number_of_blocks_and_ids() -> None:
    reading = Reading(
        blocks=[Block(height, "0x") for height in range(100)],
        transactions=[Transaction(str(n), 99, "Skill", True, 1) for n in range(1000)],
        logs=[Log("x", 98, "0x", "Skill", "other")],
    )

    scan = settled(Scan(), reading, NOW)

    assert len(scan.blocks) == KEPT_BLOCKS
    assert len(scan.blocks[-1].ids) == MAX_IDS_PER_BLOCK
    assert scan.blocks[-2].ids == {"x"}
    assert len(scan.tallies) == 1


def test_what_a_reorg_took_back_is_forgotten_once_it_cannot_come_again() -> None:
    scan = Scan((Block(7, "0x7"), Block(8, "0x8", frozenset({"x"})))).rewound(7)
    assert scan.counted == {"x"}

    assert scan.advanced([Block(8 + KEPT_BLOCKS, "0x")]).counted == {"x"}
    assert scan.advanced([Block(9 + KEPT_BLOCKS, "0x")]).counted == set()


def test_the_cursor_survives_a_restart() -> None:
    chain = Chain(100)
    runs = Runs(chain).run()
    chain.head = 130
    runs.run()

    kept = durable(runs.scan)
    again = restored(kept)

    assert len(kept) == 16
    assert again.cursor == replace(runs.scan.blocks[-1], ids=frozenset())
    runs.scan = again
    chain.branch |= dict.fromkeys(range(125, 2000), "b")
    chain.head = 140
    assert runs.run().cursor == 124


@pytest.mark.parametrize(
    "kept",
    [None, "x", [[1]], [["1", "0x"]], [[1, 2]], [[-1, "0x"]], [[1, "0x"], None]],
    ids=str,
)
def test_a_cursor_that_is_not_of_the_form_is_left_out(kept: object) -> None:
    assert restored(kept) == Scan()


# --- any course of events


STEPS = st.one_of(
    st.tuples(st.just("grow"), st.integers(0, 12)),
    st.tuples(st.just("fork"), st.integers(1, 30)),
    st.tuples(st.just("lose"), st.sampled_from(["block_by_number", "receipts", "logs"])),
    st.tuples(st.just("send"), st.integers(1, 5)),
)


@given(steps=st.lists(STEPS, max_size=25), calls=st.integers(3, 30))
def test_no_transaction_is_counted_twice_whatever_happens(
    steps: list[tuple[str, Any]], calls: int
) -> None:
    chain = Chain(100)
    runs = Runs(chain, calls=calls).run()
    number = 0
    for branch, (what, how) in enumerate(steps):
        names = {"block_by_number": "eth_getBlockByNumber", "receipts": "eth_getBlockReceipts"}
        chain.canned |= {"eth_getBlockByNumber": chain.block_by_number}
        chain.canned |= {"eth_getBlockReceipts": chain.receipts, "eth_getLogs": chain.logs}
        if what == "grow":
            chain.head += how
        elif what == "fork":
            chain.branch |= dict.fromkeys(range(chain.head - how, 2000), f"b{branch}")
        elif what == "lose":
            chain.canned[names.get(how, "eth_getLogs")] = LOST
        else:
            for _ in range(how):
                number += 1
                chain.send(chain.head + 1, number)
        runs.run()

    assert runs.total["Skill", "success"] <= number
    assert len(runs.scan.blocks) <= KEPT_BLOCKS
    assert len(runs.scan.counted) <= KEPT_BLOCKS * MAX_IDS_PER_BLOCK


@given(
    block=st.none() | st.integers() | st.dictionaries(st.just("transactions"), st.text()),
    receipts=st.lists(st.none() | st.integers() | st.dictionaries(st.text(), st.integers())),
)
def test_foreign_shapes_are_told_as_such(block: Any, receipts: Any) -> None:
    for read in (
        lambda: matches(block if isinstance(block, dict) else {"transactions": block}, CONTRACTS),
        lambda: read_receipts(receipts, {tx(1): "Skill"}, Block(1, "0x")),
        lambda: read_logs(receipts, CONTRACTS),
    ):
        try:
            read()
        except ValueError as error:
            told = str(error)
            assert told.startswith("want ")
