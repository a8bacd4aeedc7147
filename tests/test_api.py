"""The public interface is as recorded, and what changed since the release is told."""

import re

import pytest
from support.api import CURRENT, FOLDER, RELEASED, described, lines, names, table

CHANGELOG = FOLDER.parents[1] / "CHANGELOG.md"


def newest_section():
    """Return the section of the newest version in the changelog."""
    _, section, *_ = re.split(r"^## ", CHANGELOG.read_text(), flags=re.MULTILINE)
    return section


def untold(released, current, section):
    """Return the names that changed and are not in a section of the changelog.

    Of a new class only the class has to be told.
    """
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section))))
    changed = [
        name
        for name in sorted(released.keys() | current.keys())
        if released.get(name) != current.get(name)
        and (name in released or name.rpartition(".")[0] not in current)
    ]
    return [name for name in changed if name.rpartition(".")[2] not in told]


def test_the_interface_is_as_recorded():
    recorded, found = CURRENT.read_text().splitlines(), lines()
    assert set(found) ^ set(recorded) == set(), (
        f"these lines of the public interface changed. If it is meant, run `make api` "
        f"and tell users in {CHANGELOG.name}"
    )
    assert found == recorded


def test_what_changed_since_the_last_release_is_in_the_changelog():
    released, current = table(RELEASED.read_text()), table(CURRENT.read_text())
    missing = untold(released, current, newest_section())
    assert missing == [], f"tell of these in the first section of {CHANGELOG.name}"


@pytest.mark.parametrize(
    ("released", "current", "section", "expected"),
    [
        ("jm.f(a)", "jm.f(a, b=1)", "", ["jm.f"]),
        ("jm.f(a)", "jm.f(a, b=1)", "`f` takes `b`", []),
        ("jm.f(a)", "", "fine", ["jm.f"]),
        ("", "jm.A()\njm.A.size", "- `A`", []),
        ("jm.A()", "jm.A()\njm.A.size", "- `A`", []),
        ("jm.A()\njm.A.size", "jm.A()", "- `A`", ["jm.A.size"]),
    ],
)
def test_a_change_that_is_not_told_is_found(released, current, section, expected):
    assert untold(table(released), table(current), section) == expected


def test_a_signature_has_defaults_outputs_and_leaves():
    found = {name: next(described(name, x, set())) for name, x in names()}
    assert found["jm.divide"] == "jm.divide(a, b)"
    assert found["jm.Mean"] == (
        "jm.Mean(output='values', *, weighted=False, stderr=False) "
        "reads (values, mask=None, weights=None) "
        "leaves (total: sum[means], count: count[means])"
    )
