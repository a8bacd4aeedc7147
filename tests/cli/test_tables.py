"""Tables that fit a terminal."""

import pytest

from jaxmetrics import TrainingLogger
from jaxmetrics.cli._tables import comparison_lines
from jaxmetrics.runs import compare
from jaxmetrics.writers import JSONL


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Three runs with many values, of which one has others too."""
    root = tmp_path_factory.mktemp("runs")
    folders = []
    for n in range(3):
        options = {"root": root, "writers": [JSONL()], "console": False}
        hparams = {f"parameter_{k}": n * k + 1 for k in range(8)}
        with TrainingLogger("p", f"run{n}", hparams=hparams, **options) as logger:
            own = {f"own_{k}": 1.0 for k in range(20)} if n == 2 else {}
            metrics = {f"metric_{k}": n + k / 7 for k in range(12)} | own
            logger.log_step(1, loss=1.0 / (n + 1), metrics=metrics)
        folders.append(logger.run_dir)
    return compare(folders)


def heads(lines):
    return [line for line in lines if line.startswith("run ")]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_comparison_fits_the_terminal_and_loses_nothing(comparison, width):
    whole, shown = (list(comparison_lines(comparison, w)) for w in (None, width))
    assert max(map(len, shown)) <= width < max(map(len, whole)), max(shown, key=len)
    assert set(" ".join(shown).split()) == set(" ".join(whole).split())
    assert len(heads(whole)) == 1 < len(heads(shown))
    for name in ("run0", "run1", "run2"):  # beside each part of the table
        rows = [line for line in shown if line.startswith(f"{name} ")]
        assert len(rows) == len(heads(shown))


def test_a_column_wider_than_the_terminal_is_alone(comparison):
    shown = list(comparison_lines(comparison, 10))
    assert len(heads(shown)) == len(comparison_columns(comparison))


def comparison_columns(comparison):
    (head,) = heads(comparison_lines(comparison))
    return [name for name in head.split("  ") if name][1:]
