"""The JSON Schema as editors use it: what we ship and show is valid, and a slip is found."""

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from probes.config.document import load_document
from scripts.docs import ROOT

SCHEMA = json.loads((ROOT / "docs/probes.schema.json").read_text(encoding="utf-8"))
BLOCK = re.compile(r"^```yaml probes\.yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


GOOD = {"version": 1, "probes": [{"name": "a", "kind": "tcp", "target": "a:1"}]}


def shown() -> list[Any]:
    """Return every probe file that is shipped or shown, with its name."""
    files = [ROOT / "probes.yaml", *sorted((ROOT / "examples").rglob("*.yaml"))]
    found = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files]
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        found += [(f"{page.name} {number}", text) for number, text in enumerate(blocks)]
    return [pytest.param(text, id=name) for name, text in found]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def read(text: str) -> Any:
    document = load_document(text.encode(), "probes.yaml")
    assert not document.problems
    return document.value


def mistakes(validator: Draft202012Validator, value: Any) -> list[str]:
    return [f"{'.'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(value)]


def test_there_is_something_to_judge() -> None:
    assert len(shown()) > 8


@pytest.mark.parametrize("text", shown())
def test_what_is_shipped_and_shown_is_valid(text: str, validator: Draft202012Validator) -> None:
    assert mistakes(validator, read(text)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("probes", 0, "every"), "soon", id="no duration"),
        pytest.param(("probes", 0, "evry"), "5s", id="an unknown key"),
        pytest.param(("probes", 0, "severity"), "loud", id="an unknown word"),
        pytest.param(("chains",), {"name": "a"}, id="no list"),
    ],
)
def test_a_slip_is_found(
    path: tuple[Any, ...], value: Any, validator: Draft202012Validator
) -> None:
    document = deepcopy(GOOD)
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value

    assert mistakes(validator, document)
