"""The extras of the distribution: what to say and to install when a library is not there.

Knows no library.
"""

from importlib.util import find_spec


def wanted(extra: str) -> str:
    """Return the message that asks for *extra*."""
    # no command to copy: the public index has a package of this name that is another project's
    return f"want the extra {extra!r}, got none: install sonde[{extra}] from where sonde came from"


def missing(extra: str, module: str) -> str | None:
    """Return what to install when *module*, which *extra* brings, is not there; else None."""
    # the package alone: to look for a submodule would import it
    return None if find_spec(module.partition(".")[0]) is not None else wanted(extra)
