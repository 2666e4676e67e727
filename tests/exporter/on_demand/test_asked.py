"""Runs that somebody asks for: which may be, when they end, what their page says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from exporter import aside
from exporter.on_demand import asked as module
from exporter.on_demand import plans
from exporter.on_demand.asked import Asked
from exporter.on_demand.plans import REFUSED_TARGET
from exporter.on_demand.question import Question, Refused
from probes.config.load import Config, load, load_blackbox
from probes.kind import Kind
from probes.kinds.tcp import Tcp
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.run import stuck_runs
from probes.wire.net import reachable

MODULES = """
modules:
  port: {kind: tcp}
  slow: {kind: tcp, timeout: 9s, expect: {banner: x}}
  quick: {kind: tcp, timeout: 100ms, expect: {banner: x}}
  page: {kind: http, basic_auth: {username: u, password: canary-1234}}
  plain: {kind: http}
  machine: {kind: host}
"""
LOCAL = "probe_policy: {allow: [{cidr: 127.0.0.0/8}]}\n"
ONE_AT_A_TIME = LOCAL.replace("}]}", "}], max_in_flight: 1, max_queue: 1}")


@pytest.fixture
def load_text(tmp_path: Path) -> "Load":
    def written(text: str) -> Config:
        path = tmp_path / "p.yaml"
        path.write_text("version: 1\n" + text)
        return load(path)

    async def load_text(text: str) -> Config:
        # it reads files: the command does that before there is a loop
        return await asyncio.to_thread(written, text)

    return load_text


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    asked = Asked(ProberHealth((), reachable))
    yield asked
    asked.close()


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A target that accepts and says nothing."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


Load = Callable[[str], Awaitable[Config]]


def ask(name: str, target: str, limit_s: float = 5.0, **more: Any) -> Question:
    """What a scraper asks for that leaves *limit_s* seconds."""
    return Question(module=name, target=target, timeout=str(limit_s + 0.5), **more)


async def status(asked: Asked, config: Config, name: str, target: str) -> int:
    try:
        await asked.answer(config, ask(name, target))
    except Refused as refused:
        return refused.status
    return 200


async def test_a_target_of_the_file_is_run(asked: Asked, silent: str, load_text: Load) -> None:
    config = await load_text(f"{MODULES}probes: [{{name: it, kind: tcp, target: '{silent}'}}]\n")

    page = (await asked.answer(config, ask("port", silent, 5))).decode()

    assert "\nprobe_success 1\n" in page
    assert "\nprobe_timeout_seconds 5\n" in page
    assert 'sonde_probe_outcome{outcome="up"} 1' in page
    assert "probe=" not in page, "no labels of a probe: the scraper sets its own"


@pytest.mark.parametrize(
    ("policy", "admitted"),
    [
        pytest.param("", 403, id="nobody is admitted unasked"),
        pytest.param(LOCAL, 200, id="a network"),
        pytest.param("probe_policy: {allow: [{host: 127.0.0.1}]}\n", 403, id="a name is public"),
        pytest.param("probe_policy: {allow: [{cidr: 10.0.0.0/8}]}\n", 403, id="another network"),
        pytest.param(
            "probe_policy: {allow: [{cidr: 127.0.0.0/8}], deny: [{cidr: 127.0.0.1/32}]}\n",
            403,
            id="denied",
        ),
        pytest.param(
            "probe_policy: {allow: [{cidr: 127.0.0.0/8, ports: [1]}]}\n", 403, id="another port"
        ),
    ],
)
async def test_other_targets_want_a_policy(
    asked: Asked, silent: str, load_text: Load, policy: str, admitted: int
) -> None:
    assert await status(asked, await load_text(MODULES + policy), "port", silent) == admitted


@pytest.mark.parametrize(
    "target",
    [
        "169.254.169.254:80",
        "[fe80::1]:80",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "100.100.100.200:80",
        "168.63.129.16:80",
    ],
)
async def test_metadata_is_never_reached(asked: Asked, load_text: Load, target: str) -> None:
    everything = "probe_policy: {allow: [{cidr: 0.0.0.0/0}, {cidr: '::/0'}]}\n"

    assert await status(asked, await load_text(MODULES + everything), "port", target) == 403


async def test_a_name_that_stands_for_a_refused_address_says_no_more(
    asked: Asked, load_text: Load
) -> None:
    """T22: neither the address nor that the name exists."""
    config = await load_text(MODULES + "probe_policy: {allow: [{host: localhost}]}\n")

    with pytest.raises(Refused) as caught:
        await asked.answer(config, ask("port", "localhost:1", 5))

    assert (caught.value.status, caught.value.text) == (403, REFUSED_TARGET)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param("page", "http://127.0.0.1:1/", id="a module with secrets"),
        pytest.param("machine", "local", id="a kind that looks at this machine"),
    ],
)
async def test_some_modules_take_targets_of_the_file_only(
    asked: Asked, load_text: Load, name: str, target: str
) -> None:
    assert await status(asked, await load_text(MODULES + LOCAL), name, target) == 403
    kind = {"page": "http", "machine": "host"}[name]
    named = await load_text(
        f"{MODULES}{LOCAL}probes: [{{name: it, kind: {kind}, target: '{target}'}}]\n"
    )
    assert await status(asked, named, name, target) == 200


@pytest.mark.parametrize(
    "written",
    ["http://127.0.0.1:1", "HTTP://127.0.0.1:1/", "http://127.0.0.1:1/"],
)
async def test_a_target_may_be_written_in_several_ways(
    asked: Asked, load_text: Load, written: str
) -> None:
    config = await load_text(
        f"{MODULES}probes: [{{name: it, kind: http, target: 'http://127.0.0.1:1/'}}]\n"
    )

    assert await status(asked, config, "plain", written) == 200
    assert await status(asked, config, "plain", "http://127.0.0.1:1/other") == 403


ENDPOINTS = """
chains:
  - name: {name!r}
    kind: evm
    endpoints:
      - {{name: own, http: 'http://127.0.0.1:1/v2/canary-1234'}}
      - {{name: public, http: 'http://127.0.0.1:2', role: reference}}
