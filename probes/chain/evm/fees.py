"""What an EVM node says of the price of gas, put together of two answers.

Knows no wire and no verdict; whether gas is dear stands in `probes.chain.evm.gas`.
"""

from typing import Any

from probes.chain.answer.inquiry import Question, heard, understand
from probes.chain.answer.quantity import quantity
from probes.chain.evm.block import PERCENTILES, read_history
from probes.chain.model import Fees, Observation
from probes.chain.talk import Answer, Ask

# chains.md 9.2: twenty blocks.
BLOCKS = "0x14"
USUAL = 50


class FeeNotes:
    """What two answers say of the price of gas, put together."""

    def __init__(self, seen: Observation) -> None:
        self._seen = seen
        self._price: int | None = None
        self._priority: tuple[tuple[int, int], ...] = ()

    def questions(self) -> list[Question]:
        """Return what is asked."""
        history = Ask("fees", "eth_feeHistory", (BLOCKS, "latest", list(PERCENTILES)))
        return [
            Question(history, self._take_history),
            Question.plain(self._seen, Ask("fees", "eth_gasPrice"), self._take_price),
        ]

    def _take_history(self, ask: Ask, answer: Answer) -> None:
        # chains without a base fee lack it, and a young chain has too few blocks (ethereumjs)
        if answer.kind in ("unsupported", "bad_params", "missing_data"):
            self._seen.asked.add(ask.topic)
        elif heard(self._seen, ask, answer):
            understand(self._seen, ask, self._take_rewards, answer)

    def _take_rewards(self, result: Any) -> None:
        history = read_history(result)
        self._priority = history.priority
        for percentile, fee in history.priority:
            name = str(percentile)
            self._seen.gauge("fees", "evm_priority_fee_wei", fee, percentile=name)
        if history.blob is not None:
            self._seen.gauge("fees", "evm_blob_base_fee_wei", history.blob)

    def _take_price(self, result: Any) -> None:
        self._price = quantity(result)

    def conclude(self) -> None:
        """Note the price, once all answers are there."""
        seen = self._seen
        base = seen.fees.base if seen.fees is not None else None
        price, usual = self._price, dict(self._priority).get(USUAL)
        if price is None and base is not None and usual is not None:
            price = base + usual
        if price is not None:
            seen.gauge("fees", "evm_gas_price_wei", price)
        if price is not None or base is not None:
            seen.fees = Fees(price, base, self._priority)
