"""Where a connection comes from: an address of this host, or one of its interfaces by name.

Knows no loop: it only makes and binds sockets.
"""

import socket
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator

from probes.units import short

# linux/if.h: IFNAMSIZ is 16 with the NUL
MAX_INTERFACE_CHARACTERS = 15


def _judge_source(value: str) -> str:
    if not value or is_address(value) or is_interface(value):
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


def bind_to_interface(own: socket.socket, name: str) -> None:
    """Let *own* send and hear through the interface *name* only.

    Raises:
        OSError: no such interface (ENODEV), no right to (EPERM).
    """
    own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
