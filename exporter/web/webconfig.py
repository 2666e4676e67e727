"""The file of ``--web.config.file`` (exporter-toolkit's format) as typed settings.

Every mistake is told at once, with its line.

    WebConfig
    ├── tls       TlsSettings | None
    ├── headers   (name, value), ...: added to every answer
    ├── users     name -> bcrypt hash
    └── rate      Rate(interval_s, burst) | None

Reads and judges; watching the file is `watched`, TLS itself is `tls`. Knows no request.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.web.tls import (
    CLIENT_AUTH,
    UNVERIFIED_AUTH,
    VERSIONS,
    TlsSettings,
    judge_ciphers,
    judge_curves,
)
from probes.config.document import Document, load_document
from probes.errors import ConfigError, Problem
from probes.units import parse_duration, short

# Header name -> allowed values; None allows any. The list of exporter-toolkit.
EXTRA_HEADERS: Mapping[str, tuple[str, ...] | None] = MappingProxyType(
    {
        "Content-Security-Policy": None,
        "Strict-Transport-Security": None,
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": None,
    }
)
# The form that Go's and Python's bcrypt both compute: $2a$10$ and 53 characters; cost 4 to 31.
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_BLOCKS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
# A request of the largest burst that anybody scrapes with; beyond it a limit limits nothing.
MAX_BURST = 1_000_000

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: one request every ``interval_s``, ``burst`` at once."""

    interval_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says. The default is an empty file: plain HTTP for everybody."""

    tls: TlsSettings | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    rate: Rate | None = None
    http2: bool = False


def read_web_config(path: Path) -> WebConfig:
    """Read and judge the file.

    Raises:
        ConfigError: every mistake in it, or why it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"want a readable file, got {error.strerror or type(error).__name__}"
        raise ConfigError([Problem(str(path), 0, 0, "", message)]) from None
    return judge_web_config(data, path)


def judge_web_config(data: bytes, path: Path) -> WebConfig:
    """Judge the text of the file; relative paths in it start from its directory.

    Raises:
        ConfigError: every mistake in it.
    """
    document = load_document(data, str(path))
    judge = _Judge(document, path.parent)
    config = judge.config()
    problems = [*document.problems, *judge.problems]
    if problems:
        raise ConfigError(sorted(problems))
    return config


