"""A journey as the file writes it, and the world that it is compiled in.

Fields are the keys, docstrings their descriptions in the schema. Knows neither the file nor what
becomes of the keys.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from probes.journey.language.data import DataKeys
from probes.journey.loading.families import AnyStep
from probes.journey.loading.keys import MAX_STEPS, Headers, Static, VariableName, static_tree
from probes.journey.safety import BrowserSafety
from probes.redact import Secret
from probes.settings import Settings
from probes.units import Duration, Size
from probes.wire.http.message import MAX_REDIRECTS
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url

# load.md 2.2
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CLEANUP_S = 5.0
DEFAULT_STEP_S = 5.0
DEFAULT_REDIRECTS = 5
DEFAULT_MAX_BODY = 2 * 2**20
# A larger answer is no answer to a step, and a run holds it in memory.
MAX_BODY = 64 * 2**20
MAX_VARIABLES = 200


def _base_url(text: str) -> str:
    if text:
        parse_url(text)
        if "?" in text or "#" in text:
            raise ValueError("want a base URL without query and fragment, got one with")
    return text


def _static_secret(value: Any) -> Any:
    try:
        return static_tree(value)
    except ValueError:
        # not even a part of it may be shown
        raise ValueError("want a secret without ${...}, got one with") from None


BaseUrl = Annotated[Static, AfterValidator(_base_url)]
"""An http or https URL, or an empty text."""
Variables = Annotated[dict[VariableName, Any], Field(default={}, max_length=MAX_VARIABLES)]
Secrets = Annotated[
    dict[VariableName, Annotated[Secret, BeforeValidator(_static_secret)]], Field(default={})
]


class HttpDefaults(Settings):
    """What every step over HTTP takes over."""

    headers: Headers = Field(default={})
    """Request headers."""
    timeout: Duration = DEFAULT_STEP_S
    """Time for one request, all of it, not for each read."""
    redirects: int = Field(default=DEFAULT_REDIRECTS, ge=0, le=MAX_REDIRECTS)
    """Redirects at most."""
    tls: Annotated[TlsOptions, BeforeValidator(static_tree)] = TlsOptions()
    """How servers are verified, and the client certificate."""
    max_body: Annotated[Size, Field(ge=1, le=MAX_BODY)] = DEFAULT_MAX_BODY
    """Size of a decoded body at most; more is ``too_large``."""


class JourneyKeys(Settings):
    """The steps of a user over HTTP, written once: played by probes and by loads."""

    description: Static = ""
    """What it is, for people."""
    base_url: BaseUrl = ""
    """What relative URLs begin with; a probe's ``target`` replaces it."""
    timeout: Duration = DEFAULT_TIMEOUT_S
    """Time for ``setup`` and ``steps`` together."""
    cleanup_timeout: Duration = DEFAULT_CLEANUP_S
    """Time for ``cleanup``."""
    vars: Variables
    """Variables: ``${name}`` and ``${vars.name}``; ``--var`` and what is extracted wins."""
    secrets: Secrets
    """Used as ``${secrets.name}`` and shown nowhere."""
    http: HttpDefaults = HttpDefaults()
    """What every step over HTTP takes over."""
    cookies: Literal["keep", "reset"] = "keep"
    """Load: whether a user's cookies outlive a round. A probe begins without any."""
    data: Annotated[DataKeys, BeforeValidator(static_tree)] | None = None
    """Rows of a file, one for each run: ``${row.column}``."""
    setup: list[AnyStep] = Field(default=[], max_length=MAX_STEPS)
    """Steps before: of each run of a probe, of each user of a load."""
    steps: list[AnyStep] = Field(min_length=1, max_length=MAX_STEPS)
    """What the user does."""
    cleanup: list[AnyStep] = Field(default=[], max_length=MAX_STEPS)
    """Steps behind, also after a failure, a timeout and a stop."""


@dataclass(frozen=True, slots=True)
class World:
    """What a journey is compiled in.

    Args:
        directory: of the probe file; paths begin there.
        environ: for ``${env(NAME)}``.
        variables: of ``--var``.
        others: every journey of the file by name, for ``include``.
        browser: ceilings for browsers.
        broken: journeys of the file that could not be read; why is told where they stand.
    """

    directory: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    variables: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, JourneyKeys] = field(default_factory=dict)
    browser: BrowserSafety = field(default_factory=BrowserSafety)
    broken: frozenset[str] = frozenset()
