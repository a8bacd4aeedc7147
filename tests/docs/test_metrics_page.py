"""The page of all metrics is the one that is generated from them."""

from support.catalogue import PAGE, page

from jaxmetrics import metrics


def test_the_page_is_up_to_date():
    assert page() == PAGE.read_text(), "run `make catalogue`"


def test_there_are_at_least_130_metrics():
    assert len(metrics.__all__) >= 130
