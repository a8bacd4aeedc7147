"""The report in Markdown: what it says, and that no text in it acts."""

import hashlib
import json
import math
import re
from html import unescape

import pytest
import yaml
from markdown_it import MarkdownIt

from jaxmetrics import Run
from jaxmetrics.figures._style import save
from jaxmetrics.record import EpochMetrics, dumps
from jaxmetrics.runs import generate_report
from jaxmetrics.runs.pages._markdown import escape, front_matter, table

NASTY = (
    "<img src=x onerror=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "a|b|c",
    "`code` ``` fence",
    "[link](javascript:alert(1))",
    "![pic](http://evil/x.png)",
    "<javascript:alert(1)>",
    "http://evil.example/@me",
    "line\nbreak\r\n| cell | cell |\n\n# heading",
    "**bold** _it_ ~~gone~~ $x$",
    "&lt;b&gt; &#60;",
    "\\",
    "\\|",
    "-->",
    "---",
    "\x1b[31m\u202e\ud800\x00",
    "数据 é 😀",
    " ",
)


def epoch(number, loss=1.0, **fields):
    return EpochMetrics(number, loss_mean=loss, **fields)


def write_epochs(folder, *epochs, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"kind": "epochs", "run": {"attempts": 2}, "config": config or {}}
    text = dumps(whole | {"epochs": [e.line() for e in epochs]})
    (folder / "training_metrics.json").write_text(text)
    return folder


def write_run(folder, rows, **header):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dumps(header))
    (folder / "metrics.jsonl").write_text("".join(f"{dumps(row)}\n" for row in rows))
    return folder


def draw(path, colour="w"):
    from matplotlib.figure import Figure

    save(Figure((1, 1), facecolor=colour), path, dpi=10)
    return path


def body_of(path):
    """The text of a report after its front matter, and that front matter."""
    _, front, body = path.read_text().split("---\n", 2)
    return body, yaml.safe_load(front)


def rendered(body):
    """HTML of a renderer that lets HTML through, and makes links of addresses."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(
        ["table", "strikethrough"]
    )
    return renderer.render(body)


def tags(html):
    return set(re.findall(r"<\s*/?\s*([a-zA-Z!?][^\s>/]*)", html))


OURS = {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td"} | {
    "pre",
    "code",
    "img",
    "!--",
}


def cells(html):
    """How many cells each row of each table has."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [len(re.findall(r"<t[hd][ >]", row)) for row in rows]


def test_the_sections_come_in_their_order_and_say_what_they_should(tmp_path):
    losses = {0: 3.0, 1: 1.25, 2: math.nan}
    epochs = [
        epoch(n, x, cumulative_time_sec=60.0 * (n + 1), gpu_peak_mb=512.0 + n)
        for n, x in losses.items()
    ]
    folder = write_epochs(tmp_path / "run-1", *epochs, config={"lr": 0.1})
    plot = draw(folder / "loss_linear.png")
    path = generate_report(folder, plot_paths=[plot])
    assert path == folder / "training_report.md"
    body, _ = body_of(path)
    assert re.findall(r"^#+ (.*)$", body, re.M) == [
        "Training report: run-1",
        "Summary",
        "Hyperparameters",
        "Epochs",
        "Plots",
        "Loss linear",
        "Artifacts",
    ]
    for line in (
        "| Best loss | 1.25 at epoch 1 |",
        "| Last loss | nan at epoch 2 |",
        "| Epochs | 3 |",
        "| Wall time | 3 min 0 s |",
        "| Peak memory | 514 MiB |",
        "| Attempts | 2 |",
        "| epoch | loss_mean | gpu_peak_mb | cumulative_time_sec |",
        "| 1 | 1.25 | 513 | 120 |",
        "![Loss linear](loss_linear.png)",
    ):
        assert line in body.splitlines(), line
    given = json.loads(re.search(r"```json\n(.*?)```", body, re.S)[1])
    assert given == {"lr": 0.1}


