"""What may be asked for: probes by name, hostnames, parameters, secrets, and odd spellings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.on_demand import plans as module
from exporter.on_demand.plans import REFUSED_TARGET, Draft, Plans
from exporter.on_demand.question import Question, Refused
from probes.config.load import Config, load, load_blackbox

NATIVE = """
version: 1
modules:
  zone: {kind: dns, query_name: a.example, params: {query_type: {type: enum, values: [A, MX]}}}
  login: {kind: http, basic_auth: {username: u, password: canary-1234},
          credentials_for: ["*.example.org"]}
  page: {kind: http, headers: {Host: own.example}, timeout: 3s}
  machine: {kind: host}
  socket: {kind: unix}
probe_policy: {allow: [{host: "*.example.org"}, {cidr: 127.0.0.0/8}, {unix: "/run/*.sock"}]}
probes: [{name: "front end", module: page, target: "http://127.0.0.1:1/", every: 10s}]
"""
UPSTREAM = """
modules:
  http_2xx: {prober: http, timeout: 2s, http: {basic_auth: {username: u, password: canary-1234}}}
  port: {prober: tcp, tcp: {tls: true}}
  sock: {prober: unix}
"""

Drafts = Callable[..., Draft]


@pytest.fixture
def native(tmp_path: Path) -> Plans:
    return ready(load(written(tmp_path / "p.yaml", NATIVE), environ={}))


@pytest.fixture
def drop_in(tmp_path: Path) -> Plans:
    return ready(load_blackbox(written(tmp_path / "b.yml", UPSTREAM), compat="strict"))


@pytest.fixture(autouse=True)
def _nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "prepare", lambda _: None)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def ready(config: Config) -> Plans:
    plans = Plans(config)
    plans.read_names()
    return plans


def draft(plans: Plans, **question: object) -> Draft:
    asked = Question(**question)  # type: ignore[arg-type]
    return plans.judge(asked, plans.source(asked))


def test_a_probe_is_asked_for_by_its_name(native: Plans) -> None:
    found = native.make(draft(native, probe="front end"))

    assert found.probe.target == "http://127.0.0.1:1/"
    assert found.source.timeout_s == 3.0
    assert found.policy.trusts_first
    assert native.known(Question(probe="front end")) is found


@pytest.mark.parametrize(
    ("question", "status", "text"),
    [
        pytest.param({"probe": "frontend"}, 404, "want the name of a probe, got", id="no such"),
        pytest.param({"probe": "front end", "module": "page"}, 400, "want probe alone", id="both"),
        pytest.param({"module": "page"}, 400, "Target parameter is missing", id="no target"),
        pytest.param(
            {"module": "page", "target": "http://a.example.org", "hostname": "other.example"},
            400,
            "got 'own.example' in the module and 'other.example' as hostname",
            id="two names",
        ),
        pytest.param(
            {"module": "zone", "target": "127.0.0.1:53", "others": (("query_type", "X"),)},
            400,
            "parameter query_type: want one of A, MX, got 'X'",
            id="a bad parameter",
        ),
        pytest.param(
            {"module": "zone", "target": "127.0.0.1:53", "others": (("qt", "A"),)},
            400,
            "parameter 'qt': want one of the module's",
            id="an undeclared parameter",
        ),
        pytest.param(
            {"module": "machine", "target": "local"}, 403, REFUSED_TARGET, id="this machine"
        ),
        pytest.param(
            {"module": "login", "target": "http://127.0.0.1:2/"}, 403, REFUSED_TARGET,
            id="secrets for nobody who is not named",
        ),
        pytest.param({"module": "socket", "target": "/etc/x"}, 403, REFUSED_TARGET, id="a path"),
    ],
)  # fmt: skip
def test_what_may_not_be_asked_for(
    native: Plans, question: dict[str, object], status: int, text: str
) -> None:
    with pytest.raises(Refused) as caught:
        draft(native, **question)

    assert caught.value.status == status
    assert text in caught.value.text


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param("login", "https://a.example.org/", id="secrets for a host that is named"),
        pytest.param("socket", "/run/app.sock", id="a path that is allowed"),
        pytest.param("page", "HTTP://127.0.0.1:1", id="of the file, written otherwise"),
    ],
)
def test_what_may_be_asked_for(native: Plans, name: str, target: str) -> None:
    assert draft(native, module=name, target=target).target == target


@pytest.mark.parametrize(
    "target",
    [
        "a\\@b.example.org", "http://a\t.example.org/", "http://a\r\n.example.org/",
        "http://x@y@a.example.org/", "http://a.example.org\0/", "127.0.0.1\\:80",
    ],
)  # fmt: skip
def test_spellings_that_two_parsers_read_differently_are_refused(
    native: Plans, drop_in: Plans, target: str
) -> None:
    for plans, name in ((native, "page"), (drop_in, "port")):
        with pytest.raises(Refused, match="want a target without backslash") as caught:
            draft(plans, module=name, target=target)
        assert caught.value.status == 400
    with pytest.raises(Refused, match="want a hostname without backslash"):
        draft(drop_in, module="port", target="h:1", hostname="a@b")


def test_one_user_stays_allowed(drop_in: Plans) -> None:
    found = drop_in.make(draft(drop_in, module="http_2xx", target="http://u:canary@h.example/"))

    assert found.probe.display == "http://h.example/"


def test_a_parameter_makes_an_ordinary_kind_that_is_not_kept(native: Plans) -> None:
    wish = {"module": "zone", "target": "127.0.0.1:53"}

    found = native.make(draft(native, **wish, others=(("query_type", "MX"),)))

    assert getattr(found.probe.kind, "query_type") == "MX"  # noqa: B009 - of one kind
    assert native.known(Question("zone", "127.0.0.1:53")) is None


def test_further_parameters_are_ignored_by_a_module_without_any(native: Plans) -> None:
    found = draft(native, module="page", target="http://127.0.0.1:1/", others=(("x", "1"),))

    assert found.settings == {}


def test_a_drop_in_takes_any_target_with_its_secrets_and_quirks(drop_in: Plans) -> None:
    for name, target in (("http_2xx", "http://h.example/"), ("sock", "/run/x"), ("port", "h:1")):
        found = draft(drop_in, module=name, target=target)
        assert found.source.is_strict
    with pytest.raises(Refused) as caught:
        draft(drop_in, module="port", target="169.254.169.254:80")
    want = "want a target other than link-local and cloud metadata, got one of these\n"
    assert (caught.value.status, caught.value.text) == (403, want)


def test_a_hostname_is_asked_for_over_tls(drop_in: Plans) -> None:
    found = draft(drop_in, module="port", target="127.0.0.1:1", hostname="a.example")

    assert found.kind.tls.server_name == "a.example"  # type: ignore[attr-defined]


def test_plans_do_not_pile_up(drop_in: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PLANS", 3)

    for port in range(1, 6):
        drop_in.make(draft(drop_in, module="port", target=f"h:{port}"))

    assert drop_in.known(Question("port", "h:2")) is None
    assert drop_in.known(Question("port", "h:5")) is not None
    assert len(drop_in._plans) == 3


def test_t27_a_plan_for_a_long_question_is_not_kept(drop_in: Plans) -> None:
    """4,096 of those of 8 KiB would be 100 MB, for whoever asks for that many."""
    for length, is_kept in ((500, True), (600, False)):
        target = "h" * length
        drop_in.make(draft(drop_in, module="port", target=target))

        assert (drop_in.known(Question("port", target)) is not None) is is_kept
