"""The ``tls_server_config`` block as an SSLContext: Go's names mapped to OpenSSL's.

Never ignores a key: what Python's ssl cannot do is refused. Also judges client certificates.
Knows no YAML, no watching of files and no connection.
"""

import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from probes.units import short

# The names of crypto/tls and of OpenSSL. Suites without forward secrecy are not offered.
CIPHERS = MappingProxyType(
    {
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    }
)
# TLS 1.3 has a fixed list in Go as in OpenSSL: named or not, it is offered.
TLS13_CIPHERS = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
CURVES = MappingProxyType(
    {
        "CurveP256": "prime256v1",
        "CurveP384": "secp384r1",
        "CurveP521": "secp521r1",
        "X25519": "X25519",
    }
)
# RFC 8996 forbids 1.0 and 1.1, and OpenSSL 3 refuses them at its default security level.
VERSIONS = MappingProxyType({"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3})
CLIENT_AUTH = MappingProxyType(
    {
        "": ssl.CERT_NONE,
        "NoClientCert": ssl.CERT_NONE,
        "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
        "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
    }
)
# Wanted but not verified: Python's ssl has no such mode.
UNVERIFIED_AUTH = frozenset({"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"})


@dataclass(frozen=True, slots=True, repr=False)
class TlsSettings:
    """The block, judged key by key. A certificate, key or CA is a path, or its PEM text."""

    cert: Path | str
    key: Path | str
    client_ca: Path | str | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    allowed_sans: frozenset[str] = frozenset()
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()
    curve: str = ""
    server_order: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose change makes a new context."""
        return tuple(one for one in (self.cert, self.key, self.client_ca) if isinstance(one, Path))


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a server context; reads the files.

    Raises:
        OSError, ValueError: (ssl.SSLError is an OSError) what the file is not.
    """
    for path in settings.files:
        # OpenSSL's own error does not name the file
        path.open("rb").close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    # a connection is one scrape; tickets only cost a write
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if settings.curve:
        context.set_ecdh_curve(settings.curve)
    if settings.server_order:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, settings)
    context.verify_mode = settings.client_auth
    if settings.client_ca is not None:
        _load_ca(context, settings.client_ca)
    elif settings.client_auth is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def may_enter(certificate: Any, allowed_sans: frozenset[str]) -> bool:
    """Return whether a verified client certificate carries one of the allowed names.

    Args:
        certificate: what ``SSLObject.getpeercert()`` returns; None or empty when none was sent.
        allowed_sans: exact DNS names, addresses, e-mail addresses or URIs; empty allows all.
    """
    if not allowed_sans or not certificate:
        return True
    return any(value in allowed_sans for _, value in certificate.get("subjectAltName", ()))


def _load_chain(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        with _as_file(settings.cert) as cert, _as_file(settings.key) as key:
            context.load_cert_chain(cert.path, key.path, password=_no_passphrase)
    except ssl.SSLError as error:
        raise ValueError(f"want a certificate and its key in PEM, got {_why(error)}") from None


def _load_ca(context: ssl.SSLContext, authority: Path | str) -> None:
    try:
        if isinstance(authority, Path):
            context.load_verify_locations(cafile=str(authority))
        else:
            context.load_verify_locations(cadata=authority)
    except ssl.SSLError as error:
        raise ValueError(f"want CA certificates in PEM, got {_why(error)}") from None


def _no_passphrase() -> str:
    # without this OpenSSL asks at the terminal, and the service waits for ever
    raise ValueError("want a key without a passphrase, got an encrypted one")


def _why(error: ssl.SSLError) -> str:
    return (error.reason or "something else").lower().replace("_", " ")


class _as_file:  # noqa: N801 - reads as a verb in the with statement
    """A path for ``load_cert_chain``, which takes no text: of PEM text a file in memory only."""

    def __init__(self, source: Path | str) -> None:
        self._descriptor = -1
        if isinstance(source, Path):
            self.path = str(source)
            return
        self._descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        os.write(self._descriptor, source.encode())
        self.path = f"/proc/self/fd/{self._descriptor}"

    def __enter__(self) -> "_as_file":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def judge_ciphers(names: Iterable[str]) -> tuple[str, ...]:
    """Map Go's cipher names.

    Raises:
        ValueError: a name that has no counterpart.
    """
    return tuple(
        CIPHERS[name]
        for name in _known(
            names, lambda name: name in CIPHERS or name in TLS13_CIPHERS, "cipher suite"
        )
        if name in CIPHERS
    )


def judge_curves(names: Iterable[str]) -> str:
    """Return the one curve to pin; empty when all are wanted.

    Raises:
        ValueError: an unknown name, or a choice that Python's ssl cannot make.
    """
    wanted = list(_known(names, CURVES.__contains__, "curve"))
    if not wanted or set(wanted) == set(CURVES):
        return ""
    if len(wanted) > 1:
        raise ValueError(f"want one curve, or all of {', '.join(CURVES)}, got {len(wanted)}")
    curve = CURVES[wanted[0]]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(curve)
    except ssl.SSLError:
        # Debian 12: its Python 3.11.2 was built for an OpenSSL that knew X25519 in no such call
        raise ValueError(
            f"want a curve that this Python can pin, or all of {', '.join(CURVES)}, got {curve}"
        ) from None
    return curve


def _known(names: Iterable[str], known: Callable[[str], bool], what: str) -> Iterable[str]:
    for name in names:
        if not known(name):
            raise ValueError(
                f"want a {what} of Go's crypto/tls that OpenSSL has too, got {short(name)}"
            )
        yield name
