"""The key `scenarios:`: what it costs, and what the schema says of it."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from probes.config.schema import json_schema
from scenarios.config.section import SCENARIOS
from tests.scenarios.config.test_reading import GOOD, HEAD, OPEN

DOCUMENTS = [
    pytest.param(GOOD, True, id="short form"),
    pytest.param(OPEN, True, id="long form"),
    pytest.param(
        f"{GOOD}, thresholds: [x, {{expr: y, for: 3}}], guards: [{{probe: a}}]", True, id="both"
    ),
    pytest.param(f"{GOOD}, min_samples: '${{MIN}}'", True, id="a variable"),
    pytest.param(f"{GOOD}, treshold: 1", False, id="unknown key"),
    pytest.param("mix: [{journey: a, weight: 0}]", False, id="weight"),
    pytest.param("journey: a, rate: 20", False, id="rate without unit"),
    pytest.param("journey: a, load: {shards: auto, users: 20}", True, id="short users"),
    pytest.param("journey: a, load: {shards: 0}", False, id="no shards"),
]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(further=(SCENARIOS,)))


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "is_good"), DOCUMENTS)
def test_the_schema_knows_scenarios(
    validator: jsonschema.Draft202012Validator, keys: str, is_good: bool
) -> None:
    head = HEAD.replace("evry", "every").replace("gte", "get")
    document = yaml.safe_load(f"{head}scenarios: {{s: {{{keys}}}}}")

    assert validator.is_valid(document) == is_good


@pytest.mark.slow
def test_a_file_without_scenarios_imports_none(tmp_path: Path) -> None:
    (tmp_path / "probes.yaml").write_text("version: 1\nprobes: []\n")
    code = (
        "import sys; from pathlib import Path; from probes.config.load import load;"
        "from scenarios.config.section import SCENARIOS;"
        f"load(Path({str(tmp_path / 'probes.yaml')!r}), further=(SCENARIOS,));"
        "print([it for it in sys.modules if it.startswith('scenarios.')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=15
    )

    assert found.stdout.strip() == "['scenarios.config', 'scenarios.config.section']"
