"""A probe made of the words of a command line."""

import pytest

from exporter.commands.oneshot import probe_from_words
from probes.errors import ConfigError


def test_words_become_settings_as_yaml_reads_them() -> None:
    words = ["expect.status=404", "method=HEAD", "headers.X-Trace=012", "expect.latency=2s"]

    probe = probe_from_words("http", "http://127.0.0.1/", words, 3.0)

    settings = probe.kind.model_dump(mode="json")
    assert settings["method"] == "HEAD"
    assert settings["expect"]["status"] == "404"
    assert settings["expect"]["latency"]["fail"] == "2s"
    assert probe.timeout_s == 3.0


@pytest.mark.parametrize(
    ("kind", "target", "words", "message"),
    [
        pytest.param(
            "htp", "x", [], "KIND: want a kind, got 'htp'; did you mean 'http'?", id="kind"
        ),
        pytest.param(
            "http", "ftp://x/", [], "TARGET: want an http:// or https:// URL, got 'ftp://x/'",
            id="target",
        ),
        pytest.param(
            "http", "http://x/", ["expct.status=1"],
            "--set: expct: want a known key, got 'expct'; did you mean 'expect'?", id="key",
        ),
        pytest.param(
            "http", "http://x/", ["nonsense"], "--set: want KEY=VALUE, got 'nonsense'", id="="
        ),
        pytest.param(
            "http", "http://x/", ["expect=3", "expect.status=3"],
            "--set: expect: want a group of keys before 'status', got a value", id="both",
        ),
    ],
)  # fmt: skip
def test_a_mistake_names_the_word(kind: str, target: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        probe_from_words(kind, target, words, 3.0)

    assert str(caught.value) == message
