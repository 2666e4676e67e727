"""Runs that somebody asks for over ``/probe``: which module, which target, and whether that may be.

    answer ── a free slot ── plan (a thread) ──> Probe and policy ── run_once ──> page

A target that the probe file names may be asked for as it is; any other only within
``probe_policy.allow``, never with the secrets of a module, and never by a kind that looks at this
machine. Scheduled probes have their own limit and keep their schedule. Knows no HTTP but the
status of a refusal.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType

from exporter.series import render_result
from probes.config.load import Config
from probes.kind import Kind
from probes.kinds import find_kind
from probes.pattern import suggest
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.result import Failure, Outcome, Reason, Result
from probes.run import prepare, run_once
from probes.units import short
from probes.wire.address import literal_address
from probes.wire.policy import POLICY, Policy
from probes.wire.url import parse_url, split_host_port

# blackbox.md 8.6
MAX_IN_FLIGHT = 200
MAX_QUEUED = 200
# product.md, settled point 11; a module of the file with the same name wins.
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {"chain_evm": "evm", "chain_solana": "solana", "chain_cosmos": "cosmos"}
)
# So much must be left beside the pause of a run that looks twice; else it looks once.
MIN_LOOK_S = 5.0
# So long a scraper waits that leaves no time for a run: enough to tell it so.
NO_TIME_S = 0.5
NAME = "asked"
NO_SLOT = "want a free slot before the deadline, got none\n"
REFUSED_TARGET = "want a target of the probe file or within probe_policy.allow, got another one\n"


class Refused(Exception):
    """A request that is not run; ``status`` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Args:
        probe: the module with the target.
        policy: who may be reached.
        timeout_s: of the module; None when it names none.
        mistake: why the target is none; None when it is one.
    """

    probe: Probe
    policy: Policy
    timeout_s: float | None
    mistake: str | None = None


class Asked:
    """Everything that ``/probe`` runs.

    Args:
        health: the prober's own pulse.
    """

    def __init__(self, health: ProberHealth) -> None:
        self.in_flight = 0
        self.queued = 0
        self._health = health
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        # imports of drivers, TLS contexts, the texts of 10,000 targets: nothing for the loop
        self._pool = ThreadPoolExecutor(1, "sonde-asked")
        self._named: tuple[Config, frozenset[str]] | None = None

    async def answer(self, config: Config, module: str, target: str, limit_s: float) -> bytes:
        """Return the page of one run.

        Args:
            config: in force.
            module: its name.
            target: what to check.
            limit_s: seconds until the answer must be there; <= 0: nothing is sent.

        Raises:
            Refused: unknown module, target outside the policy, or no free slot.
        """
        began = asyncio.get_running_loop().time()
        # its thread has one request after the other: what waits for it holds a slot already
        await self._slot(began + (limit_s if limit_s > 0 else NO_TIME_S))
        self.in_flight += 1
        try:
            return await self._answer(config, (module, target), began, limit_s)
        finally:
            self.in_flight -= 1
            self._slots.release()

    def close(self) -> None:
        """Plan nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(
        self, config: Config, words: tuple[str, str], began: float, limit_s: float
    ) -> bytes:
        loop = asyncio.get_running_loop()
        ends = began + (limit_s if limit_s > 0 else NO_TIME_S)
        try:
            async with asyncio.timeout_at(ends):
                plan = await loop.run_in_executor(self._pool, self._plan, config, *words)
        except TimeoutError:
            raise Refused(503, NO_SLOT) from None
        if plan.timeout_s is not None and (limit_s <= 0 or plan.timeout_s < limit_s):
            ends, limit_s = began + plan.timeout_s, plan.timeout_s
        if plan.mistake is not None or limit_s <= 0:
            text = plan.mistake or "want time for a run before the scrape ends, got none"
            result = _not_run(plan.probe, text)
        elif ends <= loop.time():
            raise Refused(503, NO_SLOT)
        else:
            result = await self._run(plan, ends)
        if result.failure is not None and result.failure.reason is Reason.POLICY:
            raise Refused(403, REFUSED_TARGET)
        return render_result(result, plan.probe.kind, max(0.0, round(limit_s, 3)))

    async def _slot(self, ends: float) -> None:
        if self.queued >= MAX_QUEUED:
            raise Refused(503, f"want at most {MAX_QUEUED} requests that wait, got more\n")
        self.queued += 1
        try:
            async with asyncio.timeout_at(ends):
                await self._slots.acquire()
        except TimeoutError:
            raise Refused(503, NO_SLOT) from None
        finally:
            self.queued -= 1

    async def _run(self, plan: Plan, ends: float) -> Result:
        """Run it once and end at *ends*: a run that stands alone would take ``settle_s`` longer."""
        probe, settle_s = plan.probe, plan.probe.kind.settle_s
        left = ends - asyncio.get_running_loop().time()
        until: float | None = None
        if settle_s and left >= settle_s + MIN_LOOK_S:
            probe = replace(probe, timeout_s=left - settle_s)
        elif settle_s:
            # a kind that has no more than its pause looks once
            left = min(left, settle_s)
            # a little less: then a timeout within the run is its own, and tells more
            probe = replace(probe, timeout_s=left * 0.99)
            until = asyncio.get_running_loop().time() + left
        else:
            probe = replace(probe, timeout_s=left)
        with POLICY.set(plan.policy):
            result = await run_once(probe, health=self._health, until=until)
        return _timed_out(result, left) if until is not None and not result.attempts else result

    # --- in the thread

    def _plan(self, config: Config, name: str, target: str) -> Plan:
        kind, timeout_s = _module(config, name)
        is_named = _plain(target) in self._names(config)
        options = config.probe_policy
        policy = options.policy(trusts_first=is_named)
        probe = Probe(name=NAME, kind=kind, target=target, module=name, redact=config.redact)
        try:
            kind.check_target(target)
        except ValueError as error:
            return Plan(probe, policy, timeout_s, str(error))
        if not is_named and not _may_be_free(kind, target, policy):
            raise Refused(403, REFUSED_TARGET)
        prepare([probe])
        return Plan(probe, policy, timeout_s)

    def _names(self, config: Config) -> frozenset[str]:
        if self._named is None or self._named[0] is not config:
            names = frozenset(
                _plain(target)
                for probe in config.probes
                for target in probe.kind.named_targets(probe.target)
            )
            self._named = (config, names)
        return self._named[1]


