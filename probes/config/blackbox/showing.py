"""Modules as YAML, in upstream's words: defaults filled in, secrets ``<secret>``.

For ``/config`` and the debug text of ``/probe``. Knows no page.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from probes.config.blackbox.fields import Address, Concealed, is_secret_header
from probes.config.blackbox.options import (
    BlackboxModule,
    DnsSection,
    GrpcSection,
    HttpSection,
    IcmpSection,
    TcpSection,
    UnixSection,
    WebsocketSection,
)
from probes.config.blackbox.reading import read_any
from probes.redact import redact_shapes
from probes.settings import Settings
from probes.units import format_size

HIDDEN = "<secret>"
_PASSWORD = re.compile(r"(://[^/?#@:]*:)[^/?#]*(?=@)")
_SECTIONS: Mapping[str, type[Settings]] = {
    "http": HttpSection, "tcp": TcpSection, "unix": UnixSection, "dns": DnsSection,
    "icmp": IcmpSection, "grpc": GrpcSection, "websocket": WebsocketSection,
}  # fmt: skip
# Where a name of a secret tells one.
_NAMED = frozenset({"headers", "http_headers", "metadata", "endpoint_params", "claims"})


def module_yaml(module: BlackboxModule) -> str:
    """Return one module."""
    return _yaml(module_form(module))


def modules_yaml(modules: Mapping[str, BlackboxModule]) -> str:
    """Return a whole file, its modules in order of their names."""
    return _yaml({"modules": {name: module_form(it) for name, it in sorted(modules.items())}})


def module_form(module: BlackboxModule) -> dict[str, Any]:
    """Return one module as plain data; the section of its prober is there, given or not."""
    form = _form(module)
    if module.prober not in form:
        form[module.prober] = _form(_SECTIONS[module.prober]())
    return form


def _form(settings: Settings) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value: Any = getattr(settings, name)
        if _is_empty(value) and _is_empty(field.default):
            continue
        marks = {type(mark) for mark in field.metadata}
        if Concealed in marks:
            form[name] = _hidden(value)
        elif Address in marks:
            form[name] = _PASSWORD.sub(r"\1xxxxx", value)
        elif name in _NAMED:
            form[name] = {key: _named(key, inner) for key, inner in value.items()}
        else:
            shown = _value(name, value)
            if shown != {}:
                form[name] = shown
    return form


def _is_empty(value: object) -> bool:
    """Whether upstream leaves it out."""
    return value is None or value in ("", b"", [], {}, 0)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Settings):
        return _form(value)
    if isinstance(value, list):
        return [_value("", item) for item in value]
    if isinstance(value, dict):
        return {key: _value("", item) for key, item in value.items()}
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> Any:
    if name == "timeout":
        return go_duration(value)
    if name == "body_size_limit":
        return format_size(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value  # YAML has !!binary for it
    return redact_shapes(value) if isinstance(value, str) else value


def _named(name: str, value: Any) -> Any:
    if is_secret_header(name):
        return _hidden(value)
    if isinstance(value, Mapping):
        return {key: _named(key, inner) for key, inner in value.items()}
    return _value("", read_any(value))


def _hidden(value: Any) -> Any:
    if isinstance(value, Settings):
        value = _form(value)
    if isinstance(value, Mapping):
        return {key: _hidden(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [HIDDEN for _ in value]
    return HIDDEN


def go_duration(seconds: float) -> str:
    """Write seconds as Go does: 90 -> 1m30s, 0.5 -> 500ms."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0") if rest else str(whole)


class _Dumper(yaml.SafeDumper):
    """Writes the same object twice, not once and an alias; items of lists are indented."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a hook of PyYAML
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - a hook of PyYAML
        super().increase_indent(flow, False)  # noqa: FBT003 - a hook of PyYAML


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
