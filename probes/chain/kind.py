"""What the kinds evm, solana and cosmos share: the keys of a group, and the course of a run.

A kind of a family adds its own keys and its `Dialect`. In a service a run takes one sample and
remembers; a run that stands alone takes two, `settle` apart, so that "the head advances" is proven.
Knows no method of any family.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import ceil
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, Field, model_validator

from probes.chain.books.metrics import BUCKETS_S, METRICS
from probes.chain.course import Course, Ears
from probes.chain.indexer.settings import IndexerKeys
from probes.chain.indexer.sources import Source
from probes.chain.judge.blocktime import BLOCK_TIMES_S
from probes.chain.listening import HeadsWatch, listening
from probes.chain.memory import Memory
from probes.chain.model import EndpointHealth, Group, Thresholds
from probes.chain.plan import MINUTE_S, fast_calls_per_minute, own_calls
from probes.chain.settings import (
    MAX_ENDPOINTS,
    AccessKeys,
    BudgetKeys,
    Capability,
    ConsecutiveKeys,
    EndpointKeys,
    ReferenceKeys,
    ThresholdKeys,
    UsableCount,
    WebsocketKeys,
    endpoint_url,
    fit_together,
    known_capability,
)
from probes.chain.standalone import two_samples
from probes.chain.steps import record
from probes.chain.talk import Dialect
from probes.chain.visit import Setup, access_of
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER, Secret, parts_of_target
from probes.units import Duration, format_duration
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http.headers import plain
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions
from probes.wire.websocket.heads import Listener, prepare_listening

# chains.md 2.1
MIN_EVERY_S, MAX_EVERY_S = 10.0, 60.0
MAX_TIMEOUT_S = 20.0
MAX_CALL_TIMEOUT_S = 5.0
MAX_SETTLE_S = 20.0
MAX_INDEXERS = 20
# chains.md 8.2: about 60 of an endpoint on a good day; whatever goes wrong brings series of its own
# (reason, outcome, code), and on a bad day none may be missing. Histograms come on top.
SERIES_PER_ENDPOINT, SERIES_OF_HISTOGRAM = 150, len(BUCKETS_S) + 3
SERIES_OF_GROUP, SERIES_OF_INDEXER = 30, 6
# Targets of one module come from outside through /probe; a setup is remade in microseconds.
MAX_SETUPS = 64
SINGLE = "target"
"""Name of the endpoint of a probe that has only one."""


class ChainKind(AccessKeys, Kind):
    """Judge the RPC endpoints of one chain together."""

    is_group = True
    named_by = "chain"
    tells_unknown = True
    takes_over = frozenset({"retries"})
    phases = (
        "resolve", "connect", "tls", "response", "body",  # of one endpoint alone
        "look", "confirm", "judge", "survey", "settle",  # of several
    )  # fmt: skip
    metrics: ClassVar[tuple[Metric, ...]] = (*METRICS, *NET_METRICS, *TLS_METRICS)

    chain: str = Field(default="", max_length=64)
    """Label of the chain; the probe's name when left out."""
    chain_id: str | None = None
    """What the identity must be; without it the majority is believed."""
    genesis_hash: str | None = Field(default=None, pattern=r"^[0-9A-Za-z]{1,66}$")
    """Hash of block 0."""
    block_time: Literal["auto"] | Duration = "auto"
    """Time between two blocks until it is measured."""
    endpoints: list[EndpointKeys] = Field(default=[], max_length=MAX_ENDPOINTS)
    """Who is asked; under ``chains``."""
    reference: list[ReferenceKeys] = Field(default=[], max_length=MAX_ENDPOINTS - 1)
    """Whom a single target is compared with."""
    call_timeout: Duration | None = None
    """Time one call may take; by default the lesser of 5s and half the timeout."""
    thresholds: ThresholdKeys = ThresholdKeys()
    """Limits."""
    require: list[Annotated[Capability, AfterValidator(known_capability)]] = Field(default=[])
    """Capabilities that must be there: archive, logs, trace, batch, websocket, ..."""
    min_up: UsableCount = None
    """``all`` or how many primaries must be usable, else the group is down."""
    consecutive: ConsecutiveKeys = ConsecutiveKeys()
    """Runs in a row until the exported state of an endpoint changes."""
    budget: BudgetKeys = BudgetKeys()
    """How much an endpoint is asked."""
    retries: int = Field(default=1, ge=0, le=3)
    """Further tries of one call after a connect error, a timeout or a 5xx; each is counted."""
    websocket: WebsocketKeys = WebsocketKeys()
    """Listening to new heads."""
    halt_with_single: bool = False
    """A single endpoint may declare the chain halted."""
    settle: Literal["auto", "off"] | Duration = "auto"
    """Distance of the two samples of a run that stands alone."""
    latency_methods: list[str] = Field(default=[], max_length=8)
    """Further methods whose latency is told by name."""
    compat_names: bool = False
    """Export the names that users have on their dashboards, too."""
    ip: IpChoice = ANY_IP
    """Which address of a name is dialled: any, 4, 6, prefer_4, prefer_6."""
    indexers: list[IndexerKeys] = Field(default=[], max_length=MAX_INDEXERS)
    """What indexes the chain, and how far behind it may be."""

    find: ClassVar[Callable[[str], type[Kind]]]
    """The registry of kinds, for indexers that tell their progress in a database."""

    @model_validator(mode="after")
    def _endpoints_fit(self) -> Self:
        for key in ("ws", "lcd", "load_balanced"):
            if self.endpoints and getattr(self, key):
                raise ValueError(f"want {key} at each endpoint, got it beside endpoints")
        fit_together(self.endpoints, self.reference, self.min_up)
        indexers = [keys.name for keys in self.indexers]
        if len(set(indexers)) < len(indexers):
            raise ValueError("want indexers with names of their own, got one twice")
        return self

    # --- what a family adds

    @abstractmethod
    def dialect(self) -> Dialect:
        """Return how the family speaks; made once by `_dialect`."""

    def limits(self) -> Thresholds:
        """Return the thresholds; a family adds those of its own keys."""
        keys = self.thresholds
        return Thresholds(
            head_age_s=keys.head_age,
            lag_warn=keys.lag.warn,
            lag_down=keys.lag.down,
            finality_lag=keys.finality_lag,
            fork_depth=keys.fork_depth,
            latency_warn_s=keys.latency.warn,
            latency_down_s=keys.latency.down,
            min_peers=keys.min_peers,
            ws_silent_after_s=self.websocket.silent_after,
        )

    def default_ws(self, url: str) -> str | None:  # noqa: ARG002 - for those who override
        """Return the websocket address of an endpoint that names none; None: it has none."""
        return None

    # --- what the product asks

    @property
    def prior_s(self) -> float:
        """Block time until it is measured."""
        if isinstance(self.block_time, float):
            return self.block_time
        return BLOCK_TIMES_S[self._dialect.family]

    @property
    def default_every_s(self) -> float:
        return min(max(self.prior_s, MIN_EVERY_S), MAX_EVERY_S)

    @property
    def default_timeout_s(self) -> float:
        return MAX_TIMEOUT_S

    @property
    def settle_s(self) -> float:
        if self.settle == "off":
            return 0.0
        return min(2 * self.prior_s, MAX_SETTLE_S) if self.settle == "auto" else self.settle

    @property
    def series_limit(self) -> int:
        count = max(1, len(self.endpoints)) + len(self.reference)
        of_one = SERIES_PER_ENDPOINT + self.histograms * SERIES_OF_HISTOGRAM
        of_group = SERIES_OF_GROUP + len(self.indexers) * SERIES_OF_INDEXER + self.own_series
        return count * of_one + of_group

    @property
    def timed_methods(self) -> int:
        """Values of the label ``method`` of a histogram: the head's, ``other``, and those named."""
        return 2 + len(self.latency_methods)

    @property
    def histograms(self) -> int:
        """Histograms of an endpoint: of its calls, and two of its websocket."""
        return self.timed_methods + 2

    @property
    def own_series(self) -> int:
        """Series that the keys of the family name."""
        return 0

    def check_target(self, target: str) -> None:
        if not self.endpoints:
            if "://" not in target:
                want = (
                    "want endpoints (in chains), or a target such as https://rpc.example.org/path"
                )
                raise ValueError(f"{want}, got neither")
            endpoint_url(target)
        # the registry is not asked before: another kind may be on its way to be loaded
        _ = self._sources

    def check_times(self, every_s: float, timeout_s: float) -> None:
        if self.call_timeout is not None and self.call_timeout > timeout_s:
            limit = format_duration(timeout_s)
            got = format_duration(self.call_timeout)
            raise ValueError(f"want a call_timeout of at most the timeout ({limit}), got {got}")
        group = self._setup(SINGLE if self.endpoints else "http://127.0.0.1", every_s, 1.0).group
        needed = fast_calls_per_minute(group, self._dialect.topics)
        if needed > self.budget.calls_per_minute:
            raise ValueError(
                f"want a budget of at least {ceil(needed)} calls a minute for the calls of every "
                f"run at every: {format_duration(every_s)}, got {self.budget.calls_per_minute}"
            )

    def want_spare(self, every_s: float, calls: float, purpose: str) -> None:
        """Judge at load whether the budget leaves *calls* a run for what is asked once per group.

        Raises:
            ValueError: it does not.
        """
        group = self._setup(SINGLE if self.endpoints else "http://127.0.0.1", every_s, 1.0).group
        own = own_calls(group, self._dialect.topics)
        need, budget = ceil((own + calls) * MINUTE_S / every_s), self.budget.calls_per_minute
        if budget < need:
            want = f"want a budget of at least {need} calls a minute for {purpose}"
            raise ValueError(f"{want} at every: {format_duration(every_s)}, got {budget}")

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - the interface
        if self.chain_id is None:
            yield "want chain_id, got none: only a change of the identity can be judged"

    def display_target(self, target: str) -> str:
        return target if self.endpoints else super().display_target(target)

    def named_targets(self, target: str) -> Iterable[str]:
        # the target of an entry of `chains` is its name, which is no address
        if self.endpoints:
            return [keys.http.get_secret_value() for keys in self.endpoints]
        return [target, *(keys.http.get_secret_value() for keys in self.reference)]

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target) if not self.endpoints else super().secrets("")
        for address in self._addresses():
            found |= parts_of_target(address)
        several: tuple[AccessKeys | IndexerKeys, ...] = (self, *self.endpoints, *self.indexers)
        for keys in several:
            headers = keys.headers.items()
            found.update(plain(value) for name, value in headers if SECRET_HEADER.search(name))
            if keys.auth is not None and keys.auth.basic is not None:
                found.add(keys.auth.basic.encoded)
        return found

    def _addresses(self) -> Iterable[str]:
        for keys in (self, *self.endpoints, *self.reference, *self.indexers):
            for name in ("http", "ws", "lcd", "url", "target"):
                address: Secret | None = getattr(keys, name, None)
                if address is not None:
                    yield address.get_secret_value()

    def prepare(self, target: str) -> None:
        several = self._setup(target, self.default_every_s, MAX_TIMEOUT_S).access.values()
        if any(access.ws is not None for access in several):
            prepare_listening()
        for access in several:
            if access.url.is_tls or (access.ws is not None and access.ws.is_tls):
                access.options.prepare()

    # --- a run

    async def run(self, target: str, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        keep, began = recorder.keep, loop.time()
        left = recorder.remaining(began)
        # a caller who has less time, such as a scraper, wants one sample
        alone_s = self.settle_s if keep is None and left > self.settle_s else 0.0
        timeout_s = min(left - alone_s, MAX_EVERY_S)
        every_s = keep.every_s if keep is not None else self.default_every_s
        setup = self._setup(target, every_s, timeout_s)
        if keep is not None:
            memory = keep.memory if isinstance(keep.memory, Memory) else Memory()
            ears = cast("Ears", keep.news() or {})
            course = Course(setup, recorder, ears)
            sample = await course.sample(memory, recorder.deadline)
            keep.memory = sample.memory
        else:
            async with listening(self._ears(setup)) as ears:
                course = Course(setup, recorder, ears)
                sample = await two_samples(
                    course, setup, recorder, ends=began + timeout_s, settle_s=self.settle_s
                )
        record(setup.group, sample, recorder)

    def watch(self, target: str) -> HeadsWatch | None:
        listeners = self._ears(self._setup(target, self.default_every_s, MAX_TIMEOUT_S))
        return HeadsWatch(listeners) if listeners else None

    def _ears(self, setup: Setup) -> dict[str, Listener]:
        return {
            name: Listener(
                access.ws, access.options, access.headers, tongue, f"{self.chain}/{name}"
            )
            for name, access in setup.access.items()
            if access.ws is not None and (tongue := setup.dialect.tongue()) is not None
        }

    def first_memory(self, target: str, kept: Mapping[str, Any] | None) -> Memory:
        group = self._setup(target, self.default_every_s, MAX_TIMEOUT_S).group
        return Memory(
            survey=self._dialect.restored(kept) if kept is not None else None,
            # load balancers ask before the first run: an endpoint not known yet is no wrong name
            health=tuple(EndpointHealth(group.chain, it.name, None) for it in group.endpoints),
        )

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return self._dialect.durable(memory.survey) if isinstance(memory, Memory) else None

    # --- the group

    @cached_property
    def _dialect(self) -> Dialect:
        return self.dialect()

    @cached_property
    def _sources(self) -> list[Source]:
        tls = self.tls or TlsOptions()
        return [Source(keys, type(self).find, tls, self.ip) for keys in self.indexers]

    @cached_property
    def _setups(self) -> dict[tuple[str, float, float], Setup]:
        return {}

    def _setup(self, target: str, every_s: float, timeout_s: float) -> Setup:
        # a tenth of a second is exact enough, and makes the setups of all runs one
        key = target, every_s, round(timeout_s, 1)
        setup = self._setups.get(key)
        if setup is None:
            if len(self._setups) >= MAX_SETUPS:
                self._setups.clear()
            setup = self._setups[key] = self._new_setup(target, every_s, key[2])
        return setup

    def _new_setup(self, target: str, every_s: float, timeout_s: float) -> Setup:
        access = {
            keys.name: access_of(
                keys, self, self.default_ws, self.ip, listens=self.websocket.enabled
            )
            for keys in self._reached(target)
        }
        group = Group(
            family=self._dialect.family,
            chain=self.chain or self.name,
            endpoints=tuple(one.endpoint for one in access.values()),
            chain_id=self.chain_id,
            genesis_hash=self.genesis_hash.lower() if self.genesis_hash else None,
            every_s=every_s,
            block_time_s=self.block_time if isinstance(self.block_time, float) else None,
            thresholds=self.limits(),
            require=frozenset(self.require),
            min_up=self.min_up,
            down_after=self.consecutive.down,
            up_after=self.consecutive.up,
            calls_per_minute=self.budget.calls_per_minute,
            batch=self.budget.batch == "auto",
            halt_with_single=self.halt_with_single,
            latency_methods=frozenset(self.latency_methods),
        )
        call_timeout_s = self.call_timeout or min(MAX_CALL_TIMEOUT_S, timeout_s / 2)
        return Setup(
            group, self._dialect, access, call_timeout_s, self.retries, tuple(self._sources)
        )

    def _reached(self, target: str) -> list[EndpointKeys]:
        """Return who is asked: the endpoints, or the target and whom it is compared with."""
        if self.endpoints:
            return list(self.endpoints)
        own = {key: getattr(self, key) for key in ("ws", "lcd", "load_balanced", "health_mode")}
        others = [
            EndpointKeys(name=other.name, http=other.http, role="reference")
            for other in self.reference
        ]
        return [EndpointKeys(name=SINGLE, http=Secret(target), **own), *others]