"""


@pytest.mark.parametrize(
    ("target", "admitted"),
    [
        pytest.param("http://127.0.0.1:1/v2/canary-1234", 200, id="an endpoint"),
        pytest.param("http://127.0.0.1:2/", 200, id="one that only votes"),
        pytest.param("http://127.0.0.1:1/v2/canary", 403, id="another path"),
        pytest.param("http://127.0.0.1:1", 403, id="another path of the same host"),
    ],
)
async def test_the_file_names_the_endpoints_of_a_chain(
    asked: Asked, load_text: Load, target: str, admitted: int
) -> None:
    config = await load_text(ENDPOINTS.format(name="main"))

    assert await status(asked, config, "chain_evm", target) == admitted


async def test_the_name_of_a_chain_is_no_target(asked: Asked, silent: str, load_text: Load) -> None:
    config = await load_text(MODULES + ENDPOINTS.format(name=silent))

    assert await status(asked, config, "port", silent) == 403


async def test_a_built_in_module_is_made_once(
    asked: Asked, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a TLS context of its own, which costs 80 ms: requests must not pay for that."""
    prepared: list[Kind] = []
    monkeypatch.setattr(plans, "prepare", lambda probes: prepared.append(probes[0].kind))
    config = await load_text(LOCAL)

    for port in (1, 2):
        assert await status(asked, config, "chain_evm", f"http://127.0.0.1:{port}/") == 200

    assert prepared[0] is prepared[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("prot", "Unknown module \"prot\"; did you mean 'port'?\n", id="misspelt"),
        pytest.param("http_2xx", 'Unknown module "http_2xx"\n', id="the default is not there"),
    ],
)
async def test_an_unknown_module_is_told(
    asked: Asked, load_text: Load, name: str, text: str
) -> None:
    with pytest.raises(Refused) as caught:
        await asked.answer(await load_text(MODULES), ask(name, "h:1"))

    assert (caught.value.status, caught.value.text) == (400, text)


@pytest.mark.parametrize("name", ["chain_evm", "chain_solana", "chain_cosmos"])
async def test_modules_of_chains_are_built_in(asked: Asked, load_text: Load, name: str) -> None:
    config = await load_text(LOCAL)

    page = (await asked.answer(config, ask(name, "http://127.0.0.1:1/", 3))).decode()

    assert "\nprobe_success 0\n" in page
    assert 'sonde_probe_outcome{outcome="down"} 1' in page
    assert 'reason="refused"' in page
    assert await status(asked, await load_text(""), name, "http://127.0.0.1:1/") == 403


