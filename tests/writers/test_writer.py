"""Options that all writers share."""

from dataclasses import replace

import pytest

from jaxmetrics.record import Media, Record
from jaxmetrics.writers import CSV, JSONL, Memory, WandB

RECORD = Record(4, "train", {"train/loss": 1.0, "lr/lr": 0.1}, 2.0, tokens=8)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_every_is_a_positive_integer(every):
    with pytest.raises(ValueError, match=f"Memory got every={every!r}"):
        Memory(every=every)


def test_without_keys_and_names_a_record_is_passed_unchanged():
    assert Memory().select(RECORD) is RECORD


@pytest.mark.parametrize("keys", ["train/*", ("train/*",), ("x", "*/loss")])
def test_globs_select_keys(keys):
    selected = Memory(keys=keys).select(RECORD)
    assert selected.values == {"train/loss": 1.0}
    assert (selected.step, selected.time, selected.tokens) == (4, 2.0, 8)


def test_a_record_without_selected_keys_is_not_written():
    assert Memory(keys="val/*").select(RECORD) is None


def test_names_are_changed_after_the_selection():
    writer = Memory(keys="train/*", rename={"train/loss": "loss"})
    assert writer.select(RECORD).values == {"loss": 1.0}


def test_arrays_are_selected_and_renamed_like_values():
    arrays = {"train/recall": [1.0, 2.0], "val/recall": [3.0]}
    record = replace(RECORD, arrays=arrays)
    selected = Memory(keys="*/recall", rename={"train/*": "t/*"}).select(record)
    assert selected.values == {}
    assert selected.arrays == {"t/recall": [1.0, 2.0], "val/recall": [3.0]}
    assert Memory(keys="x").select(record) is None


def test_media_of_other_kinds_are_not_written():
    image = Media(1, "train", {"train/x": None}, 0.0, kind="image")
    assert CSV().select(image) is None
    assert JSONL("other.jsonl").select(image) is None
    assert JSONL().select(image) is image
    assert Memory().select(image) is image
    assert Memory(keys="val/*").select(image) is None


def test_hyperparameters_have_names_and_no_keys():
    hparams = Media(1, "train", {"lr": 0.1}, 0.0, kind="hparams")
    assert Memory(keys="train/*").select(hparams) is hparams


def test_a_writer_has_the_name_of_its_class_and_no_state_by_default(tmp_path):
    writer = Memory()
    assert writer.name == "memory"
    assert writer.counters == {}


def test_memory_keeps_records_up_to_a_step_or_a_state(tmp_path):
    writer = Memory()
    for step in (1, 2, 3):
        writer.write(Record(step, "train", {}, 0.0))
    state = writer.state()
    writer.write(Record(3, "val", {}, 0.0))
    writer.load_state(state | {"step": 3})
    assert [record.split for record in writer.records] == ["train"] * 3
    writer.open(tmp_path, 1)
    assert [record.step for record in writer.records] == [1]
    writer.open(tmp_path, None)
    assert len(writer.records) == 1


def test_an_unknown_option_is_refused_by_the_name_of_the_writer():
    with pytest.raises(
        TypeError, match="CSV got an unknown 'evry'. Did you mean 'every'"
    ):
        CSV(evry=2)
    with pytest.raises(
        TypeError, match="WandB got an unknown 'xyzzy'. It takes mode, m"
    ):
        WandB("offline", xyzzy=1)
