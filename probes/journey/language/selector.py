"""CSS selectors that take bounded time on any page: one compound at a time.

    list     := complex ( "," complex )*
    complex  := compound ( combinator compound )*         combinator := " " | ">" | "+" | "~"

lexbor tries every way up the tree for each blank of ``a b c``: 28 s for a page of 25 kB whose
elements nest (2026-11). Here it finds compounds only, and the way between them is walked once for
each element. Knows no library: a page is given.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from probes.units import short

MAX_SELECTOR_CHARACTERS = 1024
# Each costs a walk over the whole page.
MAX_COMPOUNDS = 8

_COMBINATOR = re.compile(r"[ \t\r\n]*([>+~,])[ \t\r\n]*|[ \t\r\n]+")
# What belongs to a compound: escapes, quoted texts, brackets, and anything that is no combinator.
_PIECE = re.compile(
    r"""\\.|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\[(?:[^\]"'\\]|\\.|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')*+\]""",
    re.DOTALL,
)
_FUNCTION = re.compile(r":([a-zA-Z-]+)\(")
_NTH = re.compile(r"[ \t]*(?:odd|even|[+-]?[0-9]{0,9}n?[ \t]*(?:[+-][ \t]*[0-9]{1,9})?)[ \t]*")
_OF_COMPOUNDS = frozenset({"not", "is", "where"})
_OF_POSITION = frozenset({"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})


@dataclass(frozen=True, slots=True)
class Complex:
    """Compounds and what stands before each but the first: `` ``, ``>``, ``+`` or ``~``."""

    compounds: tuple[str, ...]
    combinators: tuple[str, ...]


def split(selector: str) -> tuple[Complex, ...]:
    """Take a selector apart.

    Raises:
        ValueError: too long, or with a function that could take long.
    """
    if len(selector) > MAX_SELECTOR_CHARACTERS:
        raise ValueError(
            f"want a selector of at most {MAX_SELECTOR_CHARACTERS} characters, got {len(selector)}"
        )
    found: list[Complex] = []
    compounds, combinators = [""], list[str]()
    for word, is_combinator in _words(selector.strip(" \t\r\n")):
        if not is_combinator:
            compounds[-1] += word
        elif word == ",":
            found.append(_complex(selector, compounds, combinators))
            compounds, combinators = [""], []
        else:
            compounds.append("")
            combinators.append(word)
    found.append(_complex(selector, compounds, combinators))
    if sum(len(one.compounds) for one in found) > MAX_COMPOUNDS:
        raise ValueError(f"want a selector of at most {MAX_COMPOUNDS} parts, got {short(selector)}")
    return tuple(found)


def _complex(selector: str, compounds: list[str], combinators: list[str]) -> Complex:
    if not all(compounds):
        raise ValueError(f"want a CSS selector, got {short(selector)}")
    return Complex(tuple(compounds), tuple(combinators))


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield pieces of compounds, and combinators."""
    at = 0
    while at < len(text):
        if found := _COMBINATOR.match(text, at):
            yield found[1] or " ", True
        elif found := _FUNCTION.match(text, at):
            end = _end_of(text, found.end())
            _check_function(found[1].lower(), text[found.end() : end - 1])
            yield text[at:end], False
            at = end
            continue
        else:
            found = _PIECE.match(text, at)
            if found is None:
                yield text[at], False
                at += 1
                continue
            yield found[0], False
        at = found.end()


def _end_of(text: str, at: int) -> int:
    """Return what stands behind the parenthesis that was opened before *at*."""
    depth = 1
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is not None:
            at = found.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if not depth:
            return at
    raise ValueError(f"want a CSS selector with ')' at its end, got {short(text)}")


def _check_function(name: str, inner: str) -> None:
    if name in _OF_POSITION:
        if not _NTH.fullmatch(inner):
            raise ValueError(f"want a position such as 2n+1 in :{name}(), got {short(inner)}")
    elif name not in _OF_COMPOUNDS:
        known = ", ".join(sorted(_OF_COMPOUNDS | _OF_POSITION))
        raise ValueError(f"want one of the functions {known}, got {short(name)}")
    elif any(one.combinators for one in split(inner)):
        raise ValueError(f"want no combinator inside :{name}(), got {short(inner)}")


def find(selector: tuple[Complex, ...], css: Callable[[str], list[Any]]) -> list[Any]:
    """Return the elements that *selector* finds, in the order of the page.

    Args:
        selector: taken apart.
        css: finds the elements of one compound, or of several with commas.
    """
    if len(selector) == 1 and not selector[0].combinators:
        return css(selector[0].compounds[0])
    wanted: set[int] = set()
    for one in selector:
        # an element is known by where it lies: each visit makes a new wrapper
        here = {node.mem_id for node in css(one.compounds[0])}
        for combinator, compound in zip(one.combinators, one.compounds[1:], strict=True):
            leads = _WAYS[combinator](here)
            here = {node.mem_id for node in css(compound) if leads(node)}
        wanted |= here
    ends = css(",".join(dict.fromkeys(one.compounds[-1] for one in selector)))
    # once, though it may end several of the alternatives
    return [node for place, node in _by_place(ends).items() if place in wanted]


def _by_place(nodes: list[Any]) -> dict[int, Any]:
    return {node.mem_id: node for node in nodes}


def _parent(node: Any) -> Any:
    return node.parent


def _before(node: Any) -> Any:
    """Return the element before; text and comments have tags such as ``-text``."""
    node = node.prev
    while node is not None and node.tag.startswith("-"):
        node = node.prev
    return node


def _next_to(step: Callable[[Any], Any]) -> Callable[[set[int]], Callable[[Any], bool]]:
    def way(starts: set[int]) -> Callable[[Any], bool]:
        def leads(node: Any) -> bool:
            other = step(node)
            return other is not None and other.mem_id in starts

        return leads

    return way


def _along(step: Callable[[Any], Any]) -> Callable[[set[int]], Callable[[Any], bool]]:
    def way(starts: set[int]) -> Callable[[Any], bool]:
        known: dict[int, bool] = {}

        def leads(node: Any) -> bool:
            visited: list[int] = []
            answer = False
            other = step(node)
            while other is not None:
                place = other.mem_id
                if place in known:
                    answer = known[place]
                    break
                if place in starts:
                    answer = True
                    break
                visited.append(place)
                other = step(other)
            # who passed them would find the same
            known.update(dict.fromkeys(visited, answer))
            return answer

        return leads

    return way


_WAYS = {" ": _along(_parent), ">": _next_to(_parent), "~": _along(_before), "+": _next_to(_before)}
