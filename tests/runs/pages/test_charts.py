from support.runs import write_run

from jaxmetrics.runs import Run
from jaxmetrics.runs.pages._charts import run_charts


def test_splits_of_a_metric_share_a_chart_and_labels_have_units(tmp_path):
    keys = (
        "train/loss val_code/loss perf/tokens_per_second perf/step_seconds "
        "grad/norm/head grad/norm lr/lr lr/decoder"
    )
    folder = write_run(
        tmp_path / "run", [{"step": 1} | dict.fromkeys(keys.split(), 1.0)]
    )
    run = Run.load(folder)
    charts = {c.title: c for c in run_charts(run, run.keys())}
    names = {title: [line.name for line in c.lines] for title, c in charts.items()}
    assert names["loss"] == ["train/loss", "val_code/loss"]
    assert names["grad/norm"] == ["grad/norm/head", "grad/norm"]
    assert charts["perf/tokens_per_second"].label == "tokens / second"
    assert charts["perf/step_seconds"].label == "step (seconds)"
    assert [line.name for line in charts["lr/"].lines] == ["lr/lr", "lr/decoder"]
