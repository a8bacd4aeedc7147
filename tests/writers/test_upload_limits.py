"""Limits of uploads: bytes, rows per minute, keys."""

import numpy as np

from jaxmetrics.writers._upload_limits import ByteBudget


def test_a_budget_thins_each_split_by_itself():
    budget = ByteBudget(100_000.0, used=80_000)
    refused = [
        (n % 2, budget.refusal(10, "train" if n % 2 else "val")) for n in range(8)
    ]
    assert [r for split, r in refused if split] == ["thin", None, "thin", None]
    assert [r for split, r in refused if not split] == ["thin", None, "thin", None]


def test_a_budget_never_exceeds_its_limit():
    random = np.random.default_rng(0)
    budget = ByteBudget(50_000.0)
    for _ in range(2000):
        size, alarm = int(random.integers(50, 3000)), bool(random.random() < 0.1)
        budget.refusal(size, "train", alarm=alarm)
    assert 44_000 < budget.used <= 50_000 - 4096


def test_without_a_limit_everything_is_sent():
    budget = ByteBudget(None)
    assert {budget.refusal(10**9, "train") for _ in range(10)} == {None}
