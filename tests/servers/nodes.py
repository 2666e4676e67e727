"""Real chain nodes: each starter gives a `Node` that answered a real call.

``scripts/nodes.sh`` installs them into ``.testnodes``. They hold nothing worth keeping, so they are
killed. Here is anvil, which has the levers; others stand in `nodes_evm`, `nodes_solana` and
`nodes_comet` beside it, the fixtures in `nodes_fixtures`. Knows no kind of probe.
"""

import asyncio
import http.client
import json
import re
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from tests.servers.process import READY_S, RETRY_S, STOP_S, Server, absent, find_program, start

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".testnodes"
MODULES = HOME / "node_modules"
JSON_TYPE = "application/json"
# Seconds until a node that answers at all has answered one call, on two loaded cores.
CALL_S = 10.0
# The first account that anvil, ganache and hardhat unlock, and another one.
SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
RECEIVER = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
# Init code that reverts: PUSH1 0 DUP1 REVERT.
REVERTING = "0x60006000fd"
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")


N = TypeVar("N", bound="Node")


class RpcRefused(ValueError):
    """A JSON-RPC error: *code*, *message*, *data*."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"want a result, got {error}")
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data")


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as it came: headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


def payload(method: str, params: Sequence[Any] | dict[str, Any], number: int = 1) -> bytes:
    """Return the body of one call."""
    call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(call).encode()


def result_of(answer: Any) -> Any:
    """Return the result in *answer*.

    Raises:
        RpcRefused: it is an error.
        ValueError: it is neither.
    """
    if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
        raise ValueError(f"want an answer of JSON-RPC, got {answer!r:.300}")
    if "error" in answer:
        raise RpcRefused(answer["error"])
    return answer["result"]


def ask(
    port: int, body: bytes = b"", verb: str = "POST", path: str = "/", kind: str = JSON_TYPE
) -> Reply:
    """Send one HTTP request to *port* of this machine, and return what comes back.

    Raises:
        OSError, ValueError: no answer, or none of HTTP.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_S)
    try:
        connection.request(verb, path, body or None, {"Content-Type": kind})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())
    except http.client.HTTPException as error:
        raise ValueError(f"want HTTP, got {error!r}") from error
    finally:
        connection.close()


async def eventually(
    condition: Callable[[], Awaitable[object]], deadline_s: float = READY_S
) -> None:
    """Ask until *condition* is true: a node tells nobody that it got there.

    Raises:
        TimeoutError: it was not.
    """
    async with asyncio.timeout(deadline_s):
        while not await condition():  # noqa: ASYNC110 - another process, which sets no event
            await asyncio.sleep(RETRY_S)


