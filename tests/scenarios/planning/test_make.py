"""A scenario and flags become a plan: stages, hash, secrets apart, or why not."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from probes.config.load import Config, load
from probes.errors import ConfigError
from scenarios.child.loading import load_journeys
from scenarios.config.section import SCENARIOS, scenarios_of
from scenarios.config.settings import PartKeys, ScenarioKeys
from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.planning.make import Flags, Planned, config_hash, make_plan
from scenarios.rails.fences import Refused

NIGHTLY = [
    {"duration": "30s", "rate": "1/s -> 20/s", "warmup": True},
    {"duration": "3m", "rate": "20/s -> 10/s"},
    {"duration": "1m", "rate": "6/m"},
    {"duration": "20s", "rate": "0/s"},
]
FILE: Mapping[str, Any] = {
    "version": 1,
    "journeys": {
        "login": {
            "secrets": {"password": {"env": "SHOP_PW"}},
            "vars": {"currency": "EUR"},
            "steps": [
                {
                    "name": "log-in",
                    "post": "/login",
                    "headers": {"X-Region": "${env('REGION')}"},
                    "json": {"p": "${secrets.password}", "c": '${env("CURRENCY", "EUR")}'},
                }
            ],
        },
        "shop": {
            "data": {"file": "users.csv"},
            "steps": [
                {"include": "login"},
                {"name": "a", "get": "/a/${row.user}"},
                {"repeat": {"times": 3, "steps": [{"name": "b", "get": "/b"}]}},
                {"name": "paid", "post": "/pay", "load": "skip"},
            ],
        },
        "unused": {"secrets": {"other": {"env": "OTHER"}}, "steps": [{"name": "a", "get": "/"}]},
    },
    "safety": {"targets": {"allow": ["127.0.0.1"], "deny": ["127.0.0.2"]}},
    "scenarios": {
        "open": {
            "target": "http://127.0.0.1:1",
            "mix": [{"journey": "shop", "weight": 3}, {"journey": "login"}],
            "load": {"stages": NIGHTLY, "users": {"start": 20, "max": 200}, "shards": 2},
            "thresholds": ["p95(request.duration) < 400ms"],
        },
        "closed": {
            "target": "http://127.0.0.1:1",
            "mix": [{"journey": "login"}],
            "load": {
                "model": "closed",
                "pace": "1s",
                "stages": [
                    {"duration": "10s", "users": "0 -> 30", "warmup": True},
                    {"duration": "2m", "users": 30},
                ],
            },
        },
        "counted": {
            "target": "http://127.0.0.1:1",
            "mix": [{"journey": "login"}],
            "load": {"model": "iterations", "iterations": 500, "users": 7},
            "seed": 5,
        },
        "brief": {
            "target": "http://127.0.0.1:1", "journey": "login", "rate": "6/m", "duration": "9m"
        },
    },
}  # fmt: skip
ENVIRON = {"SHOP_PW": "geheim-canary", "OTHER": "other-canary", "REGION": "eu", "HOME": "/root"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("planning")
    (place / "users.csv").write_text("user\nann\nbob\n")
    return place


Made = Callable[..., Planned]
NONE = Flags()


@pytest.fixture
def made(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return what makes a plan of a scenario; the file may be changed before."""
    for name in (*ENVIRON, "CURRENCY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)

    def make(
        name: str,
        flags: Flags = NONE,
        change: Callable[[Any], None] = lambda _: None,
        **machine: Any,
    ) -> Planned:
        config = read(directory, change, flags.variables)
        keys = scenarios_of(config)[name]
        return make_plan(config, name, keys, flags, **({"cpus": 4, "descriptors": 4096} | machine))

    return make


def read(
    directory: Path,
    change: Callable[[Any], None] = lambda _: None,
    variables: Mapping[str, str] | None = None,
) -> Config:
    values = json.loads(json.dumps(FILE))
    change(values)
    path = directory / "probes.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return load(path, further=(SCENARIOS,), variables=variables or {})


def test_a_plan_says_all_that_a_shard_needs(made: Made, directory: Path) -> None:
    planned = made("open")
    plan = planned.plan

    assert plan.stages == (
        Stage(30, 1, 20, warmup=True), Stage(180, 20, 10), Stage(60, 0.1, 0.1), Stage(20, 0, 0),
    )  # fmt: skip
    assert plan.mix == (Part("shop", 3), Part("login", 1))
    assert (plan.pool, plan.users, plan.shards) == (Pool(20, 200), 200, 2)
    assert plan.fences == Fences(("127.0.0.1/32",), ("127.0.0.2/32",))
    assert plan.directory == str(directory.resolve())
    assert plan.data == {"shop": hashlib.sha256(b"user\nann\nbob\n").hexdigest()}
    assert plan.requests_per_iteration == (3 * 5 + 1) / 4
    assert list(plan.limits) == ["request.duration"]
    assert set(plan.journeys) == {"shop", "login"}
    assert planned.notes == ()
    assert Plan.from_json(plan.to_json()) == plan


def test_a_report_tells_what_the_file_was_warned_of(made: Made) -> None:
    def change(values: Any) -> None:
        values["scenarios"]["open"]["min_samples"] = 10**6

    (note,) = made("open", change=change).notes

    assert note.startswith("open.min_samples: want at most the ")
    assert note.endswith(", got 1000000: its runs will be inconclusive")


def test_a_run_without_stages_ends_at_the_ceiling_of_durations_at_the_latest(made: Made) -> None:
    assert made("counted").plan.max_seconds == 900
    assert made("counted").plan.iterations == 500
    assert made("open").plan.max_seconds == 0


def test_a_child_compiles_what_the_plan_and_the_secrets_say(made: Made) -> None:
    planned = made("open", Flags(variables={"currency": "USD"}))

    journeys = load_journeys(Plan.from_json(planned.plan.to_json()), planned.secrets)

    assert journeys.keys() == {"shop", "login"}
    assert dict(journeys["login"].secrets)["password"].get_secret_value() == "geheim-canary"
    assert planned.plan.variables == {"currency": "USD"}


@pytest.mark.parametrize(
    ("scenario", "flags", "stages", "pool"),
    [
        pytest.param("open", Flags(rate=50), (Stage(240, 50, 50),), Pool(20, 200), id="open: rate"),
        pytest.param(
            "open", Flags(duration=9), (Stage(9, 20, 20),), Pool(20, 200), id="open: duration"
        ),
        pytest.param(
            "open", Flags(users=10), (Stage(240, 20, 20),), Pool(10, 10), id="open: users"
        ),
        pytest.param(
            "open",
            Flags(users=300, rate=5, duration=60),
            (Stage(60, 5, 5),),
            Pool(20, 300),
            id="open: all",
        ),
        pytest.param("closed", Flags(users=4), (Stage(120, 4, 4),), Pool(1, 4), id="closed: users"),
        pytest.param(
            "closed", Flags(duration=5), (Stage(5, 30, 30),), Pool(1, 30), id="closed: duration"
        ),
        pytest.param("counted", Flags(users=3), (), Pool(3, 3), id="iterations: users"),
        pytest.param("counted", Flags(), (), Pool(7, 7), id="iterations: none"),
        pytest.param(
            "brief", Flags(duration=60), (Stage(60, 0.1, 0.1),), Pool(1, 100), id="a short form"
        ),
    ],
)
def test_flags_replace_all_stages_by_one(
    made: Made, scenario: str, flags: Flags, stages: tuple[Stage, ...], pool: Pool
) -> None:
    plan = made(scenario, flags).plan

    assert (plan.stages, plan.pool, plan.users) == (stages, pool, pool.max)


@pytest.mark.parametrize(
    ("scenario", "flags", "message"),
    [
        pytest.param(
            "closed",
            Flags(rate=5),
            "--rate: want --users in the model closed, got --rate 5/s",
            id="a rate of users",
        ),
        pytest.param(
            "counted",
            Flags(duration=5),
            "--duration: want no duration in the model iterations, got --duration 5s",
            id="a duration of a number",
        ),
    ],
)
def test_a_flag_that_means_nothing_in_the_model_is_a_usage_error(
    made: Made, scenario: str, flags: Flags, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(scenario, flags)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("flags", "machine", "code", "text"),
    [
        pytest.param(
            Flags(rate=201),
            {},
            "ceiling",
            "want at most 200/s (safety.load.max_rate), got 201/s",
            id="Rails 4: --rate",
        ),
        pytest.param(
            Flags(users=501),
            {},
            "ceiling",
            "want at most 500 users (safety.load.max_users), got 501",
            id="Rails 4: --users",
        ),
        pytest.param(
            Flags(duration=901),
            {},
            "ceiling",
            "want at most 15m (safety.load.max_duration), got 15m1s",
            id="Rails 4: --duration",
        ),
        pytest.param(
            Flags(),
            {"descriptors": 183},
            "capacity",
            "want at most 183 descriptors a shard (ulimit -Hn), got 184 for 100 users",
            id="Load control 6: descriptor limit",
        ),
    ],
)
def test_a_plan_above_a_ceiling_or_the_machine_is_refused(
    made: Made, flags: Flags, machine: dict[str, int], code: str, text: str
) -> None:
    with pytest.raises(Refused) as caught:
        made("open", flags, **machine)

    assert [(it.code, it.text) for it in caught.value.whys] == [(code, text)]


def test_what_a_run_before_has_shown_decides_of_the_capacity(made: Made) -> None:
    plan = made("open").plan

    with pytest.raises(Refused, match="want at most 70 requests/s, 70% of what 2 generators"):
        made("open", history={plan.config_hash: 50.0})
    assert made("open", history={plan.config_hash: 500.0}).plan.shards == 2


def test_no_value_of_a_secret_stands_in_a_plan(made: Made) -> None:
    planned = made("open")

    assert "canary" not in planned.plan.to_json()
    assert "canary" not in repr(planned)
    assert planned.plan.journeys["login"]["secrets"] == {"password": ""}
    assert planned.secrets.values == {"login": {"password": "geheim-canary"}}


def test_a_child_gets_the_part_of_the_environment_that_its_journeys_ask_for(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made("open").secrets.environ == {"REGION": "eu"}
    monkeypatch.setenv("CURRENCY", "USD")
    assert made("open").secrets.environ == {"CURRENCY": "USD", "REGION": "eu"}


def test_an_environment_that_is_asked_by_a_computed_name_is_known_as_a_whole(made: Made) -> None:
    def computed(values: Any) -> None:
        values["journeys"]["login"]["steps"][0]["params"] = {"x": "${env(vars.currency, 'none')}"}

    environ = made("open", change=computed).secrets.environ

    assert environ.items() >= ENVIRON.items()


def test_a_seed_is_drawn_unless_somebody_says_one(made: Made) -> None:
    first, second = made("open").plan, made("open").plan

    assert first.seed != second.seed
    assert first.run_id != second.run_id
    assert made("counted").plan.seed == 5
    assert made("counted", Flags(seed=0)).plan.seed == 0


def put(path: str, value: Any) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        *above, key = path.split(".")
        for name in above:
            values = values[int(name) if name.isdigit() else name]
        values[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "flags", "is_same"),
    [
        pytest.param(put("scenarios.open.seed", 9), Flags(), True, id="seed"),
        pytest.param(put("scenarios.open.thresholds", []), Flags(), True, id="thresholds"),
        pytest.param(put("scenarios.open.reports", {"keep": 3}), Flags(), True, id="reports"),
        pytest.param(put("safety.targets.allow", ["*.x"]), Flags(), True, id="rails"),
        pytest.param(put("journeys.login.description", "x"), Flags(), True, id="description"),
        pytest.param(
            put("journeys.login.secrets", {"password": {"env": "OTHER"}}),
            Flags(),
            True,
            id="secrets",
        ),
        pytest.param(put("journeys.unused.vars", {"a": "b"}), Flags(), True, id="another journey"),
        pytest.param(put("journeys.login.http", {"timeout": "9s"}), Flags(), False, id="http"),
        pytest.param(put("journeys.login.vars", {"currency": "X"}), Flags(), False, id="included"),
        pytest.param(
            put("scenarios.open.target", "http://127.0.0.1:2"), Flags(), False, id="target"
        ),
        pytest.param(put("scenarios.open.mix.0.weight", 4), Flags(), False, id="mix"),
        pytest.param(
            put("scenarios.open.load.stages.1.duration", "2m"), Flags(), False, id="stage"
        ),
        pytest.param(put("scenarios.open.load.shards", 3), Flags(), False, id="shards"),
        pytest.param(put("version", 1), Flags(rate=10), False, id="a flag"),
        pytest.param(put("version", 1), Flags(variables={"currency": "X"}), False, id="variable"),
    ],
)
def test_runs_of_one_hash_are_those_that_can_be_compared(
    made: Made, change: Callable[[Any], None], flags: Flags, is_same: bool
) -> None:
    before, after = made("open").plan, made("open", flags, change).plan

    assert (before.config_hash == after.config_hash) is is_same
    assert config_hash(after) == after.config_hash
    assert len(after.config_hash) == 64


def test_a_locust_file_is_known_by_its_path_and_its_content(made: Made, directory: Path) -> None:
    (directory / "custom.py").write_text("class ApiUser: ...\n")
    part = {"locustfile": "custom.py", "user_class": "ApiUser", "weight": 2, "trust": True}

    plan = made("open", change=put("scenarios.open.mix", [part, {"journey": "login"}])).plan

    digest = hashlib.sha256(b"class ApiUser: ...\n").hexdigest()
    path = str(directory.resolve() / "custom.py")
    assert plan.mix == (Part("ApiUser", 2, path, digest), Part("login"))
    assert plan.requests_per_iteration == 1.0


@pytest.mark.parametrize(
    ("part", "text"),
    [
        pytest.param(
            {"locustfile": "custom.py"},
            "want trust: true beside 'custom.py', which is code that will run, got none",
            id="no trust",
        ),
        pytest.param(
            {"locustfile": "../custom.py", "trust": True}, "want a file inside ", id="outside"
        ),
        pytest.param(
            {"locustfile": "json.py", "trust": True},
            "want a name that is no module of Python itself, got 'json.py'",
            id="a module of Python",
        ),
    ],
)
def test_a_locust_file_that_nobody_vouches_for_is_refused(
    made: Made, directory: Path, part: dict[str, Any], text: str
) -> None:
    config = read(directory)
    mix = (PartKeys.model_validate({**part, "user_class": "A"}),)
    keys: ScenarioKeys = scenarios_of(config)["open"].model_copy(update={"mix_": mix})

    with pytest.raises(Refused) as caught:
        make_plan(config, "open", keys, Flags())

    assert caught.value.why.code == "untrusted"
    assert caught.value.why.text.startswith(text)


def test_a_file_of_data_that_went_away_is_a_config_error(made: Made, directory: Path) -> None:
    config = read(directory)
    rows = (directory / "users.csv").rename(directory / "moved.csv")
    try:
        with pytest.raises(ConfigError) as caught:
            make_plan(config, "open", scenarios_of(config)["open"], Flags())
    finally:
        rows.rename(directory / "users.csv")

    assert str(caught.value) == (
        f"{config.path}: journeys.shop.data.file:"
        " want a readable file, got 'users.csv': No such file or directory"
    )
