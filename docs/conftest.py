"""Every example of the pages is real: files are loaded, Python is run.

A block whose info string is ``yaml probes.yaml`` is loaded as a probe file; the Python blocks
behind it find that file as ``probes_yaml``. A block ``csv users.csv`` is written beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from probes.config.load import load
from scenarios.config.section import SCENARIOS

# what the examples read from the environment
ENVIRON = {"PRIVATE_PASSWORD": "opensesame"}


class ProbeFileParser(CodeBlockParser):
    """Loads a probe file."""

    language = "yaml probes.yaml"

    def evaluate(self, example: Example) -> None:
        path = Path(example.namespace["directory"]) / "probes.yaml"
        path.write_text(example.parsed, encoding="utf-8")
        config = load(path, environ=ENVIRON, further=(SCENARIOS,))
        assert config.probes
        assert not config.warnings
        example.namespace["probes_yaml"] = path


class DataParser(CodeBlockParser):
    """Writes a file of data for the probe files behind it."""

    language = "csv users.csv"

    def evaluate(self, example: Example) -> None:
        path = Path(example.namespace["directory"]) / "users.csv"
        path.write_text(example.parsed, encoding="utf-8")


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    with TemporaryDirectory() as name:
        yield name


PARSERS = [DataParser(), ProbeFileParser(), PythonCodeBlockParser()]
pytest_collect_file = Sybil(parsers=PARSERS, pattern="*.md", fixtures=["directory"]).pytest()
