"""``journeys:`` from the file to what a kind plays: two times of variables, files, fragments."""

from pathlib import Path

import pytest

from probes.config.journeys import OVER_HTTP, Family
from probes.config.load import Config, load
from probes.errors import ConfigError
from probes.journey.steps import HttpStep, Journey
from tests.probes.config.conftest import HEAD, Loader, Refused

SHOP = """
journeys:
  shop:
    base_url: ${URL:-http://127.0.0.1:1}
    vars: {currency: EUR, number: 3, is_new: true}
    secrets: {password: {env: PW}}
    steps:
      - {name: login, post: /login, json: {p: "${secrets.password}"}, extract: {token: $.token}}
      - {name: pay, get: "/${token}/${vars.currency}/${number}/${is_new}"}
probes:
  - {name: shop, kind: walker, journey: shop}
"""


def compiled(config: Config, probe: int = 0) -> Journey:
    found: Journey = config.probes[probe].kind._found  # type: ignore[attr-defined]
    return found


def step(config: Config, index: int = 0) -> HttpStep:
    found = compiled(config).steps[index]
    assert isinstance(found, HttpStep)
    return found


def test_a_kind_finds_the_journey_that_it_names(loaded: Loader) -> None:
    config = loaded(SHOP, PW="s3cretpw")

    journey = compiled(config)
    assert (journey.name, journey.base_url) == ("shop", "http://127.0.0.1:1")
    assert [it.common.name for it in journey.steps] == ["login", "pay"]
    assert config.journeys.keys() == {"shop"}
    assert config.journeys["shop"].source == "probes.yaml:5"


def test_without_a_target_the_kind_knows_it(loaded: Loader) -> None:
    config = loaded(SHOP, PW="s3cretpw", URL="http://shop:8080")

    (probe,) = config.probes
    assert (probe.target, probe.display) == ("http://shop:8080", "http://shop:8080")


def test_the_target_of_the_probe_wins(loaded: Loader) -> None:
    text = SHOP.replace("journey: shop}", "journey: shop, target: http://other}")

    assert loaded(text, PW="s3cretpw").probes[0].target == "http://other"


def test_what_the_kind_refuses_of_its_own_target_is_told_at_the_probe(refused: Refused) -> None:
    said = refused(SHOP, PW="s3cretpw", URL="http://forbidden")

    assert said == ["probes.yaml:13:5: probes.0: want another base_url, got a forbidden one"]


def test_without_any_address_a_target_is_wanted(refused: Refused) -> None:
    text = SHOP.replace("    base_url: ${URL:-http://127.0.0.1:1}\n", "")

    said = refused(text, PW="s3cretpw")

    assert said == ["probes.yaml:12:5: probes.0: want the key 'target' or 'targets', got neither"]


def test_a_probe_of_a_broken_journey_says_nothing_more(refused: Refused) -> None:
    said = refused(SHOP.replace("${token}", "${tokn}"), PW="s3cretpw")

    assert said == [
        (
            "probes.yaml:11:26: journeys.shop.steps.1.get: want a variable that something sets, "
            "got 'tokn'; did you mean 'token'?"
        )
    ]


def test_a_journey_that_is_not_there_is_the_kinds_to_tell(refused: Refused) -> None:
    text = SHOP.replace("journey: shop}", "journey: chop, target: up}")

    assert refused(text, PW="s3cretpw") == [
        "probes.yaml:13:5: probes.0: want the name of a journey, got 'chop'"
    ]


def test_secrets_of_journeys_are_secrets_of_the_config(loaded: Loader) -> None:
    config = loaded(SHOP, PW="s3cretpw")

    assert "s3cretpw" in config.secrets
    assert config.redact("it is s3cretpw") == "it is ***"
    assert "s3cretpw" not in repr(config)


