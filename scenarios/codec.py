r"""Records of a load run as bytes and back: load.md 7.2, one datagram each, or several.

    datagram    {"t": "progress", ...}       JSON, at most 128 KiB
                part 2/3\n{"t": "pro...      a longer text, cut; its parts follow each other

ASCII only: what a socket cuts off is never half a character. The other side may have gone mad:
whatever it sends becomes a record or a `ValueError`. Pure. Knows no socket and no shard.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from probes.journey.codec import decode
from probes.journey.codec import encode as plain
from probes.units import short
from scenarios.book import Book
from scenarios.histogram import MAX_COUNT
from scenarios.records import (
    Bye,
    Final,
    Hello,
    Left,
    Log,
    Offer,
    Progress,
    Record,
    Secrets,
    Start,
    Stop,
    Told,
)

# A datagram above the send buffer fails with EMSGSIZE, above the reader's it is cut in silence.
MAX_BYTES = 128 * 1024
# What a reader asks of its socket at once: an oversized datagram is seen as such.
READ_BYTES = 2 * MAX_BYTES
# 64 MiB: 2,000 series of 500 buckets, saved up by a shard while its parent stalls, are 12 MiB.
MAX_PARTS = 512
MAX_NUMBER = MAX_COUNT
_PART = b"part "
_ROOM = MAX_BYTES - len(b"part 512/512\n")

REPORTS: tuple[type[Any], ...] = (Hello, Progress, Log, Final, Left)
"""What a child says."""
ORDERS: tuple[type[Any], ...] = (Secrets, Start, Stop, Bye)
"""What a parent says."""
OFFERS: tuple[type[Any], ...] = (Offer, Log, Left)
"""What the child of a worker says to its own parent."""


def encode(record: Record) -> list[bytes]:
    """Return *record* as datagrams that are sent in this order, with nothing between them.

    Raises:
        ValueError: it is longer than `MAX_PARTS` datagrams, or holds a number that is none.
    """
    data: dict[str, Any] = {"t": type(record).__name__.lower()}
    for field in fields(record):
        value = getattr(record, field.name)
        data[field.name] = value.as_dict() if isinstance(value, Book) else plain(value)
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(text) <= MAX_BYTES:
        return [text]
    number = -(-len(text) // _ROOM)
    if number > MAX_PARTS:
        raise ValueError(f"want a record of at most {MAX_PARTS} datagrams, got {number}")
    return [
        b"part %d/%d\n%b" % (at + 1, number, text[at * _ROOM : (at + 1) * _ROOM])
        for at in range(number)
    ]


class Decoder:
    """Reads what comes of one socket.

    Args:
        forms: which records may come: `REPORTS`, `ORDERS` or `OFFERS`.
    """

    __slots__ = ("_forms", "_number", "_parts")

    def __init__(self, forms: tuple[type[Any], ...] = REPORTS + ORDERS) -> None:
        self._forms = {form.__name__.lower(): form for form in forms}
        self._parts: list[bytes] = []
        self._number = 0

    def feed(self, data: bytes) -> Record | None:
        """Read one datagram; None: more parts of its record are to come.

        Raises:
            ValueError: it is none of those that may come; nothing after it can be believed.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"want a datagram of at most {MAX_BYTES} bytes, got {len(data)}")
        if data.startswith(_PART):
            return self._feed_part(data)
        if self._parts:
            raise ValueError(f"want part {self._next}, got {self._shown(data)}")
        return self._record(data)

    @property
    def _next(self) -> str:
        return f"{len(self._parts) + 1}/{self._number}"

    def _feed_part(self, data: bytes) -> Record | None:
        head, _, rest = data.partition(b"\n")
        if not self._parts:
            self._number = _parts_of(head)
        if head != b"part " + self._next.encode() or not rest:
            raise ValueError(f"want part {self._next}, got {self._shown(data)}")
        self._parts.append(rest)
        if len(self._parts) < self._number:
            return None
        text = b"".join(self._parts)
        self._parts.clear()
        return self._record(text)

    def _record(self, text: bytes) -> Record:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"want a record as JSON, got {self._shown(text)}") from None
        word = data.pop("t", None) if isinstance(data, dict) else None
        if not isinstance(word, str) or word not in self._forms:
            wanted = ", ".join(self._forms)
            raise ValueError(f"want a record of {wanted}, got {self._shown(text)}")
        form = self._forms[word]
        if form not in ORDERS and b"\\u" in text:
            _check_texts(data)
        if form is Progress:
            data["book"] = read_book(data.get("book"))
        try:
            found: Record = decode(form, data)
        except ValueError:
            if form is not Secrets:
                raise
            raise ValueError("want the values of secrets, got something else") from None
        _check_numbers(found)
        return found

    def _shown(self, text: bytes) -> str:
        """Return *text* for a message; what may hold a secret is not shown."""
        return f"{len(text)} bytes" if "secrets" in self._forms else short(text)


def _parts_of(head: bytes) -> int:
    number = head.rpartition(b"/")[2]
    if not (number.isdigit() and len(number) <= len(str(MAX_PARTS))):
        raise ValueError(f"want part 1 of 2 to {MAX_PARTS}, got {short(head)}")
    found = int(number)
    if not 1 < found <= MAX_PARTS:
        raise ValueError(f"want part 1 of 2 to {MAX_PARTS}, got {short(head)}")
    return found


def _check_texts(data: Any) -> None:
    """Raise where half a pair of UTF-16 stands: one in a label breaks every page of metrics."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise ValueError(f"want texts of characters, got half of one in {short(data)}") from None


def read_book(data: Any) -> Book:
    """Read a book that a child has written.

    Raises:
        ValueError: it is none, or counts what nobody can.
    """
    if not isinstance(data, Mapping) or set(data) != {"durations", "numbers"}:
        raise ValueError(f"want the durations and numbers of a book, got {short(data)}")
    return Book.from_dict(data)


def _check_numbers(record: Record) -> None:
    """Raise on numbers that count nothing."""
    for name in ("shard", "seq", "users", "idle", "requests", "iterations", "overflow"):
        number = getattr(record, name, 0)
        if not 0 <= number <= MAX_NUMBER:
            raise ValueError(f"want {name} of 0 to {MAX_NUMBER}, got {short(number)}")
    if isinstance(record, Progress):
        check_counts(record.errors)


def check_counts(errors: Iterable[Told]) -> None:
    """Raise `ValueError` on a count that is none."""
    for it in errors:
        if not 0 <= it.count <= MAX_NUMBER:
            raise ValueError(f"want a count of 0 to {MAX_NUMBER}, got {short(it.count)}")
