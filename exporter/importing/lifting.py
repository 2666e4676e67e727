"""Secrets out of what was sent: each becomes ``${secrets.name}``, its value is forgotten.

Known by where they stand: credentials of a header, a cookie that nobody set, a field called
password, a JSON Web Token anywhere. Who signs in stands beside his password and becomes a variable.
Knows no format; nothing of a value is written anywhere.
"""

import base64
import binascii
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.importing.naming import Names
from exporter.importing.recording import Body, Call, Recording, reference, references, replaced
from probes.journey.playing.evidence import looks_secret

# Short ones stand in other texts by accident.
MIN_ANYWHERE_CHARACTERS = 6
# A cookie that says more than a switch.
MIN_COOKIE_CHARACTERS = 16
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_PASSWORD = re.compile(r"passw|passwd|pwd|passphrase", re.IGNORECASE)
# Of payment and identity: nobody's business, whatever a form calls them.
_PERSONAL = re.compile(
    r"cvv2?|cvc2?|card_?(?:number|no|cvv|cvc)|iban|ssn|account_?number|pin", re.IGNORECASE
)
_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}", re.ASCII)
_USERS = frozenset({"user", "username", "login", "email", "e-mail", "mail", "user_name", "account"})
# Made anew for each request by whoever sends one, so that the other end can tell a repeat.
_FRESH = re.compile(r"idempotency-key|x-idempotency-key|x-nonce", re.IGNORECASE)
_SCHEMES = frozenset({"bearer", "token", "apikey", "jwt", "negotiate", "digest"})
# Names of what a user has typed in and that only looks like a secret.
_INNOCENT = re.compile(r"(?:key|sort|token|secret)(?:s|words?|_type|type|_?count)?s?$")

COOKIES = "cookies that no answer set"


@dataclass(slots=True)
class _Vault:
    """Every secret that was met: value -> reference."""

    recording: Recording
    names: Names
    known: dict[str, str] = field(default_factory=dict[str, str])
    dropped: Counter[str] = field(default_factory=Counter[str])

    def put(self, value: str, name: str, what: str) -> str:
        """Keep a secret; return what stands in its place."""
        if value not in self.known:
            key = self.names.variable(name)
            self.recording.secrets[key] = what
            self.known[value] = reference(f"secrets.{key}")
        return self.known[value]

    def anywhere(self, text: str) -> str:
        """Return *text* without any secret that was met."""
        for value, name in self.known.items():
            if len(value) >= MIN_ANYWHERE_CHARACTERS and value in text:
                text = replaced(text, value, name)
        return _JWT.sub(lambda found: self.put(found[0], "jwt", "a JSON Web Token"), text)


def lift(recording: Recording, names: Names) -> list[Call]:
    """Return the calls without secrets; the recording learns their names."""
    vault = _Vault(recording, names, dict(recording.hidden))
    set_before: set[str] = set()
    made: list[Call] = []
    for call in recording.calls:
        made.append(_call(vault, call, set_before))
        set_before.update(_set_by(call))
    recording.omitted.update(vault.dropped)
    return [_swept(vault, call) for call in made]


def _set_by(call: Call) -> list[str]:
    lines = call.answer.header("set-cookie") if call.answer is not None else []
    return [line.partition("=")[0].strip() for line in lines]


def _call(vault: _Vault, call: Call, set_before: set[str]) -> Call:
    headers = [(name, _header(vault, name, value, call)) for name, value in call.headers]
    cookies = _cookies(vault, call, set_before)
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    return replace(
        call,
        headers=tuple(headers),
        cookies=(),
        params=tuple((key, _value(vault, key, value, call)) for key, value in call.params),
        body=_body(vault, call),
    )


def _header(vault: _Vault, name: str, value: str, call: Call) -> str:
    if references(value) or not value:
        return value
    lower = name.lower()
    if _FRESH.fullmatch(lower):
        return reference("uuid()")
    scheme, blank, rest = value.partition(" ")
    if blank and scheme.lower() == "basic":
        return _basic(vault, rest, call)
    if blank and scheme.lower() in _SCHEMES:
        return f"{scheme} {vault.put(rest, 'token', f'{scheme} of {call.where}')}"
    if lower in ("authorization", "proxy-authorization") or looks_secret(lower):
        return vault.put(value, lower.removeprefix("x-"), f"header {name} of {call.where}")
    return value


