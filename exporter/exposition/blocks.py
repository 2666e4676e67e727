"""Rendered lines of metrics as bytes: a block per family and slot, chunks of slots joined once.

    Blocks
    ├── families      name -> FamilyBlocks, in the order of the page
    │   └── chunks    256 slots each: their blocks, and the join while none has changed
    └── slots         numbers that are given out and taken back

Also the text rules of the exposition formats: escaping, cleaning, numbers. Knows neither what a
family means, nor who owns a slot, nor HTTP. Standard library only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

# metrics.md 7.2: large enough that a page is few pieces, small enough that one change costs one
# short join.
SLOTS_PER_CHUNK = 256
# metrics.md 2.5: bytes of a label value after cleaning.
MAX_VALUE_BYTES = 200
# The largest range in which a float is every integer.
MAX_EXACT_INTEGER = 2**53
# Where the codec error handler "surrogateescape" puts the bytes 0x80 ... 0xff.
_SMUGGLED = range(0xDC80, 0xDD00)
_LAST_BYTE = 0xFF

_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
# names that begin with two underscores are Prometheus' own: its parsers refuse the whole page
_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

# A chunk of a family that has no block in it.
_NOTHING: list[bytes] = [b""] * SLOTS_PER_CHUNK

Selection = Sequence[tuple[int, Sequence[int]]]
"""Pairs of a chunk's number and the places within it."""


def number(value: float) -> str:
    """Write a value: integers without ``.0``, else the shortest text that reads back equal."""
    text = repr(float(value))
    if text.endswith(".0"):  # beyond 1e16 the text has an exponent
        if not -MAX_EXACT_INTEGER < value < MAX_EXACT_INTEGER:
            return text
        return text[:-2] if value else "0"
    return _SPECIAL.get(text, text)


def decimal(value: float) -> str:
    """Write a finite value to six places, without the zeros at its end.

    Seconds are told so. In a fifth of the time of ``number(round(value, 6))``, and a run has ten.
    """
    text = ("%.6f" % value).rstrip("0").rstrip(".")  # noqa: UP031 - the fastest way there is
    return text if text != "-0" else "0"


def moment(value: float) -> str:
    """Write a point in time: a finite value to three places, without the zeros at its end."""
    text = ("%.3f" % value).rstrip("0").rstrip(".")  # noqa: UP031 - faster than a format string
    return text if text != "-0" else "0"


def clean(value: str, limit: int = MAX_VALUE_BYTES) -> str:
    r"""Return *value* as valid UTF-8 of at most *limit* bytes, with control characters spelled out.

    A byte that was no UTF-8 (a lone surrogate) becomes ``\xNN`` too, so that one hostile value
    cannot end the page.
    """
    if value.isascii() and value.isprintable():
        return value[:limit]
    encoded = _UNCLEAN.sub(_spelled, value).encode("utf-8")
    if len(encoded) > limit:
        encoded = encoded[:limit]
    return encoded.decode("utf-8", "ignore")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _SMUGGLED:
        code &= _LAST_BYTE
    return f"\\x{code:02x}" if code <= _LAST_BYTE else f"\\u{code:04x}"


def label_text(labels: Iterable[tuple[str, str]], limit: int = MAX_VALUE_BYTES) -> str:
    """Return ``a="b",c="d"``, cleaned, escaped, sorted by name.

    Raises:
        ValueError: a name is no label name.
    """
    parts: list[str] = []
    for name, value in sorted(labels):
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"want a label name, got {name!r}")
        text = clean(value, limit)
        if "\\" in text or '"' in text:
            text = text.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f'{name}="{text}"')
    return ",".join(parts)


