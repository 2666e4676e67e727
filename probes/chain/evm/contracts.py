"""What was sent to contracts, and what they logged: counted block by block behind a cursor.

    Contract   what is looked for
    Scan       what a scan knows: the blocks it has read last, failures of the last ten minutes
    Reading    what one run of it found

Only blocks that are deep enough are read, for a counter cannot be undone. A block that is no longer
there makes the scan go back to the last one that is; what was counted once is not counted again.
Only transactions sent to a contract itself are seen: calls between contracts need traces. How the
blocks are asked for stands in `probes.chain.evm.scan`. Pure; standard library only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from probes.chain.answer.quantity import quantity
from probes.chain.evm.signature import parse_hash
from probes.chain.model import Now, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome
from probes.units import short

# As for endpoints (chains.md 5.6); a deeper change is read as a chain that began anew.
KEPT_BLOCKS = 64
# Of them outlive a restart.
DURABLE_BLOCKS = 16
# chains.md 9.3
RATIO_MINUTES = 10
MINUTE_S = 60.0
# A transaction is known again by as much of its hash.
ID_CHARACTERS = 18
# A popular contract must not fill the memory with what only a rare reorg asks for.
MAX_IDS_PER_BLOCK = 256
OTHER_EVENT = "other"
SUCCESS, FAILED = "success", "failed"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that is watched.

    Args:
        name: value of the label.
        address: lower case.
        events: topic -> name of the event; others count as `OTHER_EVENT`. Empty: none is counted.
        failure_ratio: share of failures in ten minutes above which it is degraded.
        min_tx: transactions below which nothing is judged.
    """

    name: str
    address: str
    events: Mapping[str, str] = field(default_factory=dict[str, str])
    failure_ratio: float = 0.10
    min_tx: int = 10


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was read.

    Args:
        height: number.
        hash: lower case.
        ids: what was counted of it.
    """

    height: int
    hash: str
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tally:
    """Transactions to one contract in one minute of the prober's clock."""

    minute: int
    contract: str
    success: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan knows.

    Args:
        blocks: the last ones it read, oldest first; the last of them is the cursor.
        counted: ids of blocks that a reorg took back; they are not counted again.
        counted_until: height up to which they may come again.
        tallies: of the last ten minutes.
        has_receipts: whether receipts come by block.
    """

    blocks: tuple[Block, ...] = ()
    counted: frozenset[str] = frozenset()
    counted_until: int = 0
    tallies: tuple[Tally, ...] = ()
    has_receipts: bool = True

    @property
    def cursor(self) -> Block | None:
        """The last block that was read."""
        return self.blocks[-1] if self.blocks else None

    def advanced(self, blocks: Iterable[Block]) -> "Scan":
        """Return the scan with *blocks* read."""
        kept = (*self.blocks, *blocks)[-KEPT_BLOCKS:]
        is_over = bool(kept) and kept[-1].height > self.counted_until
        return replace(self, blocks=kept, counted=frozenset() if is_over else self.counted)

    def rewound(self, height: int) -> "Scan":
        """Return the scan with the cursor at *height*, or without one if it is not remembered."""
        kept = tuple(block for block in self.blocks if block.height <= height)
        lost = [block for block in self.blocks if block.height > height]
        return replace(
            self,
            blocks=kept,
            counted=self.counted.union(*(block.ids for block in lost)),
            # what a reorg took back may be taken up again some blocks later
            counted_until=max(block.height for block in lost) + KEPT_BLOCKS if lost else 0,
        )


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction to a contract, with its receipt.

    Args:
        id: what it is known again by.
        height: of its block.
        contract: name.
        ok: None: the chain did not say in those days (before Byzantium).
        gas: that was used.
    """

    id: str
    height: int
    contract: str
    ok: bool | None
    gas: int


@dataclass(frozen=True, slots=True)
class Log:
    """Something that a contract logged."""

    id: str
    height: int
    hash: str
    contract: str
    event: str


@dataclass(slots=True)
class Reading:
    """What one run of the scan found."""

    blocks: list[Block] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    reorgs: int = 0
    problem: str = ""
    """Why it cannot go on, if that is the endpoint's fault."""

    def forget(self) -> None:
        """Drop what is not complete."""
        self.blocks, self.transactions, self.logs = [], [], []


