"""What a scraper asks for: which format, packed or not, which part of the page.

Pure judgement of header and query texts; knows neither the web server nor how a page is made.
Standard library only.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from zlib import crc32

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# metrics.md 6.
MAX_SHARDS = 64
# Scrapers send one or two; each has 32 KiB at most.
CACHED_HEADERS = 256
# Of a bad value, in its message.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a scraper asks for; equal queries share a page.

    Args:
        openmetrics: the format, from `negotiate`.
        gzip: whether the scraper takes it, from `accepts_gzip`.
        names: families or samples, by exact name; empty: all.
        probes: names of probes; empty: all.
        tags: probes with any of these tags; empty: all.
        shard: (i, n), 1 <= i <= n: every n-th part of the probes; None: all. From `parse_shard`.
    """

    openmetrics: bool = False
    gzip: bool = False
    names: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    shard: tuple[int, int] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is filtered away."""
        return not (self.names or self.probes or self.tags or self.shard)

    @property
    def has_own_metrics(self) -> bool:
        """Whether the prober's own metrics are on the page: not with a part of the probes."""
        return not (self.probes or self.tags or (self.shard is not None and self.shard[0] > 1))

    def admits(self, name: str, tags: frozenset[str]) -> bool:
        """Return whether a probe belongs to the page."""
        if self.probes and name not in self.probes:
            return False
        if self.tags and self.tags.isdisjoint(tags):
            return False
        # not the hash that shares probes out to processes: parts of a shard would be empty
        return self.shard is None or crc32(name.encode()) % self.shard[1] == self.shard[0] - 1


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``2/4`` as (2, 4).

    Raises:
        ValueError: not 1 <= i <= n <= 64.
    """
    found = re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})", text, re.ASCII)
    if found and 1 <= (i := int(found[1])) <= (n := int(found[2])) <= MAX_SHARDS:
        return i, n
    raise ValueError(
        f"want shard=i/n with 1 <= i <= n <= {MAX_SHARDS}, got {text[:SHOWN_CHARACTERS]!r}"
    )


def negotiate(accept: str | None) -> bool:
    """Return whether OpenMetrics answers an ``Accept`` header best; else text 0.0.4 does."""
    text = openmetrics = 0.0
    for media, parameters, weight in _preferences(accept or ""):
        version = parameters.get("version", "")
        if media == "application/openmetrics-text" and version in {"", "1.0.0"}:
            openmetrics = max(openmetrics, weight)
        elif media in {"text/plain", "text/*", "*/*"} and version in {"", "0.0.4", "1.0.0"}:
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


@lru_cache(CACHED_HEADERS)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether an ``Accept-Encoding`` header admits gzip."""
    weights = {coding: weight for coding, _, weight in _preferences(accept_encoding or "")}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def content_type(*, openmetrics: bool) -> str:
    """Return the one content type of a format."""
    return OPENMETRICS if openmetrics else TEXT


_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def _preferences(header: str) -> list[tuple[str, dict[str, str], float]]:
    """Return (value, parameters, q) of each entry of a header whose q is well formed."""
    found: list[tuple[str, dict[str, str], float]] = []
    for entry in header.lower().split(","):
        value, *rest = (part.strip() for part in entry.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip(): text.strip().strip('"') for name, _, text in pairs}
        weight = parameters.pop("q", "1")
        if value and _WEIGHT.fullmatch(weight):
            found.append((value, parameters, float(weight)))
    return found


class OwnMetrics(Protocol):
    """The prober's own numbers, as far as this sink feeds and shows them."""

    def count(self, family: str, *values: str, by: int = 1) -> None:
        """Add to a counter."""
        ...

    def observe_render(self, seconds: float) -> None:
        """Note how long a page took."""
        ...

    async def render(self, query: PageQuery, pool: ThreadPoolExecutor) -> bytes:
        """Return the lines of everything that is bound."""
        ...
