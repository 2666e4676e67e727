"""The guard of a load child: names and addresses off the list are refused at the socket itself.

    guard(fence, socket, gevent.socket)

    getaddrinfo     refuses names off the list, leaves denied addresses out, remembers the answers
    connect         of a TCP or UDP socket: remembered or allowed addresses alone
                    of a UNIX socket: none
    sendto          of a UDP socket: as connect

So redirects, names that change their address and locust files of users are covered. It guards
against accidents; it is no sandbox. Knows no plan: who may be reached is asked of a `Rails`.
"""

import socket
from collections import OrderedDict
from ipaddress import ip_address
from types import ModuleType
from typing import Any, Protocol

from probes.units import short
from probes.wire.failures import FAR_AWAY

# Answers of a target behind a large load balancer, for hours; 100 bytes each.
MAX_REMEMBERED = 4096


class Fenced(PermissionError):
    """A name or an address that this run may not reach; no packet has left."""


class Rails(Protocol):
    """Who may be reached; `scenarios.rails.fences.Fence` is one."""

    def admits_name(self, host: str) -> bool:
        """Return whether *host* may be asked for."""
        ...

    def admits_address(self, ip: str, host: str = "") -> bool:
        """Return whether *ip* may be dialled; *host*: the name whose answer it is."""
        ...


class Guard:
    """What names have stood for, and the judgement of each dial.

    Args:
        rails: who may be reached.
    """

    def __init__(self, rails: Rails) -> None:
        self._rails = rails
        self._names: OrderedDict[str, str] = OrderedDict()

    def judge_name(self, host: str) -> None:
        """Judge a name before it is asked for.

        Raises:
            Fenced: it is off the list.
        """
        if not self._rails.admits_name(host):
            raise Fenced(f"want a host of safety.targets, got {short(host)}")

    def remember(self, host: str, ips: list[str]) -> list[str]:
        """Return those of the addresses of *host* that may be dialled, and remember them.

        Raises:
            Fenced: there are some, and none may be.
        """
        admitted = [ip for ip in ips if self._rails.admits_address(ip, host)]
        if ips and not admitted:
            text = f"want an address of {short(host)} within safety.targets, got {short(ips[0])}"
            raise Fenced(text)
        names = self._names
        for ip in admitted:
            names[ip] = host
            names.move_to_end(ip)
        while len(names) > MAX_REMEMBERED:
            names.popitem(last=False)
        return admitted

    def judge_address(self, ip: str) -> None:
        """Judge an address before it is dialled.

        Raises:
            Fenced: neither an answer that was remembered nor on the list, or denied.
        """
        if not self._rails.admits_address(ip, self._names.get(ip, "")):
            raise Fenced(f"want an address of safety.targets, got {short(ip)}")

    def judge_path(self, path: object) -> None:
        """Refuse the path of a UNIX socket before it is dialled: our own are open by now.

        Raises:
            Fenced: always.
        """
        raise Fenced(f"want no UNIX socket, got {short(path)}")


def guard(rails: Rails, *modules: ModuleType) -> Guard:
    """Guard this process from here on.

    Args:
        rails: who may be reached.
        modules: that hold ``getaddrinfo`` and a class ``socket``: `socket`, and `gevent.socket`
            which locust's clients call.
    """
    made = Guard(rails)
    done: list[Any] = []
    for module in modules or (socket,):
        names: dict[str, Any] = vars(module)
        ask = names["getaddrinfo"] = _guarded_ask(made, names["getaddrinfo"])
        kind = names["socket"]
        if kind not in done:
            done.append(kind)
            for name in ("connect", "connect_ex"):
                setattr(kind, name, _guarded_dial(made, ask, getattr(kind, name)))
            kind.sendto = _guarded_post(made, ask, kind.sendto)
    return made


def _guarded_ask(made: Guard, ask: Any) -> Any:
    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not host:
            return ask(host, port, *args, **options)  # this host itself: to listen
        name = host if isinstance(host, str) else bytes(host).decode("ascii", "replace")
        if _is_literal(name):
            made.judge_address(_bare(name))
            return ask(host, port, *args, **options)
        made.judge_name(name)
        answers = ask(host, port, *args, **options)
        # an address stands there once for each kind of socket
        ips = dict.fromkeys(_bare(answer[4][0]) for answer in answers)
        admitted = made.remember(name, list(ips))
        return [answer for answer in answers if _bare(answer[4][0]) in admitted]

    return getaddrinfo


def _guarded_dial(made: Guard, ask: Any, dial: Any) -> Any:
    def connect(self: Any, address: Any) -> Any:
        if self.type == socket.SOCK_DGRAM and address[:2] in _ASKS_FOR_A_ROUTE:
            return dial(self, address)
        return dial(self, _judged(made, ask, self.family, address))

    return connect


def _guarded_post(made: Guard, ask: Any, post: Any) -> Any:
    def sendto(self: Any, data: Any, *flags_and_address: Any) -> Any:
        *flags, address = flags_and_address
        return post(self, data, *flags, _judged(made, ask, self.family, address))

    return sendto


def _judged(made: Guard, ask: Any, family: int, address: Any) -> Any:
    """Return the address that is dialled for *address*.

    Raises:
        Fenced: it may not be.
    """
    if family == socket.AF_UNIX:
        made.judge_path(address)
    elif family in _OF_THE_INTERNET and isinstance(address, tuple):
        host: Any = address[0]
        if not _is_literal(host):
            # the socket would ask for it behind our back
            return (ask(host, address[1], family)[0][4][0], *address[1:])
        made.judge_address(_bare(host))
    return address


_OF_THE_INTERNET = (socket.AF_INET, socket.AF_INET6)
# `probes.wire.failures.has_route` sends nothing.
_ASKS_FOR_A_ROUTE = tuple(FAR_AWAY.values())


def _bare(ip: str) -> str:
    return ip.partition("%")[0]


def _is_literal(host: Any) -> bool:
    try:
        ip_address(_bare(host))
    except (ValueError, AttributeError):
        return False
    return True
