"""A network of its own for a test: nobody else's packets, and sysctls that one may turn.

A network namespace belongs to a thread: sockets that the test opens inside live there, those that
were open before stay where they are.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """Enter a fresh network that has the loopback alone; skip where only root may."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.unshare(_CLONE_NEWNET):
            pytest.skip("want a network namespace, got no permission")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
            yield
        finally:
            if _libc.setns(before, _CLONE_NEWNET):
                pytest.exit("want the network of before, got stuck in that of a test")
    finally:
        os.close(before)


def sysctl(name: str, value: str) -> None:
    """Set *name*, such as ``ipv4/ping_group_range``, for the network the test is in."""
    Path("/proc/sys/net", name).write_text(value)
