import subprocess
import sys
from pathlib import Path

import pytest

from exporter.loads.results import state_directory


@pytest.mark.parametrize(
    ("state_home", "wanted"),
    [
        pytest.param("/srv/state", "/srv/state/sonde", id="said"),
        pytest.param("state", "/home/ada/.local/state/sonde", id="relative counts for nothing"),
        pytest.param("", "/home/ada/.local/state/sonde", id="not said"),
    ],
)
def test_state_is_kept_where_the_specification_says(
    monkeypatch: pytest.MonkeyPatch, state_home: str, wanted: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_STATE_HOME", state_home)

    assert state_directory() == Path(wanted)


def test_a_user_without_a_home_has_that_of_the_system() -> None:
    """As in a container: no variable, and a number that no book of users knows."""
    code = (
        "import os; os.environ.pop('HOME', None); os.environ.pop('XDG_STATE_HOME', None);"
        "import pwd; pwd.getpwuid = lambda number: {}[number];"
        "from exporter.loads.results import state_directory; print(state_directory())"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=15
    )

    assert done.stdout == "/var/lib/sonde\n"
