"""The ``tls:`` block of the probe file, and the one context per set of options that it stands for.

A context with the system's authorities costs 40 ms, so equal options share one, built at first use
and never per run. Knows neither addresses nor what is said over the connection; the hook itself
lives in `probes.wire.tls.peer`.
"""

import asyncio
import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from weakref import WeakValueDictionary

from pydantic import BeforeValidator, PrivateAttr, ValidationInfo, field_validator, model_validator

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings, is_blackbox
from probes.units import short
from probes.wire.credentials import read_off_loop, reading
from probes.wire.tls.peer import (
    NOTE,
    TLS_METRICS,
    RecordingContext,
    TlsNote,
    forget_peer,
    judge_certificate,
    noted,
    shared_metrics,
)
from probes.wire.tls.x509 import load_library
from probes.wire.url import Url, canonical_host, split_host_port, tls_name

__all__ = [
    "NET_METRICS", "NOTE", "TLS_METRICS", "RecordingContext", "TlsNote", "TlsOptions",
    "forget_peer", "judge_certificate", "noted", "server_name", "shared_metrics",
]  # fmt: skip

NET_METRICS = shared_metrics("dns_lookup_time_seconds", "ip_protocol", "ip_addr_hash")

Version = Literal["1.0", "1.1", "1.2", "1.3"]
_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
# Of files of TLS, which may lie on a slow disk: a look takes a thread, which cost a third of
# a probe over TLS (0.7 of 2.3 ms, 2026-11-22), and nobody rotates a certificate more often.
LOOK_S = 1.0
# OpenSSL 3 offers nothing that a server of TLS 1.0 or 1.1 knows above this level.
_OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"


def _to_version(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.1f}"  # YAML reads an unquoted 1.2 as a number
    if isinstance(value, str) and value.startswith("TLS1"):
        return f"{value[3]}.{value[4:]}"  # blackbox_exporter's TLS12
    return value


_Spelling = Version | float | Literal["TLS10", "TLS11", "TLS12", "TLS13"]
_Version = Annotated[Version, BeforeValidator(_to_version, json_schema_input_type=_Spelling)]


