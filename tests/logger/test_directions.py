"""The direction that a metric declares ranks its runs, whatever its name is."""

import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import run_json

import jaxmetrics as jm
from jaxmetrics.record import RunValues, loads, read_progress
from jaxmetrics.runs import Overview, Run, compare, generate_report
from jaxmetrics.runs import list as list_runs


class Score(jm.Metric):
    """Mean of a score of which higher is better."""

    higher_is_better = True
    total: jm.Array = jm.sum_leaf()
    count: jm.Array = jm.count_leaf()

    def observe(self, *, score, mask=None):
        return dict(total=jm.total(score, mask), count=jm.count_elements(score, mask))

    def compute(self):
        return jm.divide(self.total, self.count)


class Waste(Score):
    """Mean of a score of which lower is better."""

    higher_is_better = False


class Unknown(Score):
    """Mean of a score that is neither good nor bad."""

    higher_is_better = None


METRICS = jm.Collection(score_x=Score(), waste_x=Waste(), odd_x=Unknown())
BETTER = {"val/score_x": "max", "val/waste_x": "min"}


def log_scores(logger, scores, metrics=METRICS, start=0, **options):
    options = {"split": "val"} | options
    for step, score in enumerate(scores, start):
        logger.log_step(step, metrics.update(score=jnp.array([score])), **options)
    logger.flush()


@pytest.fixture
def sweep(make_logger, tmp_path):
    """Runs whose best scores are 9 and 5, and whose least waste is 1 and 2."""
    for name, scores in (("high", [9.0, 1.0]), ("low", [2.0, 5.0])):
        with make_logger(name) as logger:
            log_scores(logger, scores)
    return tmp_path / "project"


def test_a_list_knows_the_best_values_and_sorts_by_them(sweep):
    listed = list_runs(sweep)
    assert listed.better == BETTER
    high, low = listed
    assert high.best == {"val/score_x": (9.0, 0), "val/waste_x": (1.0, 1)}
    assert low.best == {"val/score_x": (5.0, 1), "val/waste_x": (2.0, 0)}
    assert high.chosen_by[:2] == ("val/score_x", "max")

    def order(sort):
        return [entry.name for entry in list_runs(sweep, sort=sort)]

    assert order("val/score_x") == order("best(val/score_x)") == ["high", "low"]
    assert order("val/waste_x") == order("best(val/waste_x)") == ["high", "low"]
    assert order("last(val/score_x)") == ["low", "high"]
    assert order("last(val/waste_x)") == ["high", "low"]
    assert [e.name for e in listed.where("best(val/score_x) > 8")] == ["high"]


def test_runs_are_compared_by_it_unless_another_is_asked_for(sweep):
    comparison = compare(sweep)
    assert comparison.better == BETTER
    assert comparison.ranked_by == "val/score_x"
    assert comparison.ranked() == ["high", "low"]
    assert compare(sweep, rank_by="val/waste_x").ranked() == ["high", "low"]
    other = compare(sweep, better={"val/score_x": "min"})
    assert other.better == BETTER | {"val/score_x": "min"}
    with pytest.raises(ValueError, match="neither the name nor the metric"):
        compare(sweep, rank_by="val/odd_x")
    assert compare(sweep, target={"val/score_x": 8.0}).reached[0].x == 0


def test_the_report_names_the_best_value(sweep):
    report = generate_report(sweep / "high").read_text()
    assert "9" in next(x for x in report.splitlines() if "score_x" in x)
    assert Run.load(sweep / "high").better == BETTER


def test_the_summary_of_a_live_run_has_the_best_values(make_logger):
    logger = make_logger()
    log_scores(logger, [1.0, 3.0, 2.0])
    assert run_json(logger)["better"] == BETTER
    summary = loads((logger.run_dir / "summary.json").read_bytes())
    assert summary["best"] == {"val/score_x": 3.0, "val/waste_x": 1.0}
    views = Overview(lambda: [logger.run_dir]).read()
    assert views[0].metrics.step == 2


def test_a_resumed_run_keeps_it_and_the_best_values(make_logger):
    with make_logger() as logger:
        log_scores(logger, [4.0, 1.0])
        state = logger.state()
        log_scores(logger, [9.0], start=2)
    with make_logger() as logger:
        logger.load_state(state)
        log_scores(logger, [2.0], METRICS | {"new_x": Score()}, start=2)
    assert run_json(logger)["better"] == BETTER | {"val/new_x": "max"}
    (entry,) = list_runs(logger.run_dir)
    assert entry.best["val/score_x"] == (4.0, 0)
    assert entry.best["val/waste_x"] == (1.0, 1)
    assert entry.best["val/new_x"] == (2.0, 2)


def test_a_name_that_tells_it_is_not_recorded_and_one_that_differs_is(make_logger):
    metrics = jm.Collection(accuracy=Score(), loss=Waste(), top_error=Score())
    with make_logger() as logger:
        log_scores(logger, [1.0, 2.0], metrics)
    assert run_json(logger)["better"] == {"val/top_error": "max"}
    (entry,) = list_runs(logger.run_dir)
    assert entry.best["val/top_error"] == (2.0, 1)


