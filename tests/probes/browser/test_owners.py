"""Who a connection of the loopback belongs to."""

import asyncio
import os
from pathlib import Path

import pytest

from probes.browser.owners import Owners, read_owners
from probes.errors import CheckFailed
from probes.result import Reason
from tests.faults.tcp import silent, tcp_fault

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:9C41 0100007F:1F90 01 00000000:00000000 00:00000000 00000000    33        0 3 1
   3: 0100007F:9C42 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 3
   4: 0100007F:9C43 0100007F:1F91 01 00000000:00000000 00:00000000 00000000  1000        0 4 1
   5: cut off
"""


def test_only_open_connections_to_the_port_count() -> None:
    assert read_owners(TABLE, 0x1F90) == {0x9C40: 1000, 0x9C41: 33}


async def test_the_kernel_tells_our_own_connection_from_one_that_is_not_there() -> None:
    async with tcp_fault(silent) as port:
        owners = Owners(port)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        mine = writer.get_extra_info("sockname")[1]

        found = await asyncio.gather(*(owners.uid(mine) for _ in range(50)), owners.uid(1))
        writer.close()

    assert found == [os.geteuid()] * 50 + [None]


async def test_an_answer_is_never_older_than_the_question(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(TABLE)
    owners = Owners(0x1F90, table)
    assert await owners.uid(0x9C40) == 1000

    table.write_text(TABLE.replace(" 1000 ", " 999 "))

    assert await owners.uid(0x9C40) == 999


async def test_without_the_kernels_word_nobody_is_known(tmp_path: Path) -> None:
    """load.md 14: a fault of the prober's own, or a hardened machine would look like an outage."""
    none = tmp_path / "none"
    with pytest.raises(CheckFailed) as raised:
        await Owners(0x1F90, none).uid(0x9C40)
    assert raised.value.reason is Reason.RESOURCE
    assert raised.value.message == (
        f"want {none} to tell who connects to the browser's proxy, got No such file or directory"
    )
