"""A wall clock that can be moved for one process: CLOCK_REALTIME of a child, by a preloaded shim.

    clock = WallClock.build(tmp_path)
    process = subprocess.Popen(..., env=os.environ | clock.environment)
    clock.shift(-3600)

Leaves the monotonic clock alone, unlike libfaketime. Linux with a C compiler only.
"""

import mmap
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import find_program

SOURCE = Path(__file__).with_name("clock.c")
VARIABLE = "SONDE_TEST_CLOCK"


@dataclass(frozen=True)
class WallClock:
    """Reaches the wall clock of every process that was started with `environment`."""

    file: Path
    library: Path

    @classmethod
    def build(cls, directory: Path) -> "WallClock":
        """Compile the shim into *directory*; without a compiler the test is skipped, or fails."""
        compiler = shutil.which("cc") or shutil.which("gcc") or find_program("clang")
        clock = cls(directory / "clock", directory / "clock.so")
        clock.file.write_bytes(bytes(8))
        command = [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(clock.library),
            str(SOURCE),
            "-ldl",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return clock

    @property
    def environment(self) -> Mapping[str, str]:
        """What the process must find in its environment."""
        return {"LD_PRELOAD": str(self.library), VARIABLE: str(self.file)}

    def shift(self, seconds: int) -> None:
        """Set the wall clock *seconds* ahead of the true one, at once."""
        with self.file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:8] = seconds.to_bytes(8, "little", signed=True)
