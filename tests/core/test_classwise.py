"""Names for the values of classes."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

LOGITS = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
LABELS = np.array([0, 0, 1, 2])
RECALL = jm.Recall(classes=3, average="none")
RECALL_ALONE = jm.Collection(recall=RECALL)
NAMES = ("cat", "dog", "cow")


class Both(jm.Wrapper):
    """A mapping of an array and a number."""

    def present(self, value):
        return {"each": value, "mean": value.mean(-1)}


def updated(metric):
    return metric.update(logits=LOGITS, labels=LABELS)


def test_values_of_classes_get_names():
    values = updated(jm.Classwise(RECALL, names=NAMES)).compute()
    assert values == {"cat": 0.5, "dog": 1.0, "cow": 1.0}


def test_without_names_they_are_numbered():
    assert list(updated(jm.Classwise(RECALL)).compute()) == ["0", "1", "2"]


def test_arrays_in_a_mapping_are_named_and_numbers_stay():
    values = updated(jm.Classwise(Both(RECALL), names=NAMES)).compute()
    assert values["each"] == {"cat": 0.5, "dog": 1.0, "cow": 1.0}
    assert values["mean"] == pytest.approx(5 / 6)


def test_the_state_is_shared_with_the_metric():
    metrics = jm.Collection(recall=RECALL, named=jm.Classwise(RECALL, names=NAMES))
    state = updated(metrics)
    assert jm.state_dict(state).keys() == jm.state_dict(updated(RECALL_ALONE)).keys()
    assert state.compute()["named/cat"] == 0.5


def test_each_is_logged_as_a_scalar(tmp_path):
    memory = jm.writers.Memory()
    f1 = jm.Classwise(jm.F1(average="none", classes=3), names=("a", "b", "c"))
    with jm.TrainingLogger(root=tmp_path, writers=[memory], console=False) as logger:
        logger.log_step(1, updated(jm.Collection(f1=f1)))
    record = memory.records[0]
    assert {"train/f1/a", "train/f1/b", "train/f1/c"} <= record.values.keys()
    assert not record.arrays


def test_another_number_of_names_is_refused():
    two = jm.Classwise(RECALL, names=("cat", "dog"))
    wrong = r"Classwise has 2 names, but Recall computes 3 values\. Give one name"
    with pytest.raises(ValueError, match=wrong):
        updated(two).compute()
    with pytest.raises(ValueError, match=wrong):
        jax.jit(lambda metric: metric.compute())(two)


def test_a_number_and_a_matrix_are_refused():
    with pytest.raises(ValueError, match=r"Recall computes one number.*average"):
        updated(jm.Classwise(jm.Recall(classes=3))).compute()
    groups = jm.ByGroup(jm.Accuracy(), groups=2)
    with pytest.raises(ValueError, match="ByGroup computes single numbers"):
        jm.Classwise(groups).update(
            logits=LOGITS, labels=LABELS, domain=[0, 1, 0, 1]
        ).compute()
    with pytest.raises(ValueError, match=r"array of shape \(3, 3\). Use it without"):
        updated(jm.Classwise(jm.ConfusionMatrix(3))).compute()


def test_bad_names_are_refused():
    with pytest.raises(ValueError, match="name 'cat' is given twice"):
        jm.Classwise(RECALL, names=("cat", "cat"))
    with pytest.raises(ValueError, match=r"names is \(\). Name each class"):
        jm.Classwise(RECALL, names=())
    with pytest.raises(TypeError, match=r"declared tuple\[str, ...\] .*, got 'cat'"):
        jm.Classwise(RECALL, names="cat")
