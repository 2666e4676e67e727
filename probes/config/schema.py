"""The JSON Schema of the probe file, for editors: common keys, and the keys of each kind.

Made of the same classes that judge the file, so it cannot drift. It is looser where the judge looks
at more than one key (``timeout`` at most ``every``), and a ``${VAR}`` may stand for any scalar.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel

from probes.config.further import Further
from probes.config.journeys import FAMILIES, OVER_HTTP
from probes.config.named import NAME
from probes.config.parameters import ModuleKeys
from probes.config.sections import DEFAULT_KEYS, ChainKeys, CommonKeys, ProbeKeys, Sections
from probes.kind import Kind
from probes.kinds import discover

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_VARIABLE_REF = {"$ref": "#/$defs/variable"}
_NULL = {"type": "null"}
_SCALARS = ("integer", "number", "boolean")
# Where a kind that is a group holds what it checks; its one-target form does without.
_ENDPOINTS = "endpoints"
# They say something about a value and nothing about its form.
_ANNOTATIONS = ("description", "default", "title", "examples")
EXAMPLES: tuple[Mapping[str, Any], ...] = (
    {
        "version": 1,
        "defaults": {"every": "30s", "timeout": "10s"},
        "probes": [
            {"name": "frontend", "kind": "http", "target": "https://www.example.org/health"},
            {"name": "port", "kind": "tcp", "target": "127.0.0.1:22", "every": "1m"},
        ],
    },
)

Schema = dict[str, Any]


def json_schema(*, allowed: Collection[str] = (), further: Iterable[Further] = ()) -> Schema:
    """Return the schema of a probe file, draft 2020-12.

    Args:
        allowed: third-party kinds to describe beside our own.
        further: keys of the first level that somebody above reads.
    """
    definitions: Schema = {"variable": VARIABLE}
    found = discover(allowed=allowed)
    kinds = {name: _model(kind, name, definitions) for name, kind in found.items()}
    common = _model(CommonKeys, "common", definitions)["properties"]
    probe = _model(ProbeKeys, "common", definitions)["properties"]
    common["labels"]["additionalProperties"] = {"type": ["string", "null"]}
    chain = _model(ChainKeys, "common", definitions)["properties"]
    probe["labels"] = chain["labels"] = common["labels"]
    sections = _model(Sections, "sections", definitions)["properties"]
    defaults = {key: value for key, value in common.items() if key in DEFAULT_KEYS}
    groups = {name: kind for name, kind in kinds.items() if found[name].is_group}
    own = [name for name, it in found.items() if it.default_target is not Kind.default_target]
    definitions["probe"] = _probe_entry(probe, kinds, own)
    definitions["chain"] = _chain_entry(chain, groups)
    definitions["journey"] = _journey(definitions)
    opening = _model(ModuleKeys, "module", definitions)["properties"]
    of_module = {**defaults, **opening, "kind": probe["kind"]}
    definitions["module"] = _entry(of_module, kinds, required=["kind"])
    return {
        "$schema": DIALECT,
        "title": "sonde: probes.yaml",
        "description": "What must work, how often to look, and what to expect.",
        "type": "object",
        "additionalProperties": False,
        "examples": [dict(example) for example in EXAMPLES],
        "properties": {
            # only the main file needs it, and an editor cannot tell which one that is
            "version": {"const": 1, "description": "Version of this format; in the main file."},
            "include": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "Further files, relative to this one; globs are allowed.",
            },
            "defaults": {
                "type": "object",
                "properties": _or_null(defaults),
                "additionalProperties": False,
                "description": "Common keys that every probe of this file takes over.",
            },
            "modules": {
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/module"},
                "description": "Named, reusable kinds with settings.",
            },
            "journeys": {
                "type": "object",
                "propertyNames": {"pattern": f"^{NAME}$"},
                "additionalProperties": {"$ref": "#/$defs/journey"},
                "description": "The steps of users by name, for the kinds journey and browser.",
            },
            "probes": {
                "type": "array",
                "items": {"$ref": "#/$defs/probe"},
                "description": "What is checked.",
            },
            "chains": {
                "type": "array",
                "items": {"$ref": "#/$defs/chain"},
                "description": "Chains whose endpoints are judged together.",
            },
            **sections,
            **{it.key: _further(it, definitions) for it in further},
        },
        "$defs": definitions,
    }


def _further(further: Further, definitions: Schema) -> Schema:
    """Return the schema of named entries that somebody above reads."""
    definitions[further.key] = _model(further.model(), further.key, definitions)
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{further.names}$"},
        "additionalProperties": {"$ref": f"#/$defs/{further.key}"},
        "description": further.description,
    }


def _journey(definitions: Schema) -> Schema:
    """Return the schema of a journey: that of the family whose key it has."""
    schema: Schema = _model(OVER_HTTP.settings(), "journey", definitions)
    for key, family in FAMILIES.items():
        if not family.is_there:
            continue
        one = _model(family.settings(), f"journey-{key}", definitions)
        schema = {"if": {"required": [key]}, "then": one, "else": schema}
    return {"description": "The steps of a user.", "type": "object", **schema}


def _probe_entry(common: Schema, kinds: Mapping[str, Schema], own: Collection[str]) -> Schema:
    """Return the schema of a probe.

    Args:
        common: keys that every probe may have.
        kinds: that it may name.
        own: those that know what to check when there is no target.
    """
    schema = _entry(common, kinds, required=["name"], is_whole=True)
    schema["oneOf"] = [{"required": ["kind"]}, {"required": ["module"]}]
    free = {"properties": {"kind": {"enum": sorted(own)}}, "required": ["kind"]}
    schema["allOf"].append(
        {
            # a module may be one of such a kind
            "if": {"anyOf": [free, {"required": ["module"]}]},
            "then": {"not": {"required": ["target", "targets"]}},
            "else": {"oneOf": [{"required": ["target"]}, {"required": ["targets"]}]},
        }
    )
    return schema


def _chain_entry(common: Schema, groups: Mapping[str, Schema]) -> Schema:
    schema = _entry(common, groups, required=["name", "kind"], is_whole=True)
    for rule, kind in zip(schema["allOf"], groups.values(), strict=False):
        if _ENDPOINTS in kind["properties"]:
            needed = {*rule["then"].get("required", ()), _ENDPOINTS}
            rule["then"]["required"] = sorted(needed)
    return schema


def _entry(
    common: Schema, kinds: Mapping[str, Schema], *, required: list[str], is_whole: bool = False
) -> Schema:
    """Return the schema of an entry or module: common keys, and those of the kind it names.

    Args:
        common: keys beside those of the kind.
        kinds: that it may name.
        required: of the common keys.
        is_whole: what the kind requires must be there, too.
    """
    named: Schema = {
        "description": "What speaks to the target.",
        "anyOf": [
            *({"const": name, "description": kind.get("description", "")}
              for name, kind in kinds.items()),
            {"type": "string", "description": "A kind that prober.kinds allows."},
        ],
    }  # fmt: skip
    rules: list[Schema] = [
        {
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": {"properties": _or_null(kind["properties"])}
            | ({"required": kind["required"]} if is_whole and "required" in kind else {}),
        }
        for name, kind in kinds.items()
    ]
    # the keys of a third-party kind, or of a module's kind, are not known here
    rules.append(
        {
            "if": {"properties": {"kind": {"enum": list(kinds)}}, "required": ["kind"]},
            "else": {"additionalProperties": True},
        }
    )
    return {
        "type": "object",
        "properties": {**_or_null(common), "kind": named},
        "required": required,
        "allOf": rules,
        "unevaluatedProperties": False,
    }


def _or_null(properties: Mapping[str, Schema]) -> Schema:
    """Let a null stand for each value: it takes an inherited one away."""
    nullable: Schema = {}
    for key, schema in properties.items():
        form = {name: it for name, it in schema.items() if name not in _ANNOTATIONS}
        notes = {name: it for name, it in schema.items() if name in _ANNOTATIONS}
        forms = form["anyOf"] if form.keys() == {"anyOf"} else [form]
        nullable[key] = {**notes, "anyOf": [_NULL, *(it for it in forms if it != _NULL)]}
    return nullable


def _model(model: type[BaseModel], prefix: str, definitions: Schema) -> Schema:
    """Return the schema of *model*; what it refers to goes to *definitions*, under *prefix*."""
    raw = model.model_json_schema(
        ref_template=f"#/$defs/{prefix}.{{model}}", mode="validation", by_alias=True
    )
    for name, inner in raw.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = _clean(inner)
    schema: Schema = _clean(raw)
    if issubclass(model, Kind):
        schema["description"] = (model.__doc__ or "").partition("\n")[0]
        if model.named_by in (required := schema.get("required", [])):
            required.remove(model.named_by)
    schema.setdefault("properties", {})
    return schema


def _clean(value: Any) -> Any:
    """Drop pydantic's titles and let a ``${VAR}`` stand where a scalar does."""
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    schema: Schema = {
        key: {name: _clean(inner) for name, inner in item.items()}
        if key == "properties"
        else item
        if key in ("default", "const", "enum", "examples", "required")
        else _clean(item)
        for key, item in cast("Schema", value).items()
        if key != "title"
    }
    is_scalar = schema.get("type") in _SCALARS or "pattern" in schema or "enum" in schema
    if not is_scalar:
        return schema
    form = {key: item for key, item in schema.items() if key not in _ANNOTATIONS}
    notes = {key: item for key, item in schema.items() if key in _ANNOTATIONS}
    return {**notes, "anyOf": [form, _VARIABLE_REF]}
