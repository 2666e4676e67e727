"""The stage, once for the room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.exporter.blackbox import rows_http, rows_net
from tests.exporter.blackbox.rows import files_of
from tests.exporter.blackbox.stage import Stage, staged

ROWS = (*rows_http.ROWS, *rows_net.ROWS)


# not of the session: what its servers log in their thread would stand in the logs of other tests
@pytest.fixture(scope="package")
def stage(
    ca: trustme.CA, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Everything that runs, for all tests of this room."""
    directory = tmp_path_factory.mktemp("blackbox")
    with staged(directory, ca, certificates, lambda places: files_of(ROWS, places)) as found:
        yield found
