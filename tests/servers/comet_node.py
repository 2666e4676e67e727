"""What a CometBFT node says to each call, and the levers that change it.

Compared with a real node by `tests/servers/test_comet.py`. Knows no wire: `tests.servers.comet`
serves it.
"""

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.servers.comet_chain import Branch, CometChain, digest

Json = Any
Params = dict[str, Any]
# Of the configuration that CometBFT ships.
BATCH_LIMIT = 10
# A block before the first one.
EPOCH = "1970-01-01T00:00:00Z"
# The words of each method, in the order in which an array gives them.
WORDS: dict[str, tuple[str, ...]] = {
    "health": (), "status": (), "net_info": (), "abci_info": (), "genesis": (),
    "num_unconfirmed_txs": (), "consensus_state": (),
    "commit": ("height",), "header": ("height",), "block": ("height",),
    "block_results": ("height",), "validators": ("height", "page", "per_page"),
    "blockchain": ("minHeight", "maxHeight"),
    "abci_query": ("path", "data", "height", "prove"),
}  # fmt: skip
WEBSOCKET_ONLY = {"subscribe", "unsubscribe", "unsubscribe_all"}


class Refused(Exception):
    """An error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})


def internal(data: str) -> Refused:
    return Refused(-32603, "Internal error", data)


def invalid(data: str) -> Refused:
    return Refused(-32602, "Invalid params", f"error converting json params to arguments: {data}")


def integer(value: Json) -> int:
    """Return a 64-bit integer: a string in JSON.

    Raises:
        Refused: it is none.
    """
    if not isinstance(value, str):
        raise invalid(f'invalid 64-bit integer encoding "{value}", expected string')
    if not value.removeprefix("-").isdecimal():
        raise invalid(f"invalid character '{value[:1]}' looking for beginning of value")
    return int(value)


def named(words: tuple[str, ...], params: Json) -> Params:
    """Return *params* by their names; names that nobody knows are left out.

    Raises:
        Refused: an array of another length.
    """
    if isinstance(params, dict):
        return {word: params[word] for word in words if word in params}
    values = list(params or [])
    if params is not None and len(values) != len(words):
        told = f"expected {len(words)} parameters ([{' '.join(words)}]), got {len(values)}"
        raise invalid(told)
    return dict(zip(words, values, strict=False))


@dataclass(eq=False)
class CometNode:
    """A running node; its attributes are levers.

    Attributes:
        chain: which it follows, shared with the other nodes of a test.
        height: where it stands; None: at the head of the chain.
        branch: where it differs from the chain.
        abci_height: where the application stands; None: where the node does.
        earliest: the lowest block that it holds.
        started: false before its first block.
        network: None: that of the chain.
        peers: how many.
        round: of the consensus.
        silent: sends no event.
        cache_age_s: `abci_info` comes from a cache of that age; None: from the node.
        errors: method -> the error that it gives.
        subscription_error: what it says to who subscribes; empty: it takes them.
        calls: how often each method was called.
    """

    chain: CometChain
    moniker: str = "node"
    height: int | None = None
    branch: Branch = field(default_factory=Branch)
    abci_height: int | None = None
    earliest: int = 1
    catching_up: bool = False
    started: bool = True
    network: str | None = None
    peers: int = 2
    round: int = 0
    voting_power: int = 0
    tx_index: str = "on"
    unconfirmed: tuple[int, int, int] = (0, 0, 0)
    batch_limit: int = BATCH_LIMIT
    silent: bool = False
    cache_age_s: int | None = None
    errors: dict[str, Refused] = field(default_factory=dict)
    subscription_error: str = ""
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def head(self) -> int:
        if not self.started:
            return 0
        return self.chain.head if self.height is None else self.height

    def fork(self, height: int, name: str = "other") -> None:
        """Tell other blocks from *height* on."""
        self.branch.name, self.branch.block_from, self.branch.app_from = name, height, height

    def fork_state(self, height: int, name: str = "other") -> None:
        """Tell another state from *height* on, under the same block hashes."""
        self.branch.name, self.branch.app_from = name, height

    def diverge(self) -> None:
        """Come to another state by the next block, which it then cannot take: it stands still.

        This is what a real node does. `fork_state` is what nothing but damage does: the hash of a
        block is made of its header, state included.
        """
        self.height = self.head
        self.fork_state(self.head + 1)

    def catch_up(self, height: int) -> None:
        """Have lost all blocks, and got them back up to *height*, which is being executed."""
        self.height, self.abci_height, self.catching_up = height, height - 1, True

    def caught_up(self) -> None:
        """Follow the chain again."""
        self.height, self.abci_height, self.catching_up = None, None, False

    def fail(self, method: str, code: int, message: str, data: str = "") -> None:
        """Give an error to *method* from now on."""
        self.errors[method] = Refused(code, message, data)

    def header_of(self, height: int) -> Json:
        """Return the header of *height* as this node tells it."""
        header = self.chain.header(height, self.branch)
        return header | ({"chain_id": self.network} if self.network else {})

    def health(self, asked: Params) -> Json:
        return {}

    def _node_info(self, moniker: str) -> Json:
        return {
            "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "id": digest("id", moniker)[:40].lower(),
            "listen_addr": "tcp://0.0.0.0:26656",
            "network": self.network or self.chain.network,
            "version": "0.38.21",
            "channels": "40202122233038606100",
            "moniker": moniker,
            "other": {"tx_index": self.tx_index, "rpc_address": "tcp://0.0.0.0:26657"},
        }

    def _block_info(self, prefix: str, height: int) -> Json:
        known = self.started
        return {
            f"{prefix}_block_hash": self.chain.block_hash(height, self.branch) if known else "",
            f"{prefix}_app_hash": self.chain.app_hash(height, self.branch) if known else "",
            f"{prefix}_block_height": str(height) if known else "0",
            f"{prefix}_block_time": self.chain.time(height) if known else EPOCH,
        }

    def status(self, asked: Params) -> Json:
        latest = self._block_info("latest", self.head)
        earliest = self._block_info("earliest", self.earliest)
        own = self.chain.validators[0]
        return {
            "node_info": self._node_info(self.moniker),
            "sync_info": latest | earliest | {"catching_up": self.catching_up},
            "validator_info": {
                "address": own.address,
                "pub_key": own.pub_key,
                "voting_power": str(self.voting_power),
            },
        }

    def net_info(self, asked: Params) -> Json:
        peers = [
            {
                "node_info": self._node_info(f"peer{number}"),
                "is_outbound": number % 2 == 0,
                "connection_status": {"Duration": "168901057956119", "Channels": []},
                "remote_ip": f"10.0.0.{number}",
            }
            for number in range(self.peers)
        ]
        return {
            "listening": True,
            "listeners": ["Listener(@)"],
            "n_peers": str(self.peers),
            "peers": peers,
        }

    def abci_info(self, asked: Params) -> Json:
        at = self.head if self.abci_height is None else self.abci_height
        state = bytes.fromhex(self.chain.app_hash(at + 1, self.branch))
        told = {"data": "neutron", "version": "5.0.0", "app_version": "1"}
        # Go leaves a zero out
        told |= {"last_block_height": str(at)} if at else {}
        return {"response": told | {"last_block_app_hash": base64.b64encode(state).decode()}}

    def genesis(self, asked: Params) -> Json:
        told = {
            "genesis_time": self.chain.time(0),
            "chain_id": self.network or self.chain.network,
            "initial_height": "1",
            "validators": [],
            "app_hash": "",
        }
        return {"genesis": told}

    def num_unconfirmed_txs(self, asked: Params) -> Json:
        count, total, size = map(str, self.unconfirmed)
        return {"n_txs": count, "total": total, "total_bytes": size, "txs": None}

    def consensus_state(self, asked: Params) -> Json:
        # consensus waits where a node began that lost all
        at, turn = (1, 0) if self.catching_up else (self.head + 1, self.round)
        return {"round_state": {"height/round/step": f"{at}/{turn}/1"}}

    def _height(self, asked: Params, word: str = "height") -> int:
        """Return the height that was asked for, the latest by default."""
        if asked.get(word) is None:
            return self.head
        height = integer(asked[word])
        if height < 1:
            raise internal(f"height must be greater than 0, but got {height}")
        if height > self.head:
            raise internal(
                f"height {height} must be less than or equal to the current blockchain height"
                f" {self.head}"
            )
        if height < self.earliest:
            raise internal(f"height {height} is not available, lowest height is {self.earliest}")
        return height

    def commit(self, asked: Params) -> Json:
        height = self._height(asked)
        if not height:
            return None
        header = self.header_of(height)
        commit = self.chain.commit(height, self.branch)
        # the votes for the latest block are those that this node saw
        signed = {"header": header, "commit": commit}
        return {"signed_header": signed, "canonical": height < self.head}

    def header(self, asked: Params) -> Json:
        height = self._height(asked)
        return {"header": self.header_of(height) if height else None}

    def block(self, asked: Params) -> Json:
        height = self._height(asked)
        told = self.chain.block(height, self.branch) if height else None
        return {"block_id": self.chain.block_id(height, self.branch), "block": told}

    def block_results(self, asked: Params) -> Json:
        return self.chain.results(self._height(asked))

    def blockchain(self, asked: Params) -> Json:
        top = min(integer(asked.get("maxHeight") or "0") or self.head, self.head)
        bottom = max(integer(asked.get("minHeight") or "0") or 1, self.earliest, top - 19)
        metas = [
            {
                "block_id": self.chain.block_id(height, self.branch),
                "block_size": "577",
                "header": self.header_of(height),
                "num_txs": str(len(self.chain.transactions.get(height, []))),
            }
            for height in range(top, bottom - 1, -1)
        ]
        return {"last_height": str(self.head), "block_metas": metas}

    def validators(self, asked: Params) -> Json:
        page = integer(asked.get("page") or "1")
        size = min(integer(asked.get("per_page") or "30"), 100)
        everyone = self.chain.validators
        told = [
            {
                "address": one.address,
                "pub_key": one.pub_key,
                "voting_power": str(one.power),
                "proposer_priority": "0",
            }
            for one in everyone[(page - 1) * size : page * size]
        ]
        return {
            "block_height": str(self._height(asked)),
            "validators": told,
            "count": str(len(told)),
            "total": str(len(everyone)),
        }

    def abci_query(self, asked: Params) -> Json:
        height = self._height(asked)
        told = {"code": 0, "log": "", "info": "", "index": "0", "key": None, "value": None}
        return {"response": told | {"proofOps": None, "height": str(height), "codespace": ""}}

    def offers(self, method: str) -> bool:
        """Tell whether *method* exists, over a websocket at least."""
        return method in WORDS or method in WEBSOCKET_ONLY or method in self.errors

    def answer(self, method: str, params: Json) -> Json:
        """Return the result of one call.

        Raises:
            Refused: it has none.
        """
        self.calls[method] += 1
        if method in self.errors:
            raise self.errors[method]
        if method not in WORDS:
            raise Refused(-32601, "Method not found")
        return getattr(self, method)(named(WORDS[method], params))
