"""Test scripts of Postman: nothing of them is run, two idioms of theirs are read.

Half of all collections are chained by them: a variable that is set from a key of the answer, and
the status that is wanted. Knows no collection.
"""

import re
from collections.abc import Iterator
from typing import Any

from exporter.importing.expecting import member

_SET = re.compile(
    r"""(?:pm|postman)\.(?:(?:environment|collectionVariables|globals|variables)\.set"""
    r"""|setEnvironmentVariable|setGlobalVariable)\(\s{0,9}["']([^"']{1,200})["']\s{0,9},"""
    r"""\s{0,9}([A-Za-z_$][^;\n]{0,300})\)"""
)
_JSON = re.compile(r"pm\.response\.json\(\)|JSON\.parse\(responseBody\)")
_HOLDER = re.compile(
    r"""(?:var|let|const)\s{1,9}([A-Za-z_$][\w$]{0,60})\s{0,9}=\s{0,9}"""
    r"""(?:pm\.response\.json\(\)|JSON\.parse\(responseBody\))"""
)
_MEMBER = re.compile(r"""\.([A-Za-z_$][\w$]{0,100})|\[(?:(\d{1,6})|["']([^"'\]]{1,200})["'])\]""")
_HEADER = re.compile(r"""pm\.response\.headers\.get\(["']([A-Za-z0-9-]{1,100})["']\)""")
_STATUS = re.compile(r"to\.have\.status\((\d{3})\)|responseCode\.code\s{0,3}===?\s{0,3}(\d{3})")


def status(code: str) -> int | None:
    """Return the status that a script wants; None: none."""
    found = _STATUS.search(code)
    return int(found[1] or found[2]) if found else None


def extracts(code: str) -> Iterator[tuple[str, Any]]:
    """Yield each variable that a script sets from the answer, with what ``extract`` says."""
    holders = {found[1] for found in _HOLDER.finditer(code)}
    for found in _SET.finditer(code):
        source = _source(found[2], holders)
        if source is not None:
            yield found[1], source


def _source(expression: str, holders: set[str]) -> Any:
    """Return what ``extract`` says for an expression of a script; None: it is another one."""
    header = _HEADER.match(expression)
    if header:
        return {"header": header[1]}
    found = _JSON.match(expression)
    if found is None:
        holder = re.match(r"[A-Za-z_$][\w$]{0,60}", expression)
        if holder is None or holder[0] not in holders:
            return None
        found = holder
    at, path = found.end(), "$"
    while step := _MEMBER.match(expression, at):
        path = f"{path}[{int(step[2])}]" if step[2] else member(path, step[1] or step[3])
        at = step.end()
    return path if not expression[at:].strip() and path != "$" else None