async def test_a_module_of_the_file_outweighs_a_built_in_one(
    asked: Asked, silent: str, load_text: Load
) -> None:
    config = await load_text(f"modules: {{chain_evm: {{kind: tcp}}}}\n{LOCAL}")

    assert b"probe_success 1" in await asked.answer(config, ask("chain_evm", silent, 5))


async def test_a_target_that_is_none_is_unknown(asked: Asked, load_text: Load) -> None:
    page = (await asked.answer(await load_text(MODULES), ask("port", "no port"))).decode()

    assert "\nprobe_success 0\n" in page
    assert 'sonde_probe_outcome{outcome="unknown"} 1' in page
    assert 'reason="config"' in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit_s", "ends_s"),
    [
        pytest.param("slow", 0.3, 0.3, id="of the scraper"),
        pytest.param("quick", 5.0, 0.1, id="of the module"),
        pytest.param("quick", -0.1, 0.1, id="of the module where the scraper has none"),
        pytest.param("chain_evm", 0.3, 0.3, id="of a run that would look twice"),
    ],
)
async def test_the_answer_is_there_in_time(
    asked: Asked, silent: str, load_text: Load, name: str, limit_s: float, ends_s: float
) -> None:
    config = await load_text(MODULES + LOCAL)
    target = f"http://{silent}/" if name.startswith("chain") else silent
    await status(asked, config, name, "no target")  # what is imported once is no run
    loop = asyncio.get_running_loop()
    began = loop.time()

    page = (await asked.answer(config, ask(name, target, limit_s))).decode()

    # blackbox.md 8.5 gives 0.1 s; this machine may be busy. A call of a chain ends at half of it
    assert ends_s * 0.4 <= loop.time() - began < ends_s + 0.5
    assert 'sonde_probe_outcome{outcome="down"} 1' in page
    assert 'reason="timeout"' in page


async def test_without_time_nothing_is_sent(asked: Asked, silent: str, load_text: Load) -> None:
    page = (
        await asked.answer(await load_text(MODULES + LOCAL), ask("port", silent, -0.2))
    ).decode()

    assert "\nprobe_success 0\n" in page
    assert 'reason="config"' in page


async def test_runs_wait_for_a_slot_and_not_for_ever(silent: str, load_text: Load) -> None:
    asked = Asked(ProberHealth((), reachable))
    config = await load_text(MODULES + ONE_AT_A_TIME)
    loop = asyncio.get_running_loop()
    first = loop.create_task(asked.answer(config, ask("slow", silent, 0.4)))
    while not asked.in_flight:  # noqa: ASYNC110 - it begins in a thread
        await asyncio.sleep(0.001)

    second = loop.create_task(asked.answer(config, ask("port", silent, 0.05)))
    while not asked.queued:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
    third = await status(asked, config, "port", silent)

    assert third == 503
    with pytest.raises(Refused, match="want a free slot before the deadline"):
        await second
    await first
    assert (asked.in_flight, asked.queued) == (0, 0)
    assert await status(asked, config, "port", silent) == 200
    asked.close()


@pytest.mark.parametrize("limit_s", [0.05, -0.1])
async def test_what_a_kind_needs_once_holds_up_no_answer(
    asked: Asked,
    silent: str,
    load_text: Load,
    monkeypatch: pytest.MonkeyPatch,
    limit_s: float,
) -> None:
    monkeypatch.setattr(module, "NO_TIME_S", 0.05)
    slow = Event()
    monkeypatch.setattr(plans, "prepare", lambda _: slow.wait(10))
    config = await load_text(MODULES + LOCAL)
    loop = asyncio.get_running_loop()
    began = loop.time()

    what = r"module 'port' \(code and files of kind tcp\)"
    text = f"^want {what} before the deadline, got it still in the making after .* s$"
    with pytest.raises(Refused, match=text):
        await asked.answer(config, ask("port", silent, limit_s))

    assert loop.time() - began < 5
    assert (asked.in_flight, asked.queued) == (0, 0)
    slow.set()


