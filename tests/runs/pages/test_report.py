import hashlib
import json
import math
import re

import pytest
import yaml
from support.markdown import HOSTILE_TEXTS, cell_counts, rendered
from support.runs import epoch, row, rows_of, write_epochs, write_run

from jaxmetrics import Run
from jaxmetrics.record import encodable
from jaxmetrics.runs import generate_report
from jaxmetrics.runs.plots._files import save_figure


def draw(path):
    from matplotlib.figure import Figure

    save_figure(Figure((1, 1)), path, dpi=10)
    return path


def body_of(path):
    """Return the text of a report without its front matter, and the front matter."""
    _, front, body = path.read_text().split("---\n", 2)
    return body, yaml.safe_load(front)


def tags(html):
    return set(re.findall(r"<\s*/?\s*([a-zA-Z!?][^\s>/]*)", html))


REPORT_TAGS = {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td"} | {
    "pre",
    "code",
    "img",
    "!--",
}


def test_a_report_has_its_sections_in_order(tmp_path):
    losses = {0: 3.0, 1: 1.25, 2: math.nan}
    epochs = [
        epoch(n, x, cumulative_time_sec=60.0 * (n + 1), gpu_peak_mb=512.0 + n)
        for n, x in losses.items()
    ]
    folder = write_epochs(
        tmp_path / "run-1", *epochs, run={"attempts": 2}, config={"lr": 0.1}
    )
    plot = draw(folder / "loss_linear.png")
    path = generate_report(folder, plot_paths=[plot])
    assert path == folder / "training_report.md"
    body, _ = body_of(path)
    assert re.findall(r"^#+ (.*)$", body, re.M) == [
        "Training report: run-1",
        "Summary",
        "Plots",
        "Loss linear",
        "Hyperparameters",
        "Epochs",
        "Artifacts",
    ]
    for line in (
        "| Best loss | 1.25 at epoch 1 |",
        "| Last loss | nan at epoch 2 |",
        "| Epochs | 3 |",
        "| Training time | 3m00s |",
        "| Peak memory | 514 MiB |",
        "| Attempts | 2 |",
        "| epoch | loss_mean | gpu_peak_mb | cumulative_time_sec |",
        "| 1 | 1.25 | 513 | 120 |",
        "![Loss linear](loss_linear.png)",
    ):
        assert line in body.splitlines(), line
    config = json.loads(re.search(r"```json\n(.*?)```", body, re.S)[1])
    assert config == {"lr": 0.1}