# ---------------------------------------------------------------- two times, one syntax


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("/${HOST}/x", "/a.example/x", id="upper case is the load's"),
        pytest.param("/${NONE:-b}", "/b", id="with a default"),
        pytest.param("/${run_id}", "/run-1", id="lower case is the run's"),
        pytest.param("/$${HOST}", "/${HOST}", id="escaped upper case"),
        pytest.param("/$${run_id}", "/${run_id}", id="escaped lower case"),
        pytest.param("/${EVIL}", "/${run_id}", id="the environment is data"),
        pytest.param("/${ESCAPED}", "/$${run_id}", id="so is an escape in it"),
        pytest.param("/${DOLLAR}{run_id}", "/${run_id}", id="so is half an opening"),
        pytest.param("/${DOLLAR}x", "/$x", id="a dollar alone"),
        pytest.param("/${HOST}${run_id}", "/a.examplerun-1", id="both"),
    ],
)
def test_a_text_has_two_times(text: str, wanted: str, loaded: Loader) -> None:
    from tests.probes.journey.scopes import scope

    body = f"journeys: {{a: {{steps: [{{name: s, get: '{text}'}}]}}}}\n"
    body += "probes: [{name: p, kind: walker, journey: a, target: up}]"

    config = loaded(
        body, HOST="a.example", EVIL="${run_id}", ESCAPED="$${run_id}", DOLLAR="$"
    )  # fmt: skip

    assert step(config).url.text(scope()) == wanted


def test_an_anchor_means_in_each_place_what_that_place_means(loaded: Loader) -> None:
    from tests.probes.journey.scopes import scope

    text = """
modules: {m: {kind: demo, headers: &h {A: "${lower}", B: "${UPPER}"}}}
journeys:
  a:
    vars: {lower: of the run}
    steps:
      - {name: s, get: /, headers: *h}
      - {name: t, get: /, headers: {<<: *h, C: c}}
probes:
  - {name: p, kind: walker, journey: a, target: up}
  - {name: q, module: m, target: up, headers: *h}
"""
    config = loaded(text, lower="of the load", UPPER="upper")

    values = scope(lower="of the run")
    for index in (0, 1):
        headers = {name: it.text(values) for name, it in step(config, index).headers}
        assert headers["A"] == "of the run"
        assert headers["B"] == "upper"
    dumped = config.probes[1].kind.model_dump()
    assert dumped["headers"] == {"A": "of the load", "B": "upper"}


def test_a_bomb_of_anchors_is_refused_in_both_times(refused: Refused) -> None:
    levels = "".join(
        f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" if n else "  a0: &a0 [x, x]\n"
        for n in range(8)
    )
    text = f"modules:\n{levels}journeys: {{a: {{vars: {{x: *a7}}, steps: [{{name: s, get: /}}]}}}}"

    assert any("values made by aliases" in line for line in refused(text))


# ---------------------------------------------------------------- several files


def test_journeys_of_all_files_see_each_other(loaded: Loader, tmp_path: Path) -> None:
    (tmp_path / "login.yaml").write_text(
        "journeys: {login: {secrets: {pw: {env: PW}}, steps: ["
        "{name: login, post: /login, body: '${secrets.pw}', extract: {token: $.t}}]}}"
    )
    text = """
include: [login.yaml]
journeys: {shop: {steps: [{include: login}, {name: buy, get: "/${token}"}]}}
probes: [{name: p, kind: walker, journey: shop, target: up}]
"""
    config = loaded(text, PW="s3cretpw")

    assert [it.common.name for it in compiled(config).steps] == ["login", "buy"]
    assert [name for name, _ in compiled(config).secrets] == ["pw"]


def test_a_name_in_two_files_is_told_with_both_places(refused: Refused, tmp_path: Path) -> None:
    journey = "journeys: {shop: {steps: [{name: a, get: /}]}}"
    (tmp_path / "more.yaml").write_text(journey)

    said = refused(f"include: [more.yaml]\n{journey}")

    assert said == [
        (
            "more.yaml:1:12: journeys.shop: want a unique name of a journey, got 'shop' again"
            " (first at probes.yaml:4)"
        )
    ]


def test_safety_belongs_to_the_main_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("safety: {}")

    assert refused("include: [more.yaml]") == [
        "more.yaml:1:1: safety: want 'safety' in the main file only, got it in an included one"
    ]


def test_ceilings_for_browsers_have_defaults(loaded: Loader) -> None:
    assert loaded("").safety.browser.max_parallel == 2
    config = loaded("safety: {browser: {max_parallel: 5, min_free_memory: 1GiB}}")
    assert config.safety.browser.max_parallel == 5
    assert config.safety.browser.min_free_memory == 2**30


