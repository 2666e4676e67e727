"""The ``resolver:`` block of the probe file: which name servers are asked, and how.

Knows no socket: `probes.wire.net` asks.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.settings import Settings
from probes.units import short
from probes.wire.address import literal_address
from probes.wire.net import OVER_TCP
from probes.wire.url import literal_host, split_host_port

DNS_PORT = 53
# c-ares asks them in turn within one deadline: more are never reached.
MAX_SERVERS = 8

Transport = Literal["udp", "tcp"]


def _judge_server(text: str) -> str:
    host, port = split_host_port(text, DNS_PORT)
    if literal_address(host, port) is None:
        raise ValueError(f"want the address of a name server, got {short(text)}")
    return f"{literal_host(host)}:{port}"


Nameserver = Annotated[str, AfterValidator(_judge_server)]


class ResolverOptions(Settings):
    """Name servers to ask instead of the system's; the hosts file is honoured all the same."""

    servers: tuple[Nameserver, ...] = Field(default=(), max_length=MAX_SERVERS)
    """Addresses, with port or without; none: the system's."""
    transport: Transport = "udp"
    """How they are asked; over udp, what does not fit is asked for again over tcp."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.transport == "tcp" and not self.servers:
            raise ValueError("want servers beside the transport tcp, got none")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers as `probes.wire.net.resolve` takes them."""
        if self.transport == "tcp":
            return tuple(f"{OVER_TCP}{server}" for server in self.servers)
        return self.servers
