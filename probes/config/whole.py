"""What concerns several probes at once: dependencies, label names, and the load they make. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from probes.config.entries import Entry
from probes.config.judge import taken_by_kinds
from probes.config.mistakes import Layered, Mistakes, Place
from probes.kind import Kind
from probes.pattern import suggest
from probes.probe import Probe
from probes.units import short

# reliability.md 4: 2.5 times the rated load, of one process.
MAX_RUNS_PER_S = 2500
# The nearest of 10,000 names costs 30 ms: a file with more unknown ones is not mended by hints.
MAX_HINTS = 20
# metrics.md 2.2: the generated rules list every name in their joins.
MAX_LABEL_NAMES = 16


def judge_labels(
    entries: Sequence[Entry], kinds: Mapping[str, type[Kind]], mistakes: Mistakes
) -> None:
    """Refuse label names that samples of a loaded kind use, and too many names."""
    taken = taken_by_kinds(kinds)
    first: dict[str, Place] = {}
    for entry in entries:
        for name in entry.probe.labels:
            if name not in first:
                first[name] = entry.data.place_of(("labels", name))
    for name, place in first.items():
        if name in taken:
            text = f"want a free label name, got {name!r} (used by {taken[name]})"
            mistakes.add(place, text, at_key=True)
    if len(first) > MAX_LABEL_NAMES:
        place = list(first.values())[MAX_LABEL_NAMES]
        text = f"want at most {MAX_LABEL_NAMES} different label names in all probes"
        mistakes.add(place, f"{text}, got {len(first)}", at_key=True)


def judge_load(entries: Sequence[Entry], place: Place, shards: int, mistakes: Mistakes) -> None:
    """Refuse more runs a second than one process can promise to start in time."""
    runs = sum(1 / entry.probe.every_s for entry in entries) / shards
    if runs <= MAX_RUNS_PER_S:
        return
    hanging = sum(entry.probe.timeout_s / entry.probe.every_s for entry in entries) / shards
    share = f" for each of {shards} shards" if shards > 1 else ""
    mistakes.add(
        place,
        f"want at most {MAX_RUNS_PER_S} runs/s in one process, got {runs:.0f} runs/s{share} of"
        f" {len(entries)} probes ({hanging:.0f} in flight when all targets hang)"
        ": raise every:, or share them out with --shard",
    )


def judge_dependencies(
    dependencies: Iterable[tuple[tuple[str, ...], Layered]],
    names: Collection[str],
    mistakes: Mistakes,
) -> None:
    """Refuse names that no entry has.

    Args:
        dependencies: what each entry depends on, and where it says so.
        names: of all entries, also of those with a mistake.
        mistakes: unknown names go here.
    """
    hints: dict[str, str] = {}
    for wanted, data in dependencies:
        for index, name in enumerate(wanted):
            # "frontend/54df484b" is one probe of the list "frontend"
            if name not in names and name.rpartition("/")[0] not in names:
                if name not in hints:
                    hints[name] = suggest(name, names) if len(hints) < MAX_HINTS else ""
                hint = hints[name]
                place = data.place_of(("depends_on", index))
                mistakes.add(place, f"want the name of a probe, got {short(name)}{hint}")


def resolve_dependencies(entries: Sequence[Entry], mistakes: Mistakes) -> list[Probe]:
    """Return the probes; a list of targets in ``depends_on`` has become the names of its probes."""
    groups: dict[str, list[str]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry.probe.name)
    _refuse_circles([entry for entry in entries if entry.probe.depends_on], mistakes)
    return [_resolved(entry.probe, groups) for entry in entries]


def _resolved(probe: Probe, groups: Mapping[str, list[str]]) -> Probe:
    wanted = tuple(
        dict.fromkeys(real for name in probe.depends_on for real in groups.get(name, [name]))
    )
    return probe if wanted == probe.depends_on else replace(probe, depends_on=wanted)


def _refuse_circles(depending: Sequence[Entry], mistakes: Mistakes) -> None:
    """Follow the dependencies without recursion: a chain may be as long as the file."""
    edges: dict[str, tuple[str, ...]] = {}
    entry_of: dict[str, Entry] = {}
    for entry in depending:
        # the probes of one list share their dependencies; either name may be depended on
        for name in {entry.group, entry.probe.name}:
            edges[name] = entry.probe.depends_on
            entry_of.setdefault(name, entry)
    finished: set[str] = set()
    for start in edges:
        path: list[str] = []
        waiting = [(start, False)]
        while waiting:
            name, is_done = waiting.pop()
            if is_done:
                finished.add(path.pop())
            elif name in path:
                circle = [*path[path.index(name) :], name]
                place = entry_of[path[-1]].data.place_of(("depends_on",))
                mistakes.add(place, f"want no circle, got {short(' -> '.join(circle), 200)}")
            elif name in edges and name not in finished:
                path.append(name)
                waiting.append((name, True))
                waiting.extend((other, False) for other in edges[name])
