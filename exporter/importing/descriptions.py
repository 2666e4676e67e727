"""Schemas of OpenAPI: references resolved, values and shapes taken out of them.

References lead inside the same file only; a circle ends after a few turns. Knows no operation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.importing.expecting import member
from exporter.importing.foreign import mapping, mappings

# A reference to a reference to a reference: nobody writes more.
MAX_TURNS = 20
# allOf in allOf
MAX_LEVELS = 5
_TYPES = {
    "string": "string", "integer": "number", "number": "number", "boolean": "boolean",
    "array": "array", "object": "object",
}  # fmt: skip


@dataclass(slots=True)
class Description:
    """A whole document, in which references lead to places."""

    document: Mapping[str, Any]
    unresolved: set[str] = field(default_factory=set[str])

    def resolved(self, value: Any) -> Mapping[str, Any]:
        """Return what *value* stands for; an empty mapping for what leads nowhere."""
        for _ in range(MAX_TURNS):
            found = mapping(value)
            target = found.get("$ref")
            if not isinstance(target, str):
                return found
            value = self._at(target)
            if value is None:
                self.unresolved.add(target)
                return {}
        return {}

    def _at(self, target: str) -> Any:
        if not target.startswith("#/"):
            return None
        value: Any = self.document
        for part in target[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            value = mapping(value).get(key)
        return value

    def properties(self, schema: Mapping[str, Any], level: int = 0) -> Mapping[str, Any]:
        """Return the properties of a schema, those of ``allOf`` too."""
        found = dict(mapping(schema.get("properties")))
        if level < MAX_LEVELS:
            for inner in mappings(schema.get("allOf")):
                found |= self.properties(self.resolved(inner), level + 1)
        return found

    def required(self, schema: Mapping[str, Any], level: int = 0) -> list[str]:
        """Return the names of what a schema requires."""
        names = schema.get("required")
        found = [it for it in names if isinstance(it, str)] if isinstance(names, list) else []
        if level < MAX_LEVELS:
            for inner in mappings(schema.get("allOf")):
                found += self.required(self.resolved(inner), level + 1)
        return found

    def arrays(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield path and schema of the lists in it: itself, or what stands right below."""
        if type_of(schema) == "array":
            yield "$", schema
        for key, inner in self.properties(schema).items():
            below = self.resolved(inner)
            if type_of(below) == "array":
                yield member("$", key), below


def type_of(schema: Mapping[str, Any]) -> str | None:
    """Return the one type of a schema as matchers have it; None: it may be several, or null."""
    if schema.get("nullable") is True:
        return None
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if len(kind) == 1 else None
    if kind is None and ("properties" in schema or "allOf" in schema):
        kind = "object"
    return _TYPES.get(kind) if isinstance(kind, str) else None


def shape(description: Description, schema: Mapping[str, Any]) -> dict[str, str]:
    """Return JSONPath -> type of what a schema requires."""
    kind = type_of(schema)
    if kind is None:
        return {}
    if kind != "object":
        return {"$": kind}
    properties = description.properties(schema)
    found: dict[str, str] = {}
    for key in dict.fromkeys(description.required(schema)):
        inner = type_of(description.resolved(properties.get(key)))
        if inner is not None:
            found[member("$", key)] = inner
    return found or {"$": "object"}


def value_of(description: Description, parameter: Mapping[str, Any]) -> Any:
    """Return a value that a parameter may have; None: the file has none."""
    if parameter.get("example") is not None:
        return parameter["example"]
    for example in mapping(parameter.get("examples")).values():
        value = description.resolved(example).get("value")
        if value is not None:
            return value
    return _value_in(description.resolved(parameter.get("schema")))


def _value_in(schema: Mapping[str, Any]) -> Any:
    for key in ("example", "const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        some = schema.get(key)
        if isinstance(some, list) and some and some[0] is not None:
            return some[0]
    if type_of(schema) == "number" and isinstance(schema.get("minimum"), int | float):
        return schema["minimum"]
    return True if type_of(schema) == "boolean" else None
