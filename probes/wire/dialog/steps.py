"""The line dialog: steps that expect, take labels out, send and upgrade, over one connection.

    Step
    ├── expect | expect_bytes   lines until one matches | exactly these bytes
    ├── labels                  what the matching line says, as labels of ``expect_info``
    ├── send                    `expand`-ed by that match
    └── starttls                TLS from here on

One buffer for the whole talk, so that nothing is lost between lines and bytes. Knows neither how
the connection was opened nor what is judged of it afterwards.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from probes.errors import CheckFailed
from probes.families import REFUSED_LABELS, REFUSED_PREFIXES
from probes.pattern import Pattern, searchable
from probes.recorder import Recorder
from probes.redact import Secret, secret_of
from probes.result import Reason
from probes.settings import Settings, is_blackbox
from probes.units import short
from probes.wire.stream import Connection
from probes.wire.tls.peer import shared_metrics
from probes.wire.tls.settings import TlsOptions

# blackbox.md 4.3; measured: with the LF a line of upstream fits a buffer of 64 KiB
MAX_LINE_BYTES = 64 * 1024 - 1
# A server that talks on and on without the line we want would else keep us busy until the deadline.
MAX_DIALOG_BYTES = 1024 * 1024
# P13: judging so many lines takes 40 ms of CPU; a banner has a handful.
MAX_LINES = 10_000
# Judging so many takes a millisecond; then it is others' turn.
LINES_AT_ONCE = 256
# A blackbox.yml knows no limit; nobody writes a longer talk by hand.
MAX_STEPS = 256
# Words of a server may come back in an answer many times over.
MAX_SEND_BYTES = 1024 * 1024
# Texts of a hostile line are cut again where they become labels; more is not worth carrying.
MAX_LABEL_CHARACTERS = 512

DIALOG_METRICS = shared_metrics("failed_due_to_regex", "failed_due_to_bytes", "expect_info")

# Go's regexp.Expand: $$, ${name}, or $ and the longest run of letters, digits and underscores
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
# Go takes a longer run of digits, and one that begins with 0, for a name.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
# https://prometheus.io/docs/concepts/data_model/
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
# metrics.md 2.2: labels of the probe itself, on each of its series.
_OF_THE_PROBE = frozenset({"probe", "kind", "target"})


def _from_hex(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"hex"}:
        try:
            return bytes.fromhex(str(value["hex"]))
        except ValueError:
            raise ValueError(f"want bytes in hex, got {short(value['hex'])}") from None
    return value


def _to_bytes(value: object) -> object:
    value = _from_hex(value)
    return value.encode() if isinstance(value, str) else value


def _to_text(value: object, info: ValidationInfo) -> str | Secret | bytes:
    value = _from_hex(value)
    return value if isinstance(value, str | bytes) else secret_of(value, info)


def _to_hex(value: object) -> object:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _shown(value: object) -> object:
    return str(value) if isinstance(value, Secret) else _to_hex(value)


_HEX_SCHEMA = {
    "type": "object", "properties": {"hex": {"type": "string"}}, "required": ["hex"],
    "additionalProperties": False,
}  # fmt: skip
Octets = Annotated[
    bytes,
    BeforeValidator(_to_bytes, json_schema_input_type=str | dict[str, str]),
    PlainSerializer(_to_hex, when_used="json"),
]
"""A text, or ``{hex: 00ff}``."""
Text = Annotated[
    str | Secret | bytes,
    PlainValidator(
        _to_text,
        json_schema_input_type=str | Secret | Annotated[bytes, WithJsonSchema(_HEX_SCHEMA)],
    ),
    PlainSerializer(_shown, when_used="json"),
]
"""A text, ``{hex: 00ff}``, or ``{env: NAME}`` or ``{file: path}``."""


def _to_labels(value: object) -> object:
    """Read blackbox_exporter's list of ``{name, value}`` too."""
    if not isinstance(value, list | tuple):
        return value
    found: dict[object, object] = {}
    for item in value:
        if not (isinstance(item, dict) and set(item) == {"name", "value"}):
            raise ValueError(f"want a name and a value, got {short(item)}")
        if item["name"] in found:
            raise ValueError(f"want each label once, got {short(item['name'])} twice")
        found[item["name"]] = item["value"]
    return found


