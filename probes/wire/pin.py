"""The one address that a name stands for in this task, where somebody has chosen it before.

    with pinned(Pin(address, seconds)):
        ...                                   # `probes.wire.net.resolve` returns it

Knows neither who chose it nor why; whoever dials judges it as any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from probes.wire.address import Address


@dataclass(frozen=True, slots=True)
class Pin:
    """An *address* that took *seconds* to find."""

    address: Address
    seconds: float = 0.0


PIN: ContextVar[Pin | None] = ContextVar("pin", default=None)


@contextmanager
def pinned(pin: Pin) -> Iterator[None]:
    """Let the host of *pin* stand for its address, in this task and in those it starts."""
    token = PIN.set(pin)
    try:
        yield
    finally:
        PIN.reset(token)


def pin_of(host: str, port: int) -> Pin | None:
    """Return what *host* is pinned to, with *port*; None: it is free."""
    pin = PIN.get()
    if pin is None or pin.address.host != host:
        return None
    return replace(pin, address=replace(pin.address, port=port))
