"""The one border table: which exception of the network becomes which verdict.

Judges by class and errno, never by text (the two event loops word their errors differently). Knows
no protocol above TLS and touches the network only to ask the kernel for a route.
"""

import errno
import os
import socket
import ssl
from ipaddress import ip_address
from typing import Any

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.address import IPV6, SOCKET_FAMILIES, Address

_REASONS = {
    errno.ENETUNREACH: Reason.UNREACHABLE,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.ENETDOWN: Reason.NETWORK,
    errno.EAFNOSUPPORT: Reason.NETWORK,
    errno.EMFILE: Reason.RESOURCE,
    errno.ENFILE: Reason.RESOURCE,
    errno.ENOBUFS: Reason.RESOURCE,
    errno.ENOMEM: Reason.RESOURCE,
    errno.EADDRNOTAVAIL: Reason.RESOURCE,
    errno.EADDRINUSE: Reason.RESOURCE,
    errno.EACCES: Reason.PERMISSION,
    errno.EPERM: Reason.PERMISSION,
    errno.EINVAL: Reason.CONFIG,
    errno.EPROTO: Reason.CLOSED,
}
_DNS_REASONS = {
    socket.EAI_NONAME: Reason.DNS_NXDOMAIN,
    socket.EAI_NODATA: Reason.DNS_NO_ADDRESS,
    socket.EAI_ADDRFAMILY: Reason.DNS_NO_ADDRESS,
    socket.EAI_AGAIN: Reason.DNS_SERVFAIL,
    socket.EAI_FAIL: Reason.DNS_SERVFAIL,
    socket.EAI_MEMORY: Reason.RESOURCE,
}
# https://c-ares.org/docs/ares_strerror.html: code -> reason, what was got
_LOOKUP_ERRORS: dict[int, tuple[Reason, str]] = {
    1: (Reason.DNS_NO_ADDRESS, "an answer without any (NODATA)"),
    2: (Reason.DNS_SERVFAIL, "FORMERR"),
    3: (Reason.DNS_SERVFAIL, "SERVFAIL"),
    4: (Reason.DNS_NXDOMAIN, "NXDOMAIN: no such name"),
    5: (Reason.DNS_SERVFAIL, "NOTIMP"),
    6: (Reason.DNS_SERVFAIL, "REFUSED"),
    7: (Reason.CONFIG, "a name that cannot be asked for"),
    8: (Reason.CONFIG, "a name that cannot be asked for"),
    10: (Reason.DNS_SERVFAIL, "an answer that cannot be read"),
    11: (Reason.NETWORK, "no name server that accepts questions"),
    12: (Reason.DNS_TIMEOUT, "no answer of the name server in time"),
    14: (Reason.RESOURCE, "no file descriptor left"),
    15: (Reason.RESOURCE, "no memory left"),
}
# Before SSLError, OSError and ConnectionError, which they are too.
_BY_CLASS: tuple[tuple[type[BaseException], tuple[Reason, str]], ...] = (
    (ssl.SSLEOFError, (Reason.CLOSED, "the end of the stream")),
    (ssl.SSLZeroReturnError, (Reason.CLOSED, "the end of the stream")),
    (TimeoutError, (Reason.TIMEOUT, "no answer in time")),
    (ConnectionRefusedError, (Reason.REFUSED, "a refusal")),
    (EOFError, (Reason.CLOSED, "the end of the stream")),
)
# https://docs.openssl.org/3.0/man1/openssl-verification-options/ and x509_vfy.h
_NOT_YET_VALID, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_VERIFY_REASONS = {
    _NOT_YET_VALID: Reason.CERTIFICATE_EXPIRED,
    _EXPIRED: Reason.CERTIFICATE_EXPIRED,
    _WRONG_NAME: Reason.CERTIFICATE_NAME,
    _WRONG_ADDRESS: Reason.CERTIFICATE_NAME,
}
# x509_txt.c, for a library that tells the number alone; the likely ones.
_VERIFY_TEXTS = {
    0: "hostname mismatch",
    _NOT_YET_VALID: "certificate is not yet valid",
    _EXPIRED: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    _WRONG_NAME: "hostname mismatch",
    _WRONG_ADDRESS: "IP address mismatch",
}
# What OpenSSL calls it -> what it means to the reader.
_TLS_WORDS = {
    "WRONG_VERSION_NUMBER": "an answer that is not TLS",
    "PACKET_LENGTH_TOO_LONG": "an answer that is not TLS",
    "RECORD_LAYER_FAILURE": "an answer that is not TLS",
    "UNSUPPORTED_PROTOCOL": "a peer without a common TLS version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "a peer without a common TLS version",
    "NO_PROTOCOLS_AVAILABLE": "no TLS version to offer",
    "NO_SHARED_CIPHER": "a peer without a common cipher",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the alert 'handshake failure' (cipher or certificate)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the alert 'certificate required' (of the client)",
    "TLSV1_ALERT_UNKNOWN_CA": "the alert 'unknown ca' (of our client certificate)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the alert 'bad certificate' (our client certificate)",
    "TLSV1_UNRECOGNIZED_NAME": "the alert 'unrecognized name' (no such server name)",
    "EXCESSIVE_MESSAGE_SIZE": "a certificate chain beyond the limit of 100 KiB",
}
# A route to the internet as a whole: addresses of a.root-servers.net, stable for decades. No packet
# is sent.
FAR_AWAY = {4: ("198.41.0.4", 53), 6: ("2001:503:ba3e::2:30", 53)}


