"""Descriptions of keys, read from the source when somebody asks."""

from types import new_class

from pydantic import Field

from probes.settings import Settings, descriptions


class Plain(Settings):
    """A group."""

    first: int = 1
    """The first,
    on two lines."""
    bare: int = 2
    second: str = Field(default="", alias="2nd")
    """The second."""


class Narrower(Plain):
    """One that declares some anew."""

    first: int = 3
    second: str = ""
    """Another second."""
    third: int = 0
    """The third."""

    class Within(Settings):
        """A class in a class."""

        inner: int = 0
        """Of the inner class."""


def test_what_stands_below_a_field_describes_it() -> None:
    assert descriptions(Plain) == {"first": "The first,\non two lines.", "second": "The second."}


def test_an_inherited_field_keeps_its_words_and_one_declared_anew_loses_them() -> None:
    assert descriptions(Narrower) == {"second": "Another second.", "third": "The third."}
    assert descriptions(Narrower.Within) == {"inner": "Of the inner class."}


def test_a_class_in_a_function_is_found() -> None:
    class Local(Plain):
        own: int = 0
        """Its own."""

    assert descriptions(Local)["own"] == "Its own."
    assert descriptions(Local)["second"] == "The second."


def test_a_class_without_a_source_has_what_it_inherits() -> None:
    made = new_class("Made", (Plain,), exec_body=lambda body: body.update(__module__="nowhere"))

    assert descriptions(made) == descriptions(Plain)


def test_descriptions_stand_in_the_schema_under_the_name_in_the_file() -> None:
    properties = Plain.model_json_schema()["properties"]

    assert properties["2nd"]["description"] == "The second."
    assert "description" not in properties["bare"]