def test_the_front_matter_is_that_of_a_model_card(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    more = {"license": "mit", "datasets": ["a"], "x": 1e-5, "yes": True, "language": []}
    _, card = body_of(generate_report(folder, card=more))
    assert (folder / "training_report.md").read_bytes().startswith(b"---\n")
    assert card["license"] == "mit" and card["datasets"] == ["a"]
    assert card["library_name"] == "jax" and card["model_name"] == tmp_path.name
    assert all(isinstance(tag, str) for tag in card["tags"]) and card["tags"]
    assert card["x"] == 1e-5 and card["yes"] is True and card["language"] == []


@pytest.mark.parametrize("value", [*NASTY, "yes", "1", "null", "", ": # - {", "'\""])
def test_any_text_is_read_back_from_the_front_matter(value):
    fields = {"a": value, value: [value, {value: value}]}
    text = front_matter(fields).removeprefix("---\n").removesuffix("---\n")
    assert yaml.safe_load(text) == fields


@pytest.mark.parametrize("text", NASTY)
def test_no_text_acts(tmp_path, text):
    config = {text: text, "list": [text]}
    extra = epoch(0, extra={text: 1.0, text + "2": 2.0})
    row = {"step": 1, "split": "train", "train/loss": 1.0}
    write_run(tmp_path, [row | {f"train/{text}": 2.0}], run_name=text)
    folder = write_epochs(tmp_path, extra, config=config)
    body, card = body_of(generate_report(folder))
    html = rendered(body)
    assert tags(html) <= OURS, tags(html) - OURS
    assert "href" not in html and "onerror=alert(1)>" not in html
    wide = [n for n in cells(html) if n not in (2, 3, 4, 7)]
    assert not wide, "cells of a row that its table has no columns for"
    assert html.count("<h1>") == 1 and html.count("<h2>") == 5
    assert "<" not in re.search(r"```json\n(.*?)\n```\n", body, re.S)[1]
    assert json.loads(re.search(r"```json\n(.*?)\n```\n", body, re.S)[1]) is not None
    assert card["model_name"] == text


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_shows_its_text_and_stays_one_cell(text):
    html = rendered(table(("a", "b"), [(text, "x")]))
    (shown,) = re.findall(r"<td>(.*?)</td>", html, re.S)
    assert cells(html) == [2, 2]
    if text.isprintable():
        assert unescape(shown) == text.strip()


def test_what_needs_no_escape_stays_readable():
    for text in ("train/loss_p95", "0.5 at epoch 3", "loss-1 (a, b): c;", "数据 é"):
        assert escape(text) == text


def test_secrets_are_left_out(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    path = generate_report(folder, config={"api_key": "hunter2", "w": 8})
    assert "hunter2" not in path.read_text()
    assert json.loads(re.search(r"```json\n(.*?)```", body_of(path)[0], re.S)[1]) == {
        "api_key": "<redacted>",
        "w": 8,
    }


def test_files_are_listed_with_their_sizes_and_sums(tmp_path):
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


def test_plots_of_ours_in_the_folder_are_found(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    draw(folder / "grad_norm.png")
    (folder / "loss_log.png").write_bytes(b"of somebody else")
    body, _ = body_of(generate_report(folder))
    assert re.findall(r"\]\((.*?)\)", body) == ["grad_norm.png"]


def test_a_plot_that_is_missing_is_an_error(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    with pytest.raises(FileNotFoundError, match="got the plot .*, which is not there"):
        generate_report(folder, plot_paths=[tmp_path / "none.png"])
    assert not (folder / "training_report.md").exists()


def test_a_report_is_renewed_unless_somebody_has_edited_it(tmp_path):
    folder = write_epochs(tmp_path, epoch(0))
    path = generate_report(folder)
    write_epochs(tmp_path, epoch(0), epoch(1, 0.125))
    assert "0.125" in generate_report(folder).read_text()
    edited = path.read_text().replace("Training report", "My model")
    path.write_text(edited)
    with pytest.raises(FileExistsError, match="not as generate_report.* left it"):
        generate_report(folder)
    assert path.read_text() == edited
    generate_report(folder, overwrite=True)
    assert "My model" not in generate_report(folder).read_text()


def test_a_run_has_a_table_of_its_keys_and_of_some_steps(tmp_path):
    rows = [
        {"step": s, "split": "train", "time": 2.0 * s, "tokens": s}
        | {"train/loss": 1000.0 / s, "other": math.nan if s == 7 else 1.0}
        for s in range(1, 1001)
    ]
    folder = write_run(tmp_path, rows, run_name="named", hparams={"width": 3})
    body, card = body_of(generate_report(Run.load(folder)))
    assert card["model_name"] == "named" and '"width": 3' in body
    assert "| Steps | 1,000 |" in body and "| Best loss | 1 at step 1,000 |" in body
    assert "200 of 1,000, evenly taken." in body
    lines = body.splitlines()
    start = lines.index(
        "| step | loss_mean | step_time_sec | cumulative_time_sec | tokens_per_sec |"
    )
    assert lines[start + 2] == "| 1 | 1000 |  | 2 |  |"
    assert lines[start + 201] == "| 1000 | 1 | 2 | 2000 | 0.5 |"
    assert lines[start + 202] == ""
    assert "| other | 1 | 1 | 1 | 1 | 1,000 | 1 |" in lines


def test_a_run_with_nothing_in_it_has_a_report(tmp_path):
    empty = write_run(tmp_path / "run", [])
    assert "| Steps | 0 |" in generate_report(empty).read_text()
    assert "| Epochs | 0 |" in generate_report(write_epochs(tmp_path / "e")).read_text()


def test_of_too_many_keys_the_first_are_listed(tmp_path):
    row = {"step": 1, "split": "train"} | {f"train/{n}": 1.0 for n in range(300)}
    body, _ = body_of(generate_report(write_run(tmp_path, [row])))
    assert "The first 200 of 300." in body and "train/199 " in body
    assert "train/200 " not in body