def test_values_that_were_logged_before_it_was_declared_count_too(make_logger):
    with make_logger() as logger:
        log_scores(logger, [9.0, 1.0], jm.Collection(score_x=Unknown()))
    assert "better" not in run_json(logger)
    assert list_runs(logger.run_dir)[0].best == {}
    with make_logger() as logger:
        log_scores(logger, [2.0], start=2)
        assert not read_progress(logger.run_dir).values.has_unknown  # nor is it read
    assert list_runs(logger.run_dir)[0].best["val/score_x"] == (9.0, 0)


def test_a_lost_summary_loses_no_direction(make_logger):
    with make_logger() as logger:
        log_scores(logger, [1.0, 3.0])
    (logger.run_dir / "summary.json").unlink()
    assert list_runs(logger.run_dir)[0].best["val/score_x"] == (3.0, 1)


def test_a_lost_description_is_completed_from_the_summary(make_logger):
    with make_logger() as logger:
        log_scores(logger, [1.0, 3.0])
    known = run_json(logger)
    del known["better"]
    (logger.run_dir / "run.json").write_text(str(known).replace("'", '"'))
    assert list_runs(logger.run_dir)[0].best["val/score_x"] == (3.0, 1)


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        (jm.MinMax(Score()), {"x/value": "max", "x/min": "max", "x/max": "max"}),
        (jm.Windowed(Waste(), 3), {"x": "min"}),
        (jm.BestOf(Unknown(), mode="min"), {"x": "min"}),
        (jm.BestOf(Unknown()), {"x": "max"}),
        (jm.ByGroup(Score(), by="g", groups=("a", "b")), {"x/a": "max", "x/b": "max"}),
        (jm.Masked(jm.Collection(a=Score(), b=Waste()), mask="m"), ["max", "min"]),
        (jm.Masked(Unknown(), mask="m"), {}),
    ],
)
def test_a_metric_around_another_has_the_direction_of_it(make_logger, metric, better):
    if isinstance(better, list):
        better = dict(zip(("x/a", "x/b"), better))
    score = np.array([1.0, 2.0], np.float32)
    outputs = dict(score=score, g=np.array([0, 1]), m=np.array([True, True]))
    with make_logger() as logger:
        logger.log_step(1, jm.Collection(x=metric).update(**outputs), split="val")
    expected = {f"val/{name}": value for name, value in better.items()}
    assert run_json(logger).get("better", {}) == expected


def test_parts_of_a_value_may_have_directions_of_their_own(make_logger):
    class Trade(Score):
        higher_is_better = {"gain": True, "cost": False, "time": None}

        def compute(self):
            return {"gain": self.total, "cost": self.total, "time": 1.0, "n": 2}

    with make_logger() as logger:
        log_scores(logger, [1.0], jm.Collection(a=Trade()))
    assert run_json(logger)["better"] == {"val/a/gain": "max", "val/a/cost": "min"}


def test_a_standard_error_has_no_direction(make_logger):
    mean = jm.BoxIoU(stderr=True).on(preds="p", targets="t")
    boxes = np.array([[0.0, 0, 1, 1], [0, 0, 2, 2]])
    with make_logger() as logger:
        logger.log_step(1, jm.Collection(box=mean.update(p=boxes, t=boxes)))
    assert run_json(logger)["better"] == {"train/box/mean": "max"}


def test_names_within_a_collection_have_their_own_directions(make_logger):
    metrics = jm.Collection({"a": Score(), "a/b": Unknown(), "c": {"d": Waste()}})
    with make_logger() as logger:
        log_scores(logger, [1.0], metrics)
    assert run_json(logger)["better"] == {"val/a": "max", "val/c/d": "min"}


def test_a_single_metric_has_the_key_of_its_class_or_output(make_logger):
    with make_logger() as logger:
        log_scores(logger, [1.0], Score())
        log_scores(logger, [1.0], Score(), split=None)
    assert run_json(logger)["better"] == {"val/score": "max", "score": "max"}


def test_of_very_many_keys_the_first_have_recorded_directions(tmp_path):
    values = RunValues()
    for number in range(1200):
        values.take_directions({f"a/{number}": "max"})
    assert len(values.better) == 1000
    assert values.take_directions({"a/3": "min"})
    assert values.better["a/3"] == "min" and len(values.better) == 1000


def test_an_unwritable_description_is_written_later(make_logger, monkeypatch):
    def full(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("jaxmetrics.record._run_summary.edit_run_json", full)
        logger = make_logger()
        log_scores(logger, [1.0])
        assert "better" not in run_json(logger)
    logger.flush()
    assert run_json(logger)["better"] == BETTER
    assert read_progress(logger.run_dir).values.better == BETTER
