"""What nodes say over their websockets of new heads: Solana's slots, CometBFT's block headers.

A `probes.wire.websocket.heads.Tongue` reads one message at a time and never raises. Knows no wire,
and not what silence means.

Source:
    https://solana.com/docs/rpc/websocket/slotsubscribe,
    https://docs.cometbft.com/v0.38/core/subscription
"""

import json
from typing import Any

from probes.chain.answer.inquiry import at, text_at
from probes.chain.answer.quantity import comet_time, decimal, whole
from probes.jsonpath import parse_json
from probes.units import short
from probes.wire.websocket.heads import Ended, Refused, Sighting

# The one request that is sent over a connection.
REQUEST_ID = 1
ENDED = "subscription was canceled"


def _request(method: str, params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": REQUEST_ID, "method": method, "params": params})


def _document(message: str | bytes) -> dict[str, Any]:
    data = message.encode() if isinstance(message, str) else message
    document = parse_json(data)
    if not isinstance(document, dict):
        raise ValueError(f"want an object, got {short(document)}")
    return document


def _refusal(document: dict[str, Any]) -> Refused | Ended | None:
    """Return what an error object says; None when there is none."""
    error = document.get("error")
    if error is None:
        return None
    parts = error if isinstance(error, dict) else {}
    told = [parts.get("message"), parts.get("data")]
    text = ": ".join(short(part) for part in told if isinstance(part, str) and part)
    detail = f"want heads, got the error {text or short(error)}"
    return Ended(detail) if ENDED in text else Refused(detail)


class SlotTongue:
    """Solana: ``slotSubscribe``."""

    subscribe = _request("slotSubscribe", [])

    def read(self, message: str | bytes) -> Sighting | Refused | Ended | None:
        """Return what *message* says; None when it says nothing of heads."""
        try:
            document = _document(message)
            if document.get("method") == "slotNotification":
                notice = at(document, "params", "result")
                slot, parent = whole(at(notice, "slot")), whole(at(notice, "parent"))
                # slots without a block are part of the chain, and were not missed
                return Sighting(slot, skipped=max(0, slot - parent - 1))
            return _refusal(document)
        except ValueError:
            return None


class HeaderTongue:
    """CometBFT: ``tm.event='NewBlockHeader'``; its answers carry the id of the subscription."""

    subscribe = _request("subscribe", {"query": "tm.event='NewBlockHeader'"})

    def read(self, message: str | bytes) -> Sighting | Refused | Ended | None:
        """Return what *message* says; None when it says nothing of heads."""
        try:
            document = _document(message)
            refusal = _refusal(document)
            if refusal is not None or not document.get("result"):
                return refusal
            header = at(document, "result", "data", "value", "header")
            return Sighting(
                height=decimal(at(header, "height")),
                parent=text_at(header, "last_block_id", "hash").lower(),
                timestamp=comet_time(at(header, "time")),
            )
        except ValueError:
            return None
