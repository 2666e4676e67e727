"""The JSON Schema: it is made of the classes, and it describes what `load` takes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.config.document import load_document
from probes.config.schema import EXAMPLES, json_schema
from probes.config.sections import COMMON_KEYS, HEAD_KEYS, SECTION_KEYS
from probes.kinds import discover

KINDS = ("demo", "picky")


def every_schema(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from every_schema(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every_schema(inner)


def test_it_is_json_and_every_reference_leads_somewhere() -> None:
    schema = json_schema(allowed=KINDS)

    again = json.loads(json.dumps(schema))
    assert again["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    references = {
        item["$ref"] for item in every_schema(schema) if isinstance(item.get("$ref"), str)
    }
    assert references
    assert {reference.removeprefix("#/$defs/") for reference in references} <= set(schema["$defs"])


def test_every_key_is_there_and_described() -> None:
    schema = json_schema(allowed=KINDS)

    assert schema["properties"].keys() >= SECTION_KEYS
    properties = schema["$defs"]["probe"]["properties"]
    assert properties.keys() == COMMON_KEYS | HEAD_KEYS
    assert all(item.get("description") for item in properties.values())
    for key in ("include", "defaults", "modules", "probes", "chains", "version"):
        assert schema["properties"][key]["description"]


def test_each_kind_has_its_keys_behind_an_if() -> None:
    rules = json_schema(allowed=KINDS)["$defs"]["probe"]["allOf"]

    keys = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]
        for rule in rules
        if "const" in rule.get("if", {}).get("properties", {}).get("kind", {})
    }
    assert keys.keys() == discover(allowed=KINDS).keys()
    assert keys["picky"]["required"] == ["query"]
    assert keys["demo"]["properties"]["mode"]["description"] == "How to look."
    assert "json" in json_schema(allowed=KINDS)["$defs"]["demo.Expect"]["properties"]


def test_chains_admit_groups_alone_and_want_their_endpoints() -> None:
    chain = json_schema(allowed=(*KINDS, "herd"))["$defs"]["chain"]

    named = {form.get("const") for form in chain["properties"]["kind"]["anyOf"]}
    assert "herd" in named
    assert not {"demo", "http"} & named
    assert not {"target", "targets", "module"} & chain["properties"].keys()
    assert chain["required"] == ["name", "kind"]
    (herd,) = (
        rule["then"]
        for rule in chain["allOf"]
        if rule["if"]["properties"]["kind"].get("const") == "herd"
    )
    assert herd["required"] == ["endpoints"]


def test_a_key_that_takes_the_name_need_not_be_given() -> None:
    rules = json_schema(allowed=("herd",))["$defs"]["probe"]["allOf"]

    (herd,) = (
        rule["then"]
        for rule in rules
        if rule.get("if", {}).get("properties", {}).get("kind", {}).get("const") == "herd"
    )
    assert "brand" in herd["properties"]
    assert "brand" not in herd["required"]


def test_a_module_need_not_be_complete() -> None:
    rules = json_schema(allowed=KINDS)["$defs"]["module"]["allOf"]

    assert not any("required" in rule.get("then", {}) for rule in rules)


def test_a_variable_may_stand_for_a_number() -> None:
    schema = json_schema(allowed=KINDS)

    (count,) = {
        json.dumps(rule["then"]["properties"]["count"]["anyOf"][-1])
        for rule in schema["$defs"]["probe"]["allOf"]
        if "count" in rule.get("then", {}).get("properties", {})
    }
    assert json.loads(count) == {"$ref": "#/$defs/variable"}


def keys_known(schema: dict[str, Any], definition: str, kind: str) -> set[str]:
    entry = schema["$defs"][definition]
    known = set(entry["properties"])
    for rule in entry["allOf"]:
        if rule.get("if", {}).get("properties", {}).get("kind", {}).get("const") == kind:
            known |= rule["then"]["properties"].keys()
    return known


def test_it_knows_every_key_of_the_shipped_file_and_of_its_examples() -> None:
    schema = json_schema()
    shipped = load_document(Path("probes.yaml").read_bytes(), "probes.yaml").value

    for document in (shipped, *EXAMPLES):
        assert document.keys() <= schema["properties"].keys()
        modules = document.get("modules", {})
        for module in modules.values():
            assert module.keys() <= keys_known(schema, "module", module["kind"])
        for probe in document["probes"]:
            kind = probe.get("kind") or modules[probe["module"]]["kind"]
            assert probe.keys() <= keys_known(schema, "probe", kind)


def forms_of(schema: dict[str, Any], key: str, kind: str) -> list[dict[str, Any]]:
    """What may stand for a key of a kind, references followed."""
    (form,) = (
        rule["then"]["properties"][key]
        for rule in schema["$defs"]["probe"]["allOf"]
        if rule.get("if", {}).get("properties", {}).get("kind", {}).get("const") == kind
    )
    return [resolved(schema, item) for item in form["anyOf"]]


def resolved(schema: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    name = item.get("$ref", "").removeprefix("#/$defs/")
    return schema["$defs"][name] if name else item


def test_a_null_may_take_every_inherited_key_away() -> None:
    schema = json_schema(allowed=KINDS)

    assert {"type": "null"} in forms_of(schema, "count", "demo")
    common = schema["$defs"]["probe"]["properties"]
    assert {"type": "null"} in common["every"]["anyOf"]
    assert {"type": ["string", "null"]} in [
        form.get("additionalProperties") for form in common["labels"]["anyOf"]
    ]


def test_a_bare_value_may_stand_for_a_band() -> None:
    schema = json_schema(allowed=KINDS)

    (expect,) = (it for it in forms_of(schema, "expect", "demo") if "properties" in it)
    (band,) = (it for it in expect["properties"]["latency"]["anyOf"] if it != {"type": "null"})
    bare, mapping = resolved(schema, band)["anyOf"]
    assert "pattern" in bare["anyOf"][0]
    assert mapping["properties"].keys() == {"warn", "fail"}


# Short forms of values that `load` takes; an editor that goes by the schema must not refuse them.
SHORT_FORMS = (
    ("evm", "chain_id", "integer"),
    ("evm", "min_up", "all"),
    ("evm", "gas", "off"),
    ("evm", "ip", 4),
    ("evm.ThresholdKeys", "lag", "off"),
    ("evm.ThresholdKeys", "lag", "integer"),
    ("evm.ThresholdKeys", "latency", "off"),
    ("evm.IndexerKeys", "lag", "integer"),
    ("evm.TlsOptions", "min_version", "number"),
)


@pytest.mark.parametrize(("owner", "key", "short_form"), SHORT_FORMS)
def test_it_takes_the_short_forms(owner: str, key: str, short_form: str | int) -> None:
    schema = json_schema()
    group = schema["$defs"].get(owner)

    forms = forms_of(schema, key, owner) if group is None else [group["properties"][key]]

    known: set[Any] = set()
    for form in (inner for each in forms for inner in every_schema(each)):
        known |= {form.get("type"), form.get("const"), *form.get("enum", ())} - {None}
    assert short_form in known


def test_a_port_is_a_number_or_a_range() -> None:
    (ports,) = (
        it["properties"]["ports"]
        for name, it in json_schema()["$defs"].items()
        if name.endswith(".RuleOptions")
    )

    assert {form.get("type") for form in every_schema(ports["items"])} >= {"integer", "string"}
