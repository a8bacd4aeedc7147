"""Limits of uploads: bytes, rows per minute, keys."""

import numpy as np
import pytest

from jaxmetrics.writers._upload_limits import ByteBudget, Keys, TokenBucket


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


def test_a_bucket_allows_bursts_and_limits_the_mean_rate():
    now = [0.0]
    bucket = TokenBucket(1000, 60.0, lambda: now[0])
    assert sum(bucket.take() for _ in range(1500)) == 1000
    now[0] += 0.061
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] += 3600.0
    assert sum(bucket.take() for _ in range(1500)) == 1000
    now[0] -= 100.0  # a clock that is set back adds no tokens
    assert not bucket.take()


@pytest.mark.parametrize("key", [3, None, "", "_private", "x" * 257])
def test_a_refused_key_has_a_reason_every_time(key):
    keys = Keys(10)
    assert keys.fault(key) and keys.fault(key)


def test_keys_are_accepted_up_to_their_capacity():
    keys = Keys(2)
    assert [keys.fault(key) for key in ("a", "b", "a")] == [None] * 3
    assert "2 different keys" in keys.fault("c")
    assert keys.fault("b") is None
