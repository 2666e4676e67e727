"""What a CometBFT node tells beside its head: application, peers, mempool, votes, old state.

Each function gives calls and what their results mean for an `Observation`. All numbers of 64 bits
are text. Knows no head that is judged and no verdict.

Source:
    https://docs.cometbft.com/v0.38/rpc/
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from probes.chain.answer.inquiry import Question, asked_all, at, heard, text_at, understand
from probes.chain.answer.quantity import decimal
from probes.chain.model import Head, Observation
from probes.chain.talk import Answer, Ask, Talk
from probes.units import short

# A page of validators; the largest sets of live chains have 200.
PAGE, MAX_PAGES = 100, 3
# cometbft/types/block.go: BlockIDFlagCommit.
COMMITTED = 2
# Every chain of the Cosmos SDK has it; reading it opens the state of the height that is asked for.
STATE_PATH = "/cosmos.bank.v1beta1.Query/Params"
# cosmos-sdk/types/errors: ErrUnknownRequest, what an application without that path answers.
UNKNOWN_REQUEST = 6
# A state-synced node keeps what came after its snapshot, and is no archive for that.
ARCHIVE_SPAN_S = 180 * 86400.0
FIRST_HEIGHT = 1


def beside(seen: Observation, head: Head) -> Iterator[Question]:
    """Give what is asked with one call each."""
    yield _peers(seen)
    yield _mempool(seen)
    yield _round(seen, head)


def app_lag(seen: Observation, head: Head) -> Talk[None]:
    """Ask how far the application is behind the block store (an upgrade that did not come)."""
    ask = Ask("app", "abci_info", {})
    answer: Answer = yield ask
    if not heard(seen, ask, answer):
        return
    if _is_cached(answer.headers):
        # CometBFT itself marks it cacheable for a day: a balancer may tell of yesterday
        seen.facts["abci_info"] = "dropped: a cache answered"
        return

    def take(result: Any) -> None:
        response = at(result, "response")
        if not isinstance(response, dict):
            raise ValueError(f"want response as an object, got {short(response)}")
        if response:
            # Go leaves out what is 0
            height = decimal(response.get("last_block_height", "0"))
            seen.abci_lag = max(0, head.height - height)
            seen.gauge("app", "cosmos_abci_lag_blocks", seen.abci_lag)
            state = response.get("last_block_app_hash", "")
            if height >= FIRST_HEIGHT and state:
                seen.app = (height, _hexadecimal(state))

    understand(seen, ask, take, answer)


def _hexadecimal(state: Any) -> str:
    """Return a hash as headers write it: there bytes are hexadecimal, and in base64 elsewhere."""
    try:
        return b64decode(state, validate=True).hex()
    except (TypeError, ValueError) as error:
        raise ValueError(f"want last_block_app_hash in base64, got {short(state)}") from error


def _is_cached(headers: tuple[tuple[bytes, bytes], ...]) -> bool:
    return any(
        name == b"age" or (name == b"x-cache" and b"hit" in value.lower())
        for name, value in headers
    )


def _peers(seen: Observation) -> Question:
    def take(result: Any) -> None:
        seen.peers = decimal(at(result, "n_peers"))

    return Question.plain(seen, Ask("peers", "net_info", {}), take)


def _mempool(seen: Observation) -> Question:
    def take(result: Any) -> None:
        count, size = decimal(at(result, "total")), decimal(at(result, "total_bytes"))
        seen.gauge("mempool", "cosmos_mempool_transactions", count)
        seen.gauge("mempool", "cosmos_mempool_bytes", size)

    return Question.plain(seen, Ask("mempool", "num_unconfirmed_txs", {}), take)


def _round(seen: Observation, head: Head) -> Question:
    def take(result: Any) -> None:
        text = text_at(result, "round_state", "height/round/step")
        height, _, rest = text.partition("/")
        number = decimal(rest.partition("/")[0])
        if decimal(height) > head.height:
            # a node that is behind sits in an old round of its own
            seen.consensus_round = number

    return Question.plain(seen, Ask("round", "consensus_state", {}), take)


def signed_power(seen: Observation, head: Head) -> Talk[None]:
    """Ask which share of the validators' power signed the last block but one.

    The commit of the last one holds the votes that had come when it was made, often little more
    than two thirds; with the next block they are complete.
    """
    height = head.height - 1
    if height < FIRST_HEIGHT:
        return
    ask = Ask("power", "commit", {"height": str(height)})
    answer: Answer = yield ask
    signers: set[str] = set()
    if not heard(seen, ask, answer) or not understand(
        seen, ask, lambda result: signers.update(_signers(result)), answer
    ):
        return
    powers = yield from _powers(seen, height)
    total = sum(powers.values())
    if total:
        signed = sum(power for address, power in powers.items() if address in signers)
        seen.gauge("power", "cosmos_signed_power_ratio", signed / total)


def _signers(result: Any) -> list[str]:
    signatures = at(result, "signed_header", "commit", "signatures")
    if not isinstance(signatures, list):
        raise ValueError(f"want a list of signatures, got {short(signatures)}")
    return [
        text_at(signature, "validator_address")
        for signature in signatures
        if at(signature, "block_id_flag") == COMMITTED
    ]


def _powers(seen: Observation, height: int) -> Talk[Mapping[str, int]]:
    """Return the power of each validator at *height*; empty when they were not all told."""
    powers: dict[str, int] = {}
    totals: list[int] = []

    def take(result: Any) -> None:
        totals.append(decimal(at(result, "total")))
        for validator in at(result, "validators") or ():
            powers[text_at(validator, "address")] = decimal(at(validator, "voting_power"))

    for page in range(1, MAX_PAGES + 1):
        params = {"height": str(height), "page": str(page), "per_page": str(PAGE)}
        ask = Ask("power", "validators", params)
        answer: Answer = yield ask
        if not heard(seen, ask, answer) or not understand(seen, ask, take, answer):
            return {}
        if len(powers) >= totals[-1]:
            return powers
    return {}


def old_state(seen: Observation, head: Head, earliest_time: float) -> Talk[None]:
    """Ask for the state at the earliest block: the block store says nothing of it.

    Source:
        https://github.com/cosmos/cosmos-sdk/issues/15463
    """
    height = seen.earliest.get("block", 0)
    if height < FIRST_HEIGHT:
        return

    def take(result: Any) -> None:
        code = at(result, "response").get("code", 0)
        if code == UNKNOWN_REQUEST:
            seen.unsupported.add("archive")
            return
        spans = (head.timestamp or 0.0) - earliest_time
        is_old = height == FIRST_HEIGHT or spans >= ARCHIVE_SPAN_S
        seen.capabilities["archive"] = code == 0 and is_old
        if code == 0:
            seen.earliest["state"] = height

    params = {"path": STATE_PATH, "data": "", "height": str(height), "prove": False}
    yield from asked_all([Question.plain(seen, Ask("archive", "abci_query", params), take)])
