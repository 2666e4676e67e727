"""What may be broken in the shop, one fault at a time, switched while it runs.

    Fault ── words: what a customer sees
    Switch ── which one is on; whoever hangs waits on ``changed``

Knows no request: where a fault strikes stands in `tests.shop.meddling`, `api`, `pages` and
`protocols`.
"""

import asyncio
from enum import StrEnum

from probes.pattern import suggest


class Fault(StrEnum):
    """A way in which the shop is broken; the text behind says what a customer sees."""

    told: str

    def __new__(cls, value: str, told: str) -> "Fault":
        member = str.__new__(cls, value)
        member._value_ = value
        member.told = told
        return member

    NONE = "none", "all is well"
    # all of it
    MAINTENANCE = "maintenance", "every page says 503"
    # login
    CSRF_MISSING = "csrf_missing", "the login form has no token against forged requests"
    BROKEN_LOGIN = "broken_login", "the login answers 500"
    LOGIN_REFUSED = "login_refused", "the right password is refused: 401"
    LOGIN_WITHOUT_TOKEN = "login_without_token", "the login answers 200 without a token"
    TOKEN_EXPIRY = "token_expiry", "a token is over as soon as it is made"
    SESSION_LOST = "session_lost", "the login page sets no cookie: nobody is logged in"
    REDIRECT_LOOP = "redirect_loop", "the account leads to itself for ever"
    REDIRECT_AWAY = "redirect_away", "the account leads to the metadata service of a cloud"
    # search
    SLOW = "slow", "the search takes 0.4 s"
    SEARCH_HANGS = "search_hangs", "the search never answers"
    SEARCH_DRIPS = "search_drips", "the search answers a byte now and then"
    SEARCH_EMPTY = "search_empty", "the search finds nothing"
    SEARCH_CLOSED = "search_closed", "the search closes the connection without a word"
    SEARCH_CUT = "search_cut", "the search breaks off in the middle of its answer"
    SEARCH_GARBLED = "search_garbled", "the search says gzip and sends something else"
    SEARCH_HUGE = "search_huge", "the search answers with 8 MiB"
    HTML_ERROR_PAGE = "html_error_page", "the search answers 200 with a page that says sorry"
    STACK_TRACE = "stack_trace", "the product page shows a stack trace, with 200"
    # cart and payment
    CART_REFUSED = "cart_refused", "nothing can be put into a cart: 503"
    CART_NEVER_PRICED = "cart_never_priced", "the price of a cart never comes"
    WRONG_TOTAL = "wrong_total", "a cart costs a cent more than its items"
    PAY_DECLINED = "pay_declined", "the payment is declined: 402"
    PAY_HANGS = "pay_hangs", "the payment never answers"
    ORDER_LOST = "order_lost", "an order that was paid is nowhere to be found"
    CANCEL_FAILS = "cancel_fails", "an order cannot be cancelled: 500"
    # other protocols
    FEED_SILENT = "feed_silent", "the feed of orders says nothing"
    FEED_OTHER = "feed_other", "the feed tells of somebody else's orders"
    GRAPHQL_ERRORS = "graphql_errors", "GraphQL answers 200 with errors"
    RPC_ERROR = "rpc_error", "JSON-RPC answers 200 with an error"
    # what only a browser sees
    JS_ERROR = "js_error", "the script of every page throws"
    SLOW_PAGE = "slow_page", "a page takes 1.5 s"
    BROKEN_IMAGE = "broken_image", "pictures are not found"
    LAYOUT_SHIFT = "layout_shift", "a banner pushes the page down"
    ALERT_LOOP = "alert_loop", "the page shows one dialog after the other"
    BUSY_SCRIPT = "busy_script", "the script of the page never ends"


class Switch:
    """Which fault is on."""

    def __init__(self) -> None:
        self._fault = Fault.NONE
        self.changed = asyncio.Event()
        """Set when another fault is switched on, and at the end: whoever hangs goes home."""

    @property
    def fault(self) -> Fault:
        return self._fault

    def is_on(self, *faults: Fault) -> bool:
        return self._fault in faults

    def turn(self, fault: Fault) -> None:
        self._fault = fault
        self.changed.set()
        self.changed = asyncio.Event()


def read_fault(text: str) -> Fault:
    """Return the fault of that name.

    Raises:
        ValueError: there is none.
    """
    try:
        return next(fault for fault in Fault if fault.value == text)
    except StopIteration:
        hint = suggest(text, [fault.value for fault in Fault])
        raise ValueError(f"want a fault such as pay_declined, got {text!r}{hint}") from None
