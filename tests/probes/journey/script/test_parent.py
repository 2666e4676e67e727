"""Scripts in real children: what they say, and that nothing they do keeps a run from its end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from probes.journey.model import Part, Played, State
from probes.journey.script import parent
from probes.result import Reason
from tests.probes.journey.script.scripts import Shop, compiled, played, served

# a child is a process: 0.4 s of imports, more on a loaded machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def url(shop: Shop) -> AsyncIterator[str]:
    async with served(shop) as url:
        yield url


def states(of: Played) -> dict[str, State]:
    return {step.step: step.state for step in of.steps}


def logs(of: Played) -> dict[str, str]:
    return dict(of.logs)


async def test_a_journey_logs_in_pays_and_tidies_up(tmp_path: Path, shop: Shop, url: str) -> None:
    script = compiled(
        tmp_path,
        """
        import os

        async def logout(user, token):
            await user.delete("logout", f"/session/{token}")

        async def play(user):
            print("hello")
            assert "HOME" not in os.environ and os.environ["REGION"] == "eu"
            came = await user.post(
                "login", "/token", json={"password": user.secrets["password"]},
                expect={"json": {"$.n": {"gt": 2}}}, extract={"token": "$.token"},
            )
            user.cleanup(logout, user, came.values["token"])
            async with user.step("pay") as pay:
                await pay.get("/cookie")
                second = await pay.get("/cart", params={"q": "${run_id}"})
                user.expect(second.text == "fine", "want fine")
            user.log("currency", user.vars["currency"])
        """,
        secrets={"password": "canary-password"},
        vars={"currency": "EUR"},
        http={"headers": {"X-Run": "${run_id}"}},
        python={"env": ["REGION"]},
    )

    found = await played(script, url)

    assert found.failure is None, found
    assert found.warnings == ()
    assert [(it.step, it.part, it.requests) for it in found.steps] == [
        ("login", Part.STEPS, (1, 0)),
        ("pay", Part.STEPS, (2, 0)),
        ("logout", Part.CLEANUP, (1, 0)),
    ]
    assert logs(found) == {"currency": "EUR", "stdout": "hello"}
    assert {"t-0123456789", "canary-password"} <= found.hidden
    method, path, headers, _ = shop.asked[2]
    assert (method, path) == ("GET", "/cart?q=%24%7Brun_id%7D")
    assert headers["X-Run"] == "run-1"
    assert headers["Cookie"] == "sid=s-42"
    assert shop.asked[0][3] == '{"password":"canary-password"}'
    assert shop.paths[-1] == "/session/t-0123456789"


async def test_a_status_that_is_not_wanted_fails_its_step_with_evidence(
    tmp_path: Path, shop: Shop, url: str
) -> None:
    script = compiled(
        tmp_path,
        """
        async def tidy(user):
            await user.get("tidy", "/tidy")

        async def play(user):
            user.cleanup(tidy, user)
            await user.get("home", "/")
            await user.get("search", "/broken")
            await user.get("never", "/never")
        """,
        steps=["home", "search", "never", "tidy"],
    )

    found = await played(script, url)

    assert found.failure is not None
    assert (found.failure.reason, found.failure.message) == (
        Reason.STATUS, "want status 2xx, got 500",
    )  # fmt: skip
    assert states(found) == {
        "home": State.OK, "search": State.FAILED, "never": State.SKIPPED, "tidy": State.OK,
    }  # fmt: skip
    assert found.steps[1].facts["response body"] == "stack trace"
    assert shop.paths == ["/", "/broken", "/tidy"]


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        pytest.param(
            "async def play(user):\n    x = {}\n    return x['gone']",
            Reason.CONFIG, "shop.py:3: want no exception, got KeyError: 'gone'", id="mistake",
        ),
        pytest.param(
            "import nothing_like_that\nasync def play(user): ...",
            Reason.CONFIG,
            "shop.py:1: want no exception, got ModuleNotFoundError: "
            "No module named 'nothing_like_that'",
            id="import",
        ),
        pytest.param(
            "async def play(user):\n    assert 1 > 2, 'too few'",
            Reason.VALUE, "shop.py:2: want what is asserted, got too few", id="assert",
        ),
        pytest.param(
            "async def play(user):\n    user.expect(False, 'want a total of 3, got 2')",
            Reason.VALUE, "want a total of 3, got 2", id="expectation",
        ),
        pytest.param(
            "async def play(user):\n    raise SystemExit(0)",
            Reason.CONFIG, "want a function that returns, got SystemExit", id="exit",
        ),
        pytest.param(
            "async def play(user):\n    async with user.step('Bad Name'): ...",
            Reason.CONFIG,
            "want a step's name of a-z, 0-9 and '-' such as 'add-to-cart', got 'Bad Name'",
            id="name of a step",
        ),
        pytest.param(
            "async def play(user):\n    await user.get('a', '/', expect={'statu': 200})",
            Reason.CONFIG, "expect: statu: Extra inputs are not permitted", id="misspelt key",
        ),
        pytest.param(
            "async def play(user):\n    import os; os._exit(7)",
            Reason.CONFIG, "want shop.py to end by itself, got its process ended with 7",
            id="process",
        ),
    ],
)  # fmt: skip
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_who_is_to_blame(
    tmp_path: Path, url: str, code: str, reason: Reason, message: str
) -> None:
    found = await played(compiled(tmp_path, code), url)

    assert found.failure is not None
    assert (found.failure.reason, found.failure.message) == (reason, message)


async def test_a_failure_that_the_code_catches_degrades(tmp_path: Path, url: str) -> None:
    script = compiled(
        tmp_path,
        """
        from probes.errors import CheckFailed

        async def play(user):
            try:
                await user.get("broken", "/broken")
            except CheckFailed:
                await user.get("home", "/")
        """,
    )

    found = await played(script, url)

    assert found.failure is None
    assert [(it.reason, it.message) for it in found.warnings] == [
        (Reason.STATUS, "step broken: want status 2xx, got 500")
    ]


async def test_a_websocket_is_a_step(tmp_path: Path, url: str) -> None:
    script = compiled(
        tmp_path,
        """
        async def play(user):
            async with user.ws("feed", "/feed") as socket:
                await socket.send("one")
                user.expect(await socket.receive() == "echo one", "want an echo")
        """,
    )

    found = await played(script, url)

    assert found.failure is None, found.failure
    assert states(found) == {"feed": State.OK}
    assert {phase.name for phase in found.steps[0].phases} >= {"upgrade", "transfer"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("await user.sleep(60)", id="waits"),
        pytest.param("\n    while True: pass", id="never awaits"),
    ],
)
async def test_the_time_of_a_function_ends_and_its_clean_ups_run(
    tmp_path: Path, shop: Shop, url: str, body: str
) -> None:
    code = (
        "async def tidy(user):\n    await user.get('tidy', '/tidy')\n"
        "async def play(user):\n    user.cleanup(tidy, user)\n"
        f"    await user.get('home', '/')\n    {body}\n"
    )
    script = compiled(tmp_path, code, timeout="4s")

    found = await played(script, url)

    assert found.failure is not None
    assert (found.failure.reason, found.failure.message) == (
        Reason.TIMEOUT, "want all steps within 4s, got no end",
    )  # fmt: skip
    assert shop.paths == ["/", "/tidy"]


async def test_code_that_obeys_nothing_is_killed_and_its_steps_are_told(
    tmp_path: Path, url: str
) -> None:
    script = compiled(
        tmp_path,
        """
        import os, signal, subprocess

        async def play(user):
            sleeper = subprocess.Popen(["sleep", "1000"])
            print(os.getpid(), sleeper.pid, flush=True)
            await user.get("home", "/")
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                try:
                    while True: pass
                except BaseException: pass
        """,
        timeout="3s",
        cleanup_timeout="100ms",
    )
    began = monotonic()

    found = await played(script, url)

    assert monotonic() - began < 3 + 0.1 + parent.BEYOND_S + 1
    assert found.failure is not None
    assert found.failure.reason is Reason.TIMEOUT
    assert states(found) == {"home": State.OK}
    both = logs(found)["stdout"].split()
    assert [is_alive(int(process)) for process in both] == [False, False]


def is_alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        with suppress(OSError):
            # a zombie whose parent has gone is of nobody's memory
            return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False


async def test_a_cancelled_play_tidies_up_and_leaves_what_there_was(
    tmp_path: Path, shop: Shop, url: str
) -> None:
    script = compiled(
        tmp_path,
        """
        async def tidy(user):
            await user.get("tidy", "/tidy")

        async def play(user):
            user.cleanup(tidy, user)
            await user.get("home", "/")
            await user.sleep(60)
        """,
        timeout="50s",
    )
    salvaged: list[Played] = []
    task = asyncio.create_task(played(script, url, salvage=salvaged.append))
    async with asyncio.timeout(20):
        await shop.is_asked.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert shop.paths == ["/", "/tidy"]
    (found,) = salvaged
    assert found.failure is not None
    assert found.failure.reason is Reason.INTERNAL
    assert states(found)["tidy"] is State.OK


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_nonsense_in_the_pipe_is_the_codes_mistake(tmp_path: Path, url: str) -> None:
    script = compiled(
        tmp_path,
        """
        import os, sys

        async def play(user):
            os.write(int(sys.argv[1]), b'{"step": 1}\\n')
        """,
    )

    found = await played(script, url)

    assert found.failure is not None
    assert found.failure.reason is Reason.CONFIG
    assert found.failure.message == "want a report of the child, got TypeError"


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_headers_of_the_journey_stay_with_its_origin(
    tmp_path: Path, shop: Shop, url: str
) -> None:
    async with served(Shop()) as home:
        code = f"""
        async def play(user):
            await user.get("own", "{url}/own")
        """
        more: dict[str, Any] = {"http": {"headers": {"X-Api-Key": "k"}}}
        foreign = await played(compiled(tmp_path, code, **more), home)
        trusted = await played(compiled(tmp_path, code, **more, python={"origins": [url]}), home)

    assert (foreign.failure, trusted.failure) == (None, None)
    assert [headers.get("X-Api-Key") for _, _, headers, _ in shop.asked] == [None, "k"]