class TlsOptions(Settings):
    """How a TLS connection is made and what is verified. The defaults verify as a browser does."""

    verify: bool = True
    """Whether chain, name and time of the certificate must be right."""
    server_name: str = ""
    """Name to ask for and to verify instead of the target's host."""
    ca: str = ""
    """Authorities to trust instead of the system's, as PEM text."""
    ca_file: str = ""
    """The same as a file."""
    cert: str = ""
    """Client certificate and its chain, as PEM text."""
    cert_file: str = ""
    """The same as a file."""
    key: Secret | None = None
    """Key of the client certificate, as PEM text."""
    key_file: str = ""
    """The same as a file."""
    min_version: _Version = "1.2"
    """Oldest TLS version to accept."""
    max_version: _Version = "1.3"
    """Newest TLS version to offer."""
    ciphers: str = ""
    """Cipher suites below TLS 1.3, in OpenSSL's notation."""

    _files: tuple[object, ...] = PrivateAttr(default=())

    @field_validator("server_name", mode="after")
    @classmethod
    def _can_be_asked_for(cls, name: str) -> str:
        return tls_name(canonical_host(name)) if name else ""

    @field_validator("ca_file", "cert_file", "key_file", mode="after")
    @classmethod
    def _beside_the_probe_file(cls, path: str, info: ValidationInfo) -> str:
        directory = (info.context or {}).get("directory")
        return str(Path(directory) / path) if directory and path else path

    @field_validator("ciphers", mode="after")
    @classmethod
    def _known_ciphers(cls, ciphers: str) -> str:
        if ciphers:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
            except ssl.SSLError:
                raise ValueError(
                    f"want ciphers in OpenSSL's notation, got {short(ciphers)}"
                ) from None
        return ciphers

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        for one, other in (("ca", "ca_file"), ("cert", "cert_file"), ("key", "key_file")):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"want {one} or {other}, got both")
        if (self.key or self.key_file) and not (self.cert or self.cert_file):
            raise ValueError("want a client certificate to the key, got none")
        # now, not at the first run: the loop may not touch the disk, a reload must see a change
        if not self._files or not _in_a_loop():
            self._files = tuple(map(_version_of, self._paths))
        if self.min_version > self.max_version and not is_blackbox(info):
            raise ValueError(self._no_version())
        return self

    def _no_version(self) -> str:
        return f"want min_version <= max_version, got {self.min_version}, {self.max_version}"

    @property
    def _paths(self) -> tuple[str, str, str]:
        return self.ca_file, self.cert_file, self.key_file

    @property
    def has_files(self) -> bool:
        """Whether a run has to `reread` them."""
        return bool(self.ca_file or self.cert_file or self.key_file)

    async def reread(self, recorder: Recorder) -> None:
        """Take what the files hold now, if they changed since they were read; off the loop.

        Raises:
            CheckFailed: ``config``: a file that is missing, unreadable or not what it should be.
        """
        clock = asyncio.get_running_loop().time
        if self._looked.get("next", 0.0) > clock():
            return
        path = next(filter(None, self._paths), "")
        # one looks, the others wait: what they have may be older than the last run
        async with reading(path, recorder), self._turn:
            if self._looked.get("next", 0.0) > clock():
                return
            failure = await read_off_loop(path, self._refresh, recorder)
            if failure is not None:
                raise CheckFailed(failure.reason, failure.message)
            self._looked["next"] = clock() + LOOK_S

    def _refresh(self) -> CheckFailed | None:
        """Build anew what changed files make old; in a thread, while runs take the old ones."""
        files = tuple(map(_version_of, self._paths))
        if files == self._files:
            return None
        copy = self.model_copy()
        try:
            for wish in tuple(self._contexts):
                copy.context(wish[0], check_name=wish[1]).suites  # noqa: B018 - computed once
        except CheckFailed as failure:
            return failure
        self._files = files
        self._contexts.update(copy._contexts)  # noqa: SLF001 - one of us
        return None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copy = super().model_copy(update=update, deep=deep)
        # a context of other options would hand the client certificate to whom it is not meant for
        for cached in ("_contexts", "_looked", "_turn"):
            if cached in copy.__dict__:
                object.__delattr__(copy, cached)  # frozen is for others
        copy._files = tuple(map(_version_of, copy._paths))  # noqa: SLF001 - one of us
        return copy

    def without_identity(self) -> Self:
        """Return the same options without client certificate: for another origin."""
        return self.model_copy(update={"cert": "", "cert_file": "", "key": None, "key_file": ""})

    def for_others(self) -> Self:
        """Return the same options for origins that an answer names: no identity, no pinned name.

        Itself where there is neither: building a context costs 40 ms.
        """
        if not (self.cert or self.cert_file or self.server_name):
            return self
        return self.without_identity().model_copy(update={"server_name": ""})

    def prepare(self, alpn: tuple[str, ...] = ()) -> None:
        """Do now, off the loop, what else the first handshake would wait for."""
        load_library()
        # the run builds it again and tells what is wrong with it
        with suppress(CheckFailed):
            self.context(alpn).suites  # noqa: B018 - computed once

    @cached_property
    def _contexts(self) -> dict[tuple[tuple[str, ...], bool], RecordingContext]:
        # no private attribute: options that were used must equal the same ones that were not, or a
        # reload takes every TLS probe for a changed one
        return {}

    @cached_property
    def _looked(self) -> dict[str, float]:
        """When files are looked at next, by the clock of the loop; no private attribute either."""
        return {}

    @cached_property
    def _turn(self) -> asyncio.Lock:
        """Of the one that looks at the files; no private attribute either."""
        return asyncio.Lock()

    def context(self, alpn: tuple[str, ...] = (), *, check_name: bool = True) -> RecordingContext:
        """Return the context of these options; equal options share one.

        Args:
            alpn: protocols to offer, the preferred one first.
            check_name: false accepts a certificate for any name, if its chain is good.

        Raises:
            CheckFailed: ``config``: a file that is missing, unreadable or not what it should be.
        """
        wish = (alpn, check_name)
        context = self._contexts.get(wish)
        if context is None:
            key = (*self._identity(), *wish)
            context = _shared.get(key)
            if context is None:
                context = _shared[key] = self._build(alpn)
                context.check_hostname = context.check_hostname and check_name
            self._contexts[wish] = context
        return context

    def _identity(self) -> tuple[object, ...]:
        key = self.key.get_secret_value() if self.key else ""
        how = (self.verify, self.min_version, self.max_version, self.ciphers)
        return (*how, self.ca, self.cert, key, *self._paths, *self._files)

    def _build(self, alpn: tuple[str, ...]) -> RecordingContext:
        if self.min_version > self.max_version:
            raise CheckFailed(Reason.CONFIG, self._no_version())
        context = RecordingContext(ssl.PROTOCOL_TLS_CLIENT)
        context.hostname_checks_common_name = False
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with warnings.catch_warnings():
            # whoever asks for TLS 1.0 checks an old server; Python would warn on stderr
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = _VERSIONS[self.min_version]
            context.maximum_version = _VERSIONS[self.max_version]
        ciphers = self.ciphers or (_OLD_CIPHERS if self.min_version < "1.2" else "")
        if ciphers:
            context.set_ciphers(ciphers)
        if alpn:
            context.set_alpn_protocols(alpn)
        if self.verify:
            self._load_authorities(context)
        if self.cert or self.cert_file:
            self._load_client_certificate(context)
        return context

    def _load_authorities(self, context: RecordingContext) -> None:
        if not self.ca and not self.ca_file:
            context.load_default_certs()
            if not context.cert_store_stats()["x509"] and not _has_authorities():
                raise CheckFailed(
                    Reason.CONFIG, "want authorities to trust, got a system without any"
                )
            return
        try:
            context.load_verify_locations(cafile=self.ca_file or None, cadata=self.ca or None)
        except OSError as error:
            raise _unusable("authorities (PEM)", self.ca_file or "tls.ca", error) from None

    def _load_client_certificate(self, context: RecordingContext) -> None:
        name = self.cert_file or "tls.cert"
        if self.key_file:
            name = f"{name} and {self.key_file}"
        try:
            with (
                _file_of(self.cert, self.cert_file) as cert,
                _file_of(self.key.get_secret_value() if self.key else "", self.key_file) as key,
            ):
                context.load_cert_chain(cert, key or None, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise _unusable("a client certificate and its key (PEM)", name, error) from None


def server_name(url: Url, tls: TlsOptions, host: str = "") -> str:
    """Return the name to verify: the configured one, else that of the header *host*, else *url*'s.

    ``Host`` of a request may differ from where it goes to.
    """
    if tls.server_name:
        return tls.server_name
    return tls_name(split_host_port(host, 443)[0] if host else url.host)


_shared: "WeakValueDictionary[tuple[object, ...], RecordingContext]" = WeakValueDictionary()


def _has_authorities() -> bool:
    """Return whether there is a directory that OpenSSL searches by itself when it verifies."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or paths.capath)


def _no_passphrase() -> str:
    # without an answer of ours OpenSSL would ask on the terminal
    raise ValueError("the key has a passphrase")


def _unusable(wanted: str, name: str, error: Exception) -> CheckFailed:
    if isinstance(error, ssl.SSLError):
        why = (error.reason or "not in PEM").replace("_", " ").lower()
    else:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return CheckFailed(Reason.CONFIG, f"want {wanted} in {name}, got {why}")


def _version_of(path: str) -> tuple[object, ...]:
    """Return what changes when the file does, so that a reload sees a rotated one."""
    if not path or _in_a_loop():
        # the probe file is read off the loop; what is made inside it may not wait for a disk
        return (path,)
    try:
        found = Path(path).stat()
    except OSError:
        return (path,)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _file_of(text: str, path: str) -> Iterator[str]:
    """Give *text* a path for as long as OpenSSL reads it; in memory where the kernel can."""
    if not text:
        yield path
    elif hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:  # pragma: no cover - other systems than Linux
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield file.name
