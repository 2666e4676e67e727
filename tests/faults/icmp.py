"""Peers that answer a ping as a test likes: not at all, twice, damaged, with others' words.

They live in a network of their own (`tests.servers.network`) whose kernel answers no pings.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from probes.wire.icmp.codec import checksum
from tests.servers.network import own_network, sysctl

PEER, ROUTER = "127.0.0.5", "127.0.0.9"
_REQUEST = 8

Answers = Callable[[bytes], Iterable[tuple[str, bytes]]]
"""For a request with its IP header: who says what, as whole ICMP packets."""


def packet(kind: int, code: int, rest: bytes) -> bytes:
    """Return an ICMP packet with its checksum; *rest* is all behind it."""
    bare = struct.pack("!BBH", kind, code, 0) + rest
    return struct.pack("!BBH", kind, code, checksum(bare)) + rest


def body(request: bytes) -> bytes:
    """Return identifier, sequence and payload of a request with its IP header."""
    return request[(request[0] & 15) * 4 + 4 :]


def reply(request: bytes) -> bytes:
    """Return the right reply."""
    return packet(0, 0, body(request))


def error(request: bytes, kind: int, code: int, info: int = 0) -> bytes:
    """Return a complaint of a router about *request*: it quotes 8 bytes behind the header."""
    header = (request[0] & 15) * 4
    return packet(kind, code, struct.pack("!I", info) + request[: header + 8])


def honest(request: bytes) -> Iterable[tuple[str, bytes]]:
    """Answer as it should be."""
    return [(PEER, reply(request))]


def mute(_: bytes) -> Iterable[tuple[str, bytes]]:
    """Answer nothing."""
    return ()


def bound(ip: str) -> socket.socket:
    own = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    own.setblocking(False)
    own.bind((ip, 0))
    return own


@contextmanager
def icmp_peer(answers: Answers, *, unprivileged: bool = False) -> Iterator[list[bytes]]:
    """Answer pings of `PEER` by *answers*; give the list of the requests that came.

    Args:
        answers: for each request.
        unprivileged: whether the kernel hands out sockets for pings without rights.
    """
    loop, requests = asyncio.get_running_loop(), list[bytes]()
    with own_network():
        sysctl("ipv4/icmp_echo_ignore_all", "1")
        sysctl("ipv4/ping_group_range", "0 2147483647" if unprivileged else "1 0")
        with bound(PEER) as peer, bound(ROUTER) as router:
            voices = {PEER: peer, ROUTER: router}

            def answer() -> None:
                data, sender = peer.recvfrom(65535)
                if data[(data[0] & 15) * 4] != _REQUEST:
                    return
                requests.append(data)
                for voice, said in answers(data):
                    voices[voice].sendto(said, sender)

            loop.add_reader(peer.fileno(), answer)
            try:
                yield requests
            finally:
                loop.remove_reader(peer.fileno())
