"""What is ready before the first rail of a run."""

from pathlib import Path

import pytest

from probes.config.load import load
from scenarios.config.section import SCENARIOS, scenarios_of
from scenarios.course.readiness import Options, make_ready
from scenarios.course.workers import Workers
from scenarios.planning.make import Flags

FILE = """
version: 1
journeys: {home: {base_url: "http://127.0.0.1:9", steps: [{name: home, get: /}]}}
safety: {targets: {allow: [127.0.0.1/32]}}
scenarios:
  plain: {journey: home, rate: 10/s, duration: 1s}
  paged: {journey: home, rate: 10/s, duration: 1s, reports: {locust_html: true}}
"""


@pytest.mark.parametrize(
    ("name", "count", "is_told"), [("paged", 2, True), ("plain", 2, False), ("paged", 0, False)]
)
def test_a_page_of_locust_that_there_cannot_be_is_told_before_the_run(
    tmp_path: Path, name: str, count: int, *, is_told: bool
) -> None:
    file = tmp_path / "probes.yaml"
    file.write_text(FILE)
    config = load(file, further=(SCENARIOS,))
    workers = Workers(count, "127.0.0.1:5557") if count else None

    ready = make_ready(
        config, name, scenarios_of(config)[name], Flags(), Options(tmp_path, workers=workers)
    )

    text = "reports.locust_html: want Locust's own page, got none of a run on other machines"
    assert any(note.startswith(text) for note in ready.notes) is is_told
