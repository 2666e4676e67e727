"""Keys of an indexer as they stand in the probe file, and what is known of common ones.

Knows neither how a source is asked nor what its answer means.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from probes.chain.answer.quantity import quantity
from probes.chain.settings import NAME, AuthKeys, CountLimit, HttpAddress, both, in_order
from probes.jsonpath import JsonPath
from probes.redact import Secret
from probes.settings import Settings
from probes.units import Duration, short
from probes.wire.http.headers import HeaderName, Line
from probes.wire.tls.settings import TlsOptions

# A slip of the keyboard is longer than any metric's name and labels.
MAX_SELECTOR_CHARACTERS = 256
# What is read of the series of one name: those of a thousand subgraphs; hostile ones take 50 ms.
MAX_READ_BYTES = 512 * 1024
MAX_SERIES_BYTES = 2048
# What it takes to look at a series, however short.
SERIES_COST_BYTES = 64
_BEHIND_NAME = frozenset("{ \t")
_LABELS = r'\{((?:\s*[a-zA-Z_][a-zA-Z0-9_]*\s*=\s*"(?:[^"\\]|\\.)*"\s*,?)*)\s*\}'
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"', re.ASCII)
_SELECTOR = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:{_LABELS})?", re.ASCII)
_SERIES = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:{_LABELS})?\s+(\S+)(?:\s+\S+)?", re.ASCII)
_NEEDED = {
    "sql": ("kind", "target", "query"),
    "json": ("url", "height"),
    "graphql": ("url", "query", "height"),
    "prometheus": ("url", "height"),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """How a known indexer tells its progress; chains.md 12."""

    source: Literal["json", "graphql"]
    query: str = ""
    height: str = ""
    hash: str = ""
    timestamp: str = ""
    healthy: str = ""
    fatal: str = ""


_GRAPH_NODE = "$.data.indexingStatusForCurrentVersion"
PRESETS: Mapping[str, Preset] = {
    "thegraph": Preset(
        "graphql",
        "{ _meta { block { number hash timestamp } hasIndexingErrors } }",
        "$.data._meta.block.number",
        "$.data._meta.block.hash",
        "$.data._meta.block.timestamp",
        "$.data._meta.hasIndexingErrors == false",
    ),
    "graph_node": Preset(
        "graphql",
        "query sonde($name: String!) { indexingStatusForCurrentVersion(subgraphName: $name) {"
        " synced health fatalError { message }"
        " chains { chainHeadBlock { number } latestBlock { number hash } } } }",
        f"{_GRAPH_NODE}.chains[0].latestBlock.number",
        f"{_GRAPH_NODE}.chains[0].latestBlock.hash",
        healthy=f'{_GRAPH_NODE}.health == "healthy"',
        fatal=f"{_GRAPH_NODE}.fatalError.message",
    ),
    "envio": Preset(
        "graphql",
        "{ _meta { chainId progressBlock sourceBlock isReady } }",
        "$.data._meta..progressBlock",
    ),
    "ponder": Preset("json", height="$..block.number", timestamp="$..block.timestamp"),
}


class Holds:
    """A JSON path that must hold a value: ``$.healthy``, ``$.errors == false``, ``$.a != "b"``.

    Without a sign the value must be true.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        path, sign, value = text, "", "true"
        for known in (" == ", " != "):
            if known in text:
                path, _, value = text.partition(known)
                sign = known.strip()
                break
        self.path = JsonPath(path.strip())
        self._negated = sign == "!="
        self._wanted = _literal(value.strip())

    def miss(self, document: Any) -> str | None:
        """Return what is there instead; None when it holds."""
        found = self.path.select(document)
        got = found[0] if found else None
        same = type(got) is type(self._wanted) and got == self._wanted
        return None if same is not self._negated else short(got)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holds) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Holds({self.text!r})"


def _literal(text: str) -> object:
    words: dict[str, object] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    try:
        return quantity(text)
    except ValueError:
        raise ValueError(
            f"want true, false, null, a whole number or a text in quotes, got {short(text)}"
        ) from None


def _is_path(text: str) -> str:
    if text:
        JsonPath(text)
    return text


def _is_condition(text: str) -> str:
    if text:
        Holds(text)
    return text


Path = Annotated[str, AfterValidator(_is_path)]
Condition = Annotated[str, AfterValidator(_is_condition)]


