"""Metrics as an nnx module: in-place updates, jit, split, saving, donation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.interop.nnx import Metrics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 16, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, (5, 16)).astype(np.int32)


def collection():
    return jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy())


def mesh_of(kind=AxisType.Auto):
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(kind,))


def loss_of(model, x, labels):
    logits = model(x)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), (losses, logits)


def train(metrics, name, donate=False):
    """Train on all batches; `name` is the output under which metrics read the loss."""
    model = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    traces = []

    def step(model, optimizer, metrics, x, labels):
        traces.append(None)
        (_, (losses, logits)), grads = nnx.value_and_grad(loss_of, has_aux=True)(
            model, x, labels
        )
        optimizer.update(model, grads)
        metrics.update(**{name: losses}, logits=logits, labels=labels)

    step = nnx.jit(step, donate_argnames=("metrics",) if donate else ())
    for x, labels in zip(X, LABELS):
        step(model, optimizer, metrics, x, labels)
    return metrics.compute(), len(traces)


@pytest.mark.parametrize("donate", [False, True])
def test_a_loop_gives_the_values_of_a_multimetric_and_traces_once(donate):
    expected, _ = train(
        nnx.MultiMetric(loss=nnx.metrics.Average(), accuracy=nnx.metrics.Accuracy()),
        "values",
    )
    values, traces = train(Metrics(collection()), "loss", donate)
    assert traces == 1
    assert values["loss"] == pytest.approx(float(expected["loss"]), rel=1e-6)
    assert values["accuracy"] == pytest.approx(float(expected["accuracy"]), rel=1e-6)


def test_a_metric_can_be_a_member_of_a_multimetric():
    both = nnx.MultiMetric(own=Metrics(jm.Accuracy()), flax=nnx.metrics.Accuracy())
    logits, labels = jnp.asarray(X[0][:, :3]), jnp.asarray(LABELS[0])
    both.update(logits=logits, labels=labels, mask=LABELS[0] < 2)
    values = both.compute()
    assert values["own"] == pytest.approx(float(values["flax"]), rel=1e-6)
    both.reset()
    assert np.isnan(both.compute()["own"])


def test_every_leaf_is_a_variable_under_its_name():
    metrics = Metrics(collection())
    flat = nnx.to_flat_state(nnx.state(metrics, nnx.metrics.MetricState))
    assert {"/".join(path) for path, _ in flat} == {
        "state/accuracy/correct",
        "state/accuracy/invalid",
        "state/accuracy/total",
        "state/loss/count",
        "state/loss/total",
    }
    assert "accuracy=Accuracy(" in repr(metrics)


def test_a_reset_does_not_retrace_or_move_the_state():
    mesh = mesh_of()
    metrics = Metrics(collection().place(mesh))
    traces = []

    @nnx.jit
    def step(metrics, x, labels):
        traces.append(None)
        metrics.update(loss=1.0, logits=x, labels=labels)

    rows = NamedSharding(mesh, P("data"))
    x, labels = jax.device_put((X[0][:, :3], LABELS[0]), rows)
    step(metrics, x, labels)
    before = metrics.compute()
    metrics.reset()
    assert np.isnan(metrics.compute()["loss"])
    assert metrics.metrics["loss"].count.sharding.mesh == mesh
    step(metrics, x, labels)
    assert metrics.compute() == before
    assert len(traces) == 1


def test_a_reset_in_the_step_empties_the_metrics():
    metrics = Metrics(collection())

    @nnx.jit
    def step(metrics, loss):
        metrics.reset()
        metrics.update(loss=loss, logits=X[0], labels=LABELS[0])

    step(metrics, 1.0)
    step(metrics, 3.0)
    assert metrics.compute()["loss"] == 3.0


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_deferred_state_has_no_collective_and_traces_once(kind):
    mesh = mesh_of(kind)
    metrics = Metrics(collection().deferred(mesh))
    graph, state = nnx.split(metrics)
    traces = []

    def step(state, x, labels):
        traces.append(None)
        metrics = nnx.merge(graph, state)
        metrics.update(loss=x[:, 0], logits=x[:, :3], labels=labels)
        return nnx.state(metrics)

    step = jax.jit(step, donate_argnums=0)
    rows = NamedSharding(mesh, P("data"))
    batches = [jax.device_put(batch, rows) for batch in zip(X, LABELS)]
    text = step.lower(state, *batches[0]).compile().as_text()
    assert "all-reduce" not in text and "all-gather" not in text
    for batch in batches:
        state = step(state, *batch)
    assert len(traces) == 1
    nnx.update(metrics, state)
    expected = jm.evaluate(
        collection(),
        loss=X[..., 0].ravel(),
        logits=X[..., :3].reshape(-1, 3),
        labels=LABELS.ravel(),
    )
    values = metrics.compute()
    assert values["accuracy"] == expected["accuracy"]
    assert values["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    metrics.reset()
    assert np.isnan(metrics.compute()["loss"])


def test_orbax_saves_and_restores_the_state_of_the_module(tmp_path):
    import orbax.checkpoint as ocp

    metrics, fresh = Metrics(collection()), Metrics(collection())
    metrics.update(loss=2.0, logits=X[0][:, :3], labels=LABELS[0])
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "saved", nnx.state(metrics))
        checkpointer.wait_until_finished()
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, nnx.state(fresh))
        nnx.update(fresh, checkpointer.restore(tmp_path / "saved", target))
    assert fresh.compute() == metrics.compute()
    fresh.update(loss=4.0, logits=X[1][:, :3], labels=LABELS[1])
    assert fresh.compute()["loss"] == 3.0


def test_the_value_is_immutable_and_can_be_assigned():
    metrics = Metrics(collection())
    before = metrics.metrics
    metrics.update(loss=2.0, logits=X[0][:, :3], labels=LABELS[0])
    assert np.isnan(before.compute()["loss"])
    other = Metrics(collection())
    other.assign(metrics.metrics)
    assert other.compute() == metrics.compute()
    with pytest.raises(TypeError, match="expected a state of"):
        other.assign(jm.Accuracy())


def test_a_module_is_updated_in_grad_and_scan_as_an_argument():
    metrics = Metrics(jm.Mean("loss"))

    def loss(w, metrics):
        metrics.update(loss=w)
        return w**2

    assert nnx.grad(loss)(3.0, metrics) == 6.0
    assert metrics.compute() == 3.0

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def each(metrics, x):
        metrics.update(loss=x)
        return metrics

    each(metrics, jnp.array([6.0, 9.0]))
    assert metrics.compute() == 6.0


def within(transform):
    return lambda function: transform(function)(jnp.ones(2))


@pytest.mark.parametrize(
    "run",
    [
        within(jax.jit),
        within(nnx.jit),
        within(jax.vmap),
        within(jax.checkpoint),
        lambda function: jax.grad(function)(1.0),
        lambda function: nnx.grad(function)(1.0),
        lambda function: lax.scan(lambda c, _: (function(c), None), 1.0, length=2),
    ],
)
def test_updating_a_module_that_is_not_an_argument_is_an_error(run):
    metrics = Metrics(jm.Mean("loss"))

    def function(x):
        metrics.update(loss=x)
        return x

    with pytest.raises(RuntimeError, match="Metrics.update: .* not among its argument"):
        run(function)
    with pytest.raises(RuntimeError, match="Metrics.reset: .* not among its argument"):
        run(lambda x: (metrics.reset(), x)[1])
    assert np.isnan(metrics.compute())


def test_a_module_created_in_a_trace_is_an_error_outside():
    created = []

    @jax.jit
    def step(x):
        metrics = Metrics(jm.Mean("loss"))
        metrics.update(loss=x)
        created.append(metrics)
        return x

    step(1.0)
    with pytest.raises(RuntimeError, match="Metrics.compute: .* has ended"):
        created[0].compute()
    with pytest.raises(RuntimeError, match="Metrics.update: .* has ended"):
        created[0].update(loss=1.0)


def test_a_donated_state_is_an_error_until_the_result_is_stored():
    metrics = Metrics(jm.Mean("loss"))
    graph, state = nnx.split(metrics)

    def step(state, loss):
        metrics = nnx.merge(graph, state)
        metrics.update(loss=loss)
        return nnx.state(metrics)

    new = jax.jit(step, donate_argnums=0)(state, 2.0)
    for use in (metrics.compute, metrics.reset, lambda: metrics.update(loss=1.0)):
        with pytest.raises(RuntimeError, match="nnx.update.metrics, state."):
            use()
    nnx.update(metrics, new)
    assert metrics.compute() == 2.0


def test_an_abstract_module_is_an_error():
    abstract = nnx.eval_shape(lambda: Metrics(jm.Mean("loss")))
    with pytest.raises(RuntimeError, match="types but no arrays"):
        abstract.compute()


def test_a_missing_output_is_the_error_of_the_metric():
    with pytest.raises(TypeError, match="needs output 'loss'"):
        Metrics(jm.Mean("loss")).update(losses=1.0)


def test_a_module_is_logged_and_evaluated_as_its_metrics(tmp_path):
    metrics = Metrics(collection())
    batches = [{"x": X[0]}, {"x": X[1][:5]}]

    @jax.jit
    def step(_, metrics, batch):
        x, labels = batch["x"], jnp.zeros(len(batch["x"]), int)
        outputs = dict(loss=x[:, 0], logits=x, labels=labels, mask=batch["mask"])
        return metrics.update(**outputs)

    values = jm.evaluate_loop(step, None, batches, metrics)
    assert float(values["loss"]) == pytest.approx(
        np.concatenate([b["x"][:, 0] for b in batches]).mean(), rel=1e-6
    )
    with jm.TrainingLogger("p", "r", tmp_path, console=False) as logger:
        for number in range(1, 4):
            metrics.update(loss=float(number), logits=X[0], labels=LABELS[0])
            logger.log_step(number, metrics)
            metrics.reset()
    run = jm.Run.load(logger.run_dir)
    assert run["train/loss"][1].tolist() == [1.0, 2.0, 3.0]
    assert not run.bad
