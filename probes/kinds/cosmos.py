"""Kind ``cosmos``: the RPC endpoints of one CometBFT chain (Cosmos, Neutron), judged together.

Knows the keys that only CometBFT chains have; what is asked is the business of
`probes.chain.cosmos.dialect`.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from probes.chain.cosmos.bech32 import check_address
from probes.chain.cosmos.dialect import METRICS, CosmosDialect
from probes.chain.cosmos.lcd import Contract, query_text
from probes.chain.cosmos.oversight import QUERIES_EVERY_S
from probes.chain.cosmos.txcount import CALLS_PER_BLOCK
from probes.chain.kind import ChainKind
from probes.chain.plan import most_saved
from probes.chain.settings import AccessKeys
from probes.expect import JsonExpect, miss_in_json
from probes.kind import Kind, Metric
from probes.kinds import find_kind
from probes.settings import Settings

MAX_CONTRACTS = 20
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
# cosmos-sdk/types/coin.go
DENOM = r"^[a-zA-Z][a-zA-Z0-9/:._-]{2,127}$"
# Each costs two calls: of a budget of 60 a minute that leaves half, at a run every 10 seconds.
MAX_BLOCKS_PER_RUN = 4


class ContractKeys(Settings):
    """A contract that is watched: its transactions are counted, and it may be asked."""

    name: str = Field(pattern=LABEL)
    """Its label."""
    address: Annotated[str, AfterValidator(check_address)]
    """Its bech32 address."""
    query: dict[str, Any] | None = None
    """Smart query, over ``lcd``."""
    expect: JsonExpect = Field(default={})
    """JSONPath in the contract's answer -> what must stand there."""

    @model_validator(mode="after")
    def _asks_what_it_expects(self) -> Self:
        if self.expect and self.query is None:
            raise ValueError("want a query whose answer is expected, got none")
        return self


class Cosmos(ChainKind):
    """Judge the RPC endpoints of a CometBFT chain together: age, lag, forks, application, votes.

    Target:
        URL of one endpoint; a group has ``endpoints`` instead.

    Source:
        https://docs.cometbft.com/v0.38/rpc/
    """

    name = "cosmos"
    metrics: ClassVar[tuple[Metric, ...]] = (*ChainKind.metrics, *METRICS)
    find: ClassVar[Callable[[str], type[Kind]]] = find_kind

    denom: str = Field(default="", pattern=rf"^$|{DENOM}")
    """Coin whose lowest gas price is told, over ``lcd``: untrn."""
    check_upgrade: bool = True
    """Whether the height of a planned upgrade is told, over ``lcd``."""
    contracts: list[ContractKeys] = Field(default=[], max_length=MAX_CONTRACTS)
    """Contracts that are watched; with one, the transactions of the newest blocks are counted."""
    max_blocks_per_run: int = Field(default=MAX_BLOCKS_PER_RUN, ge=1, le=50)
    """Blocks whose transactions are counted in one run; of a faster chain a sample is counted."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_grpc(cls, value: Any) -> Any:
        spots = [value, *value.get("endpoints", ())] if isinstance(value, dict) else []
        if any(isinstance(spot, dict) and "grpc" in spot for spot in spots):
            raise ValueError("want http and lcd: a node is not asked over gRPC, got the key grpc")
        return value

    @model_validator(mode="after")
    def _is_of_cosmos(self) -> Self:
        if any(keys.health_mode != "rpc" for keys in self._everywhere):
            raise ValueError("want no health_mode, which only kind: solana has, got http_text")
        names = [contract.name for contract in self.contracts]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"want contracts with names of their own, got {twice!r} twice")
        if self.denom and not self._has_lcd:
            raise ValueError("want lcd at an endpoint, to ask for the price in denom, got none")
        if any(contract.query is not None for contract in self.contracts):
            self._can_query()
        return self

    def _can_query(self) -> None:
        if not self.endpoints and self.lcd is None:
            raise ValueError("want lcd, to query contracts, got none")
        for keys in self.endpoints:
            # any primary may be the first usable one, which is asked on behalf of the group
            if keys.role == "primary" and keys.lcd is None:
                raise ValueError(
                    f"want lcd at every primary, to query contracts, got none at {keys.name!r}"
                )

    @property
    def own_series(self) -> int:
        # both results, of all transactions and of each contract's
        return 2 * (1 + len(self.contracts)) if self.contracts else 0

    def check_times(self, every_s: float, timeout_s: float) -> None:
        super().check_times(every_s, timeout_s)
        queries = sum(keys.query is not None for keys in self.contracts)
        if self.contracts:
            calls = CALLS_PER_BLOCK + queries * every_s / QUERIES_EVERY_S
            self.want_spare(every_s, calls, "contracts")
        if queries > (most := most_saved(self.budget.calls_per_minute)):
            raise ValueError(
                f"want at most {most} queries: half the budget of a minute, got {queries}"
            )

    @property
    def _everywhere(self) -> tuple[AccessKeys, ...]:
        return (self, *self.endpoints)

    @property
    def _has_lcd(self) -> bool:
        return any(keys.lcd is not None for keys in self._everywhere)

    def dialect(self) -> CosmosDialect:
        return CosmosDialect(
            denom=self.denom,
            check_upgrade=self.check_upgrade,
            contracts=tuple(
                Contract(
                    keys.name,
                    keys.address,
                    query_text(keys.query) if keys.query is not None else "",
                    partial(miss_in_json, keys.expect),
                )
                for keys in self.contracts
            ),
            max_blocks=self.max_blocks_per_run,
            has_lcd=self._has_lcd,
        )

    def default_ws(self, url: str) -> str:
        address, question, query = url.partition("?")
        return f"{address.rstrip('/')}/websocket{question}{query}"
