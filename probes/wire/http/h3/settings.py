# pyright: basic, reportMissingTypeStubs=false
"""What libcurl is told of a request and of how TLS goes: pairs of option and value.

Knows no connection and no callback.
"""

import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pycurl  # type: ignore[import-untyped]

from probes.recorder import Recorder
from probes.wire.credentials import read_off_loop
from probes.wire.http.http1 import WITH_BODY
from probes.wire.http.message import Request
from probes.wire.tls.settings import TlsOptions

Setting = tuple[int, Any]

# The wheel of pycurl brings an OpenSSL of its own, which knows no system. libcurl reads them once a
# day; it touches the disk, so this module is imported off the loop.
_SYSTEM = ssl.get_default_verify_paths()
# RFC 9114, 4.2: of one connection of HTTP/1.1; libcurl frames the body itself.
_NOT_OURS = frozenset(
    {"connection", "content-length", "host", "keep-alive", "proxy-connection", "transfer-encoding",
     "upgrade"}
)  # fmt: skip


def settings_of(request: Request) -> list[Setting]:
    """Return what of *request* libcurl must be told, and what of its own it must not add."""
    headers = [f"Host: {request.authority}"]
    for name, value in request.headers:
        if name.lower() not in _NOT_OURS:
            headers.append(f"{name}: {value}" if value else f"{name};")
    given = {name.lower() for name, _ in request.headers}
    headers += [f"{name}:" for name in ("Accept", "Content-Type", "User-Agent")
                if name.lower() not in given]  # fmt: skip
    settings: list[Setting] = [(pycurl.HTTPHEADER, [line.encode() for line in headers])]
    if request.method == "HEAD":
        return [*settings, (pycurl.NOBODY, 1)]
    if request.body or request.method in WITH_BODY:
        settings.append((pycurl.POSTFIELDS, request.body))
    return [*settings, (pycurl.CUSTOMREQUEST, request.method)]


async def settings_of_tls(tls: TlsOptions, recorder: Recorder) -> list[Setting]:
    """Return the settings of libcurl that stand for *tls*; files are read off the loop."""
    path = tls.ca_file or tls.cert_file or tls.key_file
    texts = {"ca": tls.ca, "cert": tls.cert, "key": tls.key.get_secret_value() if tls.key else ""}
    found = {name: text.encode() for name, text in texts.items() if text}
    if path:
        found |= await read_off_loop(path, partial(_read_files, tls), recorder)
    level = 1 if tls.verify else 0
    settings: list[Setting] = [
        (pycurl.SSL_VERIFYPEER, level),
        (pycurl.SSL_VERIFYHOST, 2 * level),
    ]
    if "ca" in found:
        settings.append((pycurl.CAINFO_BLOB, found["ca"]))
    else:
        settings.append((pycurl.CAINFO, _SYSTEM.cafile or ""))
        settings.append((pycurl.CAPATH, "" if _SYSTEM.cafile else _SYSTEM.capath or ""))
    if "cert" in found:
        settings.append((pycurl.SSLCERT_BLOB, found["cert"]))
        settings.append((pycurl.SSLKEY_BLOB, found.get("key", found["cert"])))
    return [(option, value) for option, value in settings if value != ""]


def _read_files(tls: TlsOptions) -> dict[str, bytes]:
    paths = {"ca": tls.ca_file, "cert": tls.cert_file, "key": tls.key_file}
    return {name: Path(path).read_bytes() for name, path in paths.items() if path}
