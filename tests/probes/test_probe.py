"""A probe: what of its target may be shown, and what it hides."""

from typing import ClassVar

import pytest

from probes.kind import Kind
from probes.probe import Probe
from probes.redact import Redactor, Secret


class Plain(Kind):
    """A kind with a secret."""

    name: ClassVar[str] = "plain"
    password: Secret | None = None


@pytest.mark.parametrize(
    ("target", "display"),
    [
        pytest.param("redis://:redis@redis:6379/0", "redis://redis:6379/0", id="password is all"),
        pytest.param(
            "postgresql://postgres:postgres@postgres.lan/app",
            "postgresql://postgres.lan/app",
            id="password is host and scheme",
        ),
        pytest.param("https://u:pear@h/a/pear/b", "https://h/a/***/b", id="password in the path"),
        pytest.param("https://h/p?format=json", "https://h/p", id="query"),
        pytest.param("db:5432", "db:5432", id="no scheme"),
    ],
)
def test_the_label_of_a_target_stays_readable(target: str, display: str) -> None:
    assert Probe("it", Plain(), target).display == display


@pytest.mark.parametrize("target", ["https://hunter2.example.org/x", "https://h/hunter2"])
def test_other_secrets_are_starred_in_the_host_too(target: str) -> None:
    by_setting = Probe("it", Plain(password=Secret("hunter2")), target)
    by_variable = Probe("it", Plain(), target, redact=Redactor(["hunter2"]))

    assert by_setting.display == by_variable.display == target.replace("hunter2", "***")


def test_every_text_of_a_run_hides_what_the_target_and_the_settings_hold() -> None:
    probe = Probe("it", Plain(password=Secret("hunter2")), "https://u:pear@h/")

    assert probe.redact("want 1, got hunter2 and pear") == "want 1, got *** and ***"
