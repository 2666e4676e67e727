"""A made-up CometBFT chain: its blocks, commits and validators, in the shapes of the real one.

    CometChain(network="neutron-1", head=5622165)        all nodes of a test share one
    chain.advance(2)                                     two blocks more
    chain.head_at -= timedelta(minutes=10)               as if it had stopped then

64-bit integers are strings, hashes upper hex, times have nanoseconds without zeros at their end.
The same height has the same hashes in every test. Knows no node and no wire.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = Any
# Times of Go have nanoseconds: these stand behind the microseconds of Python.
NANOSECONDS = "226"
# What a validator that did not sign has for a time.
NO_TIME = "0001-01-01T00:00:00Z"
ABSENT, COMMITTED, NIL = 1, 2, 3


def digest(*words: object) -> str:
    """Return 32 bytes in upper hex, the same for the same *words*."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest().upper()


def go_time(at: datetime) -> str:
    """Return *at* as Go writes it: RFC 3339, no zeros at the end of the fraction."""
    text = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}{NANOSECONDS}"
    return text.rstrip("0").rstrip(".") + "Z"


@dataclass
class Validator:
    """One validator; ``flag`` is how it votes on the next blocks."""

    name: str
    power: int = 10
    flag: int = COMMITTED

    @property
    def address(self) -> str:
        return digest("validator", self.name)[:40]

    @property
    def pub_key(self) -> Json:
        key = base64.b64encode(bytes.fromhex(digest("key", self.name))).decode()
        return {"type": "tendermint/PubKeyEd25519", "value": key}

    def signature(self, at: str) -> Json:
        if self.flag == ABSENT:
            return {
                "block_id_flag": ABSENT, "validator_address": "", "timestamp": NO_TIME,
                "signature": None,
            }  # fmt: skip
        signed = base64.b64encode(bytes.fromhex(digest(self.name, at) * 2)).decode()
        return {
            "block_id_flag": self.flag, "validator_address": self.address, "timestamp": at,
            "signature": signed,
        }  # fmt: skip


@dataclass
class Branch:
    """From which height on a node tells other hashes than the chain; None: never."""

    name: str = "other"
    block_from: int | None = None
    app_from: int | None = None

    def word(self, start: int | None, height: int) -> str:
        return self.name if start is not None and height >= start else "main"


@dataclass
class CometChain:
    """A chain that grows when it is told to.

    Attributes:
        head: the latest height.
        head_at: its time; older blocks are ``block_time_s`` apart.
        transactions: height -> (bytes, code) of each; code 0 is success.
    """

    network: str = "neutron-1"
    head: int = 100
    head_at: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(seconds=1))
    block_time_s: float = 1.0
    validators: list[Validator] = field(
        default_factory=lambda: [Validator(f"v{number}") for number in range(4)]
    )
    transactions: dict[int, list[tuple[bytes, int]]] = field(default_factory=dict)
    watchers: list[Callable[[int], None]] = field(default_factory=list)

    def advance(self, blocks: int = 1) -> None:
        """Add *blocks*, and tell every node that follows."""
        for _ in range(blocks):
            self.head += 1
            self.head_at += timedelta(seconds=self.block_time_s)
            for watch in self.watchers:
                watch(self.head)

    def time(self, height: int) -> str:
        return go_time(self.head_at - timedelta(seconds=self.block_time_s * (self.head - height)))

    def block_hash(self, height: int, branch: Branch) -> str:
        return digest(self.network, branch.word(branch.block_from, height), height)

    def app_hash(self, height: int, branch: Branch) -> str:
        """Return the state before *height*, which is what its header holds."""
        return digest(self.network, branch.word(branch.app_from, height), "app", height)

    def block_id(self, height: int, branch: Branch) -> Json:
        if height < 1:
            return {"hash": "", "parts": {"total": 0, "hash": ""}}
        block = self.block_hash(height, branch)
        return {"hash": block, "parts": {"total": 1, "hash": digest("parts", block)}}

    def header(self, height: int, branch: Branch) -> Json:
        """Return the header of *height*."""
        validators = digest("validators", *(v.name for v in self.validators))
        return {
            "version": {"block": "11", "app": "1"},
            "chain_id": self.network,
            "height": str(height),
            "time": self.time(height),
            "last_block_id": self.block_id(height - 1, branch),
            "last_commit_hash": digest("commit", height - 1),
            "data_hash": digest("data", len(self.transactions.get(height, []))),
            "validators_hash": validators,
            "next_validators_hash": validators,
            "consensus_hash": digest("consensus"),
            "app_hash": self.app_hash(height, branch),
            "last_results_hash": digest("results", height - 1),
            "evidence_hash": digest("evidence"),
            "proposer_address": self.validators[height % len(self.validators)].address,
        }

    def commit(self, height: int, branch: Branch) -> Json:
        """Return the votes for *height*."""
        at = self.time(height + 1)
        return {
            "height": str(height),
            "round": 0,
            "block_id": self.block_id(height, branch),
            "signatures": [validator.signature(at) for validator in self.validators],
        }

    def block(self, height: int, branch: Branch) -> Json:
        """Return the block of *height* with its transactions."""
        data = [base64.b64encode(tx).decode() for tx, _ in self.transactions.get(height, [])]
        return {
            "header": self.header(height, branch),
            "data": {"txs": data},
            "evidence": {"evidence": []},
            "last_commit": self.commit(height - 1, branch),
        }

    def results(self, height: int) -> Json:
        """Return what became of the transactions of *height*."""
        told: list[Json] = [
            {
                "code": code, "data": None, "log": "" if code == 0 else "out of gas", "info": "",
                "gas_wanted": "200000", "gas_used": "90000", "events": [], "codespace": "",
            }
            for _, code in self.transactions.get(height, [])
        ]  # fmt: skip
        state = base64.b64encode(bytes.fromhex(self.app_hash(height + 1, Branch())))
        return {
            "height": str(height),
            "txs_results": told or None,
            "finalize_block_events": [],
            "validator_updates": None,
            "consensus_param_updates": None,
            "app_hash": state.decode(),
        }
