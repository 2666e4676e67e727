"""Descriptions become journeys of their safe operations."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.importing.foreign import ForeignError
from exporter.importing.journey import journey_text
from exporter.importing.openapi import read_openapi
from probes.config.load import load

PETS = """
openapi: 3.1.0
info: {title: Pet Store, version: "1"}
servers:
  - {url: "https://{env}.example.org/v1", variables: {env: {default: api}}}
  - {url: https://other.example.org}
security: [{key: []}]
paths:
  /pets:
    get:
      operationId: listPets
      parameters:
        - {name: limit, in: query, required: true, schema: {type: integer, minimum: 1}}
        - {name: tag, in: query, schema: {type: string, example: dog}}
      responses:
        "200":
          content:
            application/json:
              schema:
                type: object
                required: [data, next]
                properties:
                  data: {type: array, items: {$ref: "#/components/schemas/Pet"}}
                  next: {type: [string, "null"]}
    post: {responses: {"201": {}}}
  /pets/{petId}:
    parameters: [{name: petId, in: path, required: true, schema: {type: string}}]
    get:
      responses: {"200": {$ref: "#/components/responses/Pet"}}
    delete: {responses: {"204": {}}}
  /owners/{name}:
    get:
      parameters: [{name: name, in: path, required: true, schema: {type: string}}]
      responses: {"200": {}}
  /health:
    get: {security: [], responses: {"204": {}}}
  /old:
    get: {deprecated: true, responses: {"200": {}}}
  /day:
    get:
      parameters:
        - {name: on, in: query, required: true, example: 2026-01-31}
      responses: {"200": {$ref: "other.yaml#/x"}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}
  responses:
    Pet: {content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}
  schemas:
    Pet:
      allOf:
        - {type: object, required: [id], properties: {id: {type: integer}}}
        - {type: object, required: [name], properties: {name: {type: string}}}
"""


def test_safe_operations_are_called(tmp_path: Path) -> None:
    text = journey_text(read_openapi(Path("pets.yaml"), PETS), "pets")
    path = tmp_path / "pets.yaml"
    path.write_text(text)

    config = load(path, environ={"PETS_KEY": "x-secret-x"})

    assert config.warnings == ()
    steps = yaml.safe_load(text)["journeys"]["pets"]["steps"]
    assert [(it["name"], it["get"]) for it in steps] == [
        ("list-pets", "/pets"), ("health", "/health"), ("day", "/day"), ("pet", "/pets/${pet_id}"),
    ]  # fmt: skip
    first, health, day, pet = steps
    assert first["params"] == {"limit": "1"}
    assert first["headers"] == {"X-Api-Key": "${secrets.key}"}
    assert first["extract"] == {"pet_id": "$.data[0].id"}
    assert first["expect"] == {
        "status": "2xx",
        "headers": {"Content-Type": {"contains": "application/json"}},
        "json": {"$.data": {"type": "array"}},
    }
    assert "headers" not in health
    assert health["expect"] == {"status": 204}
    assert day["params"] == {"on": "2026-01-31"}
    assert pet["expect"]["json"] == {"$.id": {"type": "number"}, "$.name": {"type": "string"}}
    assert "base_url: ${PETS_URL:-https://api.example.org/v1}" in text
    for line in (
        "# Left out: operations that change something (other than GET): 2",
        "# Left out: deprecated operations: 1",
        "# Left out: operations without an example of what they require: 1",
        "# Left out: references that lead nowhere or out of the file: 1",
        "# Left out: further servers: 1",
    ):
        assert line in text.split("\n")


def test_a_server_without_a_host_is_a_path_behind_what_must_be_set() -> None:
    document = {"openapi": "3.0.3", "servers": [{"url": "/v2"}], "paths": {
        "/x": {"get": {"responses": {"200": {}}}}
    }}  # fmt: skip

    text = journey_text(read_openapi(Path("x.json"), json.dumps(document)), "x")

    assert "# To be set: X_URL (where it begins)" in text
    assert "base_url: ${X_URL}" in text
    assert "get: /v2/x" in text


def bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("swagger: '2.0'", "x.yaml: openapi: want OpenAPI 3.0 or 3.1, got Swagger 2.0",
                     id="Swagger"),
        pytest.param("openapi: 4.0.0", "x.yaml: openapi: want OpenAPI 3.0 or 3.1, got '4.0.0'",
                     id="version"),
        pytest.param("- a\n- b: [", "x.yaml:3: want YAML, got", id="no YAML"),
        pytest.param("openapi: 3.0.0\npaths: {}", "x.yaml: paths: want GET operations, got none",
                     id="nothing of use"),
        pytest.param("!!python/object/apply:os.system [id]", "x.yaml:1: want YAML, got",
                     id="tag of Python"),
        pytest.param("[" * 101 + "]" * 101, "x.yaml: want at most 100 levels, got more", id="deep"),
        pytest.param("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 120)),
                     "x.yaml: want at most 100 levels, got more", id="deep YAML"),
        pytest.param(bomb(), "x.yaml: want at most 5000000 values, got more", id="aliases",
                     marks=pytest.mark.slow),
        pytest.param("a: &a [*a]", "x.yaml: want at most 100 levels, got more", id="a circle"),
    ],
)  # fmt: skip
def test_what_is_no_description_is_told(content: str, message: str) -> None:
    with pytest.raises(ForeignError) as told:
        read_openapi(Path("x.yaml"), content)

    assert str(told.value).startswith(message)


@pytest.mark.parametrize(
    "loop",
    [
        pytest.param({"$ref": "#/components/schemas/A"}, id="to itself"),
        pytest.param({"allOf": [{"$ref": "#/components/schemas/A"}]}, id="as a part of itself"),
    ],
)
def test_a_reference_in_a_circle_ends(loop: Any) -> None:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}
    document = {
        "openapi": "3.0.0",
        "paths": {"/a": {"get": {"responses": {"200": {"content": content}}}}},
        "components": {"schemas": {"A": loop}},
    }

    text = journey_text(read_openapi(Path("x.json"), json.dumps(document)), "x")

    assert "get: /a" in text
