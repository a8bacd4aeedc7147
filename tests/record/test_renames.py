"""New names of keys, by exact names and globs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import check_rename, rename_keys, renamed

KEYS = st.sampled_from(["a", "b", "c", "a/b", "a/c", "b/b", "step", "a*"])
RENAMES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "a/*", "*/b", "*", "?", "[ab]"]),
    st.sampled_from(["a", "b", "c", "a/b", "step", "n"]),
)


@pytest.mark.parametrize(
    ("key", "rename", "expected"),
    [
        ("train/loss", {"train/loss": "loss"}, "loss"),
        ("train/loss", {"train/*": "learning/*"}, "learning/loss"),
        ("train/a/b", {"train/*": "x/*"}, "x/a/b"),
        ("val/loss", {"train/*": "learning/*"}, "val/loss"),
        ("retrain/loss", {"train/*": "learning/*"}, "retrain/loss"),
        ("train/loss", {"*/loss": "loss/*"}, "loss/train"),
        ("a/b/c", {"*/*": "*:*"}, "a:b/c"),
        ("a/b", {"*/*": "*"}, "a"),
        ("a/b", {"**/b": "*-*"}, "-a"),
        ("train/loss", {"train/*": "*"}, "loss"),
        ("train/lr", {"train/*": "other"}, "other"),
        ("train/l1", {"train/l?": "one"}, "one"),
        ("train/l1", {"train/l[0-9]": "one"}, "one"),
        ("train/l*", {"train/l[*]": "star"}, "star"),
        ("train/lx", {"train/l[*]": "star"}, "train/lx"),
        ("train/l1/x", {"train/l[!0]/*": "not0/*"}, "not0/x"),
        ("a[0]", {"a[0]": "first"}, "first"),
        ("a0", {"a[0]": "zero"}, "zero"),
        ("a+b", {"a+b": "sum"}, "sum"),
        ("a+b/c", {"a+*": "sum*"}, "sumb/c"),
        ("a\\1/c", {"*/c": "*"}, "a\\1"),
        ("[a/c", {"[a/*": "*"}, "c"),
    ],
)
def test_a_star_takes_what_it_matched(key, rename, expected):
    assert renamed(key, rename) == expected


def test_exact_names_come_first_then_globs_in_their_order():
    rename = {"*": "any", "train/*": "glob", "train/loss": "exact"}
    assert renamed("train/loss", rename) == "exact"
    assert renamed("train/lr", rename) == "any"
    assert renamed("train/lr", dict(reversed(rename.items()))) == "glob"


def test_a_name_that_is_taken_leaves_a_key_as_it_is():
    values = {"train/loss": 1, "val/loss": 2, "lr/lr": 3}
    assert rename_keys(values, {"*/loss": "loss"}) == (
        {"loss": 1, "val/loss": 2, "lr/lr": 3},
        ["val/loss"],
    )
    assert rename_keys({"a": 1, "b": 2}, {"a": "b"}) == ({"a": 1, "b": 2}, ["a"])
    assert rename_keys({"a": 1, "b": 2}, {"a": "b", "b": "a"}) == (
        {"b": 1, "a": 2},
        [],
    )


def test_a_key_that_takes_its_name_back_displaces_another():
    rename = {"a": "c", "b": "c", "d": "b"}
    assert rename_keys({"d": 1, "a": 2, "b": 3}, rename) == (
        {"d": 1, "c": 2, "b": 3},
        ["d", "b"],
    )


def test_no_key_gets_the_name_of_a_field():
    values = {"train/step": 1, "train/loss": 2}
    assert rename_keys(values, {"train/*": "*"}) == (
        {"train/step": 1, "loss": 2},
        ["train/step"],
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(KEYS.filter(lambda key: key != "step"), unique=True), RENAMES)
def test_no_value_is_lost_by_renaming(keys, rename):
    values = {key: place for place, key in enumerate(keys)}
    result, kept = rename_keys(values, rename)
    assert list(result.values()) == list(values.values())
    assert "step" not in result
    for key, name in zip(values, result):
        assert name == (key if key in kept else renamed(key, rename))


@pytest.mark.parametrize(
    ("rename", "error", "message"),
    [
        ({"a": 3}, TypeError, "CSV got rename={'a': 3}; expected names as strings"),
        ({1: "a"}, TypeError, "expected names as strings"),
        ({"a/*": "*/*"}, ValueError, "more '[*]' in the new name"),
        ({"a": "*"}, ValueError, "more '[*]'"),
        ({"a[*]": "*"}, ValueError, "more '[*]'"),
        ({"a": ""}, ValueError, "new name is empty"),
        ({"train/step": "step"}, ValueError, "a field of every record"),
    ],
)
def test_renames_that_cannot_apply_are_refused(rename, error, message):
    with pytest.raises(error, match=message):
        check_rename(rename, "CSV")


def test_valid_renames_are_copied():
    rename = {"train/*": "learning/*", "**/b": "*-*", "a/?": "b"}
    checked = check_rename(rename, "CSV")
    assert checked == rename and checked is not rename
