"""Records and the rows they are written as."""

import pytest

from jaxmetrics.record import Media, Record, dumps

VALUES = {"train/loss": 2.31, "perf/mfu": 0.41, "lr/lr": 0.0003}


def test_a_row_has_the_fields_first_and_then_the_values_in_the_order_logged():
    record = Record(100, "train", VALUES, 1763.21, tokens=819200, samples=6400)
    assert list(record.line()) == [
        *("step", "split", "time", "tokens", "samples"),
        *("train/loss", "perf/mfu", "lr/lr"),
    ]
    assert dumps(record.line()) == (
        '{"step":100,"split":"train","time":1763.21,"tokens":819200,"samples":6400,'
        '"train/loss":2.31,"perf/mfu":0.41,"lr/lr":0.0003}'
    )


def test_a_row_leaves_out_unknown_counts():
    assert Record(1, "val", {"val/loss": 1.0}, 2.0).line() == {
        "step": 1,
        "split": "val",
        "time": 2.0,
        "val/loss": 1.0,
    }


def test_zero_tokens_are_not_unknown():
    assert Record(0, "train", {}, 0.0, tokens=0).line()["tokens"] == 0


@pytest.mark.parametrize("field", ["kind", "step", "split", "time", "tokens"])
def test_a_value_cannot_have_the_name_of_a_field(field):
    with pytest.raises(ValueError, match=f"values named \\['{field}'\\]"):
        Record(1, "train", {field: 1.0}, 0.0)


def test_a_row_of_a_table_has_columns_and_rows():
    media = Media(1, "val", {"val/t": (["a", "b"], [[1, "x"]])}, 2.0, kind="table")
    assert media.line() == {
        "kind": "table",
        "step": 1,
        "split": "val",
        "time": 2.0,
        "val/t": {"columns": ["a", "b"], "rows": [[1, "x"]]},
    }