def _module(config: Config, name: str) -> tuple[Kind, float | None]:
    module = config.modules.get(name)
    if module is not None and module.settings is not None:
        return module.settings, module.timeout_s
    if module is not None:
        raise Refused(400, f"want a module that needs no further keys, got {short(name)}\n")
    if name in BUILT_IN:
        return _built_in(name), None
    hint = suggest(name, [*config.modules, *BUILT_IN])
    raise Refused(400, f"Unknown module {short(name)}{hint}\n")


@cache
def _built_in(name: str) -> Kind:
    """Return the kind behind a built-in name, one for all requests: it keeps its TLS context."""
    kind = find_kind(BUILT_IN[name])
    return kind.model_validate({kind.named_by: name} if kind.named_by is not None else {})


def _plain(target: str) -> str:
    """Return *target* so that two ways to write one are equal: case of scheme and host, an end."""
    scheme, separator, rest = target.strip().partition("://")
    if not separator:
        return target.strip()
    host, slash, path = rest.partition("/")
    user, at, place = host.rpartition("@")
    return f"{scheme.lower()}://{user}{at}{place.lower()}{slash or '/'}{path}"


def _may_be_free(kind: Kind, target: str, policy: Policy) -> bool:
    """Return whether a target that the file does not name may be tried; the dial judges again."""
    if not kind.network or kind.secrets(""):
        return False
    try:
        scheme, host, port = _place(target)
    except ValueError:
        return bool(policy.allow)  # the dial will know the address
    address = literal_address(host, port)
    if address is not None:
        return policy.admits(host, port, address.ip, scheme=scheme)
    return policy.may_admit(host, port, scheme)


def _place(target: str) -> tuple[str, str, int]:
    if "://" in target:
        url = parse_url(target)
        return url.scheme, url.host, url.port
    host, port = split_host_port(target)
    return "", host, port


def _not_run(probe: Probe, text: str) -> Result:
    return Result(
        probe=probe.name,
        kind=probe.kind.name,
        target=probe.display,
        outcome=Outcome.UNKNOWN,
        started_at=datetime.now(UTC),
        seconds=0.0,
        failure=Failure(Reason.CONFIG, probe.redact(text)),
    )


def _timed_out(result: Result, limit_s: float) -> Result:
    """Return a run that was cut off as what it is here: the target did not answer in time."""
    phase = result.failure.phase if result.failure is not None else None
    where = f" in phase {phase}" if phase else ""
    text = f"want an answer within {limit_s:.3g} s, got none{where}"
    failure = Failure(Reason.TIMEOUT, text, phase)
    return result._replace(outcome=Outcome.DOWN, attempts=1, failure=failure)
