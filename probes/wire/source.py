"""Where a connection comes from: an address of this host, or one of its interfaces by name.

Knows neither policy nor protocol.
"""

import asyncio
import os
import socket
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from probes.settings import is_blackbox
from probes.units import short
from probes.wire.address import SOCKET_FAMILIES, Address, socket_address

# linux/if.h: IFNAMSIZ is 16 with the NUL
MAX_INTERFACE_CHARACTERS = 15


def _judge_source(value: str, info: ValidationInfo) -> str:
    # blackbox_exporter loads any text, and fails when it dials
    if not value or is_address(value) or is_interface(value) or is_blackbox(info):
        return value
    raise ValueError(f"want an address or an interface of this host, got {short(value)}")


Source = Annotated[str, AfterValidator(_judge_source)]
"""An address of this host or the name of an interface; empty: as the system chooses."""


def is_address(source: str) -> bool:
    """Return whether *source* is an address, and not the name of an interface."""
    try:
        ip_address(source)
    except ValueError:
        return False
    return True


def is_interface(source: str) -> bool:
    """Return whether *source* may be the name of an interface (kernel: ``dev_valid_name``)."""
    fits = 0 < len(source) <= MAX_INTERFACE_CHARACTERS and source not in (".", "..")
    # a dot alone would make any misspelt address a name
    looks_like_address = source.replace(".", "").isdigit()
    return fits and not looks_like_address and not any(c in "/: \t\r\n\0" for c in source)


async def leave_from(source: str, address: Address) -> dict[str, Any]:
    """Return the arguments of ``create_connection`` that go to *address* from *source*.

    For an interface, and to an address with a zone, that is a socket which is connected already:
    asyncio takes such an address for a name, and uvloop forgets the zone (2026-11).

    Args:
        source: address or interface; empty: the system's choice.
        address: that was judged.

    Raises:
        OSError: no such interface (ENODEV), no right to use it (EPERM), no connection.
        CheckFailed: ``unreachable``: no interface of the name that the zone is.
    """
    if is_address(source) and "%" not in address.ip:
        return {"host": address.ip, "port": address.port, "local_addr": (source, 0)}
    there = socket_address(address.ip, address.port)
    family = SOCKET_FAMILIES[address.family]
    own = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if is_address(source):
            own.bind((source, 0))
        elif source:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode() + b"\0")
        await _connect(own, there)
    except BaseException:
        own.close()
        raise
    return {"sock": own}


async def _connect(own: socket.socket, there: tuple[Any, ...]) -> None:
    """Connect as ``sock_connect`` of a loop does, which looks addresses up and loses zones."""
    try:
        own.connect(there)
    except BlockingIOError:
        pass
    else:
        return
    loop = asyncio.get_running_loop()
    ready, descriptor = loop.create_future(), own.fileno()
    loop.add_writer(descriptor, _tell, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)
    if number := own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))


def _tell(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
