"""The five parts of the seeds in one loop, killed at chosen moments and resumed.

A logger, performance, telemetry, an aggregator, epochs and a metrics log are fed side
by side, saved by one call and restored by one call.
"""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support import warm  # noqa: F401
from support.zygote import serve

import jaxmetrics as jm
from jaxmetrics.writers import CSV, TensorBoard

BATCH_SIZE, EPOCH, SAVE, COLLECT = 8, 5, 4, 3
INPUTS = np.random.default_rng(7).normal(size=(256, 8)).astype(np.float32)
LABELS = (INPUTS.sum(axis=1) > 0).astype(np.int32)
TX = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
SPECS = {"backbone": P("data"), "head": P()}


def logits_of(params, x):
    return jnp.tanh(x @ params["backbone"]) @ params["head"]


def loss_of(params, x, labels):
    logits = logits_of(params, x)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), dict(loss=losses, logits=logits, labels=labels)


class Training:
    """A training loop; its clock advances by half a second per step.

    Args:
      root: Folder of the run and of its checkpoints.
      steps: Number of steps.
      wait: True to wait until a checkpoint is complete, False to go on meanwhile.
    """

    def __init__(self, root, steps, wait=False):
        self.steps, self.wait = steps, wait
        self.manager = ocp.CheckpointManager(
            f"{root}/checkpoints", options=ocp.CheckpointManagerOptions(max_to_keep=2)
        )
        mesh = Mesh(np.array(jax.devices()), ("data",))
        self.shardings = {name: NamedSharding(mesh, s) for name, s in SPECS.items()}
        params = {"backbone": jnp.ones((8, 8)) / 8, "head": jnp.ones((8, 2))}
        params = jax.device_put(params, self.shardings)
        replicated = NamedSharding(mesh, P())
        self.state = params, jax.jit(TX.init, out_shardings=replicated)(params)
        self.step = self.restored = self.manager.latest_step() or 0
        self.begin(f"{root}/runs", mesh, params)
        if self.restored:
            item = ocp.args.StandardRestore(self.state)
            args = ocp.args.Composite(state=item)
            self.state = tuple(self.manager.restore(self.step, args=args)["state"])

    def begin(self, root, mesh, params):
        """Create what measures and records, and restore it."""
        clock = self.clock
        self.logger = jm.TrainingLogger(
            "p", "run", root, writers=[CSV(), TensorBoard()], clock=clock
        )
        self.performance = jm.PerformanceTracker(params=params)
        self.telemetry = jm.TrainingTelemetry(
            jm.TelemetryConfig(collect_every_n=COLLECT), logger=self.logger, clock=clock
        )
        self.telemetry.set_holdout_data(INPUTS[:9], LABELS[:9], logits_of)
        self.epochs = jm.EpochTracker(self.logger.run_dir, clock=clock)
        self.log = jm.MetricsLog.open(f"{self.logger.run_dir}/log{self.suffix}.jsonl")
        self.aggregator = jm.MetricsAggregator()
        parts = ("performance", "epochs", "aggregator", "log")
        self.logger.attach(**{name: getattr(self, name) for name in parts})
        self.metrics = jm.checkpoint.restore(
            self.manager,
            None,
            self.logger,
            metrics=jm.Collection(
                loss=jm.Mean("loss"), accuracy=jm.Accuracy()
            ).deferred(mesh),
        )["metrics"]

    def train(self):
        for n in range(self.restored + 1, self.steps + 1):
            self.step, (epoch, index) = n, divmod(n - 1, EPOCH)
            if index == 0 or n == self.restored + 1:
                self.epochs.start_epoch(epoch)
            x, labels = self.batch(INPUTS), self.batch(LABELS)
            self.state, self.metrics, loss, norm, stats = update(
                self.state, self.metrics, n, x, labels
            )
            rate, norm = self.state[1].hyperparams["learning_rate"], float(norm)
            yield "updated"
            tokens = [n] * (1 + jax.process_index())
            self.aggregator.update("alpaca", jm.AggregationType.DISTRIBUTION, n=tokens)
            self.performance.update(local_batch_size=BATCH_SIZE, output=loss)
            where = dict(step=n, batch_idx=index, epoch=epoch, params=self.state[0])
            self.telemetry.on_batch_end(stats, **where, batch=LABELS[n:][:BATCH_SIZE])
            self.epochs.log_batch(loss=loss, lr=rate, samples=BATCH_SIZE)
            self.log.record(jm.MetricsEntry(n, 500.0 * n, loss, norm, 16.0))
            self.logger.log_step(
                n,
                self.metrics,
                lr=rate,
                grad_norm=norm,
                **self.aggregator.get_metrics_for_logging(),
            )
            if index == EPOCH - 1:
                self.epochs.end_epoch(self.state[0])
            acknowledge(n)
            yield "logged"
            self.save(jm.checkpoint.args(self.logger, metrics=self.metrics))
        self.manager.wait_until_finished()

    def save(self, item):
        if self.step % SAVE == 0:
            self.manager.wait_until_finished()
            state = ocp.args.StandardSave(self.state)
            args = ocp.args.Composite(jaxmetrics=item, state=state)
            self.manager.save(self.step, args=args)
            if self.wait:
                self.manager.wait_until_finished()

    def batch(self, array):
        rows = array[np.arange(self.step, self.step + BATCH_SIZE) % len(array)]
        sharding = self.shardings["backbone"]
        return jax.make_array_from_callback(rows.shape, sharding, lambda i: rows[i])

    @property
    def suffix(self):
        return f".p{jax.process_index()}" if jax.process_index() else ""

    def clock(self):
        return 1000.0 + self.step / 2

    def close(self):
        self.telemetry.close()
        self.logger.close()
        self.manager.close()


@jax.jit
def update(state, metrics, n, x, labels):
    params, opt_state = state
    (loss, outputs), grads = jax.value_and_grad(loss_of, has_aux=True)(
        params, x, labels
    )
    updates, opt_state = TX.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    norm = optax.tree.norm(grads)
    stats = jm.telemetry.collect(n, grads=grads, opt_state=opt_state, every=COLLECT)
    return (params, opt_state), metrics.update(**outputs), loss, norm, stats


def forget(name):
    """Let the loop not restore an attached object."""
    restore = jm.checkpoint.restore

    def restore_others(manager, step, logger, **templates):
        forgotten = {name: logger.attached[name]}
        logger.attach(**dict.fromkeys(forgotten))
        restored = restore(manager, step, logger, **templates)
        logger.attach(**forgotten)
        return restored

    jm.checkpoint.restore = restore_others


def main(root, last=None, at=None, port=None, without=None, **options):
    """Train to the end, or until this process kills itself.

    Args:
      root: Folder of the run and of its checkpoints.
      last: Number of steps of this process before it kills itself.
      at: Moment of the kill within the step: `"updated"` or `"logged"`.
      port: Port of a pod of two processes.
      without: Name of an attached object that is not restored.
      options: More arguments of `Training`.
    """
    if port is not None:
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    if without is not None:
        forget(without)
    training = Training(root, **options)
    acknowledge(training.restored)
    for phase in training.train():
        done = training.step - training.restored
        if last is not None and done >= last and phase == at:
            os.kill(os.getpid(), signal.SIGKILL)
    training.close()


if __name__ == "__main__":
    arguments, rank, acknowledge = serve()
    main(**arguments)
