"""The service behind ``sonde run``: owns scheduler, sinks, reload and shutdown.

    scheduler ── due ──> run_once ── Result ──> publish ──> sinks: state, metrics, log
    signals, web ──> reload: a new Config is swapped in whole
    SIGTERM ──> drain ──> exit 0

Knows the parts, not how any of them does its work.
"""

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version

from exporter.descriptors import Capacity, plan_capacity
from exporter.ending import break_off, on_loop_error
from exporter.exposition.entry import checks_another
from exporter.exposition.options import compat_of, metrics_options
from exporter.exposition.sink import MetricsSink
from exporter.incidents import State, step
from exporter.inventory import config_text
from exporter.keeps import Keeps
from exporter.loads.board import Board
from exporter.loads.results import state_directory
from exporter.loads.runs import LoadRuns
from exporter.log import PROBE, LogHandle
from exporter.metrics import SelfMetrics
from exporter.on_demand.account import account_of
from exporter.on_demand.asked import Asked
from exporter.on_demand.question import Question
from exporter.on_demand.recent import Recent, Run
from exporter.reload import Reloads, in_slices
from exporter.schedule import Scheduler
from exporter.shard import share
from exporter.start import Options
from exporter.store import Store
from exporter.vitals import Vitals, bind_vitals
from exporter.web.listen import address_text
from exporter.web.server import WebServer
from probes.config.load import Config
from probes.errors import ConfigError, Problem
from probes.kinds import release_kinds
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.result import Outcome, Result
from probes.run import run_once
from probes.wire.net import close_resolvers, reachable

__all__ = ["Options", "Service"]

log = logging.getLogger("sonde.service")

# P26: whatever hangs, the process is gone by then: 7 s for runs, 1 to cut them off, half a second
# for answers, 1 for the disk.
HARD_EXIT_S = 10.0
ANSWERS_S = 0.5
STORE_S = 1.0
NEW = State()
# Old results disappear at most this long after their time (metrics.md 3).
EXPIRE_EVERY_S = 1.0
# What lives long is frozen at the start. Small young collections keep each pause short: with
# 10,000 hanging targets (50_000, 50, 100) delayed starts by 146 ms (p99), 5_000 by 11, this by 4,
# and 700, which costs 3 % of every run, by 3 (2026-11, bench/schedule.py --gc).
# The last number bounds what old cycles pile up to, 2 million objects or 200 MB; at 100 the rise
# to 10,000 runs in flight alone brought a look at all of them, which delayed 239 starts by > 0.5 s.
GC_THRESHOLDS = (2000, 10, 300)
INTERRUPTED = 128 + signal.SIGINT

Sink = Callable[[Result], None]


