"""EVM nodes with odd ways on the wire: ganache, hardhat, and a real peer-to-peer client.

Each is a Node.js program and starts in seconds, so a session has one of each. Knows no levers: what
is to happen on purpose happens on anvil.
"""

import re
from pathlib import Path

from tests.servers.nodes import MODULES, Node, launch, module, node_program
from tests.servers.process import free_port

HARDHAT = re.compile(r"server at http://127\.0\.0\.1:(\d+)/")
HARDHAT_CONFIG = """
module.exports = {
  solidity: "0.8.24",
  networks: {hardhat: {chainId: 31338, mining: {auto: false, interval: 1000}}},
};
"""


def start_ganache(directory: Path) -> Node:
    """Start ganache with a block each second."""
    program = module("ganache/dist/node/cli.js")
    # it refuses port 0
    port = free_port()
    words = ["--server.host", "127.0.0.1", "--server.port", port, "--miner.blockTime", "1"]
    command = [node_program(), program, *map(str, words), "--chain.chainId", "1337"]
    return launch(Node, command, directory, "eth_chainId", port)


def start_hardhat(directory: Path) -> Node:
    """Start hardhat with a block each second."""
    module("hardhat/internal/cli/bootstrap.js")
    # it works in a project only, and writes its consent to be watched into the home directory
    (directory / "package.json").write_text("{}")
    (directory / "hardhat.config.cjs").write_text(HARDHAT_CONFIG)
    (directory / "node_modules").symlink_to(MODULES)
    command = [
        "env", f"HOME={directory}", f"XDG_DATA_HOME={directory}",
        "HARDHAT_DISABLE_TELEMETRY_PROMPT=true",
        node_program(), "node_modules/hardhat/internal/cli/bootstrap.js",
        "--config", "hardhat.config.cjs", "node", "--hostname", "127.0.0.1", "--port", "0",
    ]  # fmt: skip
    return launch(Node, command, directory, "eth_chainId", HARDHAT)


def start_ethereumjs(directory: Path) -> Node:
    """Start a client of a chain of its own, which stays at block 0 for the first ten seconds."""
    program = module("@ethereumjs/client/dist/esm/bin/cli.js")
    port, ws_port, peer_port = free_port(), free_port(), free_port()
    command = [
        node_program(), program, "--dev=poa", "--rpc", "--rpcPort", str(port),
        "--rpcAddr", "127.0.0.1", "--ws", "--wsPort", str(ws_port), "--wsAddr", "127.0.0.1",
        "--port", str(peer_port), "--dataDir", directory / "data", "--discV4=false",
    ]  # fmt: skip
    node = launch(Node, command, directory, "eth_chainId", port)
    node.ws_port = ws_port
    return node
