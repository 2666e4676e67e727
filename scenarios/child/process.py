"""What a child of a load run is to the system: it dies with its parent and may open enough sockets.

Knows no plan.
"""

import ctypes
import os
import resource
import signal

GONE = 3
"""Exit code of a child that nobody leads any more."""
# linux/prctl.h
_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """End this process when the thread that started it ends; now, when *parent* has already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(GONE)


def raise_limits() -> None:
    """Allow as many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