def matches(block: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Return the transactions of a full block that go to a contract: hash -> name.

    Args:
        block: with its transactions as objects.
        contracts: by address.

    Raises:
        ValueError: it is no full block.
    """
    transactions = block.get("transactions")
    if not isinstance(transactions, list):
        raise ValueError(f"want a list of transactions, got {short(transactions)}")
    found = {}
    for transaction in transactions:
        if not isinstance(transaction, dict):
            raise ValueError(f"want transactions, got {short(transaction)}")
        for key in ("to", "creates"):
            address = transaction.get(key)
            contract = contracts.get(address.lower()) if isinstance(address, str) else None
            if contract is not None:
                found[parse_hash(transaction.get("hash"))] = contract.name
    return found


def read_receipts(
    receipts: object, wanted: Mapping[str, str], block: Block
) -> tuple[Transaction, ...] | None:
    """Return the transactions in *wanted* (hash -> contract) as their receipts tell them.

    Returns:
        None when a receipt is missing or of another block than *block*: ask again later.

    Raises:
        ValueError: they are no receipts.
    """
    if not isinstance(receipts, list | tuple):
        raise ValueError(f"want a list of receipts, got {short(receipts)}")
    found: dict[str, Transaction] = {}
    for receipt in receipts:
        if receipt is None:
            continue
        if not isinstance(receipt, dict):
            raise ValueError(f"want receipts, got {short(receipt)}")
        name = receipt.get("transactionHash")
        contract = wanted.get(name.lower()) if isinstance(name, str) else None
        if not isinstance(name, str) or contract is None:
            continue
        if str(receipt.get("blockHash", block.hash)).lower() != block.hash:
            return None
        found[name.lower()] = _transaction(name, (block.height, contract), receipt)
    return tuple(found.values()) if len(found) == len(wanted) else None


def _transaction(name: str, where: tuple[int, str], receipt: Mapping[str, Any]) -> Transaction:
    status = receipt.get("status")
    ok = None if status is None else quantity(status) == 1
    gas = receipt.get("gasUsed")
    used = 0 if gas is None else quantity(gas)
    return Transaction(name.lower()[:ID_CHARACTERS], *where, ok, used)


def read_logs(logs: object, contracts: Mapping[str, Contract]) -> tuple[Log, ...]:
    """Return the logs of contracts; what was removed by a reorg is left out.

    Raises:
        ValueError: they are no logs.
    """
    if not isinstance(logs, list):
        raise ValueError(f"want a list of logs, got {short(logs)}")
    found = []
    for log in logs:
        if not isinstance(log, dict):
            raise ValueError(f"want logs, got {short(log)}")
        contract = contracts.get(str(log.get("address")).lower())
        if log.get("removed") is True or contract is None:
            continue
        topics = log.get("topics")
        topic = str(topics[0]).lower() if isinstance(topics, list) and topics else ""
        found.append(
            Log(
                id=str(log.get("transactionHash")).lower()[:ID_CHARACTERS],
                height=quantity(log.get("blockNumber")),
                hash=str(log.get("blockHash")).lower(),
                contract=contract.name,
                event=contract.events.get(topic, OTHER_EVENT),
            )
        )
    return tuple(found)


def settled(scan: Scan, reading: Reading, now: Now) -> Scan:
    """Return *scan* with everything in *reading* counted."""
    new = [one for one in reading.transactions if one.id not in scan.counted]
    tallies = {(tally.minute, tally.contract): tally for tally in scan.tallies}
    minute = int(now.mono // MINUTE_S)
    for one in new:
        if one.ok is not None:
            key = minute, one.contract
            tally = tallies.get(key, Tally(*key))
            tallies[key] = replace(
                tally, success=tally.success + one.ok, failed=tally.failed + (not one.ok)
            )
    recent = tuple(
        tally for tally in tallies.values() if minute - RATIO_MINUTES < tally.minute <= minute
    )
    ids: dict[int, list[str]] = {}
    pairs = [(one.height, one.id) for one in reading.transactions]
    pairs += [(log.height, log.id) for log in reading.logs]
    for height, name in pairs:
        ids.setdefault(height, []).append(name)
    blocks = [
        replace(block, ids=frozenset(ids.get(block.height, [])[:MAX_IDS_PER_BLOCK]))
        for block in reading.blocks
    ]
    return replace(scan.advanced(blocks), tallies=recent)


def counts(
    contracts: Iterable[Contract], scan: Scan, reading: Reading
) -> dict[tuple[str, ...], float]:
    """Return what *reading* adds: (contract, result | ``gas`` | ``event``, ...) -> number.

    What may be counted is there with 0 from the first run on: a counter that begins with its first
    failure hides it from a rate.
    """
    found: dict[tuple[str, ...], float] = {}
    for contract in contracts:
        zeros = (SUCCESS, FAILED, "gas")
        found |= {(contract.name, name): 0.0 for name in zeros}
        if contract.events:
            names = (*contract.events.values(), OTHER_EVENT)
            found |= {(contract.name, "event", name): 0.0 for name in names}
    for one in reading.transactions:
        if one.id not in scan.counted:
            found[one.contract, "gas"] += one.gas
            if one.ok is not None:
                found[one.contract, SUCCESS if one.ok else FAILED] += 1
    for log in reading.logs:
        if log.id not in scan.counted:
            found[log.contract, "event", log.event] += 1
    return found


def verdicts(contracts: Iterable[Contract], scan: Scan) -> tuple[Verdict, ...]:
    """Return what the last ten minutes mean for each contract."""
    return tuple(_verdict(contract, scan) for contract in contracts)


def _verdict(contract: Contract, scan: Scan) -> Verdict:
    own = [tally for tally in scan.tallies if tally.contract == contract.name]
    failed = sum(tally.failed for tally in own)
    whole = failed + sum(tally.success for tally in own)
    name = f"contract {contract.name}"
    if not whole or whole < contract.min_tx or failed / whole <= contract.failure_ratio:
        return Verdict(name, Outcome.UP)
    share = f"want at most {100 * contract.failure_ratio:g} %"
    detail = f"{failed} of {whole} transactions failed in {RATIO_MINUTES} min, {share}"
    finding = Finding(ChainReason.CONTRACT_FAILURES, Outcome.DEGRADED, detail)
    return Verdict(name, Outcome.DEGRADED, (finding,))


def durable(scan: Scan) -> list[list[Any]]:
    """Return the cursor and some blocks before it, JSON-ready."""
    return [[block.height, block.hash] for block in scan.blocks[-DURABLE_BLOCKS:]]


def restored(kept: object) -> Scan:
    """Return the scan that `durable` gave; without a cursor if it is not of its form."""
    blocks = []
    for entry in kept if isinstance(kept, list) else []:
        match entry:
            case [int() as height, str() as name] if height >= 0:
                blocks.append(Block(height, name))
            case _:
                return Scan()
    return Scan(tuple(blocks[-KEPT_BLOCKS:]))
