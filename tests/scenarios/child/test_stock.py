"""What of stock Locust files can be told without Locust; the rest is `test_worker`'s."""

import hashlib
import runpy
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.result import Reason
from scenarios.child.fence import Fenced
from scenarios.child.loading import PlanError
from scenarios.child.stock import load_class, reason_of
from scenarios.plan import Part


def load(path: str) -> tuple[Mapping[str, Any], list[Any]]:
    """Load a file much as Locust does."""
    found = runpy.run_path(path)
    return {key: it for key, it in found.items() if isinstance(it, type)}, found.get("SHAPES", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("def (:", "it.py:1: invalid syntax", id="syntax"),
        pytest.param("\nimport nothing_of_that_name",
                     "it.py:2: ModuleNotFoundError: \"No module named 'nothing_of_that_name'\"",
                     id="import"),
        pytest.param("def f():\n    raise ValueError('x')\nf()", "it.py:2: ValueError: 'x'",
                     id="code"),
        pytest.param("raise SystemExit(0)", "it.py:1: SystemExit: '0'", id="exit"),
        pytest.param("class Y: pass", "it.py: want a user class 'X', got Y", id="no such class"),
        pytest.param("a = 1", "it.py: want a user class 'X', got none", id="no class"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(text)

    with pytest.raises(PlanError) as caught:
        load_class(Part("X", locustfile=str(file)), load)

    assert str(caught.value) == message


def test_a_file_is_the_one_that_the_plan_was_made_with(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text("class X: pass\nSHAPES = [1]")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    kind, warning = load_class(Part("X", locustfile=str(file), sha256=digest), load)
    assert kind.__name__ == "X"
    assert warning == "it.py: a shape class is ignored: the stages of the scenario rule"

    file.write_text("class X: other = 1")
    with pytest.raises(PlanError, match=r"it.py: want the file that the plan was made with"):
        load_class(Part("X", locustfile=str(file), sha256=digest), load)
    file.unlink()
    with pytest.raises(PlanError, match=r"it.py: want a readable file, got No such file"):
        load_class(Part("X", locustfile=str(file)), load)


class ClientError(OSError):
    """As those of `requests`: an OSError that says nothing."""


ClientError.__module__ = "requests.exceptions"


class ReadTimeout(ClientError):
    """As that of `requests`."""


ReadTimeout.__module__ = "requests.exceptions"


def wrapped(inner: BaseException) -> BaseException:
    """As `requests` wraps what `urllib3` wraps."""
    middle = RuntimeError("Max retries exceeded")
    middle.__cause__ = inner
    return ClientError(middle)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        pytest.param(wrapped(ConnectionRefusedError(111, "x")), 0, Reason.REFUSED, id="refused"),
        pytest.param(wrapped(ConnectionResetError(104, "x")), 0, Reason.CLOSED, id="reset"),
        pytest.param(wrapped(socket.gaierror(socket.EAI_NONAME, "x")), 0, Reason.DNS_NXDOMAIN,
                     id="name"),
        pytest.param(wrapped(ssl.SSLError("x")), 0, Reason.TLS, id="tls"),
        pytest.param(wrapped(TimeoutError()), 0, Reason.TIMEOUT, id="timeout of the socket"),
        pytest.param(ReadTimeout("x"), 0, Reason.TIMEOUT, id="timeout of the client"),
        pytest.param(wrapped(Fenced("x")), 0, Reason.POLICY, id="fenced"),
        pytest.param(wrapped(OSError(24, "x")), 0, Reason.RESOURCE, id="no descriptors"),
        pytest.param(ClientError("404 Client Error"), 404, Reason.STATUS, id="status"),
        pytest.param(ValueError("not what I want"), 200, Reason.VALUE, id="the file's own"),
    ],
)  # fmt: skip
def test_a_failure_of_any_client_has_a_reason_of_ours(
    error: BaseException, status: int, reason: Reason
) -> None:
    assert reason_of(error, status) is reason
