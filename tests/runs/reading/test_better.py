import pytest

from jaxmetrics.runs.reading import directions


def test_explicit_directions_take_precedence_over_names():
    known = directions(["a/loss", "b/zing"], {"a/loss": "max", "c/odd": "min"})
    assert known == {"a/loss": "max", "c/odd": "min"}


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="expected 'min' or 'max'"):
        directions([], {"a/loss": "low"})
