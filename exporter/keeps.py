"""What outlives the runs of each probe: what its kind remembers, and what listens between runs.

    Keeps
    ├── take(probe)    it has come, has changed, or stays as it is
    ├── of(name)       the Keep that its next run is handed
    ├── ran(name)      a run has ended: what must survive a restart goes to the store
    └── drop(name)     it has left

A probe that checks the same by the same rules keeps its memory over a reload; by other rules, what
would survive a restart. Knows no kind: what a memory holds is the kind's business.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.exposition.entry import checks_another
from exporter.store import Document, Store
from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Keep

log = logging.getLogger("sonde.keeps")

# A listener that breaks at once must not spin; one that broke after a day is back soon.
FIRST_BACK_OFF_S = 1.0
MAX_BACK_OFF_S = 60.0
STEADY_AFTER_S = 300.0
# P26: what ignores its cancellation is left behind.
CANCEL_S = 0.3
# Of the target: it may be a secret, and the store keeps none.
FINGERPRINT_DIGITS = 16
# What reading state of another version may raise.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Keeps:
    """Everything that is kept for the probes of a service.

    Args:
        store: where to put what must survive a restart; None: nothing does.
    """

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}
        self._told = False
        self._ending: set[asyncio.Task[None]] = set()

    def of(self, name: str) -> Keep | None:
        """Return what the next run of a probe is handed; None: it is not registered."""
        kept = self._kept.get(name)
        return kept.keep if kept is not None else None

    def memories(self) -> Iterator[tuple[Probe, object, object]]:
        """Yield the probes that remember something, what, and what was known under other rules.

        From any thread: health checks are answered also while the loop hangs.
        The last is None once a run has ended under those of now.
        """
        for kept in tuple(self._kept.values()):
            if kept.keep.memory is not None:
                yield kept.probe, kept.keep.memory, kept.before

    def take(self, probe: Probe) -> None:
        """Keep for *probe*; one that checks another thing than before begins anew."""
        kept = self._kept.get(probe.name)
        if kept is not None and kept.probe.target == probe.target and kept.probe.kind == probe.kind:
            kept.probe = probe
            kept.keep.every_s = probe.every_s
            return
        if kept is None or checks_another(kept.probe, probe):
            self._kept[probe.name] = self._begun(probe)
        else:
            fresh = self._begun(probe, kept.probe.kind.durable(kept.keep.memory))
            has_run = kept.keep.memory is not kept.first
            fresh.before = kept.keep.memory if has_run else kept.before
            self._kept[probe.name] = fresh
        if kept is not None:
            self._stop(kept)

    def drop(self, name: str) -> None:
        """Forget a probe; what the store has of it waits for its return."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._stop(kept)

    def ran(self, name: str) -> None:
        """Put into the store what a run has changed."""
        kept = self._kept.get(name)
        if kept is None or kept.keep.memory is kept.seen:
            return
        kept.seen, kept.before = kept.keep.memory, None
        if self._store is None and self._told:
            return
        document = kept.probe.kind.durable(kept.seen)
        if document is None or document == kept.stored:
            return
        if self._store is None:
            self._told = True
            log.info("nothing that %s must remember survives a restart: give --data DIR", name)
            return
        kept.stored = document
        self._store.put(name, _topic(kept.probe), document)

    async def close(self) -> None:
        """Stop every listener and wait for their ends."""
        for kept in self._kept.values():
            self._stop(kept)
        self._kept.clear()
        if self._ending:
            await asyncio.wait(self._ending, timeout=2 * CANCEL_S)

    def _begun(self, probe: Probe, durable: Document | None = None) -> "_Kept":
        """Return what *probe* begins with: what it was left a moment ago, or at another start."""
        kind = probe.kind
        stored = None
        if self._store is not None and type(kind).durable is not Kind.durable:
            stored = self._store.get(probe.name, _topic(probe))
        keep = Keep(_first_memory(probe, durable or stored), every_s=probe.every_s)
        kept = _Kept(probe, keep, keep.memory, stored=stored, seen=keep.memory)
        if type(kind).watch is not Kind.watch:
            kept.listener = _Listener(probe, keep)
        return kept

    def _stop(self, kept: "_Kept") -> None:
        if kept.listener is not None:
            task = kept.listener.task
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _first_memory(probe: Probe, stored: Document | None) -> object:
    try:
        return probe.kind.first_memory(probe.target, stored)
    except _UNREADABLE as error:
        if stored is None:
            raise
        why = f"{type(error).__name__}: {error}"
        log.error("want state of %s that can be read, got %s: it begins anew", probe.name, why)  # noqa: TRY400 - its reason is all
        return probe.kind.first_memory(probe.target, None)


def _topic(probe: Probe) -> str:
    """Return what state of a name is about: a kind and a target, without telling the target."""
    digest = hashlib.sha256(probe.target.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{probe.kind.name}:{digest[:FINGERPRINT_DIGITS]}"


@dataclass(slots=True)
class _Kept:
    """What is kept for one probe."""

    probe: Probe
    keep: Keep
    first: object
    """What its memory began with."""
    before: object = None
    """What the same target left under other rules, until the first run under these."""
    listener: "_Listener | None" = None
    seen: object = None
    """The memory that was last looked at."""
    stored: Document | None = None
    """What the store has."""


class _Listener:
    """Runs what a kind lets listen to its target, again when it breaks."""

    def __init__(self, probe: Probe, keep: Keep) -> None:
        self._probe = probe
        self._keep = keep
        self._back_off_s = FIRST_BACK_OFF_S
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            task = loop.create_task(self._listen())
            try:
                # it is a task of its own, so that its error is only looked at
                await asyncio.wait({task})
            finally:
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=CANCEL_S)
            error = None if task.cancelled() else task.exception()
            if error is None and not task.cancelled() and not task.result():
                return
            if loop.time() - began >= STEADY_AFTER_S:
                self._back_off_s = FIRST_BACK_OFF_S
            self._tell(error)
            await asyncio.sleep(self._back_off_s)
            self._back_off_s = min(2 * self._back_off_s, MAX_BACK_OFF_S)

    async def _listen(self) -> bool:
        """Listen until cancelled; return False when there is nothing to listen to."""
        watch = self._probe.kind.watch(self._probe.target)
        if watch is None:
            return False
        self._keep.news = watch.news
        await watch.run()
        return True

    def _tell(self, error: BaseException | None) -> None:
        why = "an end" if error is None else f"{type(error).__name__}: {error}"
        log.error(
            "want the listener of %s to go on, got %s: again in %g s",
            self._probe.name,
            self._probe.redact(why),
            self._back_off_s,
            extra={"probe": self._probe.name},
            exc_info=error,
        )
