"""What Playwright and Chromium say went wrong, as a reason and a message of ours. Pure.

Playwright tells why it still waits in the log of a call, Chromium by the name of a network error.
Knows no page and no connection; what the proxy knows better is asked elsewhere.
"""

import re

from probes.browser.protocol import Fault
from probes.result import Reason
from probes.units import short

# https://source.chromium.org/chromium/chromium/src/+/main:net/base/net_error_list.h
NET_ERRORS: dict[str, tuple[Reason, str]] = {
    "ERR_CERT_DATE_INVALID": (Reason.CERTIFICATE_EXPIRED, "an expired certificate"),
    "ERR_CERT_COMMON_NAME_INVALID": (Reason.CERTIFICATE_NAME, "a certificate of another name"),
    "ERR_CERT_AUTHORITY_INVALID": (Reason.CERTIFICATE_UNTRUSTED, "an untrusted certificate"),
    "ERR_CERT_REVOKED": (Reason.CERTIFICATE_UNTRUSTED, "a revoked certificate"),
    "ERR_BAD_SSL_CLIENT_AUTH_CERT": (Reason.TLS, "a demand for a client certificate"),
    "ERR_SSL_CLIENT_AUTH_CERT_NEEDED": (Reason.TLS, "a demand for a client certificate"),
    "ERR_SSL_VERSION_OR_CIPHER_MISMATCH": (Reason.TLS, "no common TLS version or cipher"),
    "ERR_SSL_PROTOCOL_ERROR": (Reason.TLS, "an answer that is not TLS"),
    "ERR_CONNECTION_REFUSED": (Reason.REFUSED, "a refusal"),
    "ERR_CONNECTION_RESET": (Reason.CLOSED, "a reset"),
    "ERR_CONNECTION_CLOSED": (Reason.CLOSED, "the end of the stream"),
    "ERR_CONNECTION_ABORTED": (Reason.CLOSED, "the end of the stream"),
    "ERR_EMPTY_RESPONSE": (Reason.CLOSED, "the end of the stream"),
    "ERR_CONNECTION_TIMED_OUT": (Reason.TIMEOUT, "no connection in time"),
    "ERR_TIMED_OUT": (Reason.TIMEOUT, "no answer in time"),
    "ERR_ADDRESS_UNREACHABLE": (Reason.UNREACHABLE, "no route"),
    "ERR_NAME_NOT_RESOLVED": (Reason.DNS_NXDOMAIN, "no address of its name"),
    "ERR_TOO_MANY_REDIRECTS": (Reason.REDIRECT, "too many redirects"),
    "ERR_UNSAFE_REDIRECT": (Reason.REDIRECT, "a redirect to where no page may go"),
    "ERR_INVALID_REDIRECT": (Reason.REDIRECT, "a redirect that cannot be followed"),
    "ERR_INVALID_AUTH_CREDENTIALS": (Reason.AUTH, "a demand for other credentials"),
    "ERR_INVALID_HTTP_RESPONSE": (Reason.PROTOCOL, "an answer that is not HTTP"),
    "ERR_INVALID_CHUNKED_ENCODING": (Reason.PROTOCOL, "a body with broken chunks"),
    "ERR_INCOMPLETE_CHUNKED_ENCODING": (Reason.CLOSED, "half a body"),
    "ERR_CONTENT_LENGTH_MISMATCH": (Reason.CLOSED, "half a body"),
    "ERR_CONTENT_DECODING_FAILED": (Reason.PROTOCOL, "a body that cannot be decoded"),
    "ERR_HTTP2_PROTOCOL_ERROR": (Reason.PROTOCOL, "broken HTTP/2"),
    "ERR_HTTP_RESPONSE_CODE_FAILURE": (Reason.STATUS, "an error without a page"),
    "ERR_RESPONSE_HEADERS_TOO_BIG": (Reason.TOO_LARGE, "headers without an end"),
    "ERR_RESPONSE_HEADERS_TRUNCATED": (Reason.CLOSED, "half a head"),
    "ERR_BLOCKED_BY_CLIENT": (Reason.CONFIG, "an address that the journey itself blocks"),
    "ERR_BLOCKED_BY_RESPONSE": (Reason.PROTOCOL, "a page that forbids to be shown"),
    "ERR_UNSAFE_PORT": (Reason.CONFIG, "a port that Chromium never speaks to"),
    "ERR_UNKNOWN_URL_SCHEME": (Reason.CONFIG, "another scheme than http and https"),
    "ERR_ABORTED": (Reason.BODY, "a download, or no content at all"),
    "ERR_INSUFFICIENT_RESOURCES": (Reason.RESOURCE, "a browser without resources"),
    "ERR_OUT_OF_MEMORY": (Reason.RESOURCE, "a browser without memory"),
    "ERR_SOCKS_CONNECTION_FAILED": (Reason.CLOSED, "no connection"),
    "ERR_SOCKS_CONNECTION_HOST_UNREACHABLE": (Reason.UNREACHABLE, "no connection"),
    "ERR_PROXY_CONNECTION_FAILED": (Reason.INTERNAL, "no way to our own proxy"),
    "ERR_TUNNEL_CONNECTION_FAILED": (Reason.CLOSED, "no connection"),
}
# What has no line of its own, by how it begins.
_NET_FAMILIES: tuple[tuple[str, tuple[Reason, str]], ...] = (
    ("ERR_CERT_", (Reason.CERTIFICATE_UNTRUSTED, "a certificate that Chromium refuses")),
    ("ERR_SSL_", (Reason.TLS, "a broken TLS session")),
    ("ERR_HTTP2_", (Reason.PROTOCOL, "broken HTTP/2")),
    ("ERR_SOCKS_", (Reason.CLOSED, "no connection")),
)
# These say no more than that the proxy did not get there; it knows why.
FROM_PROXY = frozenset(
    {"ERR_SOCKS_CONNECTION_FAILED", "ERR_SOCKS_CONNECTION_HOST_UNREACHABLE", "ERR_EMPTY_RESPONSE",
     "ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET", "ERR_CONNECTION_ABORTED"}
)  # fmt: skip
_NET = re.compile(r"net::(ERR_[A-Z0-9_]{2,60})")
_COUNT = re.compile(r"strict mode violation: .{0,4000}? resolved to (\d{1,9}) elements", re.DOTALL)
_COVER = re.compile(r"<([a-z0-9-]{1,30})\b([^<>]{0,200})>[^\n]{0,2000} intercepts pointer events")
_ID = re.compile(r"\bid=\"([^\"]{1,40})\"")

