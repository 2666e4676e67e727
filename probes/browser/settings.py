"""A browser journey as the file writes it.

Fields are the keys, docstrings their descriptions in the schema. Knows neither the file nor what
becomes of the keys.
"""

import re
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from probes.browser.families import AnyBrowserStep
from probes.journey.language.data import DataKeys
from probes.journey.language.wish import DurationWish, Wish
from probes.journey.loading.keys import MAX_STEPS, Headers, Static, static_tree
from probes.journey.loading.settings import BaseUrl, Secrets, Variables
from probes.pattern import suggest
from probes.settings import Settings
from probes.units import Duration, short

# load.md 2.2
DEFAULT_TIMEOUT_S = 60.0
# Debian's package; its slim sibling chromium-headless-shell lacks what the trace needs.
DEFAULT_EXECUTABLE = "/usr/bin/chromium"
_VIEWPORT = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", re.ASCII)
# BCP 47, as far as Chromium takes it: en, en-GB, zh-Hant-TW
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
MAX_BLOCKED = 200


def _viewport(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    found = _VIEWPORT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"want width and height in pixels such as 1280x720, got {short(value)}")
    return int(found[1]), int(found[2])


def _locale(text: str) -> str:
    if text and not _LOCALE.fullmatch(text):
        raise ValueError(f"want a locale such as en-GB, got {short(text)}")
    return text


def _timezone(text: str) -> str:
    if text and text not in available_timezones():
        hint = suggest(text, available_timezones())
        raise ValueError(f"want a time zone such as Europe/Berlin, got {short(text)}{hint}")
    return text


def _glob(text: str) -> str:
    if not text or "://" in text or any(sign.isspace() for sign in text):
        want = "want a host or host/path such as '*.ads.example.org'"
        raise ValueError(f"{want}, got {short(text)}")
    return text


Viewport = Annotated[
    tuple[int, int],
    BeforeValidator(_viewport),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+x[0-9]+$", "examples": ["1280x720"]}),
]


class BrowserOptions(Settings):
    """The browser that plays a journey; its presence makes it a browser journey."""

    executable: Static = DEFAULT_EXECUTABLE
    """Path of Chromium."""
    sandbox: bool = True
    """Chromium's own sandbox. Without it a page that breaks out has the rights of the prober; it
    cannot run as root, and needs user namespaces."""
    viewport: Viewport = (1280, 720)
    """Size of the page in pixels."""
    locale: Annotated[Static, AfterValidator(_locale)] = ""
    """Language of the browser; else Chromium's."""
    timezone: Annotated[Static, AfterValidator(_timezone)] = ""
    """Time zone of the browser; else the machine's."""
    user_agent: Static = ""
    """User agent; else Chromium's."""
    headers: Headers = Field(default={})
    """Sent with every request to the origin of ``base_url``, and to no other."""
    block: list[Annotated[Static, AfterValidator(_glob)]] = Field(
        default=[], max_length=MAX_BLOCKED
    )
    """Hosts, or hosts and paths, that the page must not load: globs."""
    record: Literal["never", "on_failure", "always"] = "on_failure"
    """``on_failure``: a screenshot, console and requests of a failed run at once; the runs behind
    it record a trace and a HAR file until one is up. ``always``: each run records them. Of a run
    that went well nothing is kept but what ``screenshot`` steps took."""
    verify: bool = True
    """Certificates are verified."""
    evaluate: bool = False
    """``evaluate`` steps are allowed: the file may run any script in the page."""


class VitalsExpect(Settings):
    """What the web vitals of every page must be; what was not observed is not judged."""

    ttfb: DurationWish | None = None
    """Time to the first byte of the document."""
    fcp: DurationWish | None = None
    """First contentful paint."""
    lcp: DurationWish | None = None
    """Largest contentful paint."""
    inp: DurationWish | None = None
    """Interaction to next paint; only where something was clicked, typed or pressed."""
    tbt: DurationWish | None = None
    """Total blocking time: what long tasks took beyond 50 ms each."""
    cls: Wish | None = None
    """Cumulative layout shift, a number."""


class BrowserJourneyKeys(Settings):
    """The steps of a user in a browser."""

    description: Static = ""
    """What it is, for people."""
    base_url: BaseUrl = ""
    """What relative addresses begin with; a probe's ``target`` replaces it."""
    timeout: Duration = DEFAULT_TIMEOUT_S
    """Time for all steps, the start of the browser included."""
    vars: Variables
    """Variables: ``${name}`` and ``${vars.name}``; ``--var`` and what is extracted wins."""
    secrets: Secrets
    """Used as ``${secrets.name}`` and shown nowhere."""
    data: Annotated[DataKeys, BeforeValidator(static_tree)] | None = None
    """Rows of a file, one for each run: ``${row.column}``."""
    browser: BrowserOptions
    """The browser."""
    steps: list[AnyBrowserStep] = Field(min_length=1, max_length=MAX_STEPS)
    """What the user does."""
    expect: VitalsExpect = VitalsExpect()
    """What the web vitals of every page must be."""
