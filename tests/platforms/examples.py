"""The probe files of examples/ that are written for platforms, and what they want to be told."""

from collections.abc import Mapping
from pathlib import Path

from probes.config.load import Config, load
from scenarios.config.section import SCENARIOS

EXAMPLES = Path(__file__).parents[2] / "examples"
PLATFORMS = ("cf1", "fitness", "new-fuse", "pfm", "takumi")


def variables() -> dict[str, str]:
    """Return what ``set -a; . examples/platforms.env`` puts into the environment."""
    lines = (EXAMPLES / "platforms.env").read_text(encoding="utf-8").splitlines()
    told = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in told}


def load_example(path: Path, environ: Mapping[str, str]) -> Config:
    return load(path, environ=environ, further=(SCENARIOS,))
