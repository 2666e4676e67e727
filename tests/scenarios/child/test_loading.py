from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.child.loading import PlanError, load_journeys
from scenarios.plan import Part
from scenarios.records import Secrets
from tests.scenarios.children import plan

LOGIN = {
    "secrets": {"password": ""},
    "steps": [{"name": "a", "post": "/", "form": {"p": "${secrets.password}"}}],
}
SECRETS = Secrets({"shop": {"password": "pa${ss}w0rd"}}, {"REGION": "eu"})


def test_secrets_are_put_in_their_places() -> None:
    found = load_journeys(plan(journeys={"shop": LOGIN}), SECRETS)

    ((name, secret),) = found["shop"].secrets
    assert (name, secret.get_secret_value()) == ("password", "pa${ss}w0rd")


def test_journeys_know_those_they_include_and_the_variables() -> None:
    shop = {"vars": {"n": 1}, "steps": [{"include": "login"}, {"name": "b", "get": "/${n}"}]}
    made = plan(journeys={"shop": shop, "login": LOGIN}, variables={"n": "7"})
    secrets = Secrets({"login": {"password": "x"}}, {})

    journey = load_journeys(made, secrets)["shop"]

    assert [name for name, _ in journey.secrets] == ["password"]
    assert dict(journey.vars)["n"].source == 7


@pytest.mark.parametrize(
    ("journeys", "message"),
    [
        pytest.param({}, "want the journey 'shop' in the plan, got none", id="absent"),
        pytest.param({"shop": {"steps": []}}, "journeys.shop: steps: ", id="not as it must be"),
        pytest.param({"shop": {"steps": [{"name": "a", "get": "/${nothing}"}]}},
                     "journeys.shop: steps.0.get: ", id="flawed"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_played_is_told(journeys: object, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_journeys(plan(journeys=journeys), SECRETS)

    assert str(caught.value).startswith(message)


def test_a_secret_is_in_no_message() -> None:
    broken = {**LOGIN, "secrets": {"password": ""}, "nonsense": 1}
    with pytest.raises(PlanError) as caught:
        load_journeys(plan(journeys={"shop": broken}), SECRETS)

    assert "w0rd" not in str(caught.value)


def test_rows_are_those_of_the_plan(tmp_path: Path) -> None:
    """Data 9: rows go by iteration, however few there are."""
    (tmp_path / "users.csv").write_text("user\nann\n")
    shop = {"data": {"file": "users.csv"}, "steps": [{"name": "a", "get": "/${row.user}"}]}
    made = plan(journeys={"shop": shop}, directory=str(tmp_path))
    feeder = load_journeys(made, SECRETS)["shop"].feeder
    assert feeder is not None

    load_journeys(replace(made, data={"shop": feeder.digest}), SECRETS)
    with pytest.raises(PlanError, match=r"want the rows of users.csv that the plan was made with"):
        load_journeys(replace(made, data={"shop": "0" * 64}), SECRETS)


def test_locust_files_are_none_of_its_business() -> None:
    made = plan(mix=(Part("X", locustfile="/x.py"),), journeys={})

    assert load_journeys(made, SECRETS) == {}