def has_route(family: int) -> bool:
    """Return whether the kernel knows a way to the internet for *family* (4, 6); sends nothing."""
    try:
        with socket.socket(
            SOCKET_FAMILIES[family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        ) as probe:
            probe.connect(FAR_AWAY[family])
    except OSError:
        return False
    return True


def classify(
    error: BaseException, *, phase: str | None, address: Address | None = None
) -> CheckFailed:
    """Return the verdict that *error* means, most specific class first.

    Args:
        error: what connecting, reading, writing or a driver's socket raised.
        phase: that broke; None is the one the recorder stands in.
        address: that was dialled; it makes the message plain and tells an unreachable target from a
            lost network.
    """
    there = address.literal if address else "the peer"
    reason, got = _judge(error, address)
    wanted = f"a connection to {there}"
    if reason is Reason.TLS:
        wanted = f"a TLS session with {there}"
    elif reason in _CERTIFICATE_REASONS:
        wanted = f"a valid certificate of {there}"
    return CheckFailed(reason, f"want {wanted}, got {got}", phase=phase)


_CERTIFICATE_REASONS = {
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_NAME,
    Reason.CERTIFICATE_UNTRUSTED,
}


def _judge(error: BaseException, address: Address | None) -> tuple[Reason, str]:
    for kind, answer in _BY_CLASS:
        if isinstance(error, kind):
            return answer
    if isinstance(error, ssl.SSLError):
        return _judge_tls(error)
    if isinstance(error, ConnectionError):
        was_reset = error.errno == errno.ECONNRESET
        return Reason.CLOSED, "a reset" if was_reset else "the end of the stream"
    if isinstance(error, socket.gaierror):
        return dns_reason(error), f"no address: {error.strerror}"
    if isinstance(error, OSError):
        return _judge_errno(error, address)
    return Reason.INTERNAL, f"{type(error).__name__}: {short(str(error))}"


def _judge_tls(error: ssl.SSLError) -> tuple[Reason, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFY_REASONS.get(error.verify_code, Reason.CERTIFICATE_UNTRUSTED)
        return reason, short(error.verify_message)
    word = error.reason or "an unknown error"
    return Reason.TLS, _TLS_WORDS.get(word, f"the error {word.replace('_', ' ').lower()!r}")


def _judge_errno(error: OSError, address: Address | None) -> tuple[Reason, str]:
    number = error.errno or 0
    word = (
        f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
        if number
        else short(str(error))
    )
    reason = _REASONS.get(number, Reason.INTERNAL)
    if number == errno.ENETUNREACH and address is not None and _is_own_network(address):
        return Reason.NETWORK, f"{word}: this host has no route for IPv{address.family}"
    if (
        number == errno.EADDRNOTAVAIL
        and address is not None
        and address.family == IPV6
        and not has_route(IPV6)
    ):
        # without IPv6 even [::1] has no address to start from
        return Reason.NETWORK, f"{word}: this host has no IPv6"
    return reason, word


def _is_own_network(address: Address) -> bool:
    """Return whether an unreachable network is our own fault.

    Without a default route it was this host that said so, not a router on the way.
    """
    is_loopback = ip_address(address.ip.partition("%")[0]).is_loopback
    return not is_loopback and not has_route(address.family)


def verify_failure(code: int, address: Address) -> CheckFailed:
    """Return the verdict on a certificate that another library refused, by OpenSSL's *code*.

    Args:
        code: 0: the chain is good, so the name is not.
        address: that was dialled.
    """
    reason = _VERIFY_REASONS.get(code or _WRONG_NAME, Reason.CERTIFICATE_UNTRUSTED)
    got = _VERIFY_TEXTS.get(code, f"verify error {code}")
    return CheckFailed(reason, f"want a valid certificate of {address.literal}, got {got!r}")


def dns_reason(error: OSError) -> Reason:
    """Return what an error of the system's resolver means."""
    return _DNS_REASONS.get(error.errno or 0, Reason.INTERNAL)


# In which phases a peer that wants a client certificate says so: the handshake is over by then.
_ASKING = frozenset({"processing", "call", "upgrade"})


def hinted(failure: CheckFailed, version: str | None) -> CheckFailed:
    """Name the usual cause of a peer that ends before it answers, over *version* of TLS."""
    if failure.reason is Reason.CLOSED and failure.phase in _ASKING and version == "TLSv1.3":
        hint = "over TLS 1.3 this also means that a client certificate is wanted"
        return CheckFailed(failure.reason, f"{failure.message} ({hint})", phase=failure.phase)
    return failure


def lookup_failure(host: str, arguments: tuple[Any, ...]) -> CheckFailed:
    """Return the verdict that the *arguments* of an error of c-ares mean for *host*."""
    code = arguments[0] if arguments else None
    reason, got = _LOOKUP_ERRORS.get(
        code or 0, (Reason.INTERNAL, f"the resolver's error {arguments}")
    )
    return CheckFailed(reason, f"want an address of {short(host)}, got {got}", phase="resolve")
