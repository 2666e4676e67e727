"""The JSON Schema of a blackbox.yml, for completion in editors.

Made of the classes that judge the file. It is looser where the judge looks at more than one key.
"""

from typing import Any

from probes.config.blackbox.options import BlackboxFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# A key without a value stays at its default.
_NULL = {"type": "null"}


def blackbox_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    raw = BlackboxFile.model_json_schema(mode="validation")
    definitions = {name: _clean(inner) for name, inner in raw.pop("$defs", {}).items()}
    return {
        "$schema": DIALECT,
        **_clean(raw),
        "title": "blackbox.yml",
        "description": "Modules of blackbox_exporter, as sonde reads them.",
        "$defs": definitions,
    }


def _clean(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop pydantic's titles, and let nothing stand for each value."""
    cleaned = {key: value for key, value in schema.items() if key != "title"}
    if "properties" in cleaned:
        cleaned["properties"] = {
            name: _or_null(inner) for name, inner in cleaned["properties"].items()
        }
    return cleaned


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    notes = {key: value for key, value in schema.items() if key in ("description", "default")}
    form = {key: value for key, value in schema.items() if key not in (*notes, "title")}
    forms = form["anyOf"] if form.keys() == {"anyOf"} else [form]
    return {**notes, "anyOf": [*(it for it in forms if it != _NULL), _NULL]}
