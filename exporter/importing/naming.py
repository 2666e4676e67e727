"""Names for what had none: steps, variables, the things that a path speaks of.

    POST /api/v1/cart/17/items   post-cart-items
    $.items[0].id                item_id

Knows no format and no step.
"""

import re

from probes.journey.language.grammar import RESERVED

MAX_STEP_CHARACTERS = 63
# A name longer than this is nobody's; the grammar takes 64.
MAX_VARIABLE_CHARACTERS = 48
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9]+")
# Parts of a path that say nothing: versions and the word api itself.
_DULL = re.compile(r"(?:api|rest|v[0-9]+(?:\.[0-9]+)?|public|index|www)", re.ASCII)
# A part that is a value and no word.
_VALUE = re.compile(r"[0-9]+|[0-9a-f-]{16,}|(?=.*[0-9])[A-Za-z0-9_.~-]{12,}|\W.*", re.ASCII)
_ENDING = re.compile(r"\.(?:html?|php|aspx?|jsp|json|xml)$", re.IGNORECASE)
_ID = frozenset({"id", "uuid", "guid", "key", "slug", "code", "number", "no", "ref"})


def words(text: str) -> list[str]:
    """Return the words of a name in any spelling, lower case, ASCII."""
    return [word for word in _OTHER.split(_HUMP.sub(" ", text).lower()) if word]


def singular(word: str) -> str:
    """Return one of what *word* names several of."""
    if word.endswith("ies") and len(word) > len("ties"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def parts_of(path: str) -> list[str]:
    """Return the words of a path, without values and what says nothing."""
    found: list[str] = []
    for part in path.split("/"):
        bare = _ENDING.sub("", part)
        if bare and not _VALUE.fullmatch(bare) and not _DULL.fullmatch(bare.lower()):
            found.append("-".join(words(bare)))
    return [part for part in found if part]


def _last_words(path: str) -> list[str]:
    last = path.rstrip("/").rpartition("/")[2]
    return [last] if parts_of(last) else []


def noun_of_path(path: str) -> str:
    """Return what the end of a path speaks of: ``/api/carts`` of a cart."""
    parts = parts_of(path)
    return singular(parts[-1].replace("-", "_")) if parts else ""


def noun_of_key(key: str) -> str:
    """Return what a key speaks of: ``item_id`` and ``itemId`` of an item, ``id`` of nothing."""
    found = words(key)
    while found and found[-1] in _ID:
        found.pop()
    return singular("_".join(found))


def is_id(key: str) -> bool:
    """Tell whether a key names what tells one thing from another."""
    found = words(key)
    return bool(found) and found[-1] in _ID


class Names:
    """Gives names that are unique."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def step(self, title: str, method: str, path: str) -> str:
        """Return the name of a step, after its title or its path."""
        found = words(title)
        if not found:
            parts = parts_of(path)[-3:]
            if parts and path.rstrip("/").rpartition("/")[2] not in ("", *_last_words(path)):
                # /items/7 is one item
                parts[-1] = singular(parts[-1])
            is_verb = parts[-1:] in (["login"], ["logout"], ["signin"])
            is_plain = method == "GET" or (is_verb and "-".join(parts) not in self._taken)
            found = [*([] if is_plain and parts else [method.lower()]), *parts]
            found = ["home"] if method == "GET" and not parts else found
        name = "-".join(found)
        return self._unique(name if name[:1].isalpha() else f"step-{name}", "-")

    def variable(self, *wanted: str) -> str:
        """Return the name of a variable made of words."""
        name = "_".join(word for text in wanted for word in words(text))[:MAX_VARIABLE_CHARACTERS]
        name = name if name[:1].isalpha() else f"v_{name}".rstrip("_")
        return self._unique(f"{name}_value" if name in RESERVED else name, "_")

    def take(self, name: str) -> None:
        """Keep a name from being given."""
        self._taken.add(name)

    def _unique(self, name: str, joint: str) -> str:
        name = name[: MAX_STEP_CHARACTERS - 4].rstrip(joint)
        made, number = name, 1
        while made in self._taken:
            number += 1
            made = f"{name}{joint}{number}"
        self._taken.add(made)
        return made
