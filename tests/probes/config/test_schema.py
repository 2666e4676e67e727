"""The JSON Schema: it is made of the classes, and it describes what `load` takes."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from probes.config.document import load_document
from probes.config.schema import EXAMPLES
from probes.config.schema import json_schema as make
from probes.config.sections import COMMON_KEYS, HEAD_KEYS, SECTION_KEYS
from probes.journey.loading.settings import JourneyKeys
from probes.kinds import discover

KINDS = ("demo", "picky")


@cache
def json_schema(allowed: tuple[str, ...] = ()) -> Any:
    """Made once: it takes a second or two, and nobody here changes it."""
    return make(allowed=allowed)


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


JOURNEY = {
    "base_url": "http://a",
    "timeout": "20s",
    "vars": {"x": [1, {"y": None}]},
    "secrets": {"pw": {"env": "PW"}, "key": "text"},
    "http": {"headers": {"A": "b", "C": None, "D": 2}, "redirects": "${N}", "max_body": "1MiB"},
    "data": {"file": "users.csv", "pick": "random", "seed": 3},
    "setup": [{"name": "login", "post": "/", "json": {"a": 1}, "expect": 200}],
    "steps": [
        {"name": "a", "get": "/", "expect": ["2xx", 404], "warn": {"duration": {"lt": "1s"}}},
        {"name": "b", "get": "/", "extract": {"t": "$.t", "u": {"regex": "(x)", "group": 1}}},
        {"name": "c", "get": "/", "poll": {"until": {"json": {"$.a": True}}, "every": "1s"}},
        {"name": "d", "get": "/", "expect": {"status": {"not": "5xx"}, "json": {"$.a": {"gt": 1}}}},
        {"name": "e", "put": "/", "form": {"a": [1, "b"]}, "if": "${t} == 1", "load": "skip"},
        {"name": "f", "graphql": {"url": "/g", "query": "{a}", "variables": {"x": 1}}},
        {"name": "g", "rpc": {"method": "m", "params": [1]}},
        {"name": "h", "ws": {"url": "/w", "dialog": [{"send": "x"}, {"send": {"json": 1}},
                                                     {"expect": {"body": "y"}, "within": 3}]}},
        {"name": "i", "sql": {"target": "x", "query": "select 1", "parameters": [1]}},
        {"wait": "1s"}, {"think": "1s..3s"}, {"log": "${t}"}, {"include": "other"},
        {"repeat": {"times": 2, "steps": [{"name": "j", "get": "/"}]}},
        {"repeat": {"over": [1], "steps": [{"wait": "1s"}]}},
    ],
    "cleanup": [{"name": "z", "delete": "/"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def journeys() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def is_valid(journeys: Draft202012Validator, journey: Any, name: str = "shop") -> bool:
    return bool(journeys.is_valid({"version": 1, "journeys": {name: journey}}))


def test_a_journey_with_every_family_is_valid(journeys: Draft202012Validator) -> None:
    document = {"version": 1, "journeys": {"shop": JOURNEY}}

    assert [error.message for error in journeys.iter_errors(document)] == []
    # `${N}` is expanded when the file is loaded
    read = {**JOURNEY, "http": {"redirects": 3}}
    JourneyKeys.model_validate(read, context={"environ": {"PW": "x"}})


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({"name": "a"}, id="nothing to do"),
        pytest.param({"get": "/"}, id="no name"),
        pytest.param({"name": "a", "get": "/", "post": "/"}, id="two verbs"),
        pytest.param({"name": "a", "get": "/", "gte": 1}, id="an unknown key"),
        pytest.param({"name": "A b", "get": "/"}, id="a bad name"),
        pytest.param({"name": "a", "get": "/", "timeout": 5}, id="no unit"),
        pytest.param({"name": "a", "get": "/", "expect": {"statsu": 1}}, id="a misspelt word"),
        pytest.param({"name": "a", "get": "/", "extract": {"t": "t"}}, id="no path"),
        pytest.param({"wait": "1s", "expect": 200}, id="a key of another family"),
        pytest.param({"repeat": {"times": 1, "steps": [{"get": "/"}]}}, id="inside of repeat"),
    ],
)
def test_a_wrong_step_is_not_valid(step: Any, journeys: Draft202012Validator) -> None:
    assert not is_valid(journeys, {"steps": [step]})


def test_a_journey_needs_steps_and_a_plain_name(journeys: Draft202012Validator) -> None:
    steps = {"steps": [{"name": "a", "get": "/"}]}

    assert is_valid(journeys, steps)
    assert not is_valid(journeys, {})
    assert not is_valid(journeys, steps, "Shop")


def test_every_key_of_a_journey_is_described() -> None:
    definitions = json_schema()["$defs"]

    named = {name: it for name, it in definitions.items() if name.startswith("journey.")}
    assert {"journey.HttpKeys", "journey.SqlKeys", "journey.HttpDefaults"} <= named.keys()
    for name, schema in named.items():
        for key, it in schema.get("properties", {}).items():
            assert it.get("description"), (name, key)


def test_a_kind_with_a_target_of_its_own_needs_none() -> None:
    schema = Draft202012Validator(json_schema(allowed=("walker", "demo")))

    def probe(**keys: str) -> bool:
        return bool(schema.is_valid({"version": 1, "probes": [{"name": "a", **keys}]}))

    assert probe(kind="walker", journey="x")
    assert probe(kind="walker", journey="x", target="up")
    assert probe(module="m")
    assert not probe(kind="demo")
