"""Where a connection comes from: an address of this host, or one of its interfaces by name.

Knows neither policy nor protocol.
"""

import asyncio
import socket
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from probes.units import short
from probes.wire.address import Address
from probes.wire.headers import is_blackbox

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

    For an interface that is a socket which is connected already.

    Raises:
        OSError: no such interface (ENODEV), no right to use it (EPERM), no connection.
    """
    if is_address(source):
        return {"host": address.ip, "port": address.port, "local_addr": (source, 0)}
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode() + b"\0")
        await asyncio.get_running_loop().sock_connect(own, (address.ip, address.port))
    except BaseException:
        own.close()
        raise
    return {"sock": own}
