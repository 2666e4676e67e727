"""What is asked once per group of a CometBFT chain, of the first usable primary: contracts, blocks.

It lives on what the endpoints' own calls leave of the budget. A contract is asked once a minute;
blocks and contracts share what there is, and contracts take turns where it is not enough for all.
Pure: knows no wire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from probes.chain.cosmos import txcount
from probes.chain.cosmos.lcd import Contract, ask_contract
from probes.chain.cosmos.txcount import CALLS_PER_BLOCK, Counted, Cursor, count_transactions
from probes.chain.model import Group, Judgement, Now, Verdict
from probes.chain.talk import Survey, Talk

# The answer of a contract is about as old as this at most.
QUERIES_EVERY_S = 60.0
# Of what may be asked; the queries that are due get the rest.
BLOCKS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Notes:
    """What is kept from run to run.

    Args:
        cursor: last block that was counted; None: none was.
        asked: when each contract was asked, monotonic.
        told: what was last said of each.
        saved: calls that may be made; None: nothing is known of it.
    """

    cursor: Cursor | None = None
    asked: Mapping[str, float] = field(default_factory=dict[str, float])
    told: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])
    saved: float | None = None


@dataclass(frozen=True, slots=True)
class Oversight:
    """See the module.

    Args:
        contracts: that are queried, and whose transactions are counted.
        max_blocks: that are counted in a run.
    """

    contracts: tuple[Contract, ...]
    max_blocks: int

    def survey(
        self, group: Group, judgement: Judgement, now: Now, notes: Notes, calls: float
    ) -> Talk[Survey]:
        """Count and ask, with *calls* at most."""
        due = self._due(notes, now)
        counted = Counted(cursor=notes.cursor)
        safe = txcount.safe_height(group, judgement)
        if safe is not None:
            allowed = int(calls * (BLOCKS_SHARE if due else 1)) // CALLS_PER_BLOCK
            blocks = min(self.max_blocks, allowed)
            counted = yield from count_transactions(self.contracts, blocks, safe, notes.cursor)
        due = due[: int(calls) - counted.spent]
        asked, told = yield from self._ask(due, notes, now)
        return Survey(
            steps=(*(told[it.name] for it in self.contracts if it.name in told), *counted.steps),
            counts=counted.counts,
            memory=Notes(counted.cursor, asked, told, calls - counted.spent - len(due)),
        )

    def _due(self, notes: Notes, now: Now) -> list[Contract]:
        """Return the contracts that are to be asked, those that wait longest first."""
        latest = now.mono - QUERIES_EVERY_S
        waits = {it.name: notes.asked.get(it.name, -inf) for it in self.contracts if it.query}
        due = [it for it in self.contracts if waits.get(it.name, inf) <= latest]
        return sorted(due, key=lambda it: waits[it.name])

    def _ask(
        self, due: Sequence[Contract], notes: Notes, now: Now
    ) -> Talk[tuple[dict[str, float], dict[str, Verdict]]]:
        names = {it.name for it in self.contracts}
        asked = {name: at for name, at in notes.asked.items() if name in names}
        told = {name: verdict for name, verdict in notes.told.items() if name in names}
        for contract in due:
            verdict = yield from ask_contract(contract)
            told.pop(contract.name, None)
            if verdict is not None:
                asked[contract.name], told[contract.name] = now.mono, verdict
        return asked, told


def durable(memory: object) -> Mapping[str, Any] | None:
    """Return what must outlive the process: how far blocks are counted."""
    return txcount.durable(memory.cursor) if isinstance(memory, Notes) else None


def restored(kept: Mapping[str, Any]) -> Notes:
    """Return the notes made of what `durable` gave."""
    return Notes(txcount.restored(kept))
