"""Names of a load child: each is asked for once, for all users that want it at the same moment.

The system's resolver blocks, and under gevent it has ten threads: a thousand users that ask it one
by one would wait for each other. So a name is asked in a thread of its own, whose answer all who
wait get and which is fresh for a while; nobody waits longer than his own time. Knows no connection.
"""

import socket
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.address import ANY_IP, Address, IpChoice, choose, literal_address
from probes.wire.failures import dns_reason
from scenarios.child.fence import Fenced

# As long as the shortest TTL that operators use to move a service; a fail-over is seen.
FRESH_S = 5.0
# A journey has a handful; names out of answers come from whoever answers.
MAX_NAMES = 256
# reliability.md 4
MAX_ADDRESSES = 16

_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
_NUMBERS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}

Ask = tuple[str, int]


@dataclass(slots=True)
class _Question:
    """A name that is being asked for, or was.

    Args:
        done: the answer is there.
        at: when it came, on the monotonic clock.
        addresses: (ip, family) in the order of the answer.
        failure: why there is none.
        is_fenced: it was refused by the fence.
    """

    done: threading.Event = field(default_factory=threading.Event)
    at: float = 0.0
    addresses: tuple[tuple[str, int], ...] = ()
    failure: CheckFailed | None = None
    is_fenced: bool = False


class Resolver:
    """The resolver of all users of a process."""

    def __init__(self) -> None:
        self._questions: OrderedDict[Ask, _Question] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(
        self, host: str, port: int, until: float, *, ip: IpChoice = ANY_IP, hop: int = 0
    ) -> Address:
        """Return the address of *host* that is to be dialled.

        Args:
            host: name or address, in canonical form.
            port: to dial.
            until: when to give up, on the monotonic clock.
            ip: which of several addresses.
            hop: 0 is what the journey names, later ones an answer.

        Raises:
            CheckFailed: ``dns_*``; ``policy`` or, behind a redirect, ``blocked``.
            TimeoutError: no answer by then.
        """
        wanted = _FAMILIES.get(ip, socket.AF_UNSPEC)
        literal = literal_address(host, port)
        if literal is not None:
            if wanted and _NUMBERS[wanted] != literal.family:
                raise _failed(Reason.DNS_NO_ADDRESS, f"want an IPv{ip} address, got {host}")
            return literal
        question = self._ask(host, wanted)
        if not question.done.wait(until - monotonic()):
            raise TimeoutError
        if question.is_fenced:
            raise fenced(host, hop)
        if question.failure is not None:
            failure = question.failure
            raise CheckFailed(failure.reason, failure.message, phase=failure.phase)
        found = [Address(host, port, one, family) for one, family in question.addresses]
        chosen = choose(found, ip)
        if chosen is None:
            text = f"want an address of {short(host)}, got none"
            raise _failed(Reason.DNS_NO_ADDRESS, text)
        return chosen

    def _ask(self, host: str, family: int) -> _Question:
        key = (host, family)
        with self._lock:
            known = self._questions.get(key)
            if known is not None and not (known.done.is_set() and _is_stale(known)):
                return known
            question = self._questions[key] = _Question()
            self._questions.move_to_end(key)
            while len(self._questions) > MAX_NAMES:
                self._questions.popitem(last=False)
        threading.Thread(
            target=_look_up, args=(question, host, family), name="resolver", daemon=True
        ).start()
        return question


def _is_stale(question: _Question) -> bool:
    # who asked together shares a failure; who comes later asks again
    return question.failure is not None or question.at + FRESH_S < monotonic()


def _look_up(question: _Question, host: str, family: int) -> None:
    try:
        # in this process the fence stands before it, and waiting is what threads are for
        answers = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)  # noqa: TID251 - patched, and fenced
        found = [(str(it[4][0]), _NUMBERS[it[0]]) for it in answers if it[0] in _NUMBERS]
        question.addresses = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
    except Fenced as error:
        question.is_fenced, question.failure = True, _failed(Reason.POLICY, str(error))
    except (OSError, UnicodeError) as error:
        question.failure = _failed(*_told(host, error))
    finally:
        question.at = monotonic()
        question.done.set()


def _told(host: str, error: OSError | UnicodeError) -> tuple[Reason, str]:
    if isinstance(error, UnicodeError):
        return Reason.CONFIG, f"want a name that can be asked for, got {short(host)}"
    got = error.strerror or short(str(error))
    return dns_reason(error), f"want an address of {short(host)}, got {got}"


def _failed(reason: Reason, text: str) -> CheckFailed:
    return CheckFailed(reason, text, phase="resolve")


def fenced(there: str, hop: int) -> CheckFailed:
    """Return the verdict about a host or an address that the fence of the run refuses."""
    if hop:
        text = f"want a redirect within safety.targets, got one to {short(there)}"
        return CheckFailed(Reason.BLOCKED, text)
    return CheckFailed(Reason.POLICY, f"want a target within safety.targets, got {short(there)}")
