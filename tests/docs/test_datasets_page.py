"""The examples of docs/datasets.md run as printed and print what they should."""

import runpy
from pathlib import Path

import pytest
from support.readme import examples

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
EXPECTED_OUTPUTS = [
    "'train_alpaca/tokens_seen': 7.0",
    "'train_web/shard_count_3'",
    "{'train_web/loss_recent': 2.0, 'train_web/loss_spread': 2.0}",
    "{'train_web/tokens_seen': 912.0, 'train_web/avg_tokens_seen': 304.0}",
    "{'train_code/loss': 2.5, 'train_web/loss': 2.5}",
]


@pytest.mark.parametrize(
    ("code", "expected"), list(zip(examples(PAGE), EXPECTED_OUTPUTS, strict=True))
)
def test_an_example_prints_its_totals(code, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "example.py"
    path.write_text(code)
    runpy.run_path(str(path), run_name="example")
    assert expected in capsys.readouterr().out
