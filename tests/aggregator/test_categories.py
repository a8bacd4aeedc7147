"""Categories are counted; beyond the limit together."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.aggregator import COUNT, aggregate, results

import jaxmetrics as jm
from jaxmetrics.aggregator import _categories


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


NAMES = st.lists(st.text("abå", min_size=1, max_size=5), min_size=1, max_size=12)


@given(st.lists(NAMES, min_size=1, max_size=12), st.integers(1, 12), st.integers(0, 12))
def test_arrays_of_strings_are_counted_as_lists_are(batches, limit, restored_at):
    arrays, lists = [jm.MetricsAggregator(max_categories=limit) for _ in range(2)]
    for index, names in enumerate(batches):
        if index == restored_at:
            arrays.load_state_dict(arrays.state_dict())
            lists.load_state_dict(lists.state_dict())
        array = np.resize(np.array(names), 200)
        arrays.update("d", COUNT, x=array)
        lists.update("d", COUNT, x=array.tolist())
    state, expected = arrays.state_dict(), lists.state_dict()
    assert repr(state) == repr(expected)  # the order of the categories too
    assert arrays.get_metrics_for_logging() == lists.get_metrics_for_logging()


def test_strings_of_known_categories_are_not_counted_one_by_one(monkeypatch):
    aggregator, counted = jm.MetricsAggregator(), []
    count = _categories._count

    def record(where, values):
        counted.append(len(values))
        return count(where, values)

    monkeypatch.setattr(_categories, "_count", record)
    names = np.resize(np.array([f"name-{i}" for i in range(100)]), 1000)
    for _ in range(9):
        aggregator.update("d", COUNT, x=names)
    assert counted == [1000]
    aggregator.update("d", COUNT, x=np.append(names, ["b", "c"]))
    assert counted == [1000, 2]
    assert sum(results(aggregator).values()) == 10_002


def test_tables_are_made_anew_less_often_than_categories_are_added(monkeypatch):
    made, total = [], _categories.CategoryTotal(max_categories=60)

    class Recorded(_categories.StringTable):
        def __init__(self, names, width):
            made.append(len(names))
            super().__init__(names, width)

    monkeypatch.setattr(_categories, "StringTable", Recorded)
    for i in range(2000):
        total.add(total.read("x", np.array(["a"] * 127 + [f"{i:04}"]), None)[0], None)
    assert made == [2, 60]
    assert total.overflow == 2000 - 59


def test_an_older_table_counts_beside_one_of_more_categories():
    total, expected = _categories.CategoryTotal(), Counter()
    for names in (["a"], ["a"], ["a", "bc"] * 9, ["bc"], ["bc"], ["a"], ["a"]):
        values = np.resize(np.array(names), 600)
        total.add(total.read("x", values, None)[0], None)
        expected.update(values.tolist())
    assert {width: len(table) for width, table in total._tables.items()} == {1: 1, 2: 2}
    assert total.counts == expected


def test_a_restored_total_finds_its_own_categories():
    total = _categories.CategoryTotal()
    for _ in range(3):
        total.add(total.read("x", np.full(300, "en"), None)[0], None)
    total.load_state({"counts": {"sv": 1, "en": 2}, "overflow": 0})
    for _ in range(3):
        total.add(total.read("x", np.full(300, "en"), None)[0], None)
    assert total.counts == {"sv": 1, "en": 902}


def test_a_first_array_is_not_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(_categories, "count_strings", lambda array: {"en": array.size})
    assert aggregate(COUNT, np.full(9000, "sv")) == {"x_count_en": 9000.0}


def test_an_update_that_fails_counts_no_known_category_either():
    aggregator = jm.MetricsAggregator()
    names = np.resize(np.array(["en", "sv"]), 1000)
    for _ in range(3):
        aggregator.update("d", COUNT, x=names)
    expected = results(aggregator)
    with pytest.raises(ValueError, match="d/x got the category"):
        aggregator.update("d", COUNT, x=np.append(names, ["a//b"]))
    assert results(aggregator) == expected


def test_arrays_of_many_widths_share_few_tables():
    total = _categories.CategoryTotal()
    for _ in range(3):
        for width in range(2, 40):
            values, _ = total.read("x", np.full(500, "en", f"U{width}"), None)
            total.add(values, None)
            assert len(total._tables) <= 8
    assert total.counts == {"en": 3 * 38 * 500}
