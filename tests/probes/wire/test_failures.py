"""The border table: each error of the network is one reason."""

import asyncio
import errno
import socket
import ssl

import pytest

from probes.result import Reason
from probes.wire.failures import classify, has_route
from probes.wire.net import (
    Address,
)


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, "because"
    return error


def tls_error(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "x")
    error.reason = reason  # type: ignore[assignment] # OpenSSL gives None for unknown ones
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ConnectionRefusedError(), "refused", id="refused"),
        pytest.param(OSError(errno.EHOSTUNREACH, ""), "unreachable", id="host unreachable"),
        pytest.param(OSError(errno.ENETUNREACH, ""), "unreachable", id="network unreachable"),
        pytest.param(OSError(errno.EHOSTDOWN, ""), "unreachable", id="host down"),
        pytest.param(ConnectionResetError(), "closed", id="reset without errno"),
        pytest.param(OSError(errno.ECONNRESET, ""), "closed", id="reset"),
        pytest.param(BrokenPipeError(), "closed", id="broken pipe"),
        pytest.param(ConnectionAbortedError(), "closed", id="aborted"),
        pytest.param(EOFError(), "closed", id="end of file"),
        pytest.param(asyncio.IncompleteReadError(b"", 1), "closed", id="incomplete read"),
        pytest.param(ssl.SSLEOFError(), "closed", id="TLS end of file"),
        pytest.param(ssl.SSLZeroReturnError(), "closed", id="TLS goodbye"),
        pytest.param(TimeoutError(), "timeout", id="timeout"),
        pytest.param(OSError(errno.ETIMEDOUT, ""), "timeout", id="kernel's timeout"),
        *(
            pytest.param(OSError(number, ""), "resource", id=errno.errorcode[number])
            for number in (
                errno.EMFILE,
                errno.ENFILE,
                errno.ENOBUFS,
                errno.ENOMEM,
                errno.EADDRNOTAVAIL,
            )
        ),
        pytest.param(OSError(errno.EACCES, ""), "permission", id="EACCES"),
        pytest.param(OSError(errno.EPERM, ""), "permission", id="EPERM"),
        pytest.param(OSError(errno.ENETDOWN, ""), "network", id="network down"),
        pytest.param(OSError(errno.EINVAL, ""), "config", id="EINVAL"),
        pytest.param(verification(10), "certificate_expired", id="expired"),
        pytest.param(verification(9), "certificate_expired", id="not yet valid"),
        pytest.param(verification(62), "certificate_name", id="name"),
        pytest.param(verification(64), "certificate_name", id="address"),
        pytest.param(verification(18), "certificate_untrusted", id="self-signed"),
        pytest.param(verification(20), "certificate_untrusted", id="unknown issuer"),
        pytest.param(tls_error("WRONG_VERSION_NUMBER"), "tls", id="no TLS"),
        pytest.param(tls_error(None), "tls", id="unknown TLS error"),
        pytest.param(socket.gaierror(socket.EAI_NONAME, ""), "dns_nxdomain", id="no name"),
        pytest.param(socket.gaierror(socket.EAI_AGAIN, ""), "dns_servfail", id="DNS again"),
        pytest.param(socket.gaierror(-99, ""), "internal", id="odd DNS error"),
        pytest.param(OSError(errno.ENOSPC, ""), "internal", id="anything else of the system"),
        pytest.param(OSError("no number"), "internal", id="without a number"),
        pytest.param(KeyError("x"), "internal", id="no network error at all"),
    ],
)
def test_each_error_has_one_reason(error: BaseException, reason: str) -> None:
    """F2, F3, F8, F30: who is to blame for which error of the system."""
    verdict = classify(error, phase="x")

    assert verdict.reason == reason
    assert verdict.phase == "x"
    assert verdict.message.startswith("want ")
    assert ", got " in verdict.message


def test_an_unknown_tls_error_is_told_in_words() -> None:
    assert classify(tls_error("BAD_ECPOINT"), phase=None).message == (
        "want a TLS session with the peer, got the error 'bad ecpoint'"
    )


@pytest.mark.parametrize(
    ("ip", "route", "reason"),
    [
        pytest.param("198.41.0.4", False, Reason.NETWORK, id="no route to the internet"),
        pytest.param("198.41.0.4", True, Reason.UNREACHABLE, id="only this target"),
        pytest.param("10.0.0.1", False, Reason.NETWORK, id="private target, no way out at all"),
        pytest.param("10.0.0.1", True, Reason.UNREACHABLE, id="private target"),
        pytest.param("127.0.0.1", False, Reason.UNREACHABLE, id="loopback needs no route"),
        pytest.param("2606:4700::1", False, Reason.NETWORK, id="no IPv6"),
    ],
)
def test_without_a_route_of_our_own_no_target_is_blamed(
    monkeypatch: pytest.MonkeyPatch, ip: str, reason: Reason, *, route: bool
) -> None:
    """F13"""
    monkeypatch.setattr("probes.wire.failures.has_route", lambda _: route)
    address = Address("h", 1, ip, 6 if ":" in ip else 4)

    verdict = classify(OSError(errno.ENETUNREACH, ""), phase="connect", address=address)

    assert verdict.reason is reason


def test_a_host_without_ipv6_blames_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.failures.has_route", lambda _: False)
    address = Address("::1", 1, "::1", 6)

    verdict = classify(OSError(errno.EADDRNOTAVAIL, ""), phase="connect", address=address)

    assert verdict.reason is Reason.NETWORK
    assert verdict.message.endswith("this host has no IPv6")


def test_a_route_is_asked_for_without_a_packet() -> None:
    assert has_route(4) in {True, False}
    assert has_route(6) in {True, False}
