"""What a command changes of its process is put back: that of the tests goes on."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Give level and handlers of the loggers back."""
    loggers = [logging.getLogger(name) for name in ("", "sonde")]
    before = [(it.level, it.propagate, it.handlers[:]) for it in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
