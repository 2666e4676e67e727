"""Listening sockets: ``HOST:PORT`` as people write it, bound, with the address in every message.

Resolves no names: a listener is an address of this machine. Knows no request.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from exporter.web.visitor import Listener
from probes.units import short

# Waiting for accept(): the kernel cuts it to net.core.somaxconn (4096). A flood must not make a
# scraper wait for a repeated SYN.
BACKLOG = 4096
MAX_PORT = 65535
# Linux hands a connection over together with its first bytes: a client that says nothing costs no
# descriptor, and whether a request is whole can be judged at once. A second later it is handed over
# without, and the header timeout runs.
DEFER_ACCEPT_S = 1
# Instead of an address: take the sockets that systemd passes (sd_listen_fds(3): from 3 on).
FROM_SYSTEMD = "systemd"
FIRST_PASSED = 3


def split_listen(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:9115``, ``[::1]:9115``, ``localhost:9115``, ``:9115`` (all interfaces).

    Raises:
        ValueError: not such a text; ``vsock://`` too.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise ValueError(f"want an address to listen on such as 127.0.0.1:9115, got {short(text)}")
    if host and host != "localhost":
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            raise ValueError(
                f"want an IP address or localhost before the port, got {short(text)}"
            ) from None
    return host, int(port)


def open_listeners(texts: Sequence[str]) -> list[Listener]:
    """Bind every address; all or none.

    Raises:
        ValueError: a text that is no address.
        OSError: an address that cannot be had, named in its message.
    """
    listeners: list[Listener] = []
    try:
        for text in texts:
            if text == FROM_SYSTEMD:
                listeners += _passed()
            else:
                listeners.append(_open(*split_listen(text)))
    except BaseException:
        for listener in listeners:
            listener.sock.close()
        raise
    return listeners


def address_text(host: str, port: int) -> str:
    """Write an address as `split_listen` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _passed() -> list[Listener]:
    """Return the sockets that systemd has passed to this process.

    Raises:
        ValueError: none, or one that is not of TCP or does not listen.
    """
    count = os.environ.get("LISTEN_FDS", "")
    is_ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not (is_ours and count.isascii() and count.isdigit() and int(count) > 0):
        raise ValueError("want sockets from systemd (LISTEN_PID, LISTEN_FDS), got none")
    numbers = range(FIRST_PASSED, FIRST_PASSED + int(count))
    for number in numbers:
        if not _is_listener(number):
            raise ValueError(f"want TCP sockets that listen from systemd, got another at {number}")
    return [_take_over(number) for number in numbers]


def _is_listener(number: int) -> bool:
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return False  # no socket
    try:
        is_tcp = (
            sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type is socket.SOCK_STREAM
        )
        return is_tcp and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        sock.detach()


def _take_over(number: int) -> Listener:
    sock = socket.socket(fileno=number)
    sock.setblocking(False)  # noqa: FBT003 - the interface of socket
    sock.set_inheritable(False)  # the children are not for our clients
    host = str(sock.getsockname()[0])
    return Listener(sock, ip_address(host.partition("%")[0]).is_loopback)


def _open(host: str, port: int) -> Listener:
    if not host:
        try:
            return Listener(_bind("::", port, both=True), on_loopback=False)
        except OSError:
            # no IPv6 here; if the port is taken, this one says so
            return Listener(_bind("0.0.0.0", port), on_loopback=False)  # noqa: S104 - asked for
    if host == "localhost":
        host = "127.0.0.1"
    return Listener(_bind(host, port), on_loopback=ip_address(host.partition("%")[0]).is_loopback)


def _bind(host: str, port: int, *, both: bool = False) -> socket.socket:
    is_v6 = isinstance(ip_address(host.partition("%")[0]), IPv6Address)
    sock: socket.socket | None = None
    try:
        sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        bare, _, zone = host.partition("%")
        scope = socket.if_nametoindex(zone) if zone else 0
        sock.bind((bare, port, 0, scope) if is_v6 else (host, port))
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S)
        sock.listen(BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - the interface of socket
    except OSError as error:
        with suppress(AttributeError):
            sock.close()  # type: ignore[union-attr]
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(
            error.errno, f"want to listen on {address_text(host, port)}, got: {why}"
        ) from None
    return sock
