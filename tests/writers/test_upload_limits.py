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


@pytest.mark.parametrize(("used", "refusal"), [(79_999, None), (80_000, "thin")])
def test_rows_are_thinned_from_80_percent_on(used, refusal):
    assert ByteBudget(100_000.0, used).refusal(1, "train") == refusal


@pytest.mark.parametrize(("alarm", "reserve"), [(False, 4096 + 1000), (True, 4096)])
def test_rows_and_alarms_are_sent_up_to_their_reserves(alarm, reserve):
    budget, size = ByteBudget(100_000.0), 100_000 - reserve
    assert budget.refusal(size + 1, "train", alarm=alarm) == "full"
    assert budget.refusal(size, "train", alarm=alarm) is None
    assert budget.used == size


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


@pytest.mark.parametrize("key", ["x", "x" * 256])
def test_the_shortest_and_the_longest_key_are_accepted(key):
    assert Keys(10).fault(key) is None


def test_keys_are_accepted_up_to_their_capacity():
    keys = Keys(2)
    assert [keys.fault(key) for key in ("a", "b", "a")] == [None] * 3
    assert "2 different keys" in keys.fault("c")
    assert keys.fault("b") is None
