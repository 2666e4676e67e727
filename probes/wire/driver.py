"""Loads the driver of a kind on its first run, beside the loop. Knows no particular driver."""

import asyncio
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

from probes.errors import CheckFailed
from probes.result import Reason

# One: imports take the same lock anyway.
_importer = ThreadPoolExecutor(1, "import")


async def load_driver(module: str, extra: str) -> None:
    """Import *module* if it is not yet: in a thread, since drivers take 100 ms and more.

    Args:
        module: to import; the caller's own ``import`` statement finds it loaded.
        extra: of the distribution that brings it.

    Raises:
        CheckFailed: ``config``, when it is not installed.
    """
    if module in sys.modules:
        return
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(_importer, importlib.import_module, module)
    except ImportError as error:
        if error.name == module.partition(".")[0]:
            message = f"want the extra {extra!r}, got none: pip install 'sonde[{extra}]'"
        else:
            message = f"want the driver {module!r} to load, got {error}"
        raise CheckFailed(Reason.CONFIG, message) from None
