"""Tokens of OAuth 2.0 servers: fetched in a run, kept until their end, shared by all who may.

    tokens = tokens_of(options)               # equal settings share one
    token = await tokens.get(recorder)        # phase ``auth``, unless one is still good
    tokens.answered(token, 401)               # the target refuses it: dropped, once

A token is fetched through our own exchange inside the deadline of the run that needs it first;
those that come meanwhile wait for it and share its failure too. The server is asked as written in
the probe file. Knows no request of a kind.
"""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import quote_plus, urlencode
from uuid import uuid4
from weakref import WeakValueDictionary

from pydantic import BaseModel

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.units import parse_number, short
from probes.wire.credentials import SecretFile, read_credential, read_off_loop
from probes.wire.http.exchange import exchange
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.message import Limits, Request, Response
from probes.wire.http.options import Options
from probes.wire.oauth2.settings import ASSERTION_S, OAuth2Options, plain_fields
from probes.wire.policy import POLICY, Policy

# blackbox.md 10.2: a token that ends while the answer is on its way is a false alarm.
EARLY_S = 30.0
# RFC 6749, 5.1 lets a server keep the end to itself; most say it.
UNTOLD_S = 300.0
# A server that promises more, or for ever, is asked again all the same: a day costs one request.
MAX_LIFETIME_S = 86_400.0
# A token fits into a header line, which is 8 KiB at most servers; the rest is description.
MAX_ANSWER_BYTES = 64 * 1024
MAX_TOKEN_CHARACTERS = 16 * 1024
_AS_WRITTEN = Policy()
_FORM = "application/x-www-form-urlencoded"
_SUCCESS, _FIRST_REDIRECT = 200, 300
_UNAUTHORIZED = 401
# RFC 6749, 5.2: how a server says that it wants the secret elsewhere
_WRONG_PLACE = frozenset({400, 401})
# RFC 6750, 2.1, and nothing that ends a header
_TOKEN = re.compile(r"[\x21-\x7e]+")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``ends`` is on the clock of `time.monotonic`, early enough to use it still."""

    text: str
    type: str = "Bearer"
    ends: float = 0.0

    @property
    def header(self) -> str:
        """Value of ``Authorization``."""
        return f"{self.type} {self.text}"


@dataclass(slots=True, eq=False)
class _Flight:
    """One fetch under way. Neither token nor failure: whoever fetched was cancelled."""

    done: asyncio.Event = field(default_factory=asyncio.Event)
    token: Token | None = None
    failure: CheckFailed | None = None
    secrets: tuple[str, ...] = ()
    """What a server could have put into the words of its refusal."""


class Tokens:
    """The token that one set of settings stands for.

    Args:
        options: whom to ask, and how.
    """

    def __init__(self, options: OAuth2Options) -> None:
        self._options = options
        self._kept: Token | None = None
        self._flight: _Flight | None = None
        self._may_drop = True
        self._in_body = options.client_auth == "body"
        proxies = None if options.proxy is None else options.proxy.proxies
        self._how = Options(
            limits=Limits(max_body=MAX_ANSWER_BYTES),
            tls=options.tls,
            follow_redirects=False,
            proxies=proxies,
        )

    def prepare(self) -> None:
        """Do now, off the loop, what the first fetch would wait for."""
        if self._options.url.is_tls:
            self._how.prepare()

    async def get(self, recorder: Recorder) -> Token:
        """Return a token that is good for this run; no text of the run shows it.

        Raises:
            CheckFailed: ``auth``, in phase ``auth``: the server gives none; ``config`` and the
                like: the fault is ours.
        """
        token = self._kept
        if token is None or token.ends <= monotonic():
            recorder.enter("auth")
            token = await self._wait(recorder)
            recorder.leave()
        recorder.hide(token.text)
        return token

    def answered(self, token: Token, status: int) -> None:
        """Learn how the target answered to *token*.

        A 401 drops it, but not that of the next token too: a target that refuses them all must not
        send us to the server in every run.
        """
        if status != _UNAUTHORIZED:
            self._may_drop = True
        elif self._may_drop and self._kept is token:
            self._kept, self._may_drop = None, False

    async def _wait(self, recorder: Recorder) -> Token:
        while True:
            flight = self._flight
            if flight is None:
                return await self._fly(recorder)
            await flight.done.wait()
            if flight.token is not None:
                return flight.token
            if (failure := flight.failure) is not None:
                for secret in flight.secrets:
                    recorder.hide(secret)
                raise CheckFailed(failure.reason, failure.message, phase="auth")

    async def _fly(self, recorder: Recorder) -> Token:
        flight = self._flight = _Flight()
        try:
            flight.token = self._kept = await self._fetch(recorder, flight)
        except CheckFailed as failure:
            flight.failure = failure
            raise
        finally:
            self._flight = None
            flight.done.set()
        return flight.token

    async def _fetch(self, recorder: Recorder, flight: _Flight) -> Token:
        # what is found on the way is no fact of the target
        aside = Recorder(recorder.deadline)
        try:
            with POLICY.set(_AS_WRITTEN):
                response = await self._ask(aside)
            return _read(response)
        except CheckFailed as failure:
            reason = failure.reason if failure.reason.is_own_fault else Reason.AUTH
            message = f"want a token of {self._options.url.origin}: {failure.message}"
            raise CheckFailed(reason, message, phase="auth") from None
        finally:
            flight.secrets = tuple(aside.secrets)
            for secret in flight.secrets:
                recorder.hide(secret)

    async def _ask(self, aside: Recorder) -> Response:
        options = self._options
        fields = [("grant_type", options.grant_type), *plain_fields(options)]
        if options.signs:
            fields.append(("assertion", await self._assertion(aside)))
            return await self._post(fields, (), aside)
        if options.scopes:
            fields.append(("scope", " ".join(options.scopes)))
        secret = options.client_secret
        word = "" if secret is None else await read_credential(secret, aside)
        pair = [("client_id", options.client_id), *([("client_secret", word)] if word else [])]
        if self._in_body:
            return await self._post([*fields, *pair], (), aside)
        response = await self._post(fields, _login(options.client_id, word, aside), aside)
        if options.client_auth == "auto" and response.status in _WRONG_PLACE:
            second = await self._post([*fields, *pair], (), aside)
            self._in_body = _SUCCESS <= second.status < _FIRST_REDIRECT
            return second if self._in_body else response
        return response

    async def _post(
        self, fields: list[tuple[str, str]], headers: tuple[tuple[str, str], ...], aside: Recorder
    ) -> Response:
        own = (("User-Agent", USER_AGENT), ("Accept", "application/json"), ("Content-Type", _FORM))
        request = Request(
            self._options.url, "POST", (*own, *headers), urlencode(fields).encode(),
            body_is_secret=True,
        )  # fmt: skip
        response = await exchange(request, aside, self._how)
        response.check()
        return response

    async def _assertion(self, aside: Recorder) -> str:
        from probes.wire.oauth2.jwt import sign  # noqa: PLC0415 - cryptography costs 40 ms of start

        options = self._options
        if options.key is None:
            raise CheckFailed(Reason.CONFIG, "want a key to sign with, got none")
        key = await read_credential(options.key, aside)
        claims = claims_of(options, datetime.now(UTC))
        found = await read_off_loop(
            "oauth2.key", lambda: sign(claims, key, options.algorithm, options.key_id), aside
        )
        aside.hide(found)
        return found


def claims_of(options: OAuth2Options, now: datetime) -> dict[str, Any]:
    """Return what an assertion of *now* says (RFC 7523, 3)."""
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": options.iss or options.client_id,
        "sub": options.client_id,
        "jti": str(uuid4()),
        "aud": options.audience or options.token_url,
        "iat": issued,
        "exp": issued + ASSERTION_S,
    }
    if options.scopes:
        claims["scope"] = " ".join(options.scopes)
    return claims | options.claims


def _login(client_id: str, secret: str, aside: Recorder) -> tuple[tuple[str, str], ...]:
    # RFC 6749, 2.3.1: both are form-encoded first
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    encoded = base64.b64encode(pair.encode()).decode()
    aside.hide(encoded)
    return (("Authorization", f"Basic {encoded}"),)


def _read(response: Response) -> Token:
    """Read the answer of a token server (RFC 6749, 5.1 and 5.2)."""
    try:
        said = json.loads(response.body.data)
    except (ValueError, RecursionError):
        said = None
    status = response.status
    if not _SUCCESS <= status < _FIRST_REDIRECT:
        raise CheckFailed(Reason.AUTH, f"want status 2xx, got {status}{_error_of(said)}")
    if not isinstance(said, Mapping):
        raise CheckFailed(Reason.AUTH, "want an answer in JSON, got something else")
    text, kind = said.get("access_token"), said.get("token_type") or "Bearer"
    if not isinstance(text, str) or not _TOKEN.fullmatch(text) or len(text) > MAX_TOKEN_CHARACTERS:
        got = "none" if "access_token" not in said else "something that is none"
        raise CheckFailed(Reason.AUTH, f"want an access_token, got {got}{_error_of(said)}")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise CheckFailed(Reason.AUTH, f"want a token_type such as Bearer, got {short(kind)}")
    lifetime = _seconds(said.get("expires_in"))
    return Token(text, "Bearer" if kind.lower() == "bearer" else kind, monotonic() + lifetime)


def _error_of(said: object) -> str:
    if not isinstance(said, Mapping):
        return ""
    words = [said.get("error"), said.get("error_description")]
    found = [short(word) for word in words if isinstance(word, str) and word]
    return f" {': '.join(found)}" if found else ""


def _seconds(said: object) -> float:
    """Return how long a token may be used; strings too, as some servers write them."""
    try:
        seconds = parse_number(said) if isinstance(said, str) else said
    except ValueError:
        seconds = None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return UNTOLD_S
    # Python reads NaN and Infinity as JSON; a number that is no time is as good as none
    return min(seconds, MAX_LIFETIME_S) - EARLY_S if seconds > 0 else UNTOLD_S


_known: "WeakValueDictionary[str, Tokens]" = WeakValueDictionary()


def tokens_of(options: OAuth2Options) -> Tokens:
    """Return the tokens of *options*; equal ones share theirs as long as somebody holds them."""
    spelt = json.dumps(_plain(options), sort_keys=True, default=str)
    key = hashlib.sha256(spelt.encode()).hexdigest()
    found = _known.get(key)
    if found is None:
        found = _known[key] = Tokens(options)
    return found


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return value.get_secret_value()
    if isinstance(value, SecretFile):
        return {"path": value.path}
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
