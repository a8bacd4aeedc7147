"""What the attempts of a run changed in its configuration."""

import pytest

from jaxmetrics.record import changes_text, config_changes, flatten_config

FIRST = {"lr": 0.1, "model": {"layers": 2, "heads": [1, 2]}}


@pytest.mark.parametrize(
    ("second", "changes"),
    [
        (FIRST, ""),
        ({}, ""),
        ({"lr": 0.1}, ""),
        ({"lr": 0.2}, "lr from 0.1 to 0.2"),
        ({"clip": 1}, "clip to 1 (not set before)"),
        ({"model": {"heads": [1, 2]}}, "model.layers from 2 to nothing"),
        ({"lr": None}, "lr from 0.1 to null"),
        ({"lr": "x" * 100}, f"lr from 0.1 to {'x' * 60}…"),
        ({f"n{n}": n for n in range(10)}, "and 2 more"),
    ],
)  # fmt: skip
def test_changes_are_named_with_both_values(second, changes):
    run = {"attempts": [{"hparams": FIRST}, {"hparams": second}]}
    found = config_changes(run)
    assert changes_text(found).endswith(changes) and bool(found) == bool(changes)
    assert {change.attempt for change in found} <= {2}


def test_a_change_is_one_from_all_attempts_before():
    values = [None, 1, 2, None, 2, 1]
    attempts = [{} if v is None else {"hparams": {"a": v}} for v in values]
    changes = [
        (c.attempt, c.before, c.after) for c in config_changes({"attempts": attempts})
    ]
    assert changes == [(3, "1", "2"), (6, "2", "1")]


def test_a_value_that_one_attempt_lacks_remains():
    attempts = [{"hparams": hparams} for hparams in ({"a": 1}, {"b": 2}, {"a": 1})]
    assert [(c.attempt, c.name) for c in config_changes({"attempts": attempts})] == [
        (2, "b")
    ]


def test_secrets_are_no_part_of_a_change():
    hparams = [{"login": {"password": text}, "url": f"a://b:{text}@c"} for text in "xy"]
    attempts = [{"hparams": {"lr": n, **h}} for n, h in enumerate(hparams)]
    assert changes_text(config_changes({"attempts": attempts})) == "lr from 0 to 1"


def test_names_with_dots_keep_apart():
    assert flatten_config({"a": {"b": 1}, "a.b": 2}) == {"a.b": "1", "a.b'": "2"}
