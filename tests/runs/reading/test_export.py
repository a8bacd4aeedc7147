import json
import math
import sys

import pytest
from support.runs import write_run

from jaxmetrics.runs import Run, export
from jaxmetrics.runs.reading import export_chunks

ROWS = [
    {"step": 1, "split": "val", "time": 0.5, "val/loss": 4.0},
    {"step": 2, "split": "train", "time": 1.0, "tokens": 10, "train/loss": "NaN"},
]


@pytest.fixture
def run(tmp_path):
    return Run.load(write_run(tmp_path / "run", ROWS))


def test_csv_has_an_empty_cell_where_a_record_has_no_value(run, tmp_path):
    assert export(run, tmp_path / "a.csv", "csv").read_text() == (
        "step,split,time,tokens,val/loss,train/loss\n"
        "1,val,0.5,,4.0,\n"
        "2,train,1.0,10,,nan\n"
    )


def test_json_has_no_member_where_a_record_has_no_value(run, tmp_path):
    rows = json.loads(export(run, tmp_path / "a.json", "json").read_text())
    assert rows == ROWS


def test_parquet_has_a_null_where_a_record_has_no_value(run, tmp_path):
    from pyarrow import parquet

    table = parquet.read_table(export(run, tmp_path / "a.parquet", "parquet"))
    columns = table.to_pydict()
    assert columns["split"] == ["val", "train"]
    assert columns["tokens"] == [None, 10] and columns["val/loss"] == [4.0, None]
    assert columns["train/loss"][0] is None and math.isnan(columns["train/loss"][1])


@pytest.fixture
def with_arrays(tmp_path):
    rows = [
        {"step": 1, "split": "val", "confusion": [[1, 2], [3, "NaN"]], "top": [1]},
        {"step": 2, "split": "val", "confusion": [[5, 6], [7, 8]], "top": [[2]]},
        {"step": 3, "split": "val", "loss": 1.0},
    ]
    return Run.load(write_run(tmp_path / "run", rows)), rows


def test_arrays_are_lists_in_json(with_arrays, tmp_path):
    run, rows = with_arrays
    assert json.loads(export(run, tmp_path / "a.json", "json").read_text()) == rows


def test_arrays_of_one_rank_are_lists_in_parquet(with_arrays, tmp_path):
    from pyarrow import parquet

    run, _ = with_arrays
    with pytest.warns(UserWarning, match="arrays of top are left out. Export json"):
        path = export(run, tmp_path / "a.parquet", "parquet")
    columns = parquet.read_table(path).to_pydict()
    assert columns["confusion"][1:] == [[[5.0, 6.0], [7.0, 8.0]], None]
    assert math.isnan(columns["confusion"][0][1][1]) and "top" not in columns


def test_arrays_of_integers_are_integers_in_json_and_parquet(tmp_path):
    from pyarrow import parquet

    rows = [{"step": n, "split": "val", "ids": [n, 2**60 + n]} for n in (1, 2)]
    run = Run.load(write_run(tmp_path / "run", rows))
    assert '"ids":[1,1152921504606846977]' in export(
        run, tmp_path / "a.json", "json"
    ).read_text().replace(" ", "")
    table = parquet.read_table(export(run, tmp_path / "a.parquet", "parquet"))
    assert str(table.schema.field("ids").type.value_type) == "int64"
    assert table.to_pydict()["ids"] == [row["ids"] for row in rows]


def test_arrays_are_left_out_of_csv_with_a_notice(with_arrays, tmp_path):
    run, _ = with_arrays
    with pytest.warns(UserWarning, match="CSV has no arrays.*confusion, top are left"):
        path = export(run, tmp_path / "a.csv", "csv")
    assert path.read_text() == "step,split,loss\n1,val,\n2,val,\n3,val,1.0\n"


def test_counts_that_are_not_integers_are_kept(tmp_path):
    rows = [{"step": 1, "split": "train", "tokens": 1.5, "samples": 2}]
    run = Run.load(write_run(tmp_path / "run", rows))
    text = b"".join(export_chunks(run, "csv")).decode()
    assert text == "step,split,tokens,samples\n1,train,1.5,2\n"


@pytest.mark.parametrize("count", [4095, 4096, 4097, 8193])
@pytest.mark.parametrize("format", ["csv", "json"])
def test_every_record_is_in_one_chunk(tmp_path, count, format):
    rows = [{"step": n, "split": "train", "x": n} for n in range(count)]
    run = Run.load(write_run(tmp_path / "run", rows))
    text = b"".join(export_chunks(run, format)).decode()
    if format == "json":
        steps = [row["step"] for row in json.loads(text) if row["x"] == row["step"]]
    else:
        steps = [int(line.split(",")[0]) for line in text.splitlines()[1:]]
    assert steps == list(range(count))


def test_a_run_without_records_is_exported_as_an_empty_table(tmp_path):
    run = Run.load(write_run(tmp_path / "run", []))
    assert b"".join(export_chunks(run, "csv")) == b"step,split\n"
    assert b"".join(export_chunks(run, "json")) == b"[]\n"


def test_a_project_has_the_records_of_all_its_runs_after_their_names(
    tmp_path, monkeypatch
):
    from pyarrow import parquet

    one = {"step": 1, "split": "train", "train/lr": 0.1, "ids": [1, 2]}
    two = {"step": 1, "split": "val", "lr/lr": 0.2, "run": 7.0, "ids": [3]}
    for name, row in (("=one", one), ("two", two)):
        write_run(tmp_path / "runs" / "sweep" / name, [row], run_name=name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.warns(UserWarning, match="arrays of ids are left out"):
        assert export("sweep", "~/a.csv", "csv").read_text() == (
            "run,step,split,lr/lr,run (2)\n'=one,1,train,0.1,\ntwo,1,val,0.2,7.0\n"
        )
    path = export([Run.load("sweep/=one"), Run.load("sweep/two")], "a.json", "json")
    rows = json.loads(path.read_text())
    assert rows == [
        {"run": "=one", "step": 1, "split": "train", "lr/lr": 0.1, "ids": [1, 2]},
        {"run": "two", "step": 1, "split": "val", "lr/lr": 0.2, "run (2)": 7.0}
        | {"ids": [3]},
    ]
    with pytest.raises(IsADirectoryError, match="a folder.*runs/metrics.csv"):
        export("sweep", "runs", "csv", overwrite=True)
    table = parquet.read_table(export("sweep/*", "a.parquet", "parquet"))
    found = [{k: v for k, v in r.items() if v is not None} for r in table.to_pylist()]
    assert found == rows


def test_names_cannot_be_formulas_in_a_spreadsheet(tmp_path):
    rows = [{"step": 1, "split": "=1+1", "=cmd()": 1.0}]
    run = Run.load(write_run(tmp_path / "run", rows))
    text = b"".join(export_chunks(run, "csv")).decode()
    assert text == "step,split,'=cmd()\n1,'=1+1,1.0\n"


def test_an_existing_file_is_replaced_only_with_overwrite(run, tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    export(run.path, path, "csv")
    with pytest.raises(FileExistsError, match="exists. Move it away, .*overwrite=True"):
        export(run, path, "csv")
    assert export(run, path, "csv", overwrite=True) == path


def test_an_unknown_format_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="format='xml'; expected one of"):
        export(run, tmp_path / "a.xml", "xml")


def test_parquet_without_pyarrow_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install"):
        export(run, tmp_path / "a.parquet", "parquet")