Labels = Annotated[
    dict[str, str],
    BeforeValidator(_to_labels, json_schema_input_type=dict[str, str] | list[dict[str, str]]),
]


class Step(Settings):
    """One step of a dialog; what it names is done in this order."""

    expect: Pattern | None = None
    """Read lines until one matches."""
    expect_bytes: Octets | None = None
    """Read exactly these bytes."""
    labels: Labels = Field(default_factory=dict)
    """Labels of the series ``probe_expect_info``, by their name; ``${1}`` and ``${name}`` are
    groups of ``expect``."""
    send: Text | None = None
    """Send this. Beside ``expect``, ``$1``, ``${1}`` and ``${name}`` are groups of it and ``$$`` is
    a dollar; a secret is sent as it is."""
    starttls: bool = False
    """Turn the connection into a TLS one."""

    @model_validator(mode="after")
    def _does_something(self, info: ValidationInfo) -> Self:
        if self.expect is not None and self.expect_bytes:
            raise ValueError("want expect or expect_bytes, got both")
        _judge_names(self.labels, lenient=is_blackbox(info))
        if is_blackbox(info):
            return self
        if self.labels and self.expect is None:
            raise ValueError("want expect beside labels, got labels alone")
        if not (self.expect or self.expect_bytes or self.send or self.starttls):
            raise ValueError("want expect, expect_bytes, send or starttls, got none of them")
        return self


def _judge_names(labels: dict[str, str], *, lenient: bool) -> None:
    for name in labels:
        if not _LABEL_NAME.fullmatch(name):
            raise ValueError(f"want a label name such as version, got {short(name)}")
        taken = name in _OF_THE_PROBE | REFUSED_LABELS or name.startswith(REFUSED_PREFIXES)
        if taken and not lenient:
            raise ValueError(f"want a label name that is not taken, got {short(name)}")


def expand(template: str, match: Any) -> str:
    """Return *template* with its references replaced by groups of *match*, as Go does.

    Args:
        template: ``$1`` and ``${1}`` are groups by number, ``$name`` and ``${name}`` by name;
            ``$name`` takes the longest run of letters, digits and ``_``. One that does not exist or
            took no part is empty. ``$$`` is ``$``; any other ``$`` stays.
        match: what `Pattern.search` returned.

    Source:
        https://pkg.go.dev/regexp#Regexp.Expand
    """
    if "$" not in template:
        return template
    return _REFERENCE.sub(lambda found: found[1] or _group(found[2] or found[3], match), template)


def _group(name: str, match: Any) -> str:
    group: int | None = match.re.groupindex.get(name)
    if _NUMBER.fullmatch(name):
        group = int(name) if int(name) <= match.re.groups else None
    value: bytes | None = None if group is None else match.group(group)
    return (value or b"").decode("utf-8", "replace")


def _expand_within(template: str, match: Any) -> str:
    longest = match.end() - match.start()
    if template.count("$") * longest > MAX_SEND_BYTES:
        raise CheckFailed(
            Reason.TOO_LARGE, f"want at most {MAX_SEND_BYTES} bytes out of a line, got more"
        )
    return expand(template, match)


