"""Frozen dataclasses as JSON and back, strictly: no key too many, none too few, no foreign type.

The other side of a pipe may have gone mad: whatever it sends becomes a value of the wanted form or
a `ValueError`. Knows no message.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from probes.units import short

T = TypeVar("T")
# JSON of the other side is nested as deep as the forms below are; a foreign value may be deeper.
MAX_DEPTH = 64


def encode(value: Any) -> Any:
    """Return *value*, made of dataclasses, enums, tuples and mappings, as JSON-ready data.

    Raises:
        TypeError: something else is in it.
    """
    if value is None or isinstance(value, str | int | float):
        return value  # an enum of texts is a text
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return _encode_rare(value)


def _encode_rare(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, range):
        return [value.start, value.stop]
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value)
    raise TypeError(f"want a value that has a form in JSON, got {type(value).__name__}")


def decode(form: type[T], data: Any) -> T:
    """Read what `encode` wrote of a value of the type *form*.

    Raises:
        ValueError: it is none; the message names the place.
    """
    value: T = _read(form, data, "", 0)
    return value


def _read(form: Any, data: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"want at most {MAX_DEPTH} levels, got more at {where or 'the top'}")
    origin = get_origin(form)
    if form is Any:
        return data
    if origin in (Union, UnionType):
        return _read_union(get_args(form), data, where, depth)
    if origin is Literal:
        return _known(data, get_args(form), where)
    if origin is not None:
        return _read_many(origin, get_args(form), data, where, depth)
    if is_dataclass(form):
        return _read_dataclass(form, data, where, depth)
    return _read_one(form, data, where)


def _read_union(forms: tuple[Any, ...], data: Any, where: str, depth: int) -> Any:
    if data is None and NoneType in forms:
        return None
    if IPv4Network in forms:
        return ip_network(_read_one(str, data, where))
    (form,) = (form for form in forms if form is not NoneType)
    return _read(form, data, where, depth)


def _known(data: Any, values: tuple[Any, ...], where: str) -> Any:
    for value in values:
        if type(data) is type(value) and data == value:
            return value
    raise ValueError(f"want one of {short(values)} at {where}, got {short(data)}")


def _read_many(origin: Any, forms: tuple[Any, ...], data: Any, where: str, depth: int) -> Any:
    if issubclass(origin, Mapping):
        return {
            key: _read(forms[1], item, f"{where}.{short(key)}", depth + 1)
            for key, item in _of(dict, data, where).items()
        }
    items = _of(list, data, where)
    if origin is tuple and forms[-1] is not Ellipsis:
        if len(items) != len(forms):
            raise ValueError(f"want {len(forms)} values at {where}, got {len(items)}")
        pairs = zip(forms, items, strict=True)
        return tuple([_read(form, item, f"{where}[]", depth + 1) for form, item in pairs])
    return origin([_read(forms[0], item, f"{where}[]", depth + 1) for item in items])


def _read_dataclass(form: Any, data: Any, where: str, depth: int) -> Any:
    hints = _hints(form)
    if _of(dict, data, where).keys() != hints.keys():
        odd = sorted(map(str, data.keys() ^ hints.keys()))
        raise ValueError(f"want the keys of {form.__name__} at {where or 'the top'}, odd: {odd!r}")
    return form(
        **{
            name: _read(hint, data[name], f"{where}.{name}" if where else name, depth + 1)
            for name, hint in hints.items()
        }
    )


def _of(form: type[T], data: Any, where: str) -> T:
    if type(data) is form:
        return data
    wanted = {"dict": "a mapping", "list": "a list"}.get(form.__name__, form.__name__)
    raise ValueError(f"want {wanted} at {where or 'the top'}, got {short(data)}")


def _read_one(form: Any, data: Any, where: str) -> Any:
    if isinstance(form, type) and issubclass(form, Enum):
        return _known_member(form, data, where)
    if form is range:
        first, behind = _read_many(tuple, (int, int), data, where, 0)
        return range(first, behind)
    if form is float and isinstance(data, int) and not isinstance(data, bool):
        data = _finite(data, where)
    if form is float and type(data) is float and not isfinite(data):
        raise ValueError(f"want a finite number at {where}, got {short(data)}")
    return _of(form, data, where)


def _finite(number: int, where: str) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"want a finite number at {where}, got a longer one") from None


def _known_member(form: type[Enum], data: Any, where: str) -> Enum:
    try:
        return form(data)
    except ValueError:
        raise ValueError(f"want {form.__name__} at {where}, got {short(data)}") from None


@cache
def _hints(form: Any) -> Mapping[str, Any]:
    hints = get_type_hints(form)
    return {field.name: hints[field.name] for field in fields(form)}
