"""Kind evm: the RPC endpoints of one EVM chain, judged together; its gas price and contracts.

Knows only the keys that other chains have not; how nodes are asked stands in
`probes.chain.evm.dialect`, the course of a run in `probes.chain.kind`.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from probes.chain.answer.quantity import quantity
from probes.chain.evm.contracts import OTHER_EVENT, Contract
from probes.chain.evm.dialect import COMPAT_METRICS, METRICS, EvmDialect
from probes.chain.evm.gas import MAX_WINDOW_S, MINUTE_S, Rules
from probes.chain.evm.offers import ZERO_ADDRESS, ArchiveCheck, LogsCheck
from probes.chain.evm.oversight import OWN_CALLS, ContractCall, Oversight
from probes.chain.evm.signature import parse_address, parse_hash, topic0
from probes.chain.kind import ChainKind
from probes.chain.model import Thresholds
from probes.chain.plan import most_saved
from probes.chain.settings import NAME, CountLimit
from probes.kind import Kind, Metric
from probes.kinds import find_kind
from probes.settings import Settings
from probes.units import Duration, Ratio, format_duration, short

# Each is a call, and some series.
MAX_CALLS, MAX_CONTRACTS, MAX_EVENTS = 10, 20, 50
# A day of half-second blocks.
MAX_BLOCKS_PER_RUN, MAX_CONFIRMATIONS = 1000, 200_000
# 24 KiB is the longest code there can be (EIP-170); arguments are shorter.
MAX_DATA_CHARACTERS = 2 + 2 * 24 * 1024
EVENT = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
CONTRACT = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$"
_HEX_SCHEMA = {"type": "string", "pattern": r"^0x([0-9a-fA-F]{2})*$"}


def _hex(value: object) -> str:
    """Read bytes as hex."""
    digits = value[2:] if isinstance(value, str) and value.startswith("0x") else None
    is_hex = digits is not None and not set(digits.lower()) - set("0123456789abcdef")
    if not isinstance(value, str) or digits is None or not is_hex or len(digits) % 2:
        raise ValueError(f"want bytes in hex such as 0x70a08231, in quotes, got {short(value)}")
    return value.lower()


def _topic(value: object) -> str:
    """Read an event: its signature, or the topic that is made of it."""
    if isinstance(value, dict) and set(value) == {"topic0"}:
        return parse_hash(value["topic0"])
    if not isinstance(value, str):
        want = "want an event such as Transfer(address,address,uint256), or topic0: 0x..."
        raise ValueError(f"{want}, got {short(value)}")  # noqa: TRY004 - pydantic wants it
    return parse_hash(value) if value.startswith("0x") else topic0(value)


def _off(value: object) -> object:
    """Read ``off`` as YAML 1.1 does, too."""
    return "off" if value is False else value


def _switch(keys: type[Settings]) -> BeforeValidator:
    """Read keys, or whether those by default hold; tell the mistakes of the keys alone."""

    def read(value: object) -> object:
        if isinstance(value, dict):
            return keys.model_validate(value)
        if isinstance(value, bool | keys):
            return value
        if value in ("on", "off"):
            return value == "on"
        raise ValueError(f"want true, false or keys of its own, got {short(value)}")

    return BeforeValidator(read, json_schema_input_type=bool | Literal["on", "off"] | keys)


def _chain_id(value: object) -> str:
    """Read 1, ``"1"`` and ``"0x1"``."""
    try:
        return str(quantity(value))
    except ValueError:
        want = 'want a chain id such as 1 or "0x1"'
        raise ValueError(f"{want}, got {short(value)}") from None


ChainId = Annotated[str, BeforeValidator(_chain_id, json_schema_input_type=int | str)]
Address = Annotated[
    str,
    BeforeValidator(parse_address),
    WithJsonSchema({"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}),
]
"""An address; mixed case is a checksum and must be right."""
Hex = Annotated[
    str,
    BeforeValidator(_hex),
    Field(max_length=MAX_DATA_CHARACTERS),
    WithJsonSchema(_HEX_SCHEMA),
]
"""Bytes in hex."""
Topic = Annotated[
    str,
    BeforeValidator(_topic),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["Transfer(address,address,uint256)"]},
                {
                    "type": "object",
                    "properties": {"topic0": {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}},
                    "required": ["topic0"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""First topic of an event's logs, by its signature or as it is."""


