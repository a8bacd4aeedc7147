"""The language of conditions on runs."""

import pytest

from jaxmetrics.record import Value
from jaxmetrics.runs import RunEntry
from jaxmetrics.runs.reading._where import Names, condition, value_of

NAN = float("nan")


def entry(name="one", state="closed", last=None, best=None, **hparams):
    hparams = {key.replace("__", "."): value for key, value in hparams.items()}
    return RunEntry(
        *(f"p/{name}", f"runs/p/{name}", "p", name, state),
        step=100,
        last=last or {},
        best={key: Value(*one) for key, one in (best or {}).items()},
        hparams=hparams,
    )


ONE = entry(
    last={
        "val/loss": 2.5,
        "train/loss": NAN,
        "val/top-5": 0.5,
        "a b": 1.0,
        "loss": 3.0,
    },
    best={"val/loss": (2.0, 40)},
    opt__lr=3e-4,
    opt__name="adamw",
    width=512,
    bias=True,
    step=7,
    old__beta=1,
    new__beta=2,
    tags="[1,2]",
    none=None,
)
OTHER = entry("other", "crashed", only=1)


def holds(text, run=ONE):
    return condition(text, Names.of([ONE, OTHER]))(run)


@pytest.mark.parametrize(
    "text",
    [
        "lr>1e-4 and width==512",
        "opt.lr <= 3e-4",
        "lr < 0.001 or width == 1",
        "not (width == 256)",
        "100 < width < 1_000",
        "width in (256, 512)",
        "width not in [256, 1]",
        "'adam' in opt.name",
        'opt.name == "adamw"',
        "val/loss < 2.6",
        "last(val/loss) == 2.5",
        "best(val/loss)==2",
        "val/top-5 >= .5",
        "`a b` == 1",
        "loss == 3.0",
        "state == 'closed' and project == 'p' and name == 'one'",
        "step == 100 and hparams.step == 7",
        "bias",
        "bias == true and not (bias == False)",
        "val/loss > -1",
        "width != 1",
        "hparams.old.beta == 1",
    ],
)
def test_a_condition_holds(text):
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "only == 1",
        "only != 1",
        "only < 1 or only >= 1",
        "only in (1, 2)",
        "only not in (3, 4)",
        "none == 1",
        "none != 1",
        "not bias",
        "opt.name > 1",
        "width < 'a'",
        "'a' in width",
        "train/loss < 1 or train/loss > 1",
        "train/loss",
        "best(val/loss) > 2",
        "width == 512 and lr > 1",
    ],
)
def test_a_condition_does_not_hold(text):
    assert holds(text) is False


def test_a_missing_value_is_no_error_in_a_run_that_lacks_the_name():
    assert holds("width == 512 or only == 1", OTHER)
    assert not holds("best(val/loss) < 9", OTHER)


def test_a_name_suggests_the_configuration_and_the_key_that_are_short_for_it():
    names = Names(["lr"], ["lr/lr", "val/loss"], [], [])
    with pytest.raises(KeyError, match="similar names are lr, lr/lr[.]"):
        condition("learning_rate > .5", names)
    names = Names(["learning_rate"], ["val/loss"], [], [])
    with pytest.raises(KeyError, match="similar names are learning_rate[.]"):
        condition("lr > .5", names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht == 512", "similar names are width"),
        ("los > 1", "similar names are .*loss"),
        ("xyz > 1", "similar names are opt.lr, opt.name"),
        ("learning_rate > .5", "similar names are opt.lr[.] Choose"),
        ("val/los > 1", "similar names are val/loss"),
        ("beta == 1", "short for old.beta, new.beta"),
        ("best(train/loss) < 1", "similar names are val/loss|neither the name"),
        ("best(val/top-5) < 1", "neither the name nor the metric says"),
        ("last(width) < 1", "which no run has"),
    ],
)
def test_an_unknown_name_is_refused_with_similar_ones(text, message):
    with pytest.raises(KeyError, match=message):
        holds(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "where= got ''"),
        ("width = 512", "Write == to compare"),
        ("width > 1 & lr > 1", "Write `and`"),
        ("width > 1 | lr > 1", "Write `or`"),
        ("!bias", "Write `not`"),
        ("width > 'a", "Close the text"),
        ("`width > 1", "Close the name"),
        ("width >", "join"),
        ("width width", "join"),
        ("width is 3", "join|unexpected"),
        ("width + 1 > 2", "join"),
        ("best(val/loss, width) > 1", "join"),
        ("width(lr)", "join"),
        ("best(best(val/loss))", "join"),
        ("(lambda: 1)()", "unexpected|join"),
        ("[width for width in (1, 2)]", "join|unexpected"),
        ("__import__('os')", "join"),
        ("width.__class__ == 1", "no run has"),
        ("'a' 'b' == name; 1", "unexpected"),
        ("f'{width}'", "join|no run"),
        ("1e5x > 1", "unexpected"),
        ("(" * 5000 + "width" + ")" * 5000, "join|nested"),
        ("not " * 2000 + "width", "join|nested"),
        ("-" * 3000 + "1 < width", "join|nested"),
        ("x" * 20_000, "at most 10,000"),
    ],
)
def test_what_is_not_a_condition_is_refused(text, message):
    with pytest.raises((ValueError, KeyError), match=message):
        holds(text)


def test_a_value_is_named_as_in_a_condition():
    names = Names.of([ONE])
    for text, value in (
        ("val/loss", 2.5),
        ("best(val/loss)", 2.0),
        ("lr", 3e-4),
        ("`a b`", 1.0),
        ("state", "closed"),
    ):
        assert value_of(text, names, "sort")(ONE) == value
    with pytest.raises(KeyError, match="sort= got 'val/los'"):
        value_of("val/los", names, "sort")
    with pytest.raises(ValueError, match="empty name"):
        value_of(" ", names, "sort")
