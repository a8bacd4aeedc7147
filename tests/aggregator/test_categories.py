"""Categories are counted; beyond the limit together."""

import numpy as np
import pytest
from support.aggregator import COUNT, aggregate, results

import jaxmetrics as jm


def test_categories_are_counted():
    logged = aggregate(COUNT, ["en", "sv"], np.array(["en", "en"]), "de")
    assert logged == {"x_count_de": 1.0, "x_count_en": 3.0, "x_count_sv": 1.0}


def test_integers_and_bools_are_counted_by_their_text():
    assert aggregate(COUNT, np.array([3, 3, -1])) == {
        "x_count_-1": 1.0,
        "x_count_3": 2.0,
    }
    assert aggregate(COUNT, [True, 7]) == {"x_count_7": 1.0, "x_count_True": 1.0}


@pytest.mark.parametrize(
    "values", [[1.0], [None], [b"en"], [["en"]], np.array([0.5]), {"en": 1}]
)
def test_a_category_of_another_type_is_an_error_that_names_the_metric(values):
    with pytest.raises(TypeError, match="d/x.*expected strings"):
        aggregate(COUNT, values)


@pytest.mark.parametrize("category", ["a\nb", "a//b", "x" * 129])
def test_a_category_that_is_not_valid_in_a_key_is_an_error(category):
    with pytest.raises(ValueError, match="d/x got the category"):
        aggregate(COUNT, ["en", category])


def test_categories_beyond_the_limit_are_counted_together():
    logged = aggregate(COUNT, ["a", "a", "b"], ["c", "a", "d", "b"], max_categories=2)
    assert logged == {"x_count_a": 3.0, "x_count_b": 2.0, "x_overflow": 2.0}


def test_the_most_frequent_categories_keep_their_counts_after_a_restore():
    first = jm.MetricsAggregator(max_categories=2)
    first.update("d", COUNT, x=["a", "b", "b"])
    second = jm.MetricsAggregator(max_categories=2)
    second.load_state_dict(first.state_dict())
    second.update("d", COUNT, x=["c", "c", "b"])
    assert results(second) == {"x_count_b": 3.0, "x_count_c": 2.0, "x_overflow": 1.0}
