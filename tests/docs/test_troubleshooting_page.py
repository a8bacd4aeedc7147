"""The messages in docs/troubleshooting.md are those that the mistakes raise."""

import logging
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import jaxmetrics as jm

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
MESSAGES = re.findall(r"^\*\*`(.+?)`\*\*", PAGE.read_text(), re.MULTILINE)

LOGITS, LABELS = jnp.eye(3), jnp.arange(3)
MEAN, ACCURACY = jm.Mean("x"), jm.Accuracy()


def collection(metric):
    return jm.Collection(a=metric)


def mesh(axis):
    return Mesh(np.array(jax.devices()), (axis,))


def logger(**options):
    return jm.TrainingLogger("e", "a", console=False, **options)


def step_of(step, **values):
    with logger() as run:
        run.log_step(step, **values)


def again():
    step_of(10, x=1.0)
    step_of(10, x=1.0)


def closed():
    with logger() as run:
        pass
    run.log_step(1, x=1.0)


def two():
    first = logger()
    with logger():
        first.log_step(1, x=1.0)


def donated():
    update = jax.jit(lambda metric: metric.update(x=1.0), donate_argnums=0)
    state = update(MEAN)
    update(state)
    state.compute()


def stacked():
    return jax.vmap(lambda x: MEAN.update(x=x))(jnp.ones((4, 2)))


class Sloppy(jm.Metric):
    total: jm.Array = jm.sum_leaf()
    rows: jm.Array = jm.count_leaf()

    def observe(self, *, x, mask=None):
        return dict(total=x.sum(), rows=jm.count_elements(x, mask))


def log_stack():
    with logger() as run:
        run.log_step(1, stacked())


def exact():
    metric = jm.AUROC(task="binary", exact=True, capacity=4)
    jm.evaluate(metric, logits=jnp.arange(8.0), labels=jnp.arange(8) % 2)


MISTAKES = {
    "a missing output": lambda: ACCURACY.update(logits=LOGITS, targets=LABELS),
    "by position": lambda: ACCURACY.update(LOGITS, LABELS),
    "misspelt": lambda: collection(ACCURACY).update(
        logits=LOGITS, labels=LABELS, maks=LABELS > 0
    ),
    "one-hot labels": lambda: ACCURACY.update(logits=LOGITS, labels=LOGITS),
    "a float mask": lambda: ACCURACY.update(
        logits=LOGITS, labels=LABELS, mask=jnp.ones(3)
    ),
    "classes as scores": lambda: ACCURACY.update(preds=LABELS, labels=LABELS),
    "no number of classes": lambda: jm.F1(average="macro"),
    "weights of none": lambda: collection(MEAN).update(x=LABELS, weights=LABELS),
    "another configuration": lambda: jm.TopKAccuracy(k=2).merge(jm.TopKAccuracy(k=3)),
    "a stack of states": lambda: MEAN.merge(stacked()),
    "a full buffer": exact,
    "a mask that is forgotten": lambda: Sloppy().update(x=LABELS, mask=LABELS > 0),
    "an argument of another library": lambda: jm.F1(num_classes=10),
    "a stack that is logged": log_stack,
    "a lambda": lambda: jm.Compose(lambda x: x, x=MEAN),
    "a donated state": donated,
    "an uneven batch": lambda: (
        collection(ACCURACY)
        .deferred(mesh("data"))
        .update(logits=jnp.ones((9, 3)), labels=jnp.zeros(9, int))
    ),
    "an axis that is not there": lambda: MEAN.deferred(mesh("fsdp")),
    "a reduction outside": lambda: MEAN.update(x=LABELS).reduce("data"),
    "a step on the device": lambda: step_of(jnp.int32(10), x=1.0),
    "no step": lambda: step_of({"loss": 1.0}),
    "an array": lambda: step_of(9, x=jnp.ones(3)),
    "a metric as a value": lambda: step_of(9, acc=MEAN),
    "a run again": again,
    "a closed logger": closed,
    "a logger taken over": two,
    "a bucket as root": lambda: jm.TrainingLogger("e", root="gs://bucket/runs"),
    "a split with a slash": lambda: step_of(1, split="a/b", x=1.0),
    "no such run": lambda: jm.Run.load("runs/e/c"),
}


def is_of(message, text):
    """Return whether a text has the parts of a message, in order, without ellipses."""
    parts = [re.escape(part) for part in message.split("...") if part.strip(" .")]
    return re.search(".*".join(parts), text, re.DOTALL) is not None


@pytest.mark.filterwarnings("ignore")  # the logger that another one closes
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_raises_a_message_of_the_page(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as raised:
        MISTAKES[name]()
    jm.close_all()
    text = str(raised.value)
    assert [message for message in MESSAGES if is_of(message, text)], text


def test_invalid_rows_are_warned_of_in_the_words_of_the_page(tmp_path, caplog):
    metrics = collection(ACCURACY).update(logits=LOGITS * jnp.nan, labels=LABELS)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        with jm.TrainingLogger("e", root=tmp_path, console=False) as run:
            run.log_step(1, metrics)
            run.log_histograms(1, weights=np.ones(4))
        jm.PerformanceTracker(flops_per_step=1e9).metrics()
    for begin in ("health/invalid/train/a", "Histograms are left out"):
        (text,) = [text for text in caplog.messages if text.startswith(begin)]
        assert [message for message in MESSAGES if is_of(message, text)], text


def test_a_value_without_its_invalid_rows_warns_in_the_words_of_the_page():
    with pytest.warns(UserWarning) as warned:
        jm.evaluate(ACCURACY, logits=LOGITS, labels=LABELS + 1)
    text = str(warned[0].message)
    (message,) = [m for m in MESSAGES if m.startswith("Entries that could not")]
    assert text.startswith(message.replace("10 of", "1 of"))
