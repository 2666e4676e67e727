"""Versions of HTTP: which may be wished for together, and what is then offered.

Pure; knows no connection.
"""

from collections.abc import Sequence

from probes.extras import missing
from probes.wire.http.options import BOTH_ALPN, HTTP1_ALPN, HTTP2_ALPN, HTTP3_ALPN
from probes.wire.tls.settings import TlsOptions

HTTP3 = 3
_ALPN = {
    frozenset({1}): HTTP1_ALPN,
    frozenset({2}): HTTP2_ALPN,
    frozenset({1, 2}): BOTH_ALPN,
    frozenset({HTTP3}): HTTP3_ALPN,
}


def alpn_of(versions: Sequence[int]) -> tuple[str, ...]:
    """Return what is offered for *versions*, which `judge_versions` has seen."""
    return _ALPN[frozenset(versions)]


def judge_versions(versions: Sequence[int]) -> None:
    """Judge which versions are wished for together.

    Raises:
        ValueError: HTTP/3 beside another one, or without its extra.
    """
    if HTTP3 not in versions:
        return
    if set(versions) != {HTTP3}:
        got = f"{list(versions)}: no run asks over TCP and QUIC"
        raise ValueError(f"want versions: [3] alone, or of 1 and 2, got {got}")
    if why := missing("http3", "pycurl"):
        raise ValueError(why)


def judge_quic(versions: Sequence[int], tls: TlsOptions, *, has_proxy: bool) -> None:
    """Judge what stands beside HTTP/3.

    Raises:
        ValueError: it makes HTTP/3 impossible.
    """
    if HTTP3 not in versions:
        return
    if has_proxy:
        raise ValueError("want no proxy beside versions: [3], got one: none carries QUIC")
    if tls.max_version < "1.3":
        raise ValueError(f"want TLS 1.3 beside versions: [3], got {tls.max_version} at most")