class GasKeys(Settings):
    """When gas is too dear: against the mean of its past, which ends ten minutes ago."""

    window: Duration = MAX_WINDOW_S
    """Length of that past, at most 24h."""
    factor: float = Field(default=3.0, gt=1, le=1000)
    """Times the mean above which it is too dear."""
    floor_wei: int = Field(default=1_000_000_000, ge=0, le=10**24)
    """And above this price; on cheap chains it triples every hour."""
    min_samples: int = Field(default=60, ge=1, le=1440)
    """Minutes of the past that must be known."""
    for_: Duration = Field(default=300.0, alias="for")
    """And for so long."""
    spike: Annotated[Literal["off", "degraded"], BeforeValidator(_off)] = "off"
    """``degraded``: a spike makes the group degraded; ``off``: it is only told."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window > MAX_WINDOW_S:
            limit = format_duration(MAX_WINDOW_S)
            raise ValueError(
                f"want a window of at most {limit}, got {format_duration(self.window)}"
            )
        if self.min_samples * MINUTE_S > self.window:
            got = f"{self.min_samples} minutes in {format_duration(self.window)}"
            raise ValueError(f"want min_samples that fit into the window, got {got}")
        return self

    def rules(self) -> Rules:
        """Return what the judge needs."""
        return Rules(
            window_s=self.window,
            factor=self.factor,
            floor_wei=float(self.floor_wei),
            min_samples=self.min_samples,
            for_s=self.for_,
            is_degraded=self.spike == "degraded",
        )


class TxpoolKeys(Settings):
    """The pool of pending transactions."""

    full_at: CountLimit = "off"
    """Degraded with more pending ones."""


class LogsKeys(Settings):
    """How logs are tried."""

    address: Address | None = None
    """Contract whose logs are read; all logs without it."""
    expect_min: int = Field(default=0, ge=0, le=100_000)
    """Logs there must be."""
    blocks: int = Field(default=5, ge=1, le=1000)
    """Blocks below the head that are read."""


class ArchiveKeys(Settings):
    """Which old state is read."""

    height: int = Field(default=1, ge=0, le=2**53)
    """Block whose state is read."""
    address: Address = ZERO_ADDRESS
    """Account whose balance is read."""


class CallKeys(Settings):
    """A call to a contract, whose answer is judged."""

    name: str = Field(pattern=NAME)
    """All that is shown of it."""
    to: Address
    """Address of the contract."""
    data: Hex = "0x"
    """Selector and arguments."""
    expect: Hex | None = None
    """The whole answer."""
    uint_min: int | None = Field(default=None, ge=0, lt=2**256)
    """Least number that the first word of the answer may be."""

    @model_validator(mode="after")
    def _is_judged(self) -> Self:
        if (self.expect is None) == (self.uint_min is None):
            raise ValueError("want one of expect and uint_min, got both or neither")
        return self


class ContractKeys(Settings):
    """A contract whose transactions and events are counted."""

    name: str = Field(pattern=CONTRACT)
    """Value of the label ``contract``."""
    address: Address
    """Address; only transactions sent to it are seen, no calls from other contracts."""
    events: dict[Annotated[str, Field(pattern=EVENT)], Topic] = Field(
        default={}, max_length=MAX_EVENTS
    )
    """Name -> signature (``Transfer(address,address,uint256)``) or ``{topic0: 0x...}``."""
    failure_ratio: Ratio = 0.10
    """Share of failures in ten minutes above which the group is degraded."""
    min_tx: int = Field(default=10, ge=1, le=1_000_000)
    """Transactions in ten minutes below which nothing is judged."""

    @model_validator(mode="after")
    def _events_differ(self) -> Self:
        if OTHER_EVENT in self.events:
            raise ValueError(f"want another name than {OTHER_EVENT!r}, which unknown events have")
        names: dict[str, str] = {}
        for name, topic in self.events.items():
            if topic in names:
                raise ValueError(f"want each event once, got {names[topic]!r} and {name!r}")
            names[topic] = name
        return self


class Evm(ChainKind):
    """Compare the RPC endpoints of one EVM chain; watch its gas price and contracts.

    Target:
        ``http://`` or ``https://`` URL of one endpoint; under ``chains`` the name of the group.

    Source:
        https://ethereum.github.io/execution-apis/
    """

    name = "evm"
    metrics: ClassVar[tuple[Metric, ...]] = (*ChainKind.metrics, *METRICS, *COMPAT_METRICS)
    find: ClassVar[Callable[[str], type[Kind]]] = find_kind

    chain_id: ChainId | None = None
    """EIP-155 id: what the identity must be; without it the majority is believed."""
    gas: Annotated[bool | GasKeys, _switch(GasKeys)] = True
    """When gas is too dear; false: not judged."""
    txpool: Annotated[bool | TxpoolKeys, _switch(TxpoolKeys)] = True
    """Whether the pool of pending transactions is looked at, and when it is full."""
    logs: Annotated[bool | LogsKeys, _switch(LogsKeys)] = True
    """How logs are tried; false: not at all."""
    archive: Annotated[bool | ArchiveKeys, _switch(ArchiveKeys)] = True
    """Which old state is read; false: none."""
    calls: list[CallKeys] = Field(default=[], max_length=MAX_CALLS)
    """Calls to contracts, once a minute for the group; a wrong answer makes it down."""
    contracts: list[ContractKeys] = Field(default=[], max_length=MAX_CONTRACTS)
    """Contracts whose transactions and events are counted."""
    confirmations: Literal["auto"] | Annotated[int, Field(ge=0, le=MAX_CONFIRMATIONS)] = "auto"
    """Depth at which blocks are read for contracts; auto: that of the fork check."""
    max_blocks_per_run: int = Field(default=50, ge=1, le=MAX_BLOCKS_PER_RUN)
    """Blocks read for contracts in one run, as far as the budget allows."""

    @field_validator("genesis_hash", mode="before")
    @classmethod
    def _read_genesis(cls, value: object) -> object:
        return None if value is None else parse_hash(value)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for key, names in (
            ("calls", [call.name for call in self.calls]),
            ("contracts", [contract.name for contract in self.contracts]),
            ("contracts with addresses", [contract.address for contract in self.contracts]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"want {key} of their own, got {twice!r} twice")
        for key in ("logs", "archive", "txpool"):
            if key in self.require and getattr(self, key) is False:
                raise ValueError(f"want {key} not to be false when it is required, got both")
        return self

    def check_times(self, every_s: float, timeout_s: float) -> None:
        super().check_times(every_s, timeout_s)
        if not self.calls and not self.contracts:
            return
        budget, every = self.budget.calls_per_minute, format_duration(every_s)
        need = ceil((OWN_CALLS + 1) * MINUTE_S / every_s)
        if budget < need:
            want = f"want a budget of at least {need} calls a minute for calls and contracts"
            raise ValueError(f"{want} at every: {every}, got {budget}")
        if most_saved(budget) < len(self.calls):
            want = f"want at most {most_saved(budget)} calls: half the budget of a minute"
            raise ValueError(f"{want}, got {len(self.calls)}")

    @property
    def own_series(self) -> int:
        # success, failed and gas; each event, and those without a name
        transactions = 2 * len(self.contracts)
        events = sum(len(keys.events) + 1 for keys in self.contracts if keys.events)
        again = transactions + events if self.compat_names else 0
        return transactions + len(self.contracts) + events + again

    def limits(self) -> Thresholds:
        full_at = self.txpool.full_at if isinstance(self.txpool, TxpoolKeys) else "off"
        return replace(super().limits(), txpool_full=full_at)

    def rule_numbers(self) -> dict[str, float]:
        told: dict[str, float] = {}
        if (rules := self._rules()) is not None:
            told |= {"gas_factor": rules.factor, "gas_samples": rules.min_samples}
        if self.contracts:
            # one rule serves all of them: the strictest number wakes first
            told["failure_ratio"] = min(contract.failure_ratio for contract in self.contracts)
            told["min_tx"] = min(contract.min_tx for contract in self.contracts)
        return told

    def dialect(self) -> EvmDialect:
        return EvmDialect(
            txpool=self.txpool is not False,
            is_txpool_judged=isinstance(self.limits().txpool_full, float),
            logs=self._logs_check(),
            archive=self._archive_check(),
            oversight=self._oversight(),
        )

    def _logs_check(self) -> LogsCheck | None:
        if isinstance(self.logs, LogsKeys):
            return LogsCheck(self.logs.address, self.logs.expect_min, self.logs.blocks)
        return LogsCheck() if self.logs else None

    def _archive_check(self) -> ArchiveCheck | None:
        if isinstance(self.archive, ArchiveKeys):
            return ArchiveCheck(self.archive.height, self.archive.address)
        return ArchiveCheck() if self.archive else None

    def _rules(self) -> Rules | None:
        if isinstance(self.gas, GasKeys):
            return self.gas.rules()
        return Rules() if self.gas else None

    def _oversight(self) -> Oversight:
        return Oversight(
            calls=tuple(
                ContractCall(call.name, call.to, call.data, call.expect, call.uint_min)
                for call in self.calls
            ),
            rules=self._rules(),
            contracts=tuple(
                Contract(
                    name=contract.name,
                    address=contract.address,
                    events={topic: name for name, topic in contract.events.items()},
                    failure_ratio=contract.failure_ratio,
                    min_tx=contract.min_tx,
                )
                for contract in self.contracts
            ),
            confirmations=None if self.confirmations == "auto" else self.confirmations,
            max_blocks=self.max_blocks_per_run,
            is_compat=self.compat_names,
        )
