"""Settings by name: text to values, tables, and the refusal of what is unknown or out of range."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.classifiers import registry
from imgtool.classifiers.settings import from_text, settings_of, table, value_text, with_settings
from imgtool.errors import DataError, ParameterError
from imgtool.parameters import Parameters, parameter


@dataclass(frozen=True)
class Own(Parameters):
    """One field of each kind."""

    on: bool = parameter(True, "A switch.")
    count: int = parameter(3, "A number.", low=1, high=9)
    rate: float = parameter(0.5, "A share.", low=0, high=1)
    name: str = parameter("a", "A choice.", choices=("a", "b"))
    sizes: tuple[int, ...] = parameter((4, 6), "Numbers.", low=1, high=99)
    found: float = parameter(0.0, "", low=0, high=1)


GROUPS = {"architecture": Own()}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("on", "no", False), ("on", "TRUE", True), ("count", "7", 7), ("rate", "1e-1", 0.1), ("rate", 1, 1.0),
     ("name", "b", "b"), ("sizes", "8", (8,)), ("sizes", "8, 9", (8, 9)), ("sizes", [5], (5,))],
)  # fmt: skip
def test_text_becomes_the_type_of_the_default(key, text, value):
    own = with_settings("m", GROUPS, {key: text})["architecture"]
    assert getattr(own, key) == value
    assert type(getattr(own, key)) is type(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("on", "maybe"), ("on", 1), ("count", "0"), ("count", "1.5"), ("count", True), ("count", 10**400), ("count", None),
     ("rate", "nan"), ("rate", "inf"), ("rate", "2"), ("rate", [0.1]), ("name", "c"), ("sizes", ""), ("sizes", "1,x"),
     ("sizes", [1] * 17), ("sizes", []), ("sizes", "0"), ("colour", "red"), ("found", 0.5)],
)  # fmt: skip
def test_a_wrong_value_or_name_is_refused_in_one_line_that_names_the_model(key, value):
    with pytest.raises(ParameterError, match=f"^m(: {key} | has no setting '{key}')") as caught:
        with_settings("m", GROUPS, {key: value})
    assert "\n" not in str(caught.value)


def test_a_misspelled_name_is_answered_with_the_nearest():
    with pytest.raises(ParameterError, match="did you mean count"):
        with_settings("m", GROUPS, {"cuont": 1})


@given(st.builds(Own, st.booleans(), st.integers(1, 9), st.floats(0, 1), st.sampled_from("ab")))
def test_json_and_back_is_the_same(own):
    assert Own.from_json(own.to_json()) == own


@pytest.mark.parametrize("change", [{"on": None}, {"more": 1}, {"count": 99}, {"sizes": "4"}])
def test_stored_values_are_checked(change):
    stored = {key: value for key, value in {**Own().to_json(), **change}.items() if value is not None}
    with pytest.raises(DataError):
        Own.from_json(stored)


@pytest.mark.parametrize("name", registry.ARCHITECTURES)
def test_every_row_of_the_table_says_default_range_and_meaning_and_can_be_set(name):
    groups = registry.groups_of(name)
    rows = table(groups)
    assert [row["setting"] for row in rows] == list(settings_of(groups))
    for row in rows:
        assert row["meaning"].endswith(".")
        assert row["range"]
        assert registry.create(name, **{row["setting"]: row["default"]}).groups == groups


@given(st.one_of(st.booleans(), st.integers(0, 99), st.floats(0, 1), st.sampled_from("ab")))
def test_what_the_table_shows_is_read_back(value):
    assert from_text("x", value_text(value), value) == value
