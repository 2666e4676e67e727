"""A blackbox.yml becomes a probe file of ours: the same modules, natively.

    Config of a blackbox.yml ── native settings ── judged natively ── YAML that `sonde lint` takes

What works differently from then on is told, and so is what could not be carried over. Knows neither
upstream's words nor a kind: `probes.config.blackbox` has translated already.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from probes.config.load import Config
from probes.config.presets import Module
from probes.config.wording import findings
from probes.kind import Kind
from probes.redact import Secret
from probes.units import format_duration

WIDTH = 96
# Reads as a number, if not to PyYAML then to us.
_NUMERIC = re.compile(r"[-+.0-9][-+.0-9a-fA-FxXoOeE_]*", re.ASCII)
AGENT = "User-Agent is sonde's own; set it in headers: if a server asks for upstream's"
TARGETS = (
    "/probe answers targets that a probe of the file names, and what probe_policy.allow admits;"
    " --blackbox-config answers any"
)
ALL_MATCH = (
    "expect.{section}.every_if_any does what fail_if_all_match_regexp does: it fails when NOT all"
    " records match; what that name says is not_every"
)
IN_CLEAR = "{key} is a secret in plain text: better {{env: NAME}} or {{file: path}}"
RELATIVE = (
    "{key}: the relative path {path!r} begins beside the probe file, not in the working directory"
)


@dataclass(slots=True)
class Carried:
    """What has come of a blackbox.yml."""

    text: str = ""
    modules: int = 0
    changed: list[str] = field(default_factory=list)
    """What works differently from now on."""
    lost: list[str] = field(default_factory=list)
    """What has no native form."""
    advice: list[str] = field(default_factory=list)
    """What is the same, and better told in another way."""

    def told(self) -> Iterator[tuple[str, str]]:
        """Yield what there is to say: in a word, and in full."""
        yield from (("changed", text) for text in self.changed)
        yield from (("advice", text) for text in self.advice)
        yield from (("not carried over", text) for text in self.lost)


def carry(config: Config, source: str) -> Carried:
    """Return the probe file that says what a blackbox.yml says.

    Args:
        config: of the blackbox.yml.
        source: its text, for the comments in it.
    """
    carried = Carried(changed=[TARGETS])
    if any(module.kind.name == "http" for module in config.modules.values()):
        carried.changed.append(AGENT)
    comments = _comments(config, source)
    lines = ["version: 1", "", "modules:"]
    for name, module in config.modules.items():
        lines += [f"  {comment}" for comment in comments.get(name, ())]
        lines += _module(name, module, carried)
    if not config.modules:
        lines[-1] = "modules: {}"
    head = [f"# Taken over by `sonde import blackbox` from {config.path.name}."]
    head += [f"# {word.capitalize()}: {text}" for word, text in carried.told()]
    carried.text = "\n".join([*head, *lines]) + "\n"
    return carried


def _module(name: str, module: Module, carried: Carried) -> Iterator[str]:
    if module.origin is None:
        return
    native, at = module.origin.native, f"{module.origin.place}: {name}"
    carried.lost += [f"{at}: {key}: {why}" for key, why in native.lost.items()]
    settings = _without_defaults(native.settings, module.kind)
    why = "" if native.lost else native.broken or _refusal(module.kind, settings)
    if why:
        carried.lost.append(f"{at}: {why}")
    carried.changed += [f"{at}: {text}" for text in _changes(settings)]
    carried.advice += [
        f"{at}: {IN_CLEAR.format(key=key)}"
        for key, value in _leaves(settings)
        if isinstance(value, Secret)
    ]
    keys: dict[str, Any] = {"kind": native.kind}
    if native.timeout_s is not None:
        keys["timeout"] = format_duration(native.timeout_s)
    block = list(_block({name: keys | _written(settings)}))
    if why or native.lost:
        # it stands there to be finished by hand
        yield from (f"  # {line[2:]}" for line in block)
        return
    carried.modules += 1
    yield from block


def _refusal(kind: type[Kind], settings: Mapping[str, Any]) -> str:
    """Return why these settings are none natively; empty when they are."""
    try:
        kind.model_validate(dict(settings), context={"directory": Path()})
    except ValidationError as error:
        found = next(iter(findings(error, settings, kind)))
        path = ".".join(map(str, found.path))
        return f"{path}: {found.message}" if path else found.message
    return ""


def _without_defaults(settings: Mapping[str, Any], kind: type[Kind]) -> dict[str, Any]:
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    return {
        key: value
        for key, value in settings.items()
        if key not in fields or fields[key].default != value
    }


def _changes(settings: Mapping[str, Any]) -> Iterator[str]:
    for section in ("answer", "authority", "additional"):
        expect = settings.get("expect")
        records = expect.get(section) if isinstance(expect, Mapping) else None
        if isinstance(records, Mapping) and "every_if_any" in records:
            yield ALL_MATCH.format(section=section)
    for path, value in _leaves(settings):
        key = path.rpartition(".")[2]
        is_path = isinstance(value, str) and (key == "file" or key.endswith("_file"))
        if is_path and not Path(value).is_absolute():
            yield RELATIVE.format(key=path, path=value)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted key."""
    if not isinstance(value, Mapping | list):
        yield path, value
        return
    for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def _written(value: Any) -> Any:
    """Return *value* as a probe file has it: in texts ``${`` would name a variable."""
    if isinstance(value, Secret):
        value = value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _written(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_written, value))
    return value.replace("${", "$${") if isinstance(value, str) else value


def _comments(config: Config, source: str) -> dict[str, list[str]]:
    """Return the comments that stand in or right above each module."""
    lines = source.splitlines()
    starts = {
        name: int(module.origin.place.rpartition(":")[2]) - 1
        for name, module in config.modules.items()
        if module.origin is not None
    }
    ordered = sorted(starts, key=lambda name: starts[name])
    found: dict[str, list[str]] = {name: [] for name in ordered}
    begin = 0
    for index, name in enumerate(ordered):
        at = starts[name]
        above = at
        while above > begin and lines[above - 1].lstrip().startswith("#"):
            above -= 1
        if index:
            found[ordered[index - 1]] += _only_comments(lines[begin:above])
        found[name] += _only_comments(lines[above:at])
        begin = at
    if ordered:
        found[ordered[-1]] += _only_comments(lines[begin:])
    return found


def _only_comments(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in lines if line.lstrip().startswith("#")]


class _Dumper(yaml.SafeDumper):
    """Writes the same object twice, not once and an alias; quotes what may read as a number."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a hook of PyYAML
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _NUMERIC.fullmatch(text) or text.count("\n") == 1:
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _block(value: Any) -> Iterator[str]:
    text = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH,
        default_flow_style=False,
    )  # fmt: skip
    return (f"  {line}".rstrip() for line in text.rstrip("\n").split("\n"))
