"""What the shop knows: items, customers, sessions, carts, orders, in SQLite in a thread of its own.

One connection, one thread: a query never blocks the loop, and none sees half of another. Knows no
request and no fault.
"""

import asyncio
import hashlib
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")
Row = dict[str, Any]

# A real shop would take more; every login of every test pays for it.
HASH_ROUNDS = 1000
SCHEMA = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, cents INTEGER, stock INTEGER,
                    about TEXT, picture TEXT);
CREATE TABLE users (name TEXT PRIMARY KEY, full_name TEXT, salt BLOB, hash BLOB);
CREATE TABLE sessions (sid TEXT PRIMARY KEY, token TEXT UNIQUE, csrf TEXT, user TEXT, ends REAL);
CREATE TABLE carts (id TEXT PRIMARY KEY, owner TEXT, priced_at REAL);
CREATE TABLE lines (cart TEXT REFERENCES carts ON DELETE CASCADE, item INTEGER, quantity INTEGER);
CREATE TABLE orders (id TEXT PRIMARY KEY, owner TEXT, cents INTEGER, number INTEGER);
"""
ITEMS = (
    (1, "Reading lamp", "lamp", 4990, 12, "Warm light, one long arm, no screws.", "lamp"),
    (2, "Desk lamp", "lamp", 3490, 30, "Folds flat and lives in a drawer.", "lamp"),
    (3, "Oak chair", "chair", 12900, 7, "Solid oak, oiled by hand.", "chair"),
    (4, "Folding chair", "chair", 2450, 55, "For the balcony, and for guests.", "chair"),
    (5, "Round table", "table", 24900, 3, "Seats four, or six that like each other.", "table"),
    (6, "Side table", "table", 5900, 18, "For one book and one cup.", "table"),
    (7, "Wool rug", "rug", 8900, 9, "Undyed wool, 140 by 200 centimetres.", "rug"),
    (8, "Café au lait <set>", "cup", 1990, 40, "Two bowls & no handles.", "cup"),
)
USERS = (("ada", "Ada Lovelace", "correct-horse"), ("grace", "Grace Hopper", "battery-staple"))


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor: of a page by ``sid``, of the API by ``token``; ``user`` empty: not logged in."""

    sid: str
    token: str
    csrf: str
    user: str
    ends: float


class Store:
    """The database of one shop, in memory."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "shop-store")
        self._base: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        await self._do(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._do(self._db.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def _db(self) -> sqlite3.Connection:
        if self._base is None:
            raise RuntimeError("want an open store, got a closed one")
        return self._base

    def _open(self) -> None:
        base = self._base = sqlite3.connect(":memory:", isolation_level=None)
        base.row_factory = sqlite3.Row
        base.executescript(SCHEMA)
        base.execute("PRAGMA foreign_keys = ON")
        base.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", ITEMS)
        for name, full_name, password in USERS:
            salt = secrets.token_bytes(16)
            row = (name, full_name, salt, _hash(password, salt))
            base.execute("INSERT INTO users VALUES (?, ?, ?, ?)", row)

    async def _rows(self, query: str, *values: object) -> list[Row]:
        return await self._do(lambda: [dict(row) for row in self._db.execute(query, values)])

    async def _row(self, query: str, *values: object) -> Row | None:
        rows = await self._rows(query, *values)
        return rows[0] if rows else None

    # --- items

    async def search(self, words: str) -> list[Row]:
        """Return the items whose name or kind holds *words*; all of them without any."""
        like = f"%{words.strip()}%"
        return await self._rows(
            "SELECT * FROM items WHERE name LIKE ? OR kind LIKE ? ORDER BY id", like, like
        )

    async def item(self, number: int) -> Row | None:
        return await self._row("SELECT * FROM items WHERE id = ?", number)

    # --- customers

    async def customer(self, name: str, password: str) -> Row | None:
        """Return who has that name and password."""
        row = await self._row("SELECT * FROM users WHERE name = ?", name)
        if row is None:
            return None
        wanted = await self._do(lambda: _hash(password, row["salt"]))
        return row if secrets.compare_digest(wanted, row["hash"]) else None

    async def full_name(self, name: str) -> str:
        row = await self._row("SELECT full_name FROM users WHERE name = ?", name)
        return row["full_name"] if row else name

    async def open_session(self, user: str, ends: float) -> Session:
        session = Session(_key(), _key(), _key(), user, ends)
        await self._rows(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            session.sid, session.token, session.csrf, session.user, session.ends,
        )  # fmt: skip
        return session

    async def session(self, *, sid: str = "", token: str = "") -> Session | None:
        row = await self._row("SELECT * FROM sessions WHERE sid = ? OR token = ?", sid, token)
        return Session(**{key: row[key] for key in Session.__slots__}) if row else None

    async def end_session(self, sid: str) -> None:
        await self._rows("DELETE FROM sessions WHERE sid = ?", sid)

    # --- carts and orders

    async def open_cart(self, owner: str, item: int, quantity: int, priced_at: float) -> str:
        cart = secrets.token_hex(6)

        def work() -> None:
            self._db.execute("INSERT INTO carts VALUES (?, ?, ?)", (cart, owner, priced_at))
            self._db.execute("INSERT INTO lines VALUES (?, ?, ?)", (cart, item, quantity))

        await self._do(work)
        return cart

    async def cart(self, cart: str, owner: str) -> Row | None:
        """Return a cart with its ``lines``, and what they cost together."""
        found = await self._row("SELECT * FROM carts WHERE id = ? AND owner = ?", cart, owner)
        if found is None:
            return None
        lines = await self._rows(
            "SELECT items.id, name, cents, quantity FROM lines JOIN items ON item = items.id"
            " WHERE cart = ?",
            cart,
        )
        total = sum(line["cents"] * line["quantity"] for line in lines)
        return {**found, "lines": lines, "cents": total}

    async def close_cart(self, cart: str, owner: str) -> bool:
        rows = await self._rows(
            "DELETE FROM carts WHERE id = ? AND owner = ? RETURNING id", cart, owner
        )
        return bool(rows)

    async def open_order(self, owner: str, cents: int) -> str:
        order = f"o-{secrets.token_hex(5)}"
        await self._rows(
            "INSERT INTO orders SELECT ?, ?, ?, 1 + count(*) FROM orders", order, owner, cents
        )
        return order

    async def orders(self, owner: str) -> list[Row]:
        """Return the orders of somebody, the newest first."""
        return await self._rows(
            "SELECT id, cents FROM orders WHERE owner = ? ORDER BY number DESC", owner
        )

    async def cancel_order(self, order: str, owner: str) -> bool:
        rows = await self._rows(
            "DELETE FROM orders WHERE id = ? AND owner = ? RETURNING id", order, owner
        )
        return bool(rows)


def _key() -> str:
    return secrets.token_urlsafe(24)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, HASH_ROUNDS)
