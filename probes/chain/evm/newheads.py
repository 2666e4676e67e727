"""What EVM nodes say over their websockets: ``eth_subscribe newHeads``.

A `probes.wire.websocket.heads.Tongue`: reads one message at a time and never raises. Knows no wire,
and not what silence means.

Source:
    https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub
"""

from typing import Any

from probes.chain.evm.block import read_head
from probes.jsonpath import parse_json
from probes.units import short
from probes.wire.websocket.heads import Ended, Refused, Sighting


class NewHeads:
    """See the module."""

    subscribe = '{"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}'

    def read(self, message: str | bytes) -> Sighting | Refused | Ended | None:
        """Return what *message* says; None when it says nothing of heads."""
        try:
            document = parse_json(message.encode() if isinstance(message, str) else message)
            if not isinstance(document, dict):
                return None
            if document.get("method") == "eth_subscription":
                return _sighting(document.get("params"))
            return _refusal(document)
        except ValueError:
            return None


def _sighting(params: Any) -> Sighting | None:
    if not isinstance(params, dict):
        return None
    head = read_head(params.get("result"))
    return Sighting(head.height, head.hash, head.parent, head.timestamp)


def _refusal(document: dict[str, Any]) -> Refused | None:
    error = document.get("error")
    if error is None:
        return None
    told = error.get("message") if isinstance(error, dict) else None
    text = told if isinstance(told, str) and told else error
    return Refused(f"want heads, got the error {short(text)}")