@dataclass
class Node(Server):
    """A running node.

    Attributes:
        ws_port: of its websocket; 0: that of HTTP.
        ws_path: of its websocket.
    """

    ws_port: int = 0
    ws_path: str = ""

    @property
    def url(self) -> str:
        """Return where it takes calls over HTTP."""
        return f"http://{self.address}"

    @property
    def ws_url(self) -> str:
        """Return where it takes calls over a websocket."""
        return f"ws://{self.host}:{self.ws_port or self.port}{self.ws_path}"

    def ask(
        self, body: bytes = b"", verb: str = "POST", path: str = "/", kind: str = JSON_TYPE
    ) -> Reply:
        """Send *body* as it is and return what comes back.

        Raises:
            OSError, ValueError: no answer, or none of HTTP.
        """
        return ask(self.port, body, verb, path, kind)

    def call(self, method: str, *params: Any, **named: Any) -> Any:
        """Return the result of one call; blocks, so for tests without a loop.

        Raises:
            RpcRefused: the node answered with an error.
            OSError, ValueError: no answer, or none of JSON-RPC.
        """
        return result_of(self.ask(payload(method, named or params)).json())

    async def rpc(self, method: str, *params: Any, **named: Any) -> Any:
        """Return the result of one call, with its parameters as an array or by their names.

        Raises:
            RpcRefused: the node answered with an error.
            ValueError, aiohttp.ClientError, TimeoutError: no answer, or none of JSON-RPC.
        """
        limit = aiohttp.ClientTimeout(total=CALL_S)
        headers = {"Content-Type": JSON_TYPE, "Connection": "close"}
        async with (
            aiohttp.ClientSession(timeout=limit, headers=headers) as session,
            session.post(self.url, data=payload(method, named or params)) as answer,
        ):
            return result_of(json.loads(await answer.read()))

    def pause(self) -> None:
        """Stop the process: it accepts connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        # a stopped process would not hear SIGTERM, and none of them has anything to save
        self.process.kill()
        self.process.wait(STOP_S)


class Anvil(Node):
    """A running anvil, with its levers by their names."""

    async def mine(self, blocks: int = 1) -> None:
        """Add *blocks* at once."""
        await self.rpc("anvil_mine", hex(blocks))

    async def mine_at(self, *times: int) -> None:
        """Add one block for each of *times*, in seconds since 1970."""
        for time_s in times:
            await self.rpc("evm_setNextBlockTimestamp", time_s)
            await self.rpc("evm_mine")

    async def freeze(self) -> None:
        """Add no block any more; HTTP and websockets answer on."""
        await self.rpc("evm_setIntervalMining", 0)

    async def reorg(self, depth: int = 2) -> None:
        """Replace the last *depth* blocks."""
        await self.rpc("anvil_reorg", depth, [])

    async def height(self) -> int:
        """Return the number of the latest block."""
        return int(await self.rpc("eth_blockNumber"), 16)

    async def block(self, number: int | str = "latest") -> dict[str, Any]:
        """Return one block."""
        tag = number if isinstance(number, str) else hex(number)
        block: dict[str, Any] = await self.rpc("eth_getBlockByNumber", tag, False)
        return block

    async def send(self, **transaction: str) -> str:
        """Send a transaction of the first account and return its hash."""
        sent: str = await self.rpc("eth_sendTransaction", {"from": SENDER, **transaction})
        return sent


@dataclass(frozen=True)
class AnvilOptions:
    """The command line of anvil; None leaves a word out.

    Attributes:
        block_time: seconds from block to block; None: a block for each transaction.
        timestamp: of block 0, in seconds since 1970.
        no_mining: a block comes only when it is asked for.
        prune_history: how many old states are kept.
        fork_url: where the state comes from.
        more: further words.
    """

    block_time: float | None = None
    chain_id: int = 31337
    timestamp: int | None = None
    no_mining: bool = False
    prune_history: int | None = None
    slots_in_an_epoch: int | None = None
    fork_url: str | None = None
    more: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return the command line."""
        values = {
            "--block-time": self.block_time,
            "--chain-id": self.chain_id,
            "--timestamp": self.timestamp,
            "--prune-history": self.prune_history,
            "--slots-in-an-epoch": self.slots_in_an_epoch,
            "--fork-url": self.fork_url,
        }
        words = [str(w) for pair in values.items() if pair[1] is not None for w in pair]
        return words + ["--no-mining"] * self.no_mining + list(self.more)


def module(pattern: str) -> Path:
    """Return the one file below ``.testnodes/node_modules`` that *pattern* means.

    A platform package exists for this machine only, so a pattern names it without the machine.
    """
    found = sorted(MODULES.glob(pattern))
    if not found:
        absent(f"{pattern} below .testnodes/node_modules (scripts/nodes.sh brings it)")
    return found[0]


def node_program() -> str:
    """Return the Node.js that ``scripts/nodes.sh`` has found, else that of the system."""
    found = HOME / "bin" / "node"
    return str(found) if found.exists() else find_program("node")


def launch(
    node: type[N],
    command: Sequence[object],
    directory: Path,
    method: str,
    port: int | re.Pattern[str],
) -> N:
    """Start a node, and wait until it answers the call *method*.

    Args:
        node: what to give back.
        command: program and arguments.
        directory: of its files.
        method: a call without parameters.
        port: which it was told; or what tells it in the first lines that the node writes.
    """
    bound = [port] if isinstance(port, int) else []

    def ready() -> None:
        if not bound and isinstance(port, re.Pattern):
            told = port.search((directory / "log").read_text(errors="replace"))
            if told is None:
                raise ValueError("want the port in its log, got none")
            bound.append(int(told[1]))
        result_of(ask(bound[0], payload(method, [])).json())

    running = start([str(word) for word in command], 0, directory, ready=ready)
    return node(running.process, bound[0], directory)


def start_anvil(directory: Path, options: AnvilOptions = AnvilOptions()) -> Anvil:
    """Start anvil; HTTP and websocket share its port."""
    program = module("@foundry-rs/anvil-*/bin/anvil")
    words = ["--host", "127.0.0.1", "--port", "0", *options.words()]
    return launch(Anvil, [program, *words], directory, "eth_chainId", LISTENING)
