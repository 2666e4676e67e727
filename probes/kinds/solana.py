"""Kind ``solana``: the RPC endpoints of one Solana cluster, judged together.

Knows the keys that only Solana has; what is asked is `probes.chain.solana.dialect`'s business.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.chain.kind import ChainKind
from probes.chain.model import Thresholds
from probes.chain.settings import AccessKeys, CountLimit
from probes.chain.solana.cluster import Vote
from probes.chain.solana.dialect import GENESIS, METRICS, SolanaDialect
from probes.chain.solana.programs import Program
from probes.kind import Kind, Metric
from probes.kinds import find_kind
from probes.settings import Settings
from probes.units import short

# Each is a call in every run, or as often as the budget allows.
MAX_PROGRAMS = 10
MAX_VOTES = 10
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KEY = re.compile(rf"[{BASE58}]{{32,44}}", re.ASCII)
KEY_BYTES = 32
# chains.md 2.1
SHRED_LAG = 100.0


def _is_key(text: str) -> bool:
    """Return whether *text* is 32 bytes in base58, where each leading 1 is a zero byte."""
    if not _KEY.fullmatch(text):
        return False
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return zeros + (number.bit_length() + 7) // 8 == KEY_BYTES


def _address(text: str) -> str:
    if not _is_key(text):
        raise ValueError(f"want an address of {KEY_BYTES} bytes in base58, got {short(text)}")
    return text


def _cluster(text: str | None) -> str | None:
    if text is None or text in GENESIS:
        return GENESIS.get(text) if text else None
    if not _is_key(text):
        names = ", ".join(GENESIS)
        raise ValueError(f"want {names} or a genesis hash in base58, got {short(text)}")
    return text


Address = Annotated[str, AfterValidator(_address)]


class ProgramKeys(Settings):
    """A program whose transactions are counted."""

    name: str = Field(pattern=LABEL)
    """Its label."""
    address: Address
    """Its account."""


class VoteKeys(Settings):
    """A validator that is watched."""

    name: str = Field(pattern=LABEL)
    """Its label."""
    account: Address
    """Its vote account."""


class Solana(ChainKind):
    """Judge the RPC endpoints of a Solana cluster together: age, lag, health, replay, forks.

    Target:
        URL of one endpoint; a group has ``endpoints`` instead.

    Source:
        https://solana.com/docs/rpc
    """

    name = "solana"
    metrics: ClassVar[tuple[Metric, ...]] = (*ChainKind.metrics, *METRICS)
    find: ClassVar[Callable[[str], type[Kind]]] = find_kind

    chain_id: Annotated[str | None, AfterValidator(_cluster)] = None
    """mainnet-beta, testnet, devnet or a genesis hash; without it the majority is believed."""
    commitment: Literal["confirmed", "finalized"] = "confirmed"
    """Commitment of the reads that are not made in every run."""
    shred_lag: CountLimit = SHRED_LAG
    """Slots between the newest shred and the processed slot; down above it."""
    program_accounts: list[ProgramKeys] = Field(default=[], max_length=MAX_PROGRAMS)
    """Programs whose transactions are counted, failed ones apart."""
    votes: list[VoteKeys] = Field(default=[], max_length=MAX_VOTES)
    """Validators whose delinquency and stake are told."""

    @model_validator(mode="after")
    def _is_of_solana(self) -> Self:
        if self.genesis_hash is not None:
            raise ValueError("want the genesis hash as chain_id, got the key genesis_hash")
        everywhere: tuple[AccessKeys, ...] = (self, *self.endpoints)
        if any(keys.lcd is not None for keys in everywhere):
            raise ValueError("want no lcd, which only kind: cosmos has, got one")
        for names in ([it.name for it in self.program_accounts], [it.name for it in self.votes]):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"want names of their own, got {twice!r} twice")
        return self

    @property
    def timed_methods(self) -> int:
        # getHealth is told by name, too
        return super().timed_methods + 1

    @property
    def histograms(self) -> int:
        # each call is counted under the name that dashboards have, too
        return super().histograms + self.timed_methods

    @property
    def own_series(self) -> int:
        # both results of a program; delinquency and stake of a vote account, by each endpoint
        of_votes = 2 * len(self.votes) * max(1, len(self.endpoints))
        return 2 * len(self.program_accounts) + of_votes

    def check_times(self, every_s: float, timeout_s: float) -> None:
        super().check_times(every_s, timeout_s)
        if self.program_accounts:
            self.want_spare(every_s, 1, "program_accounts")

    def rule_numbers(self) -> dict[str, float]:
        return {"shred_lag": self.shred_lag} if isinstance(self.shred_lag, float) else {}

    def dialect(self) -> SolanaDialect:
        return SolanaDialect(
            self.commitment,
            tuple(Program(keys.name, keys.address) for keys in self.program_accounts),
            tuple(Vote(keys.name, keys.account) for keys in self.votes),
        )

    def limits(self) -> Thresholds:
        return replace(super().limits(), shred_lag=self.shred_lag)