class Talk:
    """What is said over one connection, and how it failed.

    Args:
        recorder: gets phase ``dialog`` and the samples of `DIALOG_METRICS`.
        tls: options of a ``starttls`` step.
        server_name: to ask for and to verify then; empty: the host of the connection.
        line_end: appended to everything that is sent.
        hide: cleans what becomes a label: a server may send back what it was sent.
    """

    def __init__(
        self,
        recorder: Recorder,
        tls: TlsOptions,
        *,
        server_name: str = "",
        line_end: str = "",
        hide: Callable[[str], str] = str,
    ) -> None:
        self.bytes_read = 0
        self._recorder = recorder
        self._tls = tls
        self._server_name = server_name
        self._line_end = line_end.encode()
        self._hide = hide
        self._lines = 0
        self._missed_pattern = self._missed_bytes = False
        self._labels: list[dict[str, str]] = []

    def record(self) -> None:
        """Write down how the talk went; once, whatever ended it."""
        self._recorder.sample("failed_due_to_regex", float(self._missed_pattern))
        self._recorder.sample("failed_due_to_bytes", float(self._missed_bytes))
        # one family, so each series has every label
        names = sorted({name for labels in self._labels for name in labels})
        rows = {tuple(labels.get(name, "") for name in names): None for labels in self._labels}
        for values in rows:
            self._recorder.sample("expect_info", 1.0, **dict(zip(names, values, strict=True)))

    async def through(self, steps: Sequence[Step], connection: Connection) -> None:
        """Go through *steps*, in phase ``dialog``.

        Raises:
            CheckFailed: ``body``: not what was expected; ``closed``: the end before it;
                ``too_large``: more than anybody would say; what `Connection.start_tls` raises.
        """
        self._recorder.enter("dialog")
        for step in steps:
            match = None
            if step.expect is not None:
                match = await self._read_line(step.expect, connection)
                if step.labels:
                    self._labels.append(self._taken(step.labels, match))
            if step.expect_bytes:
                await self._read_bytes(step.expect_bytes, connection)
            if step.send:
                self._send(step.send, match, connection)
            if step.starttls:
                await connection.start_tls(self._tls.context(), self._server_name)
                self._recorder.enter("dialog")
        self._recorder.leave()

    def _taken(self, labels: dict[str, str], match: Any) -> dict[str, str]:
        return {
            name: self._hide(_expand_within(template, match))[:MAX_LABEL_CHARACTERS]
            for name, template in labels.items()
        }

    def _send(self, text: str | Secret | bytes, match: Any, connection: Connection) -> None:
        if isinstance(text, Secret):
            # a dollar in a password is no reference
            data = text.get_secret_value().encode()
        else:
            # bytes that are no text survive the way there and back
            data = text if isinstance(text, bytes) else text.encode()
            if match is not None and b"$" in data:
                raw = data.decode("utf-8", "surrogateescape")
                data = _expand_within(raw, match).encode("utf-8", "surrogateescape")
        if data:
            connection.write(data + self._line_end)

    async def _read_line(self, pattern: Pattern, connection: Connection) -> Any:
        """Return the match of the first line that *pattern* matches."""
        last: bytes | None = None
        try:
            while (line := await self._next_line(connection)) is not None:
                match = pattern.search(searchable(line))
                if match is not None:
                    last = None
                    return match
                last = line
            self._missed_pattern = True
            reason = Reason.CLOSED if last is None else Reason.BODY
            got = "the end of the stream" if last is None else _in_words(last)
            raise CheckFailed(reason, f"want a line that matches {short(str(pattern))}, got {got}")
        finally:
            # also when the deadline ends it: what came instead
            if last is not None:
                self._recorder.fact("last_line", last.decode("utf-8", "replace"))

    async def _next_line(self, connection: Connection) -> bytes | None:
        self._lines += 1
        if self._lines > MAX_LINES:
            raise CheckFailed(Reason.TOO_LARGE, f"want at most {MAX_LINES} lines, got more")
        if self._lines % LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        line = await connection.read_line(MAX_LINE_BYTES)
        self._count(connection)
        return line

    async def _read_bytes(self, wanted: bytes, connection: Connection) -> None:
        got = await connection.read_exactly(len(wanted))
        self._count(connection)
        if got != wanted:
            self._missed_bytes = True
            raise CheckFailed(Reason.BODY, f"want {short(wanted)}, got {short(got)}")

    def _count(self, connection: Connection) -> None:
        self.bytes_read = connection.bytes_read
        if self.bytes_read > MAX_DIALOG_BYTES:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want at most {MAX_DIALOG_BYTES} bytes in all, got more"
            )


def _in_words(line: bytes) -> str:
    return short(line.decode("utf-8", "replace"))