class Selector:
    """A series of an exposition page: ``name`` or ``name{label="value",...}``."""

    def __init__(self, text: str) -> None:
        found = _SELECTOR.fullmatch(text.strip()) if len(text) <= MAX_SELECTOR_CHARACTERS else None
        if found is None:
            want = 'want a series such as synced_block{chain="mainnet"}'
            raise ValueError(f"{want}, got {short(text)}")
        self.name = found[1]
        self.labels = dict(_PAIR.findall(found[2] or ""))

    def select(self, page: bytes) -> str | None:
        """Return the value of the first series of *page* that has the name and all labels.

        A page may be hostile and long: most of it is skipped by searches for bytes, and only so
        much of the series of the name is read.
        """
        name, left = self.name.encode(), MAX_READ_BYTES
        at = 0 if page.startswith(name) else _next_line(page, name, 0)
        while at >= 0 and left > 0:
            line = page[at : at + MAX_SERIES_BYTES].partition(b"\n")[0]
            left -= SERIES_COST_BYTES + len(line)
            value = self._read(line.decode("utf-8", "replace").strip())
            if value is not None:
                return value
            at = _next_line(page, name, at)
        return None

    def _read(self, line: str) -> str | None:
        """Return the value of a series; None when it is another one."""
        # what tells most of them apart costs a hundredth of the pattern
        if line[len(self.name) : len(self.name) + 1] not in _BEHIND_NAME:
            return None
        if any(f'"{value}"' not in line for value in self.labels.values()):
            return None
        found = _SERIES.fullmatch(line)
        if found is None or found[1] != self.name:
            return None
        labels = dict(_PAIR.findall(found[2] or ""))
        return found[3] if self.labels.items() <= labels.items() else None


def _next_line(page: bytes, name: bytes, at: int) -> int:
    """Return where the next line behind *at* begins that begins with *name*; -1: there is none."""
    found = page.find(b"\n" + name, at)
    return found + 1 if found >= 0 else -1


class IndexerLagKeys(Settings):
    """Blocks behind the chain."""

    warn: CountLimit = 20.0
    """Degraded above it."""
    down: CountLimit = 100.0
    """Down above it."""

    @model_validator(mode="after")
    def _no_auto(self) -> Self:
        if "auto" in (self.warn, self.down):
            raise ValueError("want a number or off for the lag of an indexer, got auto")
        # a bare limit is the harder half, and may be below the softer one of everybody
        if "warn" in self.model_fields_set:
            in_order(self.warn, self.down)
        return self


class IndexerKeys(Settings):
    """Something that indexes the chain, and where it tells how far it is."""

    name: str = Field(pattern=NAME)
    """All that is ever shown of it."""
    source: Literal["json", "graphql", "sql", "prometheus"] | None = None
    """How it is asked; a preset brings its own."""
    preset: Literal["thegraph", "graph_node", "envio", "ponder"] | None = None
    """Query and paths of a known indexer; own keys win."""
    url: HttpAddress | None = None
    """Address; for all sources but sql."""
    kind: str = ""
    """sql: the kind that runs the query, such as postgres."""
    target: Secret | None = None
    """sql: its target."""
    subgraph: str = ""
    """graph_node: name of the subgraph."""
    query: str = ""
    """graphql or sql."""
    height: str = ""
    """JSON path, or prometheus: name{label="value"}; sql takes the first column of the first row.
    """
    hash: Path = ""
    """JSON path of the block's hash: compared with the chain's."""
    timestamp: Path = ""
    """JSON path of the block's time, as Unix time."""
    healthy: Condition = ""
    """JSON path that must be true, or be compared: ``$.errors == false``."""
    lag: Annotated[
        IndexerLagKeys, BeforeValidator(both, json_schema_input_type=IndexerLagKeys | CountLimit)
    ] = IndexerLagKeys()
    """Blocks behind the chain."""
    stalled_after: Duration = 600.0
    """Down when its height has not moved for so long while it is behind."""
    against: Literal["latest", "finalized"] = "latest"
    """What the lag is counted from."""
    headers: dict[HeaderName, Line] = Field(default={})
    """Request headers."""
    auth: AuthKeys | None = None
    """Credentials."""
    tls: TlsOptions | None = None
    """How the server is verified, and the client certificate."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        source = self.asked_by
        if not source:
            raise ValueError("want source or preset, got neither")
        for key in _NEEDED[source]:
            if not self.told(key):
                raise ValueError(f"want {key} for source: {source}, got none")
        if source == "prometheus":
            Selector(self.height)
        elif source != "sql":
            JsonPath(self.told("height"))
        if self.preset == "graph_node" and not self.subgraph and not self.query:
            raise ValueError("want subgraph for preset: graph_node, got none")
        return self

    @property
    def asked_by(self) -> str:
        """The source, given or the preset's."""
        return self.source or (PRESETS[self.preset].source if self.preset else "")

    def told(self, key: str) -> str:
        """Return a key, or what the preset says."""
        own: str = getattr(self, key)
        return own or (getattr(PRESETS[self.preset], key, "") if self.preset else "")

    @property
    def fatal(self) -> str:
        """JSON path of an error that ended the indexing; only presets have one."""
        return PRESETS[self.preset].fatal if self.preset else ""