# The last of these that a log names is how things stood in the end.
_STATES: tuple[tuple[str, str], ...] = (
    ("element is not visible", "hidden"),
    ("element is not enabled", "disabled"),
    ("element is not editable", "read-only"),
    ("element is not stable", "moving"),
    ("element is outside of the viewport", "outside of the window"),
    ("element was detached from the DOM", "taken out of the page"),
    ("did not find some options", "without that option"),
    ("intercepts pointer events", "covered"),
    ("unexpected value \"hidden\"", "hidden"),
    ("locator resolved to hidden", "hidden"),
    ("locator resolved to visible", "visible"),
)  # fmt: skip
_CANNOT: tuple[tuple[str, str], ...] = (
    ("Element is not an <input>", "an element that takes no text"),
    ("Element is not a <select>", "an element that is no list"),
    ("Not a checkbox or radio button", "an element that cannot be checked"),
    ("is not a file input", "an element that takes no file"),
    ("Node is not an HTMLInputElement", "an element that takes no file"),
    ("Clicking the checkbox did not change its state", "a click that does not change it"),
    ("Non-multiple file input", "an element that takes one file"),
    ("Malformed value", "an element that takes values of another form"),
    ("Cannot type text into input[type=number]", "an element that takes numbers"),
)
_GONE = ("Target page, context or browser has been closed", "Target crashed", "has been closed")


def net_error(text: str) -> str:
    """Return the name of the network error that *text* tells, or the empty string."""
    found = _NET.search(text)
    return found[1] if found else ""


def net_fault(name: str, url: str) -> Fault:
    """Return what the network error *name* means for the page at *url*."""
    known = NET_ERRORS.get(name)
    if known is None:
        known = next((it for begin, it in _NET_FAMILIES if name.startswith(begin)), None)
    reason, got = known or (Reason.PROTOCOL, "an error")
    return Fault(reason, f"want the page {short(url)}, got {got} ({name})")


def is_gone(text: str) -> bool:
    """Return whether page, context or browser ended meanwhile."""
    return any(word in text for word in _GONE)


def element_fault(text: str, wanted: str, seconds: float) -> Fault:
    """Return why an element was not as a step needs it.

    Args:
        text: of Playwright's error, with its log.
        wanted: such as ``button "Pay" to be clickable``.
        seconds: that the step waited.
    """
    many = _COUNT.search(text)
    if many:
        return Fault(Reason.BODY, f"want one element for {wanted}, got {many[1]}")
    for word, got in _CANNOT:
        if word in text:
            return Fault(Reason.BODY, f"want {wanted}, got {got}")
    if "Timeout" not in text:
        detail = text.partition("\nCall log:")[0].partition(": ")[2] or text
        reason = Reason.CONFIG if _is_wrong_step(text) else Reason.BODY
        return Fault(reason, f"want {wanted}, got {short(detail.strip())}")
    return Fault(Reason.BODY, f"want {wanted} within {seconds:g} s, got {_state(text)}")


def _is_wrong_step(text: str) -> bool:
    return "while parsing" in text or "Unknown key" in text


def _state(text: str) -> str:
    """Return how the element stood in the end, by the log of the call."""
    latest, found = -1, ""
    for word, state in _STATES:
        at = text.rfind(word)
        if at > latest:
            latest, found = at, state
    if found == "covered":
        covers = list(_COVER.finditer(text))
        if covers:
            name = _ID.search(covers[-1][2])
            return f"it covered by <{covers[-1][1]}{f'#{name[1]}' if name else ''}>"
    if found:
        return f"it {found}"
    return "it not ready" if "locator resolved to" in text else "none"
