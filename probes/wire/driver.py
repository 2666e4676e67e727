"""Loads the driver of a kind on its first run, beside the loop. Knows no particular driver."""

import asyncio
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from math import isfinite

from probes.errors import CheckFailed
from probes.extras import wanted
from probes.recorder import Recorder
from probes.result import Reason

# Ahead of the deadline, so that the verdict is this one and not "timeout".
MARGIN_S = 0.01
# One: imports take the same lock anyway.
_importer = ThreadPoolExecutor(1, "import")


async def load_driver(module: str, extra: str, recorder: Recorder) -> None:
    """Import *module* if it is not yet: in a thread, since drivers take 100 ms and more.

    Args:
        module: to import; the caller's own ``import`` statement finds it loaded.
        extra: of the distribution that brings it.
        recorder: of the run, for its deadline.

    Raises:
        CheckFailed: ``config``, when it is not installed; ``overload``, when it takes too long: a
            slow start of ours is nobody else's fault.
    """
    if module in sys.modules:
        return
    loop = asyncio.get_running_loop()
    deadline = recorder.deadline - MARGIN_S if isfinite(recorder.deadline) else None
    try:
        async with asyncio.timeout_at(deadline):
            await loop.run_in_executor(_importer, importlib.import_module, module)
    except TimeoutError:
        raise CheckFailed(
            Reason.OVERLOAD, f"want the driver {module!r} loaded before the deadline, got it late"
        ) from None
    except ImportError as error:
        if error.name == module.partition(".")[0]:
            message = wanted(extra)
        else:
            message = f"want the driver {module!r} to load, got {error}"
        raise CheckFailed(Reason.CONFIG, message) from None
