"""A child without a browser that behaves as its argument says: ``fake_child.py hang``.

Not a test: `tests.probes.browser.test_supervisor` starts it in the place of the real one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from probes.browser.protocol import (
    PROTOCOL,
    Begun,
    Done,
    Ended,
    Fault,
    Hello,
    Page,
    Quit,
    Ready,
    Run,
    Stop,
    Trouble,
    line,
    read_order,
)
from probes.result import Reason

# Longer than any test; the supervisor ends it.
FOR_EVER = 600


def say(message: Ready | Begun | Ended | Done | Trouble) -> None:
    os.write(1, line(message))


def sleeper(*, marked: bool) -> None:
    """Start what Chromium's main process is to us: it leads a session of its own."""
    code = f"import time; time.sleep({FOR_EVER})"
    environ = dict(os.environ) if marked else {}
    options = [] if marked else [f"--user-data-dir={os.environ['TMPDIR']}/profile"]
    subprocess.Popen([sys.executable, "-c", code, *options], env=environ, start_new_session=marked)


def lose_mind(mode: str, run: Run, first: str) -> None:
    """Do what a sane child does not, if *mode* says so."""
    if mode == "crash":
        os.kill(os.getpid(), 9)
    if mode == "garbage":
        os.write(1, b"Segmentation fault\n")
    while mode == "endless-line":
        os.write(1, b"x" * 65536)
    while mode == "flood":
        say(Begun(run.id, first))
    if mode == "stranger":
        say(Done("no such run"))


def play(mode: str, run: Run) -> None:
    first = run.plan.steps[0].name
    say(Begun(run.id, first))
    lose_mind(mode, run, first)
    if mode == "trouble":
        say(Trouble(run.id, Reason.RESOURCE, "want the page to live, got it crashed"))
    elif mode not in ("hang", "stoppable"):
        say(Ended(run.id, first, "goto", "ok", 0.1, status=200, facts={"url": "http://x/"}))
        failed = Fault(Reason.STATUS, "want status < 400, got 500", first)
        say(Done(run.id, failed if mode == "down" else None, pages=(Page(first, {"lcp": 0.5}),)))


def fail_to_start(mode: str) -> None:
    if mode == "dies-at-start":
        sys.exit("playwright: cannot find its node")
    if mode == "denied":
        say(Trouble("", Reason.PERMISSION, "want user namespaces for the sandbox, got none"))
    if mode in ("silent", "denied"):
        time.sleep(FOR_EVER)


def main(mode: str) -> None:
    hello = read_order(sys.stdin.buffer.readline())
    assert isinstance(hello, Hello)
    assert hello.work == os.environ["TMPDIR"] == str(Path.cwd())
    fail_to_start(mode)
    sleeper(marked=True)
    sleeper(marked=False)
    say(Ready(PROTOCOL, "156.0.1", "1.65.2"))
    while text := sys.stdin.buffer.readline():
        order = read_order(text)
        if isinstance(order, Run):
            play(mode, order)
        elif isinstance(order, Stop) and mode == "stoppable":
            say(Done(order.id, Fault(Reason.TIMEOUT, "stopped")))
        elif isinstance(order, Quit):
            break
    if mode == "stubborn":
        time.sleep(FOR_EVER)


if __name__ == "__main__":
    main(sys.argv[1])
