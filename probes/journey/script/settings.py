"""A journey in Python as the file writes it.

Fields are the keys, docstrings their descriptions in the schema. Knows neither the file nor what
becomes of the keys.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from probes.journey.language.data import DataKeys
from probes.journey.loading.keys import MAX_STEPS, Static, StepName, static_tree
from probes.journey.loading.settings import (
    DEFAULT_CLEANUP_S,
    DEFAULT_TIMEOUT_S,
    BaseUrl,
    HttpDefaults,
    Secrets,
    Variables,
)
from probes.settings import Settings
from probes.units import Duration, short
from probes.wire.url import parse_url

MAX_ENVIRONMENT = 50
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}", re.ASCII)
# What the loader of programs obeys: a file that sets them would run something else.
_LOADER = re.compile(r"(?:LD|DYLD|PYTHON|GLIBC|MALLOC)_?.*|PATH|IFS|ENV|BASH_ENV", re.ASCII)


def _function(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError(f"want the name of a function such as checkout, got {short(text)}")
    return text


def _environment(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", text, re.ASCII):
        raise ValueError(f"want the name of a variable such as SHOP_REGION, got {short(text)}")
    if _LOADER.fullmatch(text):
        raise ValueError(f"want a variable that does not change the child itself, got {text}")
    return text


def _origin(text: str) -> str:
    url = parse_url(text)
    if url.path_query != "/" or url.user or url.password:
        raise ValueError(f"want an origin such as https://pay.example.org, got {short(text)}")
    return url.origin


class PythonKeys(Settings):
    """Where the code stands; its presence makes it a journey in Python."""

    file: Static = Field(min_length=1)
    """A Python file inside the directory of this file."""
    function: Annotated[Static, AfterValidator(_function)]
    """Name of an ``async def`` in it that takes one argument, the user."""
    env: list[Annotated[Static, AfterValidator(_environment)]] = Field(
        default=[], max_length=MAX_ENVIRONMENT
    )
    """Variables of the environment that the code may see; besides PATH, LANG, TZ and TMPDIR."""
    origins: list[Annotated[Static, AfterValidator(_origin)]] = Field(
        default=[], max_length=MAX_ENVIRONMENT
    )
    """Origins besides that of ``base_url`` that the code may ask as freely, such as
    ``https://pay.example.org``. A URL of any other is judged like a redirect to it: no inherited
    header goes there, and no private address."""


class ScriptKeys(Settings):
    """The steps of a user, written in Python."""

    description: Static = ""
    """What it is, for people."""
    base_url: BaseUrl = ""
    """What relative URLs begin with; a probe's ``target`` replaces it."""
    timeout: Duration = DEFAULT_TIMEOUT_S
    """Time for the function, the start of Python included (about half a second)."""
    cleanup_timeout: Duration = DEFAULT_CLEANUP_S
    """Time for what ``user.cleanup`` was given."""
    vars: Variables
    """Variables: ``user.vars["name"]``; ``--var`` wins."""
    secrets: Secrets
    """``user.secrets["name"]``; shown nowhere."""
    http: HttpDefaults = HttpDefaults()
    """What every request takes over."""
    data: Annotated[DataKeys, BeforeValidator(static_tree)] | None = None
    """Rows of a file, one for each run: ``user.row["column"]``."""
    python: PythonKeys
    """The code."""
    steps: list[StepName] = Field(default=[], max_length=MAX_STEPS)
    """Names of all steps in their order: then no other may come up, and what was not reached is
    told as skipped. By default the steps are those that come up."""
