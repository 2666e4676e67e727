"""What of recorded traffic is the user's and what is the browser's: pictures, trackers, preflights.

Each judgement gives the reason why something is left out, for the count that people are shown.
Knows no format.
"""

import re
from urllib.parse import SplitResult

# Families of `Content-Type` and endings of paths that a user never asks for himself.
_STATIC_TYPES = re.compile(
    r"(?:image|font|audio|video)/|text/css|application/(?:font|x-font|vnd\.ms-fontobject|wasm)"
    r"|(?:text|application)/(?:x-)?(?:java|ecma)script|application/manifest\+json"
)
_STATIC_PATH = re.compile(
    r"\.(?:css|m?js|map|png|jpe?g|gif|svg|webp|avif|ico|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wasm"
    r"|webmanifest)$",
    re.IGNORECASE,
)
_STATIC_RESOURCES = frozenset(
    {"image", "stylesheet", "script", "font", "media", "texttrack", "manifest", "ping", "beacon",
     "csp-violation-report", "cspviolationreport", "signedexchange"}
)  # fmt: skip
# Of measurement, advertising and error reports; no journey should load them.
_TRACKERS = re.compile(
    r"(?:^|\.)(?:google-analytics\.com|googletagmanager\.com|doubleclick\.net|googlesyndication\.com"
    r"|googleadservices\.com|analytics\.google\.com|facebook\.(?:com|net)|hotjar\.(?:com|io)"
    r"|segment\.(?:com|io)|mixpanel\.com|amplitude\.com|fullstory\.com|clarity\.ms|bing\.com"
    r"|newrelic\.com|nr-data\.net|sentry\.io|bugsnag\.com|datadoghq(?:-browser-agent)?\.(?:com|eu)"
    r"|browser-intake-datadoghq\.(?:com|eu)|matomo\.cloud|plausible\.io|intercom\.io|cookielaw\.org"
    r"|onetrust\.com|cookiebot\.com|linkedin\.com|licdn\.com|tiktok\.com|gstatic\.com"
    r"|googleapis\.com)$"
)
_TRACKER_PATH = re.compile(r"/(?:collect|beacon|telemetry|analytics|rum|csp-report)(?:/|$)")
_WEB = frozenset({"http", "https"})
_ORIGIN_FORM = re.compile(r"[!-~]+(?::[0-9]{1,5})?", re.ASCII)

STATIC = "static files"
TRACKERS = "trackers"
OTHER_HOSTS = "requests to other hosts (--include-host takes them in)"
PREFLIGHTS = "CORS preflights"
SOCKETS = "WebSockets"
SCHEMES = "URLs that are not http or https"
UNANSWERED = "requests without an answer (cancelled or blocked)"


def left_out(
    method: str, url: SplitResult, *, resource: str, type_: str, status: int, headers: set[str]
) -> str | None:
    """Return why a request is none of the user's; None: it is.

    Args:
        method: upper case.
        url: of the request.
        resource: what the browser called it, lower case; empty: it did not say.
        type_: media type of the answer, lower case.
        status: of the answer.
        headers: lower-case names of the request.
    """
    if url.scheme in ("ws", "wss") or resource == "websocket" or status == 101:  # noqa: PLR2004 - RFC 6455
        return SOCKETS
    if url.scheme not in _WEB or not url.hostname:
        return SCHEMES
    if method == "OPTIONS" and (
        resource == "preflight" or "access-control-request-method" in headers
    ):
        return PREFLIGHTS
    if _TRACKERS.search(url.hostname) or _TRACKER_PATH.search(url.path):
        return TRACKERS
    is_page = method not in ("GET", "HEAD")
    if not is_page and (
        resource in _STATIC_RESOURCES or _STATIC_TYPES.match(type_) or _STATIC_PATH.search(url.path)
    ):
        return STATIC
    return None if status else UNANSWERED


# The browser says these of itself and of the page; a journey that repeats them says what is not so.
_VOLATILE = re.compile(
    r":.*|host|connection|content-length|transfer-encoding|te|trailer|upgrade.*|keep-alive|proxy-.*"
    r"|accept-encoding|accept-language|user-agent|sec-.*|dnt|pragma|cache-control|if-none-match"
    r"|if-modified-since|if-unmodified-since|priority|origin|referer|purpose|save-data|range"
    r"|traceparent|tracestate|baggage|x-b3-.*|sentry-trace|x-datadog-.*|newrelic|x-newrelic-.*"
    r"|x-client-data|x-request-id|x-correlation-id|postman-token|cookie|x-forwarded-.*|via"
)


def is_volatile(name: str) -> bool:
    """Tell whether a request header, in lower case, is the browser's own affair."""
    return _VOLATILE.fullmatch(name) is not None


def is_navigation(name: str, value: str) -> bool:
    """Tell whether a header says no more than that a browser wants a page."""
    return name == "accept" and value.startswith("text/html,")


def is_noise(name: str, value: str) -> bool:
    """Tell whether a parameter only keeps caches away."""
    return name in ("_", "cb", "cachebuster", "nocache") and value.isdigit()


def is_origin(text: str) -> bool:
    """Tell whether *text* can be the authority of a URL."""
    return _ORIGIN_FORM.fullmatch(text) is not None and "@" not in text
