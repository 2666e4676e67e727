"""A journey as the file writes it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from probes.journey.loading.settings import JourneyKeys, World
from tests.probes.journey.written import read

STEPS = [{"name": "a", "get": "/"}]


def test_secrets_are_read_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of-a-file\n")
    keys = {"secrets": {"a": {"env": "PW"}, "b": {"file": "key"}, "c": "a$${b}"}, "steps": STEPS}
    context = {"environ": {"PW": "s3cretpw"}, "directory": tmp_path}

    journey = JourneyKeys.model_validate(keys, context=context)

    values = {name: secret.get_secret_value() for name, secret in journey.secrets.items()}
    assert values == {"a": "s3cretpw", "b": "of-a-file", "c": "a${b}"}
    dumped = repr(journey) + journey.model_dump_json()
    assert not any(value in dumped for value in values.values())


def test_no_part_of_a_secret_with_an_expression_is_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        read({"secrets": {"a": "pass${word}"}, "steps": STEPS})

    assert "word" not in str(caught.value)
    assert "want a secret without ${...}, got one with" in str(caught.value)


@pytest.mark.parametrize("url", ["", "http://a", "https://a:8443/app/", "http://u:p@a/"])
def test_base_urls(url: str) -> None:
    assert read({"base_url": url, "steps": STEPS}).base_url == url


def test_texts_that_are_needed_before_a_run_are_fixed() -> None:
    keys = read({"description": "a $${b}", "data": {"file": "$${x}.csv"}, "steps": STEPS})

    assert keys.description == "a ${b}"
    assert keys.data is not None
    assert keys.data.file == "${x}.csv"
    with pytest.raises(ValidationError, match="want a fixed text"):
        read({"data": {"file": "${row.x}.csv"}, "steps": STEPS})


def test_a_world_has_nobody_in_it_at_first() -> None:
    world = World(Path())

    assert (dict(world.others), dict(world.variables)) == ({}, {})
    assert world.browser.max_parallel == 2