def test_a_misspelt_ceiling_is_told_with_the_nearest_one(refused: Refused) -> None:
    assert refused("safety: {targets: {allow: []}, load: {}, brwser: {}}") == [
        "probes.yaml:3:42: safety.brwser: want a known key, got 'brwser'; did you mean 'browser'?",
    ]


# ---------------------------------------------------------------- fragments

FRAGMENT = """
journeys:
  logout: {steps: [{name: logout, delete: "/sessions/${token}"}]}
  shop: {steps: [{name: login, post: /, extract: {token: $.t}}, {include: logout}]}
"""


def test_a_fragment_may_read_what_its_guests_bring(loaded: Loader) -> None:
    config = loaded(f"{FRAGMENT}probes: [{{name: p, kind: walker, journey: shop, target: up}}]")

    assert [it.common.name for it in compiled(config).steps] == ["login", "logout"]


def test_a_fragment_cannot_be_played_alone(refused: Refused) -> None:
    said = refused(f"{FRAGMENT}probes: [{{name: p, kind: walker, journey: logout}}]")

    assert said == [
        (
            "probes.yaml:5:43: journeys.logout.steps.0.delete: want a variable that something sets,"
            " got 'token'"
        )
    ]


# ---------------------------------------------------------------- --var


def test_a_guest_of_a_broken_fragment_says_nothing_more(refused: Refused) -> None:
    text = """
journeys:
  shop: {base_url: http://x, steps: [{include: far}, {name: pay, get: "/${token}"}]}
  far: {steps: [{include: login}]}
  login: {steps: [{name: login, get: /, extract: {token: $.token}, expect: {sttus: 1}}]}
  bad: {base_url: http://x, steps: [{include: login}, {name: own, get: "/${x"}]}
probes: [{name: shop, kind: walker, journey: shop}]
"""

    first, second = refused(text)
    assert first == (
        "probes.yaml:7:77: journeys.login.steps.0.expect.sttus: "
        "want a known key, got 'sttus'; did you mean 'status'?"
    )
    assert second == (
        "probes.yaml:8:72: journeys.bad.steps.1.get: "
        "want '}', got the end of the text at column 5 of '${x'"
    )


def given_by(tmp_path: Path, text: str, **variables: str) -> Config:
    path = tmp_path / "probes.yaml"
    path.write_text(HEAD + text)
    return load(path, environ={"PW": "s3cretpw"}, variables=variables)


def url_of(config: Config) -> str:
    from tests.probes.journey.scopes import scope

    values = {name: it.value(scope()) for name, it in compiled(config).vars}
    return step(config, 1).url.text(scope(**values, token="t"))


def test_a_variable_of_the_command_wins_over_the_file(tmp_path: Path) -> None:
    assert url_of(given_by(tmp_path, SHOP)) == "/t/EUR/3/true"
    config = given_by(tmp_path, SHOP, currency="${token}", number="7", is_new="false")
    assert url_of(config) == "/t/${token}/7/false"
    values = {name: it.value(None) for name, it in compiled(config).vars}  # type: ignore[arg-type]
    assert values == {"currency": "${token}", "number": 7, "is_new": False}
    assert config.variables == {"currency": "${token}", "number": "7", "is_new": "false"}


def test_a_variable_that_the_file_leaves_to_the_command(tmp_path: Path) -> None:
    text = SHOP.replace("currency: EUR, ", "")

    assert url_of(given_by(tmp_path, text, currency="USD")) == "/t/USD/3/true"
    with pytest.raises(ConfigError, match=r"want the name of a variable in vars:, got 'currency'"):
        given_by(tmp_path, text)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param(
            {"curency": "USD"},
            "--var: want the name of a variable of a journey, got 'curency'; "
            "did you mean 'currency'?",
            id="misspelt",
        ),
        pytest.param(
            {"password": "x"},
            "--var: want no secret by --var, got 'password'; everybody can read a command",
            id="a secret",
        ),
        pytest.param(
            {"number": "many"},
            "probes.yaml:7:35: journeys.shop.vars.number: want a number by --var, got 'many'",
            id="no number",
        ),
        pytest.param(
            {"is_new": "yes"},
            "probes.yaml:7:46: journeys.shop.vars.is_new: want true or false by --var, got 'yes'",
            id="no boolean",
        ),
    ],
)
def test_a_wrong_variable_of_the_command_is_told(
    variables: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        given_by(Path(), SHOP, **variables)

    assert [it.with_column() for it in caught.value.problems] == [said]


def test_a_file_without_journeys_has_no_variables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="want the name of a variable of a journey, got 'x'"):
        given_by(tmp_path, "", x="1")


