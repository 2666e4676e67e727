"""What is odd about a journey but works: what it brings along and never reads. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from probes.journey.families import RepeatKeys, SocketKeys
from probes.journey.flaws import Flaw, Path
from probes.journey.keys import StepKeys
from probes.journey.settings import JourneyKeys
from probes.journey.steps import Journey


def advice(keys: JourneyKeys, journey: Journey) -> Iterator[Flaw]:
    """Yield what *journey* has no use for, at its place.

    Args:
        keys: that it was compiled from.
        journey: compiled.
    """
    reads = journey.reads
    for name in keys.secrets:
        if f"secrets.{name}" not in reads:
            text = f"want ${{secrets.{name}}} somewhere, got a secret that nothing reads"
            yield Flaw(("secrets", name), text, at_key=True)
    for name in keys.vars:
        if reads.isdisjoint({name, f"vars.{name}"}):
            text = f"want ${{{name}}} somewhere, got a variable that nothing reads"
            yield Flaw(("vars", name), text, at_key=True)
    yield from _unread_rows(keys, journey)
    for part in ("setup", "steps", "cleanup"):
        for path, name in _extracted(getattr(keys, part), (part,)):
            if name not in reads:
                text = f"want ${{{name}}} in a later step, got a value that nothing reads"
                yield Flaw(path, text, at_key=True)


def _unread_rows(keys: JourneyKeys, journey: Journey) -> Iterator[Flaw]:
    if keys.data is None or journey.feeder is None:
        return
    columns = journey.feeder.columns
    names = {name for column in columns for name in (column, f"row.{column}")}
    if journey.reads.isdisjoint(names):
        yield Flaw(("data",), "want ${row.column} somewhere, got rows that nothing reads")


def _extracted(steps: Iterable[StepKeys], path: Path) -> Iterator[tuple[Path, str]]:
    for index, keys in enumerate(steps):
        at = (*path, index)
        named: list[tuple[Path, Mapping[str, object]]] = [(at, getattr(keys, "extract", {}))]
        if isinstance(keys, SocketKeys):
            named = [
                ((*at, "ws", "dialog", turn), it.extract) for turn, it in enumerate(keys.ws.dialog)
            ]
        for owner, names in named:
            yield from (((*owner, "extract", name), name) for name in names)
        if isinstance(keys, RepeatKeys):
            yield from _extracted(keys.repeat.steps, (*at, "repeat", "steps"))