def help_text(text: str) -> str:
    """Escape a help text for both formats."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', "'")


def heads(name: str, kind: str, text: str) -> tuple[bytes, bytes]:
    """Return the HELP and TYPE lines of a family for text 0.0.4 and for OpenMetrics.

    Args:
        name: as on the text page: a counter ends in ``_total``, an info family in ``_info``.
        kind: gauge, counter, summary, histogram or info.
        text: the help text.
    """
    shown = help_text(text)
    open_name = open_metrics_name(name, kind)
    plain_kind = "gauge" if kind == "info" else kind
    return (
        f"# HELP {name} {shown}\n# TYPE {name} {plain_kind}\n".encode(),
        f"# HELP {open_name} {shown}\n# TYPE {open_name} {kind}\n".encode(),
    )


def open_metrics_name(name: str, kind: str) -> str:
    """Return the name of a family in OpenMetrics: without the suffix that its type implies."""
    return name.removesuffix({"counter": "_total", "info": "_info"}.get(kind, "\n"))


_SUFFIXES = {"summary": ("_sum", "_count"), "histogram": ("_sum", "_count", "_bucket")}


def _names(name: str, kind: str) -> frozenset[str]:
    """Return the names by which a family may be asked for."""
    parts = {name + end for end in _SUFFIXES.get(kind, ())}
    return frozenset({name, open_metrics_name(name, kind)} | parts)


class FamilyBlocks:
    """The blocks of one family. A block is the lines of one slot, ended by a newline, or empty."""

    __slots__ = ("_total", "chunks", "heads", "is_dropped", "joined", "name", "names")

    def __init__(self, total: "Blocks", name: str, kind: str, text: str) -> None:
        self.name = name
        self.heads = heads(name, kind, text)
        self.names = _names(name, kind)
        self.is_dropped = name in total.drop
        self._total = total
        self.chunks: list[list[bytes]] = []
        """Blocks by place, for each chunk of slots that is given out."""
        self.joined: list[bytes | None] = []
        self.grow(total.count_of_chunks)

    def tell(self, kind: str, text: str) -> None:
        """Head the family with another type and help text from now on."""
        self.heads = heads(self.name, kind, text)
        self.names = _names(self.name, kind)

    def put(self, slot: int, block: bytes) -> None:
        """Replace the block of *slot*; an equal one costs no new join."""
        if self.is_dropped:
            return
        at, place = slot // SLOTS_PER_CHUNK, slot % SLOTS_PER_CHUNK
        chunk = self.chunks[at]
        old = chunk[place]
        if old == block:
            return
        if chunk is _NOTHING:
            chunk = self.chunks[at] = [b""] * SLOTS_PER_CHUNK
        chunk[place] = block
        self.joined[at] = None
        self._total.series += block.count(b"\n") - old.count(b"\n")

    def grow(self, count: int) -> None:
        """Have *count* chunks at least."""
        while len(self.chunks) < count:
            self.chunks.append(_NOTHING)
            self.joined.append(b"")

    def pieces(self) -> list[bytes]:
        """Return every block, a chunk a piece; empty when there is none."""
        joined = self.joined
        for at, piece in enumerate(joined):
            if piece is None:
                joined[at] = b"".join(self.chunks[at])
        return [piece for piece in joined if piece]

    def selected(self, selection: Selection) -> list[bytes]:
        """Return the blocks of the selected slots, a chunk a piece; empty when there is none."""
        found: list[bytes] = []
        for at, places in selection:
            if at < len(self.chunks):  # a page may still be of before a change
                chunk = self.chunks[at]
                if piece := b"".join([chunk[place] for place in places]):
                    found.append(piece)
        return found


class Blocks:
    """Every family's blocks, and the slots they are kept under.

    Args:
        drop: names of families that are never kept.
    """

    def __init__(self, drop: frozenset[str] = frozenset()) -> None:
        self.drop = drop
        self.families: dict[str, FamilyBlocks] = {}
        self.series = 0
        self._next_slot = 0
        self._free_slots: list[int] = []

    @property
    def count_of_chunks(self) -> int:
        """How many chunks the slots are in that are, or were, given out."""
        return -(-self._next_slot // SLOTS_PER_CHUNK)

    def family(self, name: str, kind: str, text: str) -> FamilyBlocks:
        """Return the family of that name; its first use decides its place on the page."""
        found = self.families.get(name)
        if found is None:
            found = self.families[name] = FamilyBlocks(self, name, kind, text)
        return found

    def renewed(self, drop: frozenset[str]) -> "Blocks":
        """Return empty blocks with the same slots given out."""
        new = Blocks(drop)
        new._next_slot, new._free_slots = self._next_slot, list(self._free_slots)
        return new

    def renew(self, slot: int, lines: Mapping[str, str]) -> None:
        """Replace blocks of *slot*, family -> lines, by others of as many lines each.

        Where there is none yet, it is put. One call for all families of a run: a call for each
        costs as much again.
        """
        at, place = slot // SLOTS_PER_CHUNK, slot % SLOTS_PER_CHUNK
        families = self.families
        for name, text in lines.items():
            family = families[name]
            chunk = family.chunks[at]
            if chunk[place]:
                chunk[place] = text.encode()
                family.joined[at] = None
            else:
                family.put(slot, text.encode())

    def take_slot(self) -> int:
        """Return a slot that nobody has."""
        if self._free_slots:
            return self._free_slots.pop()
        slot = self._next_slot
        self._next_slot += 1
        if slot % SLOTS_PER_CHUNK == 0:
            for family in self.families.values():
                family.grow(self.count_of_chunks)
        return slot

    def free_slot(self, slot: int) -> None:
        """Empty a slot in every family and take it back."""
        for family in self.families.values():
            family.put(slot, b"")
        self._free_slots.append(slot)


def select_slots(slots: Iterable[int]) -> Selection:
    """Return a choice of slots in the form that `FamilyBlocks.selected` wants."""
    chunks: dict[int, list[int]] = {}
    for slot in sorted(slots):
        chunks.setdefault(slot // SLOTS_PER_CHUNK, []).append(slot % SLOTS_PER_CHUNK)
    return list(chunks.items())