# ---------------------------------------------------------------- reload


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("/login", "/signin", id="a path"),
        pytest.param("EUR", "USD", id="a variable"),
        pytest.param("$.token", "$.tokens", id="an extract"),
        pytest.param("name: pay", "name: pay, expect: 201", id="an expectation"),
        pytest.param("    steps:", "    timeout: 3s\n    steps:", id="a timeout"),
    ],
)
def test_a_changed_journey_changes_its_probe(before: str, after: str, loaded: Loader) -> None:
    first = loaded(SHOP, PW="s3cretpw").probes[0]

    assert loaded(SHOP, PW="s3cretpw").probes[0] == first
    assert loaded(SHOP.replace(before, after), PW="s3cretpw").probes[0] != first


def test_a_changed_secret_changes_the_probe(loaded: Loader) -> None:
    assert loaded(SHOP, PW="s3cretpw").probes[0] != loaded(SHOP, PW="an0ther").probes[0]


def test_a_changed_data_file_changes_the_probe(loaded: Loader, tmp_path: Path) -> None:
    text = """
journeys: {shop: {data: {file: u.csv}, steps: [{name: a, get: "/${row.user}"}]}}
probes: [{name: p, kind: walker, journey: shop, target: up}]
"""
    (tmp_path / "u.csv").write_text("user\na\n")
    first, same = loaded(text).probes[0], loaded(text).probes[0]
    (tmp_path / "u.csv").write_text("user\nb\n")

    assert first == same
    assert loaded(text).probes[0] != first


def test_a_changed_guest_changes_the_probe(loaded: Loader) -> None:
    text = f"{FRAGMENT}probes: [{{name: p, kind: walker, journey: shop, target: up}}]"

    assert loaded(text).probes[0] == loaded(text).probes[0]
    assert loaded(text).probes[0] != loaded(text.replace("/sessions/", "/s/")).probes[0]


# ---------------------------------------------------------------- families and bounds


def test_a_family_is_there_when_its_modules_are() -> None:
    assert OVER_HTTP.is_there
    assert not Family(("probes.nowhere", "Keys"), OVER_HTTP.compile).is_there
    assert not Family(OVER_HTTP.keys, ("probes.nowhere.compile", "compile_it")).is_there


def test_what_cannot_be_played_over_http_is_not_included(refused: Refused) -> None:
    said = refused("""
journeys:
  page: {browser: {}, steps: [{name: home, goto: /}], base_url: "http://a"}
  shop: {steps: [{include: page}]}
""")

    assert said == [
        ("probes.yaml:6:28: journeys.shop.steps.0.include: "
        "want the name of a journey with steps over HTTP, got 'page'")
    ]  # fmt: skip


@pytest.mark.slow
def test_the_number_of_journeys_is_bounded(refused: Refused) -> None:
    step = "{steps: [{name: a, get: /}]}"
    text = "journeys:\n" + "".join(f"  j{number}: {step}\n" for number in range(2003))

    assert refused(text) == [
        "probes.yaml:2004:3: journeys.j2000: want at most 2000 journeys, got more"
    ]


def test_what_a_journey_never_reads_is_a_warning(loaded: Loader) -> None:
    text = "journeys: {shop: {vars: {x: 1}, steps: [{name: a, get: /}]}}"

    (warning,) = loaded(text).warnings

    assert warning.with_column() == (
        "probes.yaml:3:26: journeys.shop.vars.x: "
        "want ${x} somewhere, got a variable that nothing reads"
    )


def test_what_a_fragment_never_reads_is_none(loaded: Loader) -> None:
    text = """
journeys:
  part: {vars: {x: 1}, steps: [{name: a, get: /}]}
  shop: {steps: [{include: part}, {name: b, get: "/${x}"}]}
"""
    assert loaded(text).warnings == ()