def test_the_front_matter_is_a_model_card(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    more = {"license": "mit", "datasets": ["a"], "x": 1e-5, "yes": True, "language": []}
    _, card = body_of(generate_report(folder, card=more))
    assert (folder / "training_report.md").read_bytes().startswith(b"---\n")
    assert card["license"] == "mit" and card["datasets"] == ["a"]
    assert card["library_name"] == "jax" and card["model_name"] == tmp_path.name
    assert all(isinstance(tag, str) for tag in card["tags"]) and card["tags"]
    assert card["x"] == 1e-5 and card["yes"] is True and card["language"] == []


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_recorded_texts_have_no_effect(tmp_path, text):
    config = {text: text, "list": [text]}
    extra = epoch(0, extra={text: 1.0, text + "2": 2.0})
    row = {"step": 1, "split": "train", "train/loss": 1.0}
    write_run(tmp_path, [row | {f"train/{text}": 2.0}], run_name=text)
    folder = write_epochs(tmp_path, extra, config=config)
    body, card = body_of(generate_report(folder))
    html = rendered(body)
    assert tags(html) <= REPORT_TAGS, tags(html) - REPORT_TAGS
    assert "href" not in html and "onerror=alert(1)>" not in html
    unexpected = [n for n in cell_counts(html) if n not in (2, 3, 4, 7)]
    assert not unexpected, "cells of a row that its table has no columns for"
    assert html.count("<h1>") == 1 and html.count("<h2>") == 5
    assert "<" not in re.search(r"```json\n(.*?)\n```\n", body, re.S)[1]
    assert json.loads(re.search(r"```json\n(.*?)\n```\n", body, re.S)[1]) is not None
    assert card["model_name"] == encodable(text)


def test_secrets_are_redacted(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    path = generate_report(folder, config={"api_key": "hunter2", "w": 8})
    assert "hunter2" not in path.read_text()
    assert json.loads(re.search(r"```json\n(.*?)```", body_of(path)[0], re.S)[1]) == {
        "api_key": "<redacted>",
        "w": 8,
    }


def test_files_are_listed_with_sizes_and_hashes(tmp_path):
    folder = write_epochs(tmp_path / "run", epoch(0))
    save_dir = tmp_path / "elsewhere"
    plot = draw(tmp_path / "a plot (1).png")
    path = generate_report(folder, save_dir=save_dir, plot_paths=[str(plot)])
    body, _ = body_of(path)
    for file, name in (
        (folder / "training_metrics.json", "../run/training_metrics.json"),
        (plot, "../a plot (1).png"),
    ):
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert f"| {name} | {len(data):,} | {digest} |" in body
    assert "](../a%20plot%20%281%29.png)" in body
    assert 'src="../a%20plot%20%281%29.png"' in rendered(body)


def test_own_plots_in_the_folder_are_shown(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    draw(folder / "grad_norm.png")
    (folder / "loss_log.png").write_bytes(b"mine")
    body, _ = body_of(generate_report(folder))
    assert re.findall(r"\]\((.*?)\)", body) == ["grad_norm.png"]


def test_a_missing_plot_is_an_error(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    with pytest.raises(
        FileNotFoundError, match="got the plot .*, which does not exist"
    ):
        generate_report(folder, plot_paths=[tmp_path / "none.png"])
    assert not (folder / "training_report.md").exists()


def test_a_report_is_replaced_unless_it_was_edited(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    path = generate_report(folder)
    write_epochs(tmp_path, epoch(0), epoch(1, 0.125))
    assert "0.125" in generate_report(folder).read_text()
    edited = path.read_text().replace("Training report", "My model")
    path.write_text(edited)
    with pytest.raises(FileExistsError, match="was edited"):
        generate_report(folder)
    assert path.read_text() == edited
    generate_report(folder, overwrite=True)
    assert "My model" not in generate_report(folder).read_text()


def test_a_run_has_a_table_of_keys_and_a_selection_of_steps(tmp_path):
    rows = [
        {"step": s, "split": "train", "time": 2.0 * s, "tokens": s}
        | {"train/loss": 1000.0 / s, "other": math.nan if s == 7 else 1.0}
        for s in range(1, 1001)
    ]
    folder = write_run(tmp_path, rows, run_name="named", hparams={"width": 3})
    body, card = body_of(generate_report(Run.load(folder)))
    assert card["model_name"] == "named" and '"width": 3' in body
    assert "| Steps | 1,000 |" in body
    level = "| Training loss, median of the last 50 steps | 1.02512 |"
    assert level in body and "| Last training loss | 1 at step 1,000 |" in body
    assert "200 of 1,000, evenly selected." in body
    lines = body.splitlines()
    start = lines.index(
        "| step | loss_mean | step_time_sec | cumulative_time_sec | tokens_per_sec |"
    )
    assert lines[start + 2] == "| 1 | 1000 |  | 2 |  |"
    assert lines[start + 201] == "| 1000 | 1 | 2 | 2000 | 0.5 |"
    assert lines[start + 202] == ""
    assert "| other | 1 | 1 | 1 | 1 | 1,000 | 1 |" in lines


def test_the_table_of_steps_has_every_evaluation(tmp_path):
    rows = [{"step": s, "split": "train", "train/loss": 1.0} for s in range(1, 1001)]
    rows += [{"step": s, "split": "val", "val/loss": s / 8} for s in range(7, 1001, 33)]
    body, _ = body_of(generate_report(write_run(tmp_path, rows)))
    assert "| Best val/loss | 0.875 at step 7 |" in body
    assert "200 of 1,000, evenly selected, and those of evaluations." in body
    lines = body.splitlines()
    start = lines.index("| step | loss_mean | val/loss |")
    cells = [line.strip("| ").split(" | ") for line in lines[start + 2 :][:200]]
    evaluated = [int(cell[0]) for cell in cells if len(cell) == 3]
    assert evaluated == list(range(7, 1001, 33))


def test_of_many_evaluations_half_of_the_rows_are_selected(tmp_path):
    rows = rows_of(1000, train__loss=lambda s: 1.0)
    rows += [{"step": s, "split": "val", "val/loss": s} for s in range(3, 1000, 3)]
    body, _ = body_of(generate_report(write_run(tmp_path, rows)))
    table = body[body.index("| step | loss_mean |") :].split("\n\n")[0].splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in table]
    assert len(cells) == 200
    evaluated = [int(cell[0]) for cell in cells if int(cell[0]) % 3 == 0]
    assert len([s for s in evaluated if s in (3, 999)]) == 2 and len(evaluated) >= 100


@pytest.mark.parametrize(("count", "more"), [(200, 0), (201, 1)])
def test_tables_are_complete_up_to_200_rows(tmp_path, count, more):
    rows = rows_of(count, **{"train/loss": lambda s: 1.0 / s})
    rows.append({f"train/k{n:03}": 1.0 for n in range(count - 1)} | {"step": 1})
    rows.append({f"val/a{n:03}": [1, 2] for n in range(count)} | {"step": 1})
    body, _ = body_of(generate_report(write_run(tmp_path, rows)))
    assert ("200 of 201, evenly selected." in body) == bool(more)
    assert ("The 200 most important of 201." in body) == bool(more)
    assert ("val/a199 and 1 more." in body) == bool(more)
    assert body.count("| train/") == 200


@pytest.mark.parametrize(("steps", "folded"), [(28, False), (29, True)])
def test_sections_of_more_than_30_lines_are_folded(tmp_path, steps, folded):
    rows = rows_of(steps, train__loss=lambda s: 1.0 / s)
    text = generate_report(write_run(tmp_path, rows)).read_text()
    assert ("<details>" in text) == folded


def test_an_empty_run_has_a_report(tmp_path):
    empty = write_run(tmp_path / "run", [])
    assert "| Steps | 0 |" in generate_report(empty).read_text()
    assert "| Epochs | 0 |" in generate_report(write_epochs(tmp_path / "e")).read_text()


def test_arrays_are_named_after_the_metrics(tmp_path):
    row = {"step": 1, "split": "val", "val/confusion": [[1]], "val/<b>": [1, 2]}
    body, _ = body_of(generate_report(write_run(tmp_path, [row])))
    assert "Arrays: val/confusion, val/&lt;b&gt;." in body


def test_only_the_most_important_of_many_keys_are_listed(tmp_path):
    row = {"step": 1, "split": "train"} | {f"train/{n}": 1.0 for n in range(300)}
    row["train/loss"] = 1.0
    body, _ = body_of(generate_report(write_run(tmp_path, [row])))
    assert "The 200 most important of 301." in body and "train/198 " in body
    assert "train/199 " not in body and "| train/loss |" in body


def test_changes_of_the_configuration_are_listed(tmp_path):
    attempts = [{"hparams": {"lr": 0.1}}, {"hparams": {"lr": "<b>"}}]
    folder = write_run(tmp_path, [row(1, train__loss=1.0)], attempts=attempts)
    text = generate_report(folder).read_text()
    assert "- Attempt 2 changed lr from 0.1 to " in text and "<b>" not in text


class Settings:
    width = 8

    def __init__(self):
        self.lr, self.lines = 0.1, iter("ab")


def test_a_configuration_of_any_kind_is_reported(tmp_path):
    folder = write_run(tmp_path, [row(1, train__loss=1.0)])
    with pytest.warns(UserWarning, match="lines"):
        text = generate_report(folder, Settings()).read_text()
    assert '"width": 8' in text and '"lr": 0.1' in text


def test_the_dashboard_comes_first_and_long_tables_are_folded(tmp_path):
    rows = [{"step": s, "train/loss": 1.0 / s} for s in range(1, 101)]
    folder = write_run(tmp_path / "run", rows)
    plots = [draw(folder / f"{n}.png") for n in ("loss_linear", "training_dashboard")]
    body, _ = body_of(generate_report(folder, plot_paths=plots))
    dashboard, steps = body.index("training_dashboard.png"), body.index("## Steps")
    assert dashboard < body.index("loss_linear.png") < steps
    folded = body.index("<details><summary>Show the table</summary>")
    assert steps < folded < body.index("</details>") < body.index("## Metrics")
    assert body.count("<details>") == 1


def test_alarms_are_listed(tmp_path):
    folder = write_run(tmp_path, [row(1, train__loss=1.0)])
    assert "## Alarms" not in generate_report(folder).read_text()
    event = {"time": "2026-01-01T00:00:00Z", "attempt": 1, "event": "alarm", "step": 1}
    event |= {"kind": "spike", "key": "train/loss", "value": 9.0}
    lines = [event | {"message": f"train/loss <b>{n}</b> | x"} for n in range(201)]
    lines[0]["repeated"] = {"count": 41}
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text)
    section = generate_report(folder).read_text().split("## Alarms")[1]
    assert "| time | times |" in section
    assert section.count("Z | 41 |") == 1 and section.count("Z | 1 |") == 199
    assert "| 1 | spike | train/loss " in section and "<b>" not in section
    assert section.count("| spike |") == 200 and "And 1 more." in section
