"""Strings that are no sentences, refused by every metric that reads strings."""

import numpy as np
import pandas as pd
import pytest

import jaxmetrics as jm

SINGLE = [
    jm.WordErrorRate(),
    jm.CharErrorRate(),
    jm.MatchErrorRate(),
    jm.WordInfoLost(),
    jm.WordInfoPreserved(),
    jm.EditDistance(),
    jm.ROUGE(),
]
GROUPED = [jm.BLEU(), jm.chrF(), jm.SQuAD(), jm.TranslationEditRate()]

every_metric = pytest.mark.parametrize("metric", SINGLE + GROUPED, ids=repr)


@every_metric
def test_a_mapping_or_a_table_is_not_read_by_its_keys(metric):
    for keyed in (dict(q1="Denver"), pd.DataFrame(dict(text=["Denver"]))):
        kind = type(keyed).__name__
        with pytest.raises(TypeError, match=rf"preds is a {kind}.*list\(d.values"):
            metric.from_strings(keyed, ["Boston"])
        with pytest.raises(TypeError, match=rf"references is a {kind}.*list\(d.values"):
            metric.from_strings(["Denver"], keyed)


def test_strings_as_outputs_are_refused_and_from_strings_is_named():
    for metric in (jm.BLEU(), jm.Collection(bleu=jm.BLEU())):
        with pytest.raises(TypeError, match=r"'preds' is a str.*from_strings\("):
            metric.update(preds=["a b"], references=["a b"])


@pytest.mark.parametrize("metric", GROUPED, ids=repr)
def test_the_keys_of_an_answer_are_no_references(metric):
    answer = dict(text=["Denver"], answer_start=[0])
    with pytest.raises(
        TypeError, match=r"references\[1\] is a dict.*answers\['text'\]"
    ):
        metric.from_strings(["a", "b"], ["a", answer])


@every_metric
@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_text_is_named_with_its_index(metric, missing):
    kind = type(missing).__name__
    with pytest.raises(TypeError, match=rf"preds\[1\] is a {kind}.*Leave out"):
        metric.from_strings(["a", missing], ["a", "b"])
    with pytest.raises(TypeError, match=rf"references\[1\] is a {kind}.*Leave out"):
        metric.from_strings(["a", "b"], ["a", missing])
    with pytest.raises(TypeError, match=rf"references is a {kind}.*Leave out"):
        metric.from_strings(["a"], missing)


@pytest.mark.parametrize("metric", SINGLE, ids=repr)
def test_several_references_are_refused_where_one_is_read(metric):
    with pytest.raises(TypeError, match="takes one reference for each prediction"):
        metric.from_strings(["a"], [["a", "b"]])
