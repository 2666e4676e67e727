"""The dial of unix sockets: a path or an abstract name of this host, judged, connected, told.

A connect to a unix socket ends at once, one way or the other, so there is nothing to wait for and
nothing to repeat. Knows no protocol above TLS.
"""

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import Address
from probes.wire.failures import classify
from probes.wire.policy import POLICY
from probes.wire.stream import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, Connection
from probes.wire.tls.peer import noted

# unix(7): sun_path has 108 bytes, of which a path needs one for its NUL and an abstract name one to
# begin with.
MAX_PATH_BYTES = 107
# A path is no name to ask for in TLS. With an address OpenSSL asks for none (RFC 6066, 3).
_NO_NAME = "0.0.0.0"  # noqa: S104 - nothing is bound to it
# unix(7), SO_PEERCRED: struct ucred
_CREDENTIALS = struct.Struct("iII")

_REASONS: dict[int, tuple[Reason, str]] = {
    errno.ENOENT: (Reason.UNREACHABLE, "no such file"),
    errno.ENOTDIR: (Reason.UNREACHABLE, "a path through something that is no directory"),
    errno.ELOOP: (Reason.UNREACHABLE, "a path with too many symbolic links"),
    errno.ECONNREFUSED: (Reason.REFUSED, "a refusal: nobody listens, or it is no socket"),
    errno.EAGAIN: (Reason.REFUSED, "a full queue of connections that nobody accepts"),
    errno.EPROTOTYPE: (Reason.PROTOCOL, "a socket of another type, such as one of datagrams"),
    errno.EACCES: (Reason.PERMISSION, "no permission for the socket or a directory above it"),
    errno.EPERM: (Reason.PERMISSION, "no permission by the security policy of this host"),
}


@dataclass(frozen=True, slots=True)
class SocketPath(Address):
    """A unix socket in the place of an address: ``ip`` is its path."""

    @property
    def literal(self) -> str:
        """The path as messages show it."""
        return short(self.ip)


def judge_path(path: str) -> str:
    """Return *path* when a unix socket can have it.

    Raises:
        ValueError: neither an absolute path nor ``@`` and an abstract name, or too long a one.
    """
    if not path.startswith(("/", "@")) or path == "@" or "\0" in path:
        raise ValueError(f"want an absolute path, or @ and an abstract name, got {short(path)}")
    size = len(os.fsencode(path.removeprefix("@")))
    if size > MAX_PATH_BYTES:
        raise ValueError(f"want a path of at most {MAX_PATH_BYTES} bytes, got {size}")
    return path


@asynccontextmanager
async def dial_unix(
    path: str,
    recorder: Recorder,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str = "",
) -> AsyncIterator[Connection]:
    """Open a `Connection` to the unix socket *path* and close it in any case.

    Phases ``connect`` and, with a *context*, ``tls``.

    Args:
        path: absolute; ``@name`` is an abstract one.
        recorder: gets phases, the fact ``peer``, and what the TLS peer showed.
        context: of `TlsOptions.context`; None stays in plain text.
        server_name: to ask for and to verify; empty: none, for a context that verifies none.

    Raises:
        CheckFailed: ``unreachable``: nothing is there; ``refused``: nobody listens; ``permission``:
            we may not; ``policy``; ``config``: no path.
    """
    connection = await _open(path, recorder, context, server_name or _NO_NAME)
    try:
        yield connection
    except BaseException:
        connection.abort()
        raise
    connection.close()


async def _open(
    path: str, recorder: Recorder, context: ssl.SSLContext | None, server_name: str
) -> Connection:
    recorder.enter("connect")
    address = SocketPath(server_name, 0, path, 0)
    own = _connected(path, address)
    recorder.fact("peer", _owner(own))
    loop = asyncio.get_running_loop()

    def factory() -> Connection:
        return Connection(recorder, address)

    try:
        if context is None:
            _, connection = await loop.create_unix_connection(factory, sock=own)
        else:
            with noted(recorder, server_name):
                _, connection = await loop.create_unix_connection(
                    factory,
                    sock=own,
                    ssl=context,
                    server_hostname=server_name,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
                )
    except (OSError, EOFError) as error:
        raise classify(error, phase=recorder.phase_name, address=address) from None
    recorder.leave()
    return connection


def _connected(path: str, address: Address) -> socket.socket:
    """Return a socket that is connected to *path*, which is judged right before."""
    try:
        judge_path(path)
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, str(error)) from None
    if not POLICY.get().admits_path(path):
        # constant, as for addresses
        raise CheckFailed(
            Reason.POLICY, "want a target within probe_policy, got one outside", phase="connect"
        )
    own: socket.socket | None = None
    try:
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        own.connect(f"\0{path[1:]}" if path.startswith("@") else path)
    except OSError as error:
        if own is not None:
            own.close()
        raise _failure(error, address) from None
    return own


def _failure(error: OSError, address: Address) -> CheckFailed:
    found = _REASONS.get(error.errno or 0)
    if found is None:
        return classify(error, phase="connect", address=address)
    reason, got = found
    return CheckFailed(reason, f"want a connection to {address.literal}, got {got}")


def _owner(own: socket.socket) -> str:
    """Return which process made the socket that *own* is connected to."""
    raw = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, group = _CREDENTIALS.unpack(raw)
    return f"process {process}, user {user}, group {group}"
