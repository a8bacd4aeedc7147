"""What went wrong first is named, and a healthy run raises no alarm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxmetrics.record import loads
from jaxmetrics.record._ledger import Ledger
from jaxmetrics.telemetry import (
    Alarms,
    CompileWatch,
    SpikeDetector,
    first_nonfinite,
    name_of,
    skip_update,
    tap,
    taps,
)

LAYERS = 12
WEIGHTS = np.random.default_rng(0).normal(size=(LAYERS, 4, 4)).astype(np.float32)
BROKEN = WEIGHTS.copy()
BROKEN[7, 0, 0] = np.nan
X = np.ones((2, 4), np.float32)


def layer(x, w):
    hidden = tap("hidden", x @ w)
    return tap("out", jnp.tanh(hidden))


def unrolled(weights):
    def forward(weights):
        x = X
        tapped = {}
        for i, w in enumerate(weights):
            with taps() as values:
                x = layer(x, w)
            tapped[f"layer_{i}"] = values
        return x.sum(), tapped

    (loss, tapped), grads = jax.value_and_grad(forward, has_aux=True)(weights)
    return {"forward": tapped, "loss": loss, "grads": grads}, ()


def scanned(weights):
    def body(x, w):
        with taps() as values:
            x = layer(x, w)
        return x, values

    def forward(weights):
        x, tapped = lax.scan(body, X, weights)
        return x.sum(), tapped

    (loss, tapped), grads = jax.value_and_grad(forward, has_aux=True)(weights)
    return {"layers": tapped, "loss": loss, "grads": grads}, "layers/**"


@pytest.mark.parametrize(
    ("model", "name"),
    [(unrolled, "forward/layer_7/hidden"), (scanned, "layers/7/hidden")],
)
def test_the_layer_that_broke_first_is_named(model, name):
    @jax.jit
    def step(weights):
        tree, stacked = model(weights)
        return first_nonfinite(tree, stacked)

    tree, stacked = model(WEIGHTS)
    assert step(WEIGHTS) == -1 and name_of(tree, step(WEIGHTS), stacked) is None
    assert name_of(tree, step(BROKEN), stacked) == name
    shapes = jax.eval_shape(lambda: tree)
    assert name_of(shapes, step(BROKEN), stacked) == name


def test_taps_are_in_the_order_of_execution():
    with taps() as values:
        tap("z_first", jnp.array([jnp.nan]))
        tap("a_second", jnp.array([jnp.nan]))
    assert name_of(values, first_nonfinite(values)) == "z_first"
    left_jit = jax.jit(lambda: values)()
    assert name_of(left_jit, first_nonfinite(values)) == "z_first"


def test_each_place_has_its_name():
    def tree():
        stack = {"attn": np.zeros((3, 2)), "mlp": np.zeros((3, 2))}
        return {
            "embed": np.zeros(2),
            "blocks": stack,
            "head": [np.zeros(1), np.zeros(())],
        }

    names = ["embed", *(f"blocks/{i}/{x}" for i in range(3) for x in ("attn", "mlp"))]
    names += ["head/0", "head/1"]
    seen = set()
    for name in names:
        broken = tree()
        part = broken
        parts = name.split("/")
        at = (int(parts[1]), 1) if parts[0] == "blocks" else ()
        for key in (parts[0], parts[2]) if at else parts:
            part = part[int(key) if isinstance(part, list) else key]
        part[at or ...] = np.nan
        found = first_nonfinite(broken, "blocks/*")
        assert found.dtype == jnp.int32 and int(found) not in seen
        seen.add(int(found))
        assert name_of(broken, found, "blocks/*") == name
    with pytest.raises(IndexError, match="place 9 of a tree with 9 places"):
        name_of(tree(), 9, "blocks/*")
    assert seen == set(range(9))
    assert first_nonfinite({}) == first_nonfinite({"n": jnp.int32(3)}) == -1


def test_stacks_that_are_none_are_named():
    with pytest.raises(ValueError, match="'blocks' matches no array"):
        first_nonfinite({"layers": jnp.ones(3)}, "blocks")
    with pytest.raises(ValueError, match="'b' of shape .*expected 3 layers"):
        first_nonfinite({"a": jnp.ones(3), "b": jnp.ones(4)}, "*")


@pytest.mark.parametrize(
    ("grads", "loss", "max_norm", "skipped"),
    [
        ([3.0, 4.0], 1.0, None, False),
        ([3.0, 4.0], 1.0, 5.0, False),
        ([3.0, 4.0], 1.0, 4.9, True),
        ([3.0, np.nan], None, None, True),
        ([3.0, np.inf], None, 1e9, True),
        ([3.0, 4.0], [1.0, np.nan], None, True),
    ],
)
def test_an_update_is_skipped(grads, loss, max_norm, skipped):
    found = jax.jit(lambda g: skip_update(g, loss, max_norm))(grads)
    assert found.dtype == bool and found.shape == () and bool(found) == skipped


def test_all_devices_skip_when_one_has_a_reason():
    mesh = Mesh(np.array(jax.devices()), ("data",))

    def step(grads):
        return skip_update(grads, axis="data")[None]

    step = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=P("data"), out_specs=P()))
    grads = np.ones(64, np.float32)
    assert not step(grads).any()
    grads[13] = np.nan
    assert step(grads).all()


# Spikes

STEPS = 10_000


def healthy(noise, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: rng.normal(size=STEPS),
        "laplace": lambda: rng.laplace(size=STEPS),
        "student, 5": lambda: rng.standard_t(5, STEPS),
        "lopsided": lambda: rng.exponential(size=STEPS),
    }[noise]
    return 1.5 + 4 * np.exp(-np.arange(STEPS) / 1500) + 0.05 * draw()


@pytest.mark.parametrize("noise", ["normal", "laplace", "student, 5", "lopsided"])
def test_no_alarm_in_10000_steps_of_a_noisy_healthy_loss_but_of_a_spike(noise):
    losses = healthy(noise)
    losses[7000:7004] = [4.0, 9.0, 5.0, 4.0]  # one spike, told once
    detector = SpikeDetector()
    assert [step for step, x in enumerate(losses) if detector.update(x)] == [7000]


def test_rounded_and_constant_losses_do_not_spike():
    rng = np.random.default_rng(0)
    rounded = np.round((2.5 + 0.002 * rng.normal(size=2000)) * 128) / 128
    for losses in (rounded, np.full(200, 3.0), np.r_[np.zeros(200), 1e-9]):
        detector = SpikeDetector()
        assert not any(detector.update(x) for x in losses)


def test_nan_spikes_from_the_first_value_and_never_enters():
    detector = SpikeDetector()
    told = [detector.update(x) for x in (np.nan, np.nan, 1.0, np.inf, 1.0)]
    assert told == [True, False, False, True, False]
    assert not any(detector.update(1.0 + 0.1 * (i % 3)) for i in range(100))
    assert detector.update(5.0)


def test_a_new_level_is_accepted_after_a_while():
    detector = SpikeDetector(patience=32)
    rng = np.random.default_rng(0)
    for x in 2 + 0.05 * rng.normal(size=200):
        assert not detector.update(x)
    told = [detector.update(x) for x in 5 + 0.05 * rng.normal(size=200)]
    assert told[0] and sum(told) == 1
    assert detector.update(9.0)  # and is judged by


def test_what_it_remembers_is_bounded_and_can_be_restored():
    losses, half = healthy("normal"), SpikeDetector()
    losses[700] = 50
    for x in losses[:690]:
        half.update(x)
    state = half.state()
    assert len(state["accepted"]) == 128 and loads(repr(state["furthest"]))
    restored = SpikeDetector()
    restored.load_state(state)
    told = [(half.update(x), restored.update(x)) for x in losses[690:720]]
    assert told == [(i == 10,) * 2 for i in range(30)]
    with pytest.raises(ValueError, match="window=8"):
        SpikeDetector(window=8)


# Alarms


def test_an_alarm_is_an_event_and_a_call(tmp_path):
    ledger = Ledger(tmp_path / "events.jsonl", clock=lambda: 0.0)
    called = []
    alarms = Alarms(spikes=["train/loss"], ledger=ledger, on_alarm=called.append)
    for step in range(100):
        assert alarms.check(step, {"train/loss": jnp.float32(2), "other": "text"}) == []
    (alarm,) = alarms.check(100, {"train/loss": np.float32(np.nan)})
    ledger.close()
    assert called == [alarm] and alarm.kind == "nonfinite"
    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    event = loads(line)
    assert (event["event"], event["step"], event["key"]) == ("alarm", 100, "train/loss")
    assert (event["value"], event["message"]) == ("NaN", "train/loss is nan")


def test_a_value_outside_of_its_limits_is_told_once_until_it_is_back():
    alarms = Alarms(limits={"update/ratio": (1e-6, 0.1), "update/ratio/*": (None, 0.5)})
    values = [0.01, 0.2, 0.3, np.nan, 0.01, 1e-7]
    told = [
        [(a.kind, a.message) for a in alarms.check(step, {"update/ratio": value})]
        for step, value in enumerate(values)
    ]
    assert told == [
        [],
        [("limit", "update/ratio is 0.2, above its limit of 0.1")],
        [],
        [],
        [],
        [("limit", "update/ratio is 1e-07, below its limit of 1e-06")],
    ]
    (alarm,) = alarms.check(9, {"update/ratio/head": 0.6, "update/norm": 1e9})
    assert alarm.key == "update/ratio/head" and alarm.value == 0.6
    with pytest.raises(ValueError, match="limits 2 and 1 of 'x'"):
        Alarms(limits={"x": (2, 1)})


def test_the_first_place_that_is_not_finite_is_told_in_the_same_step():
    tree, stacked = scanned(BROKEN)
    alarms = Alarms(places=lambda index: name_of(tree, index, stacked))
    key = "health/first_nonfinite"
    assert alarms.check(1, {key: jnp.int32(-1)}) == []
    (alarm,) = alarms.check(2, {key: first_nonfinite(tree, stacked)})
    assert alarm.step == 2
    assert alarm.message == "layers/7/hidden is the first that is not finite"
    assert alarms.check(3, {key: jnp.int32(0)}) == []


def test_what_alarms_remember_can_be_restored():
    old, new = (Alarms(spikes=["loss"], limits={"x": (0, 1)}) for _ in range(2))
    for step in range(100):
        old.check(step, {"loss": 2.0, "x": 5.0})
    new.load_state(old.state())
    (alarm,) = new.check(100, {"loss": 9.0, "x": 5.0})  # x was told already
    assert alarm.kind == "spike"


def test_a_function_that_is_compiled_again_after_the_warm_up_is_told_once():
    @jax.jit
    def train_step(x):
        return x * 2

    with CompileWatch("train_*") as watch:
        alarms = Alarms(compiles=watch, warmup=2)
        sizes = [3, 4, 4, 5, 5]
        told = []
        for step, size in enumerate(sizes):
            train_step(np.ones(size, np.float32))
            told += [(a.step, a.kind, a.key) for a in alarms.check(step, {})]
    assert told == [(3, "recompile", "train_step")]
    train_step(np.ones(6, np.float32))
    assert watch.counts == {"train_step": 3}  # it was closed