class _Judge:
    """One pass over the document; collects problems instead of stopping at the first."""

    def __init__(self, document: Document, directory: Path) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._directory = directory

    def config(self) -> WebConfig:
        root = self._mapping((), self._document.value, _BLOCKS)
        http = self._mapping(
            ("http_server_config",), root.get("http_server_config"), ("http2", "headers")
        )
        return WebConfig(
            tls=self._tls(root.get("tls_server_config")),
            headers=self._headers(http.get("headers")),
            users=self._users(root.get("basic_auth_users")),
            rate=self._rate(root.get("rate_limit")),
            http2=self._flag(("http_server_config", "http2"), http, default=False),
        )

    def _headers(self, value: Any) -> tuple[tuple[str, str], ...]:
        where = ("http_server_config", "headers")
        found: list[tuple[str, str]] = []
        for name, text in self._mapping(where, value, tuple(EXTRA_HEADERS)).items():
            allowed = EXTRA_HEADERS[name]
            if not isinstance(text, str):
                self._problem((*where, name), f"want a text, got {short(text)}")
            elif allowed is not None and text not in allowed:
                self._problem((*where, name), f"want {' or '.join(allowed)}, got {short(text)}")
            elif not text.isascii() or not text.isprintable():
                self._problem((*where, name), f"want printable ASCII, got {short(text)}")
            elif text:
                found.append((name, text))
        return tuple(found)

    def _users(self, value: Any) -> Mapping[str, str]:
        where: Path_ = ("basic_auth_users",)
        users: dict[str, str] = {}
        for name, stored in self._mapping(where, value).items():
            if isinstance(stored, str) and _BCRYPT.fullmatch(stored):
                users[name] = stored
            else:
                # a password in clear text may stand here: it is not shown
                self._problem(
                    (*where, name), "want a bcrypt hash such as $2y$10$..., got another text"
                )
        return MappingProxyType(users)

    def _rate(self, value: Any) -> Rate | None:
        where: Path_ = ("rate_limit",)
        block = self._mapping(where, value, ("interval", "burst"))
        interval, burst = block.get("interval", "0s"), block.get("burst", 0)
        if interval in ("0", "0s", 0):
            return None
        seconds = self._read((*where, "interval"), parse_duration, interval)
        if isinstance(burst, bool) or not isinstance(burst, int) or not 1 <= burst <= MAX_BURST:
            self._problem((*where, "burst"), f"want a burst from 1 on, got {short(burst)}")
            return None
        return None if seconds is None else Rate(seconds, burst)

    def _tls(self, value: Any) -> TlsSettings | None:
        where: Path_ = ("tls_server_config",)
        block = self._mapping(where, value, _TLS_KEYS)
        if not block:
            return None
        before = len(self.problems)
        cert, key = self._pem(block, "cert"), self._pem(block, "key")
        authority = self._pem(block, "client_ca", optional=True)
        mode = self._client_auth(block, authority)
        settings: dict[str, Any] = {
            "client_ca": authority,
            "client_auth": mode,
            "allowed_sans": frozenset(self._texts(block, "client_allowed_sans")),
            "minimum": self._version(block, "min_version", "TLS12"),
            "maximum": self._version(block, "max_version", "TLS13"),
            "ciphers": self._read(
                (*where, "cipher_suites"), judge_ciphers, self._texts(block, "cipher_suites")
            ),
            "curve": self._read(
                (*where, "curve_preferences"), judge_curves, self._texts(block, "curve_preferences")
            ),
            "server_order": self._flag(
                (*where, "prefer_server_cipher_suites"), block, default=True
            ),
        }
        if settings["allowed_sans"] and not mode:
            self._problem(
                (*where, "client_allowed_sans"),
                "want a client_auth_type that verifies beside it, got none",
            )
        if len(self.problems) > before or cert is None or key is None:
            return None
        if settings["minimum"] > settings["maximum"]:
            self._problem((*where, "min_version"), "want at most max_version, got a later one")
            return None
        return TlsSettings(cert=cert, key=key, **settings)

    def _pem(
        self, block: Mapping[str, Any], name: str, *, optional: bool = False
    ) -> Path | str | None:
        where: Path_ = ("tls_server_config",)
        text, file = block.get(name) or None, block.get(f"{name}_file") or None
        if text is not None and file is not None:
            self._problem((*where, name), f"want one of {name} and {name}_file, got both")
        elif text is None and file is None:
            if not optional:
                self._problem(where, f"want one of {name} and {name}_file, got neither")
        elif not isinstance(text or file, str):
            self._problem(
                (*where, name if text else f"{name}_file"), "want a text, got something else"
            )
        elif file is not None:
            return self._directory / str(file)
        else:
            return str(text)
        return None

    def _client_auth(self, block: Mapping[str, Any], authority: object) -> Any:
        path = ("tls_server_config", "client_auth_type")
        word = block.get("client_auth_type") or ""
        if not isinstance(word, str) or word not in {*CLIENT_AUTH, *UNVERIFIED_AUTH}:
            names = ", ".join(name for name in CLIENT_AUTH if name)
            self._problem(path, f"want one of {names}, got {short(word)}")
        elif word in UNVERIFIED_AUTH:
            self._problem(
                path,
                "want NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert, "
                f"got {short(word)}: a certificate that nobody verifies proves nothing",
            )
        elif authority is not None and not CLIENT_AUTH[word]:
            self._problem(path, "want one that verifies beside the client CA, got none")
        else:
            return CLIENT_AUTH[word]
        return None

    def _version(self, block: Mapping[str, Any], name: str, default: str) -> Any:
        word = block.get(name, default)
        if isinstance(word, str) and word in VERSIONS:
            return VERSIONS[word]
        self._problem(
            ("tls_server_config", name), f"want {' or '.join(VERSIONS)}, got {short(word)}"
        )
        return VERSIONS[default]

    def _texts(self, block: Mapping[str, Any], name: str) -> Sequence[str]:
        value = block.get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        self._problem(("tls_server_config", name), f"want a list of texts, got {short(value)}")
        return ()

    def _flag(self, path: Path_, block: Mapping[str, Any], *, default: bool) -> bool:
        value = block.get(str(path[-1]), default)
        if isinstance(value, bool):
            return value
        self._problem(path, f"want true or false, got {short(value)}")
        return default

    def _read(self, path: Path_, reader: Callable[[Any], Any], value: Any) -> Any:
        try:
            return reader(value)
        except ValueError as error:
            self._problem(path, str(error))
            return None

    def _mapping(
        self, path: Path_, value: Any, known: Sequence[str] | None = None
    ) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._problem(path, f"want a mapping, got {short(value)}")
            return {}
        if known is None:
            return value
        for name in value:
            if name not in known:
                self._problem((*path, name), f"want one of {', '.join(known)}, got {short(name)}")
        return {name: one for name, one in value.items() if name in known}

    def _problem(self, path: Path_, message: str) -> None:
        spot = self._document.locate(path, key=True)
        name = ".".join(map(str, path))
        self.problems.append(Problem(self._document.name, spot.line, spot.column, name, message))


_TLS_KEYS = (
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_ca",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