async def test_a_disk_that_hangs_is_named_to_all_whom_it_holds_up(
    silent: str, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, asked = Event(), Asked(ProberHealth((), reachable))
    monkeypatch.setattr(aside, "STUCK_S", 0.0)
    monkeypatch.setattr(plans, "prepare", lambda _: slow.wait(20))
    config = await load_text(MODULES + ONE_AT_A_TIME)
    first = asyncio.get_running_loop().create_task(
        asked.answer(config, ask("port", silent, 0.4))
    )  # fmt: skip
    while not asked.is_stuck:  # noqa: ASYNC110 - it begins in a thread
        await asyncio.sleep(0.001)

    with pytest.raises(Refused) as without_slot:
        await asked.answer(config, ask("slow", silent, 0.05))
    with pytest.raises(Refused) as own:
        await first
    with pytest.raises(Refused) as behind:
        await asked.answer(config, ask("slow", silent, 0.05))

    port, slow_one = (f"module '{name}' (code and files of kind tcp)" for name in ("port", "slow"))
    for refused, wanted, got in (
        (without_slot, "a free slot", f"none while {port} is"),
        (own, port, "it"),
        (behind, slow_one, f"none while {port} is"),
    ):
        assert refused.value.status == 503
        text = refused.value.text
        assert text.startswith(f"want {wanted} before the deadline, got {got} still in the making")
        assert text.endswith(f"{aside.REMEDY}\n")
    slow.set()
    asked.close()


async def test_requests_that_wait_for_the_thread_are_counted(
    silent: str, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, asked = Event(), Asked(ProberHealth((), reachable))
    monkeypatch.setattr(plans, "prepare", lambda _: slow.wait(10))
    config = await load_text(MODULES + ONE_AT_A_TIME)
    requests = [
        asyncio.get_running_loop().create_task(asked.answer(config, ask("port", silent, 5)))
        for _ in range(3)
    ]
    done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)

    with pytest.raises(Refused, match="want at most 1 requests that wait"):
        await done.pop()
    assert (asked.in_flight, asked.queued) == (1, 1)
    slow.set()
    await asyncio.wait(requests)
    asked.close()


async def test_no_secret_is_on_the_page(asked: Asked, load_text: Load) -> None:
    config = await load_text(
        f"{MODULES}probes: [{{name: it, kind: http, target: 'http://127.0.0.1:1/canary-1234'}}]\n"
    )

    page = await asked.answer(config, ask("page", "http://127.0.0.1:1/canary-1234", 5))

    assert b"canary" not in page


UPSTREAM = """
modules:
  http: {prober: http, http: {preferred_ip_protocol: ip4}}
  tcp: {prober: tcp, tcp: {query_response: [{expect: x}]}}
  tls: {prober: tcp, tcp: {tls: true}}
  grpc: {prober: grpc, grpc: {tls: false}}
  websocket: {prober: websocket}
  dns: {prober: dns, dns: {query_name: a.example, query_type: A, transport_protocol: tcp}}
"""


@pytest.fixture
async def drop_in(tmp_path: Path) -> Config:
    path = tmp_path / "b.yml"
    path.write_text(UPSTREAM)
    return await asyncio.to_thread(load_blackbox, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scheme", "phase"),
    [
        pytest.param("http", "http://", "processing", id="http"),
        pytest.param("http", "https://", "tls", id="https"),
        pytest.param("tcp", "", "dialog", id="tcp"),
        pytest.param("tls", "", "tls", id="tls"),
        pytest.param("grpc", "", "call", id="grpc, which hangs upstream (D1)"),
        pytest.param("websocket", "ws://", "upgrade", id="websocket (D5)"),
        pytest.param("dns", "", "request", id="dns"),
    ],
)
async def test_silence_is_answered_in_time_and_names_its_phase(
    asked: Asked, silent: str, drop_in: Config, name: str, scheme: str, phase: str
) -> None:
    """8.5: at most 100 ms behind the timeout, for every kind."""
    await asked.answer(drop_in, ask(name, "127.0.0.1:1", 0.1))  # imports are no run
    loop = asyncio.get_running_loop()
    began = loop.time()

    page = (await asked.answer(drop_in, ask(name, f"{scheme}{silent}", 0.25))).decode()

    took_s = loop.time() - began
    assert f'sonde_probe_failure_info{{phase="{phase}",reason="timeout"}} 1' in page
    assert "\nprobe_timeout_seconds 0.25\n" in page
    # this machine may be busy: twice what is promised
    assert 0.2 < took_s < 0.25 + 0.2


async def test_a_clean_up_that_hangs_is_left_behind_and_counted(
    asked: Asked, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = await load_text(MODULES + LOCAL)
    ended = asyncio.Event()

    async def hang(kind: Kind, target: str, recorder: Recorder) -> None:
        with recorder.phase("dialog"):
            try:
                await asyncio.sleep(10)
            finally:
                await ended.wait()

    monkeypatch.setattr(Tcp, "run", hang)
    monkeypatch.setattr(Tcp, "ends_at_once", False)
    page = (await asked.answer(config, ask("port", "127.0.0.1:1", 0.1))).decode()

    assert asked.abandoned == 1
    assert 'sonde_probe_failure_info{phase="dialog",reason="timeout"} 1' in page
    ended.set()
    while stuck_runs():  # noqa: ASYNC110 - its end has no event
        await asyncio.sleep(0)


async def test_the_account_of_a_run_is_answered_and_kept(
    asked: Asked, silent: str, load_text: Load
) -> None:
    config = await load_text(MODULES + LOCAL)

    told = (await asked.answer(config, ask("port", silent, debug=True))).decode()

    assert told.startswith("Logs for the probe:\n")
    assert "\nprobe_success 1\n" in told
    run = asked.recent.find(1)
    assert run is not None
    assert run.result.ok
    assert asked.recent.match(plans.digest_of(silent), "port") is run


async def test_a_run_is_found_by_the_words_of_whoever_asked(asked: Asked, drop_in: Config) -> None:
    """The kind made a URL of them."""
    await asked.answer(drop_in, ask("http", "127.0.0.1:1"))

    assert asked.recent.match(plans.digest_of("127.0.0.1:1"), "http") is asked.recent.find(1)


MUST_FAIL = """
probes:
- {{name: closed, kind: tcp, target: '{0}', timeout: 200ms, expect: {{banner: x}}, must_fail: true}}
- {{name: refuses, kind: tcp, target: '{0}', timeout: 200ms, expect: {{banner: x}},
    must_fail: [refused]}}
"""


@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_target_that_must_not_answer_and_does_not_is_up(
    silent: str, load_text: Load, *, is_watched: bool
) -> None:
    """Also where the run ends by the time of the scraper: a first run waits, a control is asked."""
    health = ProberHealth((silent,) if is_watched else (), reachable)
    asked, config = Asked(health), await load_text(MUST_FAIL.format(silent))

    pages = [(await asked.answer(config, Question(probe="closed"))).decode() for _ in range(2)]
    other = (await asked.answer(config, Question(probe="refuses"))).decode()

    for page in pages:
        assert 'sonde_probe_outcome{outcome="up"} 1' in page
        assert "sonde_probe_failure_info" not in page
    assert 'sonde_probe_failure_info{phase="dialog",reason="timeout"} 1' in other
    run = asked.recent.find(2)
    assert run is not None
    assert "want an answer within 0.2 s, got none" in run.result.facts["failed as wanted"]
    asked.close()
    await health.stop()


async def test_nothing_is_noted_of_a_run_whose_client_has_gone(
    asked: Asked, silent: str, load_text: Load
) -> None:
    config = await load_text(MODULES + LOCAL)
    task = asyncio.ensure_future(asked.answer(config, ask("slow", silent)))
    while not asked.in_flight:  # noqa: ASYNC110 - it begins in a thread
        await asyncio.sleep(0.001)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert list(asked.recent.newest_first()) == []
    assert (asked.in_flight, asked.queued) == (0, 0)


async def test_requests_for_no_module_are_counted(asked: Asked, load_text: Load) -> None:
    assert await status(asked, await load_text(MODULES), "nosuch", "h:1") == 400
    assert asked.unknown == 1


async def test_the_module_is_judged_before_the_header_and_that_before_the_target(
    asked: Asked, load_text: Load
) -> None:
    """The order of blackbox.md 5.1."""
    config = await load_text(MODULES)

    for question, code in (
        (Question("nosuch", "", timeout="soon"), 400),
        (Question("port", "", timeout="soon"), 500),
        (Question("port", ""), 400),
    ):
        with pytest.raises(Refused) as caught:
            await asked.answer(config, question)
        assert caught.value.status == code