def _basic(vault: _Vault, coded: str, call: Call) -> str:
    user, password = "", ""
    with suppress(binascii.Error, UnicodeDecodeError):
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    if not password:
        return f"Basic {vault.put(coded, 'basic', f'user:password in base64 of {call.where}')}"
    who = _variable(vault, "user", user)
    secret = vault.put(password, "password", f"password of {call.where}").strip("\ue000\ue001")
    # what the header held must not come up again in a text
    vault.known.setdefault(coded, reference(f"base64('${{{who}}}:${{{secret}}}')"))
    return f"Basic {vault.known[coded]}"


def _variable(vault: _Vault, name: str, value: str) -> str:
    known = vault.recording.variables
    for key, before in known.items():
        if before == value:
            return key
    key = vault.names.variable(name)
    known[key] = value
    return key


def _cookies(vault: _Vault, call: Call, set_before: set[str]) -> list[str]:
    kept: list[str] = []
    for name, value in call.cookies:
        if name in set_before:
            continue
        if looks_secret(name) or _JWT.fullmatch(value):
            kept.append(f"{name}={vault.put(value, name, f'cookie {name} of {call.where}')}")
        else:
            vault.dropped[COOKIES] += 1
    return kept


def _body(vault: _Vault, call: Call) -> Body | None:
    body = call.body
    if body is None or body.form == "text":
        return body
    if body.form == "form":
        keys = [key for key, _ in body.value]
        return Body("form", [(k, _beside(vault, k, v, keys, call)) for k, v in body.value])
    return Body(body.form, _tree(vault, "", body.value, [], call))


def _tree(vault: _Vault, key: str, value: Any, beside: list[str], call: Call) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        return {name: _tree(vault, name, inner, keys, call) for name, inner in value.items()}
    if isinstance(value, list):
        return [_tree(vault, key, inner, beside, call) for inner in value]
    if isinstance(value, str):
        return _beside(vault, key, value, beside, call)
    if isinstance(value, int) and not isinstance(value, bool) and _PASSWORD.search(key):
        return vault.put(str(value), key, f"{key} of {call.where}")
    return value


def _beside(vault: _Vault, key: str, value: str, keys: list[str], call: Call) -> str:
    """Return a value of a form or object; who signs in stands beside a password."""
    if key.lower() in _USERS and value and not references(value) and any(map(_is_password, keys)):
        return reference(_variable(vault, key, value))
    return _value(vault, key, value, call)


def _is_password(key: str) -> bool:
    return _PASSWORD.search(key) is not None


def _is_personal(key: str, value: str) -> bool:
    return _PERSONAL.fullmatch(key) is not None or (
        _CARD.fullmatch(value) is not None and _is_card(value)
    )


def _is_card(value: str) -> bool:
    """Tell whether the last digit of a number is that of a card (ISO/IEC 7812-1, annex B)."""
    digits = [int(sign) for sign in value if sign.isdigit()]
    doubled = [digit * 2 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(it - 9 if it > 9 else it for it in doubled)) % 10 == 0  # noqa: PLR2004 - two digits


def _value(vault: _Vault, key: str, value: str, call: Call) -> str:
    if not value or references(value):
        return value
    if (
        _is_personal(key, value)
        or _is_password(key)
        or (looks_secret(key) and not _INNOCENT.fullmatch(key.lower()))
    ):
        return vault.put(value, key, f"{key} of {call.where}")
    return value


def _swept(vault: _Vault, call: Call) -> Call:
    """Return a call that holds no known secret in any other place."""
    return replace(
        call.changed(vault.anywhere),
        title=_plain(vault, call.title),
        notes=tuple(_plain(vault, note) for note in call.notes),
    )


def _plain(vault: _Vault, text: str) -> str:
    for value in vault.known:
        if len(value) >= MIN_ANYWHERE_CHARACTERS:
            text = text.replace(value, "***")
    return text
