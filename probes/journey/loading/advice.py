"""What is odd about a journey but works: what it brings along and never reads. Pure.

A value that is extracted and never read is not odd: that it is there has been judged.
"""

from collections.abc import Iterator

from probes.journey.flaws import Flaw
from probes.journey.loading.settings import JourneyKeys
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


def _unread_rows(keys: JourneyKeys, journey: Journey) -> Iterator[Flaw]:
    if keys.data is None or journey.feeder is None:
        return
    columns = journey.feeder.columns
    names = {name for column in columns for name in (column, f"row.{column}")}
    if journey.reads.isdisjoint(names):
        yield Flaw(("data",), "want ${row.column} somewhere, got rows that nothing reads")
