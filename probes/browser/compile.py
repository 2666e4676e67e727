"""A browser journey as the file writes it becomes a plan, or every mistake in it is told.

    BrowserJourneyKeys ── texts compiled, sources proved ── BrowserJourney

Knows no file but those of data and uploads, and nothing of how a plan is played.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.browser.journey import BrowserJourney
from probes.browser.keys import (
    BrowserStepKeys,
    CheckKeys,
    EvaluateKeys,
    ExpectKeys,
    ExtractKeys,
    FillKeys,
    GotoKeys,
    LocatorKeys,
    PressKeys,
    SelectKeys,
    TakeKeys,
    UploadKeys,
    WaitKeys,
)
from probes.browser.plan import (
    DEFAULT_STEP_TIMEOUT_S,
    Action,
    Locator,
    Look,
    Plan,
    Step,
    Take,
)
from probes.browser.process import Launch
from probes.browser.settings import BrowserJourneyKeys
from probes.expect import Statuses
from probes.journey import flaws
from probes.journey.flaws import Flawed
from probes.journey.language.wish import Wish
from probes.journey.loading.settings import World
from probes.journey.loading.sources import begin, variables
from probes.units import short

WEB = ("http://", "https://")


def compile_browser(name: str, keys: BrowserJourneyKeys, world: World) -> BrowserJourney:
    """Return the browser journey *name* as it is played.

    Args:
        name: in the file.
        keys: as read.
        world: what else it may reach.

    Raises:
        Flawed: with every mistake.
    """
    making = _Making(name, keys, world)
    journey = making.journey()
    if making.proof.flaws:
        raise Flawed(tuple(dict.fromkeys(making.proof.flaws)))
    return journey


class _Making:
    """One browser journey in the making."""

    def __init__(self, name: str, keys: BrowserJourneyKeys, world: World) -> None:
        self._name = name
        self._keys = keys
        self._world = world
        found = dict(_extracted(keys))
        self.proof, self._feeder = begin(keys, world, keys.secrets, found)

    def journey(self) -> BrowserJourney:
        """Return what comes of it; it may be played only when there are no flaws."""
        keys, options, world = self._keys, self._keys.browser, self._world
        own = {key: ("", value) for key, value in keys.vars.items()}
        values = variables(self.proof, own, world.variables)
        headers = self._headers()
        steps = tuple(self._step(at, step) for at, step in enumerate(keys.steps))
        self._judge_names()
        vitals = {
            vital: wish.source
            for vital in type(keys.expect).model_fields
            if (wish := getattr(keys.expect, vital)) is not None
        }
        width, height = options.viewport
        plan = Plan(
            journey=self._name,
            base_url=keys.base_url,
            steps=steps,
            vitals=vitals,
            look=Look(width, height, options.locale, options.timezone, options.user_agent),
            headers=headers,
            block=tuple(options.block),
            verifies=options.verify,
            may_evaluate=options.evaluate,
        )
        given = {key: text for key, text in world.variables.items() if self._uses(key)}
        return BrowserJourney(
            plan=plan,
            launch=Launch(options.executable, options.sandbox),
            base_url=keys.base_url or self._first_origin(),
            timeout_s=keys.timeout,
            record=options.record,
            limits=world.browser,
            artefacts=(world.directory / it).absolute()
            if (it := world.browser.artefacts)
            else None,
            vars=tuple((key, tree) for key, tree in values if key in keys.vars or key in given),
            secrets=tuple(keys.secrets.items()),
            feeder=self._feeder,
            environ=dict(world.environ) if _asks_environment(keys.model_dump()) else {},
            reads=frozenset(self.proof.read),
            origin=(keys, given, world.browser, self._feeder and self._feeder.digest),
        )

    def _uses(self, key: str) -> bool:
        return key in self._keys.vars or not self.proof.read.isdisjoint({key, f"vars.{key}"})

    def _headers(self) -> tuple[tuple[str, str], ...]:
        given = {name: text for name, text in self._keys.browser.headers.items() if text}
        for name, text in given.items():
            path = ("browser", "headers", name)
            if any(sign in text for sign in "\r\n\0"):
                self.proof.flaw(path, "want a text of one line, got line breaks or NUL")
            self.proof.template(path, text)
        return tuple(given.items())

    def _step(self, at: int, keys: BrowserStepKeys) -> Step:
        path: flaws.Path = ("steps", at)
        action = keys.told_by
        if keys.if_ is not None:
            self.proof.condition((*path, "if"), keys.if_)
        own = getattr(keys, action)
        target = self._locator((*path, action), own) if isinstance(own, LocatorKeys) else None
        inner = getattr(own, "timeout", None)
        if inner is not None and keys.timeout is not None:
            self.proof.flaw((*path, "timeout"), "want one timeout for a step, got two")
        step = Step(
            name=keys.name,
            action=Action(action),
            target=target,
            text=self._text(path, keys),
            timeout_s=inner or keys.timeout or DEFAULT_STEP_TIMEOUT_S,
            wait=keys.wait if isinstance(keys, GotoKeys) else "load",
            statuses=_ranges(keys.status) if isinstance(keys, GotoKeys) else (),
            checked=keys.check.checked if isinstance(keys, CheckKeys) else True,
            seconds=keys.wait if isinstance(keys, WaitKeys) else 0.0,
            expect=self._expect(path, keys),
            extract=self._takes(path, keys),
            condition=keys.if_ or "",
        )
        self._judge_evaluate(path, keys)
        return step

    def _judge_evaluate(self, path: flaws.Path, keys: BrowserStepKeys) -> None:
        if isinstance(keys, EvaluateKeys) and not self._keys.browser.evaluate:
            text = "want browser: {evaluate: true} for a step that runs a script, got none"
            self.proof.flaw((*path, "evaluate"), text, at_key=True)

    def _text(self, path: flaws.Path, keys: BrowserStepKeys) -> str:
        """Return what an action says or takes beside its element."""
        if isinstance(keys, GotoKeys):
            return self._address((*path, "goto"), keys.goto)
        if isinstance(keys, FillKeys):
            return self._template((*path, "fill", "value"), keys.fill.value)
        if isinstance(keys, PressKeys):
            return self._template((*path, "press", "key"), keys.press.key)
        if isinstance(keys, SelectKeys):
            return self._template((*path, "select", "option"), keys.select.option)
        if isinstance(keys, UploadKeys):
            return self._file((*path, "upload", "file"), keys.upload.file)
        return keys.evaluate if isinstance(keys, EvaluateKeys) else ""

    def _template(self, path: flaws.Path, text: str) -> str:
        self.proof.template(path, text)
        return text

    def _address(self, path: flaws.Path, text: str) -> str:
        scheme, colon, _ = text.partition(":")
        is_absolute = text.startswith(WEB)
        if colon and scheme.isalnum() and not is_absolute:
            # file:, data:, javascript: and chrome: are no addresses of a service
            self.proof.flaw(path, f"want a path or an http(s) URL, got {short(text)}")
        return self._template(path, text)

    def _file(self, path: flaws.Path, name: str) -> str:
        home = self._world.directory.resolve()
        try:
            found = (home / name).resolve()
        except (OSError, RuntimeError):
            found = Path(name)
        if not found.is_relative_to(home):
            self.proof.flaw(path, f"want a file inside {short(str(home))}, got {short(name)}")
        elif not found.is_file():
            self.proof.flaw(path, f"want a file that is there, got {short(name)}")
        return str(found)

    def _locator(self, path: flaws.Path, keys: LocatorKeys) -> Locator | None:
        if not keys.ways:
            return None
        by = keys.ways[0]
        value = self._template((*path, by), getattr(keys, by))
        name = self._template((*path, "name"), keys.name) if keys.name is not None else ""
        return Locator(by, value, name, keys.exact)

    def _expect(self, path: flaws.Path, keys: BrowserStepKeys) -> dict[str, Any]:
        if isinstance(keys, EvaluateKeys) and keys.result is not None:
            return {"result": self._wish((*path, "result"), keys.result)}
        if not isinstance(keys, ExpectKeys):
            return {}
        return {
            what: self._wish((*path, "expect", what), wish)
            for what in type(keys.expect).model_fields
            if (wish := getattr(keys.expect, what)) is not None
        }

    def _wish(self, path: flaws.Path, wish: Wish) -> Any:
        self.proof.reads(path, wish.reads)
        return wish.source

    def _takes(self, path: flaws.Path, keys: BrowserStepKeys) -> tuple[Take, ...]:
        if not isinstance(keys, ExtractKeys):
            return ()
        found = tuple(
            self._take((*path, "extract", name), name, one) for name, one in keys.extract.items()
        )
        self.proof.learn(keys.extract)
        return found

    def _take(self, path: flaws.Path, name: str, keys: TakeKeys) -> Take:
        has_default = "default" in keys.model_fields_set
        group = keys.group
        if group is None:
            group = min(1, keys.regex.groups) if keys.regex is not None else 0
        source: Any = keys.take
        if keys.cookie is not None or keys.attribute is not None:
            source = "cookie" if keys.cookie is not None else "attribute"
        return Take(
            name=name,
            source=source,
            target=self._locator(path, keys),
            attribute=keys.cookie or keys.attribute or "",
            pattern="" if keys.regex is None else keys.regex.text,
            group=group,
            is_optional=keys.optional,
            has_default=has_default,
            default=keys.default if has_default else None,
        )

    def _judge_names(self) -> None:
        first: dict[str, int] = {}
        for at, step in enumerate(self._keys.steps):
            if step.name in first:
                text = f"want a unique name of a step, got {step.name!r} again"
                text += f" (first at steps.{first[step.name]})"
                self.proof.flaw(("steps", at, "name"), text)
            first.setdefault(step.name, at)

    def _first_origin(self) -> str:
        """Return where the journey begins when only its first ``goto`` says so."""
        for step in self._keys.steps:
            if isinstance(step, GotoKeys):
                authority = step.goto.partition("://")[2].partition("/")[0]
                if step.goto.startswith(WEB) and "${" not in authority:
                    return f"{step.goto.partition('://')[0]}://{authority}"
                return ""
        return ""


def _extracted(keys: BrowserJourneyKeys) -> Iterator[tuple[str, str]]:
    """Give every name that a step takes out of a page, with the first such step."""
    for step in reversed(keys.steps):
        if isinstance(step, ExtractKeys):
            yield from ((name, step.name) for name in step.extract)


def _ranges(statuses: Statuses | None) -> tuple[str, ...]:
    """Return the codes as ranges that `Statuses` reads back; empty: the default."""
    if statuses is None:
        return ()
    codes = [code for code in range(100, 1000) if statuses.admits(code)]
    found: list[str] = []
    for code in codes:
        if found and int(found[-1].rpartition("-")[2]) == code - 1:
            found[-1] = f"{found[-1].partition('-')[0]}-{code}"
        else:
            found.append(str(code))
    return tuple(found)


def _asks_environment(value: Any) -> bool:
    """Return whether some text may hold ``env(...)``; else no variable leaves this process."""
    if isinstance(value, str):
        return "env(" in value
    if isinstance(value, dict):
        return any(map(_asks_environment, (*value, *value.values())))
    if isinstance(value, Wish):
        return _asks_environment(value.source)
    return isinstance(value, list) and any(map(_asks_environment, value))
