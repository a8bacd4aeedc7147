"""The page of all metrics is the one that is generated from them."""

from support.catalogue import NAMES, PAGE, page, specials

import jaxmetrics as jm


class Matches(jm.Metric):
    """A metric with a leaf that is called as an option of others."""

    weighted: bool = False
    exact: jm.Array = jm.count_leaf("2")


def test_the_page_is_up_to_date():
    assert page() == PAGE.read_text(), "run `make catalogue`"


def test_there_are_at_least_130_metrics():
    assert len(NAMES) >= 130


def test_only_options_make_a_configuration_special():
    assert specials(jm.Accuracy(weighted=True)) == 1
    assert specials(jm.Accuracy()) == specials(Matches()) == 0
    assert specials(Matches(weighted=True)) == 1
