"""The pages of the shop as HTML: every text that comes from outside is escaped.

Knows no request: what a page shows is handed in.
"""

from collections.abc import Iterable
from html import escape

from tests.shop.faults import Fault
from tests.shop.store import Row

SCRIPTS = {
    Fault.JS_ERROR: "undefinedFunctionOfTheShop();",
    Fault.ALERT_LOOP: "for (let n = 0; n < 1e6; n++) alert('Win a lamp! ' + n);",
    Fault.BUSY_SCRIPT: "addEventListener('load', () => setTimeout(() => { while (1); }, 50));",
    # behind the first frames, however long they take: what was never painted does not shift
    Fault.LAYOUT_SHIFT: (
        "addEventListener('DOMContentLoaded', () => { let frames = 0; const later = () => {"
        " if (++frames < 4) { requestAnimationFrame(later); return; }"
        " const it = document.createElement('p'); it.className = 'banner';"
        " it.textContent = 'Only today!'; document.body.prepend(it); };"
        " requestAnimationFrame(later); });"
    ),
}


def euros(cents: int) -> str:
    return f"€ {cents // 100}.{cents % 100:02d}"


def page(title: str, body: str, *, user: str = "", fault: Fault = Fault.NONE) -> str:
    """Return a whole page; *user* is the name in its corner."""
    if user:
        corner = (
            f'<span class="who">{escape(user)}</span> <a href="/account">Account</a> '
            '<form action="/logout" method="post"><button class="link">Log out</button></form>'
        )
    else:
        corner = '<a href="/login">Log in</a>'
    script = f"<script>{SCRIPTS[fault]}</script>" if fault in SCRIPTS else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Lamp &amp; Chair</title>
<link rel="icon" href="/pictures/lamp.svg">
<link rel="stylesheet" href="/static/shop.css">
<script src="/static/shop.js" defer></script>
{script}</head>
<body>
<header>
<a class="brand" href="/"><img src="/pictures/lamp.svg" alt="" width="32" height="32">
Lamp &amp; Chair</a>
<form class="search" action="/search" role="search">
<label class="sr" for="q">Search</label>
<input id="q" name="q" type="search" placeholder="Search lamps, chairs, tables">
<button>Search</button>
</form>
<nav>{corner} <a href="/cart">Cart</a></nav>
</header>
<main>
{body}
</main>
<footer>Lamp &amp; Chair is a demo shop. Nothing here is for sale.</footer>
</body>
</html>
"""


def home() -> str:
    return """<section class="hero"><h1>Things for a quiet room</h1>
<p>A small shop with lamps that glow, chairs that hold and tables that stay.</p>
<a class="button" href="/search?q=">See everything</a></section>
<section><h2>Bestsellers</h2>
<div class="grid" id="bestsellers" data-source="/api/items?q=lamp" aria-busy="true">
<p class="quiet">One moment …</p></div></section>"""


def card(row: Row) -> str:
    return (
        f'<a class="card" href="/items/{row["id"]}"><img alt="" width="160" height="120" src="'
        f'/pictures/{escape(row["picture"])}.svg"><h3>{escape(row["name"])}</h3>'
        f'<p class="price">{euros(row["cents"])}</p></a>'
    )


def results(words: str, rows: Iterable[Row]) -> str:
    cards = [card(row) for row in rows]
    title = f"Results for “{escape(words)}”" if words else "Everything"
    if not cards:
        return f'<h1>{title}</h1><p class="quiet" id="nothing">Nothing found.</p>'
    return (
        f'<h1>{title}</h1><p class="quiet" id="count">{len(cards)} found</p>'
        f'<div class="grid">{"".join(cards)}</div>'
    )


def product(row: Row, csrf: str) -> str:
    return f"""<article class="product">
<img src="/pictures/{escape(row["picture"])}.svg" alt="" width="320" height="240">
<div><h1>{escape(row["name"])}</h1><p>{escape(row["about"])}</p>
<p class="price">{euros(row["cents"])}</p><p class="quiet stock">{row["stock"]} in stock</p>
<form action="/cart" method="post">{hidden(csrf)}
<input type="hidden" name="item" value="{row["id"]}">
<label for="quantity">Quantity</label>
<input id="quantity" name="quantity" type="number" min="1" max="99" value="1">
<button class="button">Add to cart</button></form></div></article>"""


def hidden(csrf: str) -> str:
    return f'<input type="hidden" name="csrf" value="{escape(csrf)}">' if csrf else ""


def login(csrf: str, error: str = "") -> str:
    told = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    return f"""<form id="login" class="box" action="/login" method="post">
<h1>Log in</h1>{told}{hidden(csrf)}
<label for="user">User</label><input id="user" name="user" autocomplete="username" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button class="button">Log in</button>
<p class="quiet">Try <code>ada</code> and <code>correct-horse</code>.</p></form>"""


def account(full_name: str, orders: Iterable[Row]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(row['id'])}</code></td><td>{euros(row['cents'])}</td></tr>"
        for row in orders
    )
    table = f'<table id="orders"><thead><tr><th>Order<th>Total</thead>{rows}</table>'
    none = '<p class="quiet">No orders yet.</p>'
    return f"<h1>Welcome, {escape(full_name)}</h1><h2>Your orders</h2>{table if rows else none}"


def cart(row: Row | None, csrf: str) -> str:
    if row is None:
        return '<h1>Your cart</h1><p class="quiet" id="empty">Your cart is empty.</p>'
    lines = "".join(
        f"<tr><td>{escape(line['name'])}</td><td>{line['quantity']} at "
        f"{euros(line['cents'])}</td></tr>"
        for line in row["lines"]
    )
    return f"""<h1>Your cart</h1><table>{lines}</table>
<p>Total <strong id="total" data-cart="{escape(row["id"])}">being worked out …</strong></p>
<form class="box" id="checkout" action="/checkout" method="post">{hidden(csrf)}
<input type="hidden" name="cart" value="{escape(row["id"])}">
<label for="card">Card number</label><input id="card" name="card" inputmode="numeric" required>
<label><input type="checkbox" name="terms" value="yes" required> I agree to the terms</label>
<button class="button" id="pay">Pay</button></form>"""


def receipt(order: Row) -> str:
    return (
        f'<section class="receipt" role="status"><h1>Thank you!</h1><p>Your order '
        f'<code id="order">{escape(order["id"])}</code> over {euros(order["cents"])} is on its '
        "way.</p></section>"
    )


def sorry(title: str, text: str) -> str:
    return f'<h1>{escape(title)}</h1><p class="error" role="alert">{escape(text)}</p>'
