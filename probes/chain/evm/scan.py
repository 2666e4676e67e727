"""Reads blocks for the contracts that are watched: the talk behind `probes.chain.evm.contracts`.

From the cursor towards the safe height, as far as the calls of this run go: one call for each
block, one for its receipts if a transaction in it matters, one for the logs of all of them. What
is not complete is not counted; the next run reads it again.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from probes.chain.answer.inquiry import UNHEARD
from probes.chain.answer.quantity import quantity
from probes.chain.evm.block import fields
from probes.chain.evm.contracts import (
    Block,
    Contract,
    Log,
    Reading,
    Scan,
    matches,
    read_logs,
    read_receipts,
)
from probes.chain.evm.signature import parse_hash
from probes.chain.talk import MAX_SCAN_BODY_BYTES, Answer, Ask, Talk
from probes.units import short

TOPIC = "contracts"
# A block, its receipts, and the logs of the run.
CALLS_PER_BLOCK = 3
# What would take more runs than this is not caught up: it would be told as news hours later.
MAX_RUNS_BEHIND = 100
# Receipts asked one by one, in one batch.
RECEIPTS_PER_BATCH = 20
# The endpoint cannot be asked on, or has not got that far: its own verdict tells, not the scan's.
_NOT_OURS = UNHEARD | {"missing_data", "node_unhealthy"}
# It will not answer tomorrow either: going on without is better than standing still.
_HOPELESS = frozenset({"unsupported", "bad_params", "range_limited", "too_large"})


class Scanner:
    """One run of the scan.

    Args:
        contracts: by address.
        scan: what is known.
        calls: that may be made.
    """

    def __init__(self, contracts: Mapping[str, Contract], scan: Scan, calls: int) -> None:
        self.scan = scan
        self.reading = Reading()
        self._contracts = contracts
        self._allowed = calls
        self._calls = calls

    @property
    def spent(self) -> int:
        """Calls that were made."""
        return self._allowed - self._calls

    def run(self, head: int, safe: int, max_blocks: int) -> Talk[None]:
        """Read on.

        Args:
            head: of the chain.
            safe: height up to which blocks are final enough.
            max_blocks: that may be read in one run.
        """
        cursor = self.scan.cursor
        if cursor is None or safe - cursor.height > MAX_RUNS_BEHIND * max_blocks:
            yield from self._begin(safe)
        elif cursor.height > head:
            # the chain went back further than was thought possible, or began anew
            low = sum(block.height <= safe for block in self.scan.blocks)
            yield from self._rewind(low)
        else:
            yield from self._read(cursor, min(safe, cursor.height + max_blocks))
            if self.reading.blocks:
                yield from self._read_logs()

    # --- the cursor

    def _begin(self, safe: int) -> Talk[None]:
        found = yield from self._block(safe, full=False)
        if found is not None:
            self.scan = self.scan.rewound(-1).advanced((found[0],))

    def _rewind(self, count: int) -> Talk[None]:
        """Go back to the last block that is still there, of the first *count* that are known."""
        blocks = self.scan.blocks
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            found = yield from self._block(blocks[middle].height, full=False)
            if found is None:
                return
            if found[0].hash == blocks[middle].hash:
                low = middle + 1
            else:
                high = middle
        if low == count < len(blocks) and count:
            # an endpoint that is merely behind; nothing changed
            return
        self.reading.reorgs = 1
        self.scan = self.scan.rewound(blocks[low - 1].height if low else -1)

    # --- blocks and receipts

    def _read(self, last: Block, end: int) -> Talk[None]:
        for height in range(last.height + 1, end + 1):
            if self._calls < CALLS_PER_BLOCK:
                return
            found = yield from self._block(height, full=True)
            if found is None:
                return
            block, raw = found
            if str(raw.get("parentHash")).lower() != last.hash:
                if not self.reading.blocks:
                    yield from self._rewind(len(self.scan.blocks) - 1)
                return
            if not (yield from self._read_transactions(block, raw)):
                return
            self.reading.blocks.append(block)
            last = block

    def _block(self, height: int, *, full: bool) -> Talk[tuple[Block, Mapping[str, Any]] | None]:
        """Ask for a block; None when it is not there, or is none."""
        ask = _ask("eth_getBlockByNumber", hex(height), full)
        answer = yield from self._asked(ask)
        if not answer.ok or answer.result is None:
            return None
        try:
            return _read_block(height, answer.result)
        except ValueError as error:
            self.reading.problem = f"{ask.method}: {error}"
            return None

    def _read_transactions(self, block: Block, raw: Mapping[str, Any]) -> Talk[bool]:
        """Read the receipts that matter; False when they are not complete."""
        try:
            wanted = matches(raw, self._contracts)
            if not wanted:
                return True
            receipts = yield from self._receipts(block, wanted)
            found = None if receipts is None else read_receipts(receipts, wanted, block)
        except ValueError as error:
            self.reading.problem = str(error)
            return False
        if found is None:
            return False
        self.reading.transactions.extend(found)
        return True

    def _receipts(self, block: Block, wanted: Mapping[str, str]) -> Talk[object]:
        """Ask for receipts, of the block or one by one; None when they do not come."""
        if self.scan.has_receipts:
            ask = _ask("eth_getBlockReceipts", hex(block.height))
            answer = yield from self._asked(ask, hopeless_is_fine=True)
            if answer.kind not in _HOPELESS:
                return answer.result if answer.ok else None
            self.scan = replace(self.scan, has_receipts=False)
        names, found = list(wanted), list[Any]()
        for start in range(0, len(names), RECEIPTS_PER_BATCH):
            some = names[start : start + RECEIPTS_PER_BATCH]
            self._calls -= len(some)
            answers = yield tuple(_ask("eth_getTransactionReceipt", name) for name in some)
            for answer in answers:
                if not answer.ok:
                    self._fail("eth_getTransactionReceipt", answer)
                    return None
                found.append(answer.result)
        return found

    # --- logs

    def _read_logs(self) -> Talk[None]:
        """Read the logs of the blocks that were read; a node that allows fewer gets fewer."""
        addresses = [address for address, contract in self._contracts.items() if contract.events]
        blocks = self.reading.blocks
        spans = [(blocks[0].height, blocks[-1].height)] if addresses else []
        while spans:
            first, last = spans.pop()
            query = {"fromBlock": hex(first), "toBlock": hex(last), "address": addresses}
            answer = yield from self._asked(_ask("eth_getLogs", query), hopeless_is_fine=True)
            if answer.ok:
                if not self._take(answer.result):
                    return
            elif answer.kind in ("range_limited", "too_large") and first < last:
                middle = (first + last) // 2
                spans += [(middle + 1, last), (first, middle)]
            elif answer.kind in _HOPELESS:
                self._fail("eth_getLogs", answer)
            else:
                self.reading.forget()
                return

    def _take(self, result: object) -> bool:
        """Note logs; False, with nothing kept, when they are not of the blocks that were read."""
        try:
            logs: tuple[Log, ...] = read_logs(result, self._contracts)
        except ValueError as error:
            self.reading.problem = f"eth_getLogs: {error}"
            logs, is_sound = (), False
        else:
            hashes = {block.height: block.hash for block in self.reading.blocks}
            is_sound = all(hashes.get(log.height) == log.hash for log in logs)
        if not is_sound:
            self.reading.forget()
            return False
        self.reading.logs.extend(logs)
        return True

    # --- asking

    def _asked(self, ask: Ask, *, hopeless_is_fine: bool = False) -> Talk[Answer]:
        self._calls -= 1
        answer: Answer = yield ask
        if not answer.ok and not (hopeless_is_fine and answer.kind in _HOPELESS):
            self._fail(ask.method, answer)
        return answer

    def _fail(self, method: str, answer: Answer) -> None:
        if answer.kind not in _NOT_OURS:
            self.reading.problem = f"{method}: {answer.detail or answer.kind}"


def _read_block(height: int, result: object) -> tuple[Block, Mapping[str, Any]]:
    raw = fields(result)
    if quantity(raw.get("number")) != height:
        raise ValueError(f"want block {height}, got {short(raw.get('number'))}")
    return Block(height, parse_hash(raw.get("hash"))), raw


def _ask(method: str, *params: Any) -> Ask:
    return Ask(TOPIC, method, params, allows_null=True, max_body=MAX_SCAN_BODY_BYTES)
