"""Loading a driver beside the loop: present, absent, broken, late."""

import asyncio
import sys
from pathlib import Path

import pytest

from probes.errors import CheckFailed
from probes.extras import wanted
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.driver import load_driver


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the module path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


async def test_a_driver_is_loaded_once() -> None:
    sys.modules.pop("wave", None)

    await load_driver("wave", "sound", Recorder())
    first = sys.modules["wave"]
    await load_driver("wave", "sound", Recorder())

    assert sys.modules["wave"] is first


async def test_an_absent_driver_names_its_extra() -> None:
    with pytest.raises(CheckFailed) as failure:
        await load_driver("no_such_driver.core", "nosuch", Recorder())

    assert failure.value.reason is Reason.CONFIG
    assert failure.value.message == wanted("nosuch")


async def test_a_broken_driver_is_not_called_absent(package: Path) -> None:
    (package / "broken_driver.py").write_text("import nothing_of_this_name\n")

    with pytest.raises(CheckFailed) as failure:
        await load_driver("broken_driver", "x", Recorder())

    assert failure.value.reason is Reason.CONFIG
    assert failure.value.message.startswith(
        "want the driver 'broken_driver' to load, got No module"
    )


async def test_a_driver_that_loads_late_is_our_own_fault(package: Path) -> None:
    """P4: the target is not to blame for a slow disk."""
    gate = package / "gate"
    code = f"import pathlib\nwhile not pathlib.Path({str(gate)!r}).exists(): pass\n"
    (package / "slow_driver.py").write_text(code)
    loop = asyncio.get_running_loop()

    with pytest.raises(CheckFailed) as failure:
        await load_driver("slow_driver", "x", Recorder(loop.time() + 0.1))

    await loop.run_in_executor(None, gate.touch)
    assert failure.value.reason is Reason.OVERLOAD
    sys.modules.pop("slow_driver", None)
