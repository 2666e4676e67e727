"""What a scenario names, held against what there is: journeys, Locust files, probes, hosts, times.

Reads the Locust files that are named, and runs none. Knows no profile and no threshold.
"""

import ast
from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from probes.config.further import Around
from probes.config.journeys import FAMILIES, OVER_HTTP
from probes.journey.flaws import Flaw, Path
from probes.journey.script.code import inside, read_code
from probes.journey.steps import Journey
from probes.pattern import suggest
from probes.units import short
from probes.wire.url import parse_url
from scenarios.config.cron import parse_cron
from scenarios.config.playable import obstacles, requests_of
from scenarios.config.settings import PartKeys, ScenarioKeys


def judge_references(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    """Yield what *keys* name and is not there, or is of no use to a load."""
    yield from _mix(keys, around)
    if keys.target and parse_url(keys.target).user:
        yield Flaw(("target",), "want a URL without user and password, got one with")
    yield from _schedule(keys)
    for at, guard in enumerate(keys.guards):
        yield from _probe(("guards", at, "probe"), guard.probe, around)
    first: dict[str, int] = {}
    for at, guard in enumerate(keys.guards):
        if first.setdefault(guard.probe, at) != at:
            text = f"want one guard for each probe, got {short(guard.probe)} again"
            yield Flaw(("guards", at, "probe"), f"{text} (first at guards.{first[guard.probe]})")
    if keys.preflight.probe is not None:
        yield from _probe(("preflight", "probe"), keys.preflight.probe, around)
    protected = around.sections.safety.load.protected
    for at, host in enumerate(keys.confirm):
        if host not in protected:
            text = f"want a host of safety.load.protected, got {short(host)}"
            yield Flaw(("confirm", at), text + suggest(host, protected))


def journeys_of(keys: ScenarioKeys, around: Around) -> dict[str, Journey]:
    """Return the journeys of the mix that can be played."""
    found = {part.journey: around.journeys.compiled.get(part.journey) for part in keys.mix
             if part.journey is not None}  # fmt: skip
    return {name: it for name, it in found.items() if isinstance(it, Journey)}


def hosts_of(keys: ScenarioKeys, around: Around) -> Iterator[str]:
    """Yield where the load would go, as far as the file says it."""
    bases = [it.base_url for it in journeys_of(keys, around).values()]
    for url in dict.fromkeys([keys.target] if keys.target else bases):
        if url:
            yield parse_url(url).host


# ---------------------------------------------------------------- mix
def _mix(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    first: dict[str, int] = {}
    for at, part in enumerate(keys.mix):
        path = ("mix", at)
        if part.journey is not None and part.locustfile is not None:
            text = "want journey or locustfile, got both"
            yield Flaw((*path, "locustfile"), text, at_key=True)
        elif part.journey is not None:
            yield from _of_locust_alone(part, path)
            yield from _journey(part.journey, (*path, "journey"), keys, around)
        elif part.locustfile is not None:
            yield from _locust(part, path, around)
        else:
            yield Flaw(path, "want journey or locustfile, got neither")
        if part.name and first.setdefault(part.name, at) != at:
            key = "user_class" if part.journey is None else "journey"
            text = f"want each name once in a mix, got {short(part.name)} again"
            yield Flaw((*path, key), f"{text} (first at mix.{first[part.name]})")


def _of_locust_alone(part: PartKeys, path: Path) -> Iterator[Flaw]:
    for key in ("user_class", "trust"):
        if getattr(part, key):
            yield Flaw((*path, key), f"want {key} beside locustfile alone, got it", at_key=True)


def _journey(name: str, path: Path, keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    journeys = around.journeys
    if name not in journeys.names:
        text = f"want the name of a journey, got {short(name)}{suggest(name, journeys.names)}"
        yield Flaw(path, text)
        return
    if journeys.is_broken(name):
        return  # told where it stands
    want = f"want a journey that a load can play, got {short(name)}:"
    family = journeys.written[name].family
    if family is not OVER_HTTP:
        key = next(key for key, it in FAMILIES.items() if it is family)
        yield Flaw(path, f"{want} with {key}: it is for probes alone")
        return
    journey: Journey = journeys.compiled[name]
    found = list(obstacles(journey))
    for obstacle in found:
        yield Flaw(path, f"{want} {obstacle}; load: skip leaves it out")
    if not found and not requests_of(journey):
        yield Flaw(path, f"{want} no step that a load plays makes a request")
    if not keys.target and not journey.base_url:
        yield Flaw(path, f"want target:, or base_url: of the journey {short(name)}, got neither")


def _locust(part: PartKeys, path: Path, around: Around) -> Iterator[Flaw]:
    if not part.trust:
        text = "want trust: true beside a Locust file, which is code that will run, got none"
        yield Flaw((*path, "locustfile"), text, at_key=True)
    if part.user_class is None:
        yield Flaw(path, "want the key 'user_class' beside locustfile, got none")
    file = part.locustfile or ""
    try:
        found = inside(around.directory.resolve(), file)
        names = _classes(file, read_code(found, file))
    except ValueError as error:
        yield Flaw((*path, "locustfile"), str(error))
        return
    around.files.add(found)
    if part.user_class is not None and part.user_class not in names:
        text = f"want a class of {file}, got {short(part.user_class)}"
        yield Flaw((*path, "user_class"), text + suggest(part.user_class, names))


def _classes(file: str, source: str) -> set[str]:
    """Return every name of the first level that may be a class.

    Raises:
        ValueError: it is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        text = str(getattr(error, "msg", None) or error)
        raise ValueError(f"{file}:{line}: want Python, got {short(text)}") from None
    found: set[str] = set()
    for it in ast.walk(tree):
        if isinstance(it, ast.ClassDef):
            found.add(it.name)
        elif isinstance(it, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in it.names)
        elif isinstance(it, ast.Name) and isinstance(it.ctx, ast.Store):
            found.add(it.id)
    return found


# ---------------------------------------------------------------- times and probes
def _schedule(keys: ScenarioKeys) -> Iterator[Flaw]:
    if keys.schedule is not None:
        try:
            parse_cron(keys.schedule)
        except ValueError as error:
            yield Flaw(("schedule",), str(error))
    try:
        ZoneInfo(keys.timezone)
    except (KeyError, ValueError, OSError):
        # not found, no name of a zone, a directory of them
        text = f"want a time zone such as Europe/Berlin, got {short(keys.timezone)}"
        yield Flaw(("timezone",), text + suggest(keys.timezone, available_timezones()))


def _probe(path: Path, name: str, around: Around) -> Iterator[Flaw]:
    names = [it.name for it in around.probes]
    if name in names:
        return
    listed = next((it for it in names if it.startswith(f"{name}/")), None)
    if listed is not None:
        text = f"want one probe such as {short(listed)}, got the list {short(name)}"
        yield Flaw(path, text)
    elif name not in around.names:
        text = f"want the name of a probe, got {short(name)}{suggest(name, names)}"
        yield Flaw(path, text)
