"""Several pytest processes share the test files of one run: each takes the next that nobody has.

``--share=DIRECTORY`` names an empty directory that they have in common; a file of tests is taken by
making a file there, which the kernel grants to one process only. No process waits for another one,
and none can be forgotten: pytest-xdist's dealer left its workers waiting for ever, in one of
nine runs (docs/design.md). ``--from-end`` begins at the end, so two processes meet once and rarely
start the same server; and each finds compiled what the other one has read.
"""

import os
from collections.abc import Generator, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add both options."""
    group = parser.getgroup("sharing", "sharing a run between processes")
    # a test may change the working directory
    where = partial(Path, Path.cwd())
    group.addoption("--share", metavar="DIRECTORY", type=where, help="where files are taken")
    group.addoption("--from-end", action="store_true", help="take files from the end")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Read the files of a directory from the end too."""
    report = yield
    if isinstance(collector, pytest.Directory) and collector.config.getoption("from_end"):
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the files that this process could take; pytest's own loop where nothing is shared."""
    place: Path | None = session.config.getoption("share")
    if place is None or session.testsfailed or session.config.option.collectonly:
        return None
    items = _taken(session, place)
    item = next(items, None)
    while item is not None:
        # the one after the last of a file is taken before that one runs: its fixtures may stay
        nextitem = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        # not `Failed`: files that nobody has taken did not run, and a second try of what failed
        # would make that green
        if early := session.shouldfail or session.shouldstop:
            raise session.Interrupted(early)
        item = nextitem
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts where the sum over all processes can be made."""
    place: Path | None = terminalreporter.config.getoption("share")
    if place is not None:
        counts = (
            f"{len(reports)} {name}\n"
            for name, reports in terminalreporter.stats.items()
            if name in {"passed", "failed", "error", "skipped", "xfailed"}
        )
        (place / f"{os.getpid()}.counts").write_text("".join(counts))


def _taken(session: pytest.Session, place: Path) -> Iterator[pytest.Item]:
    for path, each in groupby(session.items, lambda it: it.path):
        items = list(each)
        name = f"{path.relative_to(session.config.rootpath)}.taken".replace(os.sep, "-")
        try:
            (place / name).touch(exist_ok=False)
        except FileExistsError:
            # the progress counts what is ours
            session.testscollected -= len(items)
        else:
            yield from items