class Service:
    """The running service; also the `exporter.web.backend.Backend` of the web server.

    Raises:
        StoreRefused: another process has the data directory, or a newer version made it.
        OSError: it cannot be made.
    """

    def __init__(self, config: Config, options: Options, handle: LogHandle) -> None:
        self.version = version("sonde")
        self.health = ProberHealth(config.prober.connectivity, reachable)
        self.own = SelfMetrics(self.version, compat=compat_of(config))
        self.metrics = MetricsSink(self.own, metrics_options(config))
        self.sinks: tuple[Sink, ...] = (self._note, self._measure, self._tell, self._remember)
        self._config = config
        self._options = options
        self._handle = handle
        self._probes: dict[str, Probe] = {}
        self._results: dict[str, Result] = {}
        self._states: dict[str, State] = {}
        self._reloads = Reloads(config, options.shard[1])
        self._store = Store(options.data) if options.data is not None else None
        self._keeps = Keeps(self._store)
        self._asked = Asked(self.health, options.asking)
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._capacity: Capacity | None = None
        self._why_not_ready = "starting"
        self._scheduler = Scheduler(self._run_probe, capacity=1, on_delay=self.own.observe_delay)
        board = Board()
        self.own.beside = board.text
        data = options.data or state_directory()
        self._loads = LoadRuns(board, self._scheduler, data, self.health, self._standing)
        self._web = WebServer(self, options.listen, options.web_config, options.prefix)

    # --- life ---

    async def run(self) -> int:
        """Serve until a signal; return the exit code.

        Raises:
            ConfigError: the web config file is bad.
            OSError: an address that cannot be listened on.
            ValueError: too few file descriptors, or no such address.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_error)
        parts = Vitals(
            self._scheduler, self.health, self._reloads, self._handle, self._asked, self._store
        )
        bind_vitals(self.own, self.metrics, parts, lambda: self._config.hash)
        await self._reloads.prepare(self._config)
        await self._put(self._config)
        self.health.start()
        await self._web.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        # the command holds them back until here, where one is a reload and not the end
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self._scheduler.start()
        self._scheduler.every("expire", EXPIRE_EVERY_S, self.metrics.expire)
        if self._options.reload_every_s is not None:
            self._scheduler.every("watch", self._options.reload_every_s, self._reload_if_changed)
        self._why_not_ready = ""
        addresses = ", ".join(address_text(*address) for address in self._web.addresses)
        log.info("serving %s on %s", self._config.counted(len(self._probes)), addresses)
        try:
            await self._stop.wait()
        finally:
            await self._shut_down()
        return self._exit_code

    async def _shut_down(self) -> None:
        self._why_not_ready = "draining"
        tidy_s = {name: probe.kind.cleanup_s for name, probe in self._probes.items()}
        number = signal.SIGINT if self._exit_code else signal.SIGTERM
        cancelled, _ = await asyncio.gather(
            self._scheduler.drain(tidy_s=tidy_s), self._loads.stop(number)
        )
        await self._keeps.close()
        await self.health.stop()
        await self._web.stop(ANSWERS_S)
        await release_kinds()
        await close_resolvers()
        if self._store is not None:
            await self._store.close(STORE_S)
        self.metrics.close()
        self._reloads.close()
        self._asked.close()
        log.info("stopped; %d runs were cut off", cancelled)

    def _on_stop(self, number: int) -> None:
        if self._stop.is_set():
            break_off(128 + number, f"cut off by a second {signal.Signals(number).name}")
        log.info("%s: draining", signal.Signals(number).name)
        # an orchestrator's SIGTERM is the ordinary end; Ctrl-C tells the shell that it was one
        self._exit_code = INTERRUPTED if number == signal.SIGINT else 0
        self._stop.set()
        why = f"cut off {HARD_EXIT_S:g} s after {signal.Signals(number).name}"
        timer = threading.Timer(HARD_EXIT_S, break_off, (128 + number, why))
        timer.daemon = True
        timer.start()

    # --- runs ---

    async def _run_probe(self, name: str) -> None:
        probe = self._probes.get(name)
        if probe is None:
            return
        PROBE.set(name)
        result = await run_once(probe, health=self.health, keep=self._keeps.of(name))
        now = self._probes.get(name)
        # a reload meanwhile may have given the name another target: then this answers nothing
        if now is probe or now == probe:
            self.publish(result)

    def publish(self, result: Result) -> None:
        """Hand a Result to every sink; a broken one stops neither the next nor the probe."""
        for sink in self.sinks:
            try:
                sink(result)
            except Exception:
                log.exception("a sink broke on a Result of %s", result.probe)

    def _note(self, result: Result) -> None:
        state = self._states.get(result.probe, NEW)
        policy = self._probes[result.probe].incident
        self._states[result.probe] = step(state, result.outcome, policy)

    def _measure(self, result: Result) -> None:
        self.metrics.publish(result, self._states[result.probe].confirmed)

    def _tell(self, result: Result) -> None:
        last = self._results.get(result.probe)
        self._results[result.probe] = result
        changed = not result.ok if last is None else last.outcome is not result.outcome
        level = logging.DEBUG
        if changed:
            level = logging.INFO if result.ok else logging.WARNING
        if not log.isEnabledFor(level):
            return
        cause = result.cause
        log.log(
            level,
            "%s is %s%s",
            result.probe,
            result.outcome.value,
            f": {cause.message}" if cause else "",
            extra={
                "event": "run",
                "probe": result.probe,
                "kind": result.kind,
                "run_id": result.run_id,
                "outcome": result.outcome.value,
                "reason": cause.reason.value if cause else None,
                "phase": cause.phase if cause else None,
                "duration_ms": round(result.seconds * 1000, 3),
            },
        )

    def _remember(self, result: Result) -> None:
        self._keeps.ran(result.probe)

    # --- config ---

    async def _put(self, config: Config) -> None:
        """Put *config* in force: unchanged probes keep their rhythm, counters and state.

        In slices, so that 10,000 new probes hold up no run. Whoever looks meanwhile sees each probe
        as before or as after, never in between.
        """
        probes = {probe.name: probe for probe in share(config.probes, *self._options.shard)}
        capacity = plan_capacity(probes.values())
        if capacity.warning and capacity != self._capacity:
            log.warning("%s", capacity.warning)
        self._capacity = capacity
        # a run of before may still fail with a secret of before
        self._handle.set_redactor(config.redact | self._config.redact.secrets)
        self._config = config
        self.own.compat = compat_of(config)
        self.health.watch(config.prober.connectivity)
        # who leaves stops now; who comes starts when there is a place for the Result
        staying = self._probes.keys() & probes.keys()
        self._scheduler.set_probes({name: self._probes[name].every_s for name in staying})
        self.metrics.begin(metrics_options(config))
        await in_slices(self._exchange(probes))
        self.metrics.commit()
        self._probes = probes  # in the order of the file
        self._scheduler.capacity = capacity.limit
        self._scheduler.set_probes({name: probe.every_s for name, probe in probes.items()})
        if self._options.shard[0] == 1:  # one process of them plays the scenarios
            await self._loads.put(config)

    def _exchange(self, probes: Mapping[str, Probe]) -> Iterator[None]:
        """Take a probe away, or put one in its place, at each step."""
        for name in [name for name in self._probes if name not in probes]:
            del self._probes[name]
            self._forget_results(name)
            self._keeps.drop(name)
            self.metrics.forget(name)
            yield
        for name, probe in probes.items():
            if checks_another(self._probes.get(name, probe), probe):
                self._forget_results(name)
            self._probes[name] = probe
            self._keeps.take(probe)
            self.metrics.register(probe)
            yield

    def _forget_results(self, name: str) -> None:
        self._results.pop(name, None)
        self._states.pop(name, None)

    def _standing(self) -> frozenset[str]:
        """Return the states that scenarios may ask for in ``skip_if``."""
        is_open = any(state.is_open for state in self._states.values())
        return frozenset({"incident_open"} if is_open else ())

    def memories(self) -> Iterator[tuple[Probe, object, object]]:
        """Return the probes that remember something, what, and what was known before a reload."""
        return self._keeps.memories()

    @property
    def runs(self) -> Recent:
        """The last runs that `ask` was asked for."""
        return self._asked.recent

    async def ask(self, question: Question) -> bytes:
        """Return the page of one run that somebody asks for, or the account of it.

        Raises:
            Refused: it may not be run.
        """
        return await self._asked.answer(self._config, question)

    async def account(self, run: Run) -> bytes:
        """Return the account of a run that is kept."""
        return await self._asked.aside(partial(account_of, run, self._options.asking.level))

    async def config_text(self) -> bytes:
        """Return the config in force as YAML."""
        return (await self._asked.aside(partial(config_text, self._config))).encode()

    async def reload(self) -> Sequence[Problem]:
        """Read the probe file again and put it in force; a bad file changes nothing.

        Returns:
            What is odd about the file and was not before.

        Raises:
            ConfigError: every mistake of the file.
        """
        try:
            config, news = await self._reloads.renew(self._put)
        except ConfigError as error:
            log.error("the reload was refused, the old config stays: %s", error)  # noqa: TRY400 - told, no bug
            raise
        for problem in news:
            log.warning("%s", problem)
        log.info("reloaded %s: %s", config.path, config.counted(len(self._probes)))
        return news

    def _on_hangup(self) -> None:
        self._reloads.when_free(self._reload_quietly)

    async def _reload_quietly(self) -> None:
        with suppress(ConfigError):  # logged and counted
            await self.reload()

    async def _reload_if_changed(self) -> None:
        if await self._reloads.has_changed():
            await self._reload_quietly()

    # --- what the web server asks ---

    @property
    def probes(self) -> Sequence[Probe]:
        """In the order of the file."""
        return tuple(self._probes.values())

    @property
    def admin_token(self) -> str | None:
        """``web.admin_token``."""
        token = self._config.web.admin_token
        return token.get_secret_value() if token else self._options.admin_token or None

    @property
    def hosts(self) -> Sequence[str]:
        """``web.hosts``."""
        return self._config.web.hosts

    @property
    def open_health(self) -> bool:
        """``web.open_health``."""
        return self._config.web.open_health

    @property
    def last_tick(self) -> float:
        """When the loop last turned; asked by the thread of the door."""
        return self.health.last_tick

    def readiness(self) -> tuple[bool, str]:
        """Return whether probes run, and why not."""
        return not self._why_not_ready, self._why_not_ready

    def last_result(self, name: str) -> Result | None:
        """Return the last Result of a probe."""
        return self._results.get(name)

    def state(self, name: str) -> Outcome | None:
        """Return the confirmed state of a probe."""
        return self._states.get(name, NEW).confirmed

    def count_request(self, handler: str, code: str) -> None:
        """Count an answered request."""
        self.own.count("sonde_web_requests_total", handler, code)

    def count_rejected(self, reason: str) -> None:
        """Count a refused request."""
        self.own.count("sonde_web_rejected_total", reason)
