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
    Artefact,
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
from probes.browser.verdict import miss_in_vitals
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
    subprocess.Popen(
        [sys.executable, "-IS", "-c", code, *options], env=environ, start_new_session=marked
    )


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


def rich(run: Run) -> Done:
    """Report everything that can be reported, and files."""
    seen = "full" if run.record == "full" else "shot"
    Path(run.artefacts, f"{seen}.png").write_bytes(b"png")
    names = [step.name for step in run.plan.steps]
    phases = (("connect", 0.1), ("processing", 0.2))
    say(Ended(run.id, names[0], "goto", "ok", 0.3, phases=phases, status=200))
    say(Ended(run.id, names[1], "click", "ok", 0.4))
    say(Begun(run.id, names[2]))
    secret = run.values.secrets["password"]
    fault = Fault(Reason.BODY, f"want 'Welcome', got {secret!r} and token-1234", names[2])
    say(Ended(run.id, names[2], "see", "failed", 5.0, fault, facts={"url": f"http://x/{secret}"}))
    vitals = {"lcp": 0.5, "cls": 0.25, "ttfb": 0.125}
    return Done(
        run.id,
        fault,
        pages=(Page(names[0], vitals, {"load": 0.75}), Page("stranger", {"lcp": 9.0})),
        requests=(("document", "first", "good", 1), ("beacon", "third", "failed", 2),
                  ("other", "third", "failed", 1)),
        bytes=(("first", 1000), ("third", 10)),
        console_errors=3,
        page_errors=1,
        failed_requests=2,
        facts={"console": f"password={secret}", "vars": repr(run.values.vars),
               "row": repr(run.values.row), "iteration": str(run.values.iteration),
               "record": run.record, "base": run.plan.base_url},
        hidden=("token-1234",),
        artefacts=(Artefact("screenshot", f"{seen}.png"),),
    )  # fmt: skip


def play(mode: str, run: Run) -> None:
    first = run.plan.steps[0].name
    say(Begun(run.id, first))
    lose_mind(mode, run, first)
    if mode == "trouble":
        say(Trouble(run.id, Reason.RESOURCE, "want the page to live, got it crashed"))
    elif mode == "rich":
        say(rich(run))
    elif mode == "cut":
        say(Done(run.id, Fault(Reason.TIMEOUT, "want the end, got none", first), is_cut=True))
    elif mode not in ("hang", "stoppable"):
        say(Ended(run.id, first, "goto", "ok", 0.1, status=200, facts={"url": "http://x/"}))
        failed = Fault(Reason.STATUS, "want status < 400, got 500", first)
        pages = (Page(first, {"lcp": 0.5}),)
        missed = miss_in_vitals(run.plan.vitals, pages)
        say(Done(run.id, failed if mode == "down" else missed, pages=pages))


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
