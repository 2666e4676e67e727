"""Loads a text as a blackbox.yml."""

from collections.abc import Callable
from pathlib import Path

import pytest

from probes.config.load import Config, load_blackbox
from probes.errors import ConfigError

Load = Callable[..., Config]
Mistakes = Callable[[str], list[str]]


@pytest.fixture
def blackbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text; ``compat=`` as `load_blackbox` takes it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, **kinds: str) -> Config:
        path = Path("blackbox.yml")
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return load_blackbox(path, **kinds)  # type: ignore[arg-type]

    return load


@pytest.fixture
def mistakes(blackbox: Load) -> Mistakes:
    """Return the mistakes of a text, without the name of the file."""

    def told(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            blackbox(text)
        return [
            problem.with_column().removeprefix("blackbox.yml:") for problem in caught.value.problems
        ]

    return told
