"""A training that continues from its last checkpoint and is killed at chosen moments.

It acknowledges numbers that stand for a step and what was done at it: see `Stage`.
"""

import os
import signal
import sys
from enum import IntEnum
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support import warm  # noqa: F401
from support.zygote import serve

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.writers import CSV, TensorBoard

BATCH_SIZE = 8
DATA = np.random.default_rng(7).normal(size=(1024, 3)).astype(np.float32)
STAGE_FACTOR = 10**6


class Stage(IntEnum):
    """What was done at a step; acknowledged as `stage * STAGE_FACTOR + step`."""

    LOGGED = 0
    RESTORED = 1
    SAVING = 2
    SAVED = 3  # completely, on disk
    KILLED_SAVING = 4


class Training:
    """A training loop; its clock advances by half a second per step.

    Args:
      root: Folder of the run and of its checkpoints.
      steps: Number of steps.
      save_every: Steps between checkpoints, which are written in the background.
      deferred: Whether the metrics are deferred.
      without: Part of the state that a faulty loop does not restore.
    """

    def __init__(self, root, steps, save_every=4, deferred=True, without=""):
        self.steps, self.save_every, self.without = steps, save_every, without
        self.deferred = deferred
        self.step = self.restored = 0
        self.before_save = lambda: None
        folder = f"{root}/checkpoints"
        options = ocp.CheckpointManagerOptions(max_to_keep=2)
        self.manager = ocp.CheckpointManager(folder, options=options)
        self.mesh = Mesh(np.array(jax.devices()), ("data",))
        replicated = NamedSharding(self.mesh, P())
        start = {
            "w": jnp.zeros(3),
            "key": jax.random.PRNGKey(0),
            "position": jnp.int32(0),
            "ballast": jnp.zeros(2**16),
        }
        self.state = jax.device_put(start, replicated)
        metrics = jm.Collection(
            loss=jm.Mean("loss"),
            spread=jm.Std("loss"),
            largest=jm.Max("loss"),
            recent=jm.Windowed(jm.Mean("loss"), window=4),
        )
        place = metrics.deferred if deferred else metrics.place
        self.metrics = self.empty = place(self.mesh)
        latest = self.manager.latest_step()
        self.logger = jm.TrainingLogger(
            "p",
            "run",
            root=root,
            writers=[CSV(), TensorBoard()],
            console=False,
            clock=lambda: 1000.0 + self.step / 2,
            resume_step=0 if latest is None else None,
            master_only=False,
        )
        if latest is not None:
            self.restore(latest)

    def restore(self, step):
        self.step = self.restored = step
        if self.without == "cut":
            Sinks.rewind = lambda *_, **__: None
        load = self.logger.load_state
        if self.without == "time":
            self.logger.load_state = lambda state: load(dict(state) | {"time": 0.0})
        template = self.metrics
        restored = checkpoint.restore(self.manager, step, self.logger, metrics=template)
        self.metrics = restored["metrics"]
        item = ocp.args.StandardRestore(self.state)
        state = self.manager.restore(step, args=ocp.args.Composite(state=item))["state"]
        self.check(state, self.metrics)
        if self.without == "host":
            self.metrics = jax.tree.map(forget_on_the_last, self.metrics)
        if self.without == "windows":
            self.metrics = jax.tree_util.tree_map_with_path(
                lambda path, leaf, empty: empty if "recent" in str(path) else leaf,
                self.metrics,
                self.empty,
            )
        if self.without in ("key", "position"):
            state[self.without] = self.state[self.without]
        self.state = state

    def check(self, state, metrics):
        """Check that all parts of a checkpoint are of the same step."""
        assert int(state["position"]) == self.step * BATCH_SIZE
        assert set(np.asarray(state["ballast"])) == {self.step}
        total = metrics.reduce() if self.deferred else metrics
        assert total["loss"].plain()["count"] == self.step * BATCH_SIZE

    def batch(self):
        position = int(self.state["position"])
        rows = DATA[np.arange(position, position + BATCH_SIZE) % len(DATA)]
        sharding = NamedSharding(self.mesh, P("data"))
        return jax.make_array_from_callback(rows.shape, sharding, lambda i: rows[i])

    def train(self):
        while True:
            # After the save of this step, so that a restored run repeats it.
            if self.step and self.step % 5 == 0:
                self.logger.log_step(self.step, split="val", w=self.state["w"].sum())
            if self.step == self.steps:
                break
            self.step += 1
            batch = self.batch()
            self.state, self.metrics, loss = update(self.state, self.metrics, batch)
            yield "updated"
            self.log(loss)
            acknowledge(Stage.LOGGED * STAGE_FACTOR + self.step)
            yield "logged"
            if self.step % self.save_every == 0:
                self.save()
        self.manager.wait_until_finished()

    def log(self, loss):
        more = {"late": 1.0} if self.step > 15 else {}
        tokens = self.step * 4096
        self.logger.log_step(self.step, self.metrics, now=loss, tokens=tokens, **more)
        if jax.process_count() > 1:
            self.logger.log_step(self.step, own=jax.process_index() + self.step / 8)
        if self.step % 7 == 0:
            self.logger.log_text(self.step, note=f"of step {self.step}")

    def save(self):
        self.manager.wait_until_finished()
        if self.manager.latest_step() is not None:
            acknowledge(Stage.SAVED * STAGE_FACTOR + self.manager.latest_step())
        self.before_save()
        item = checkpoint.args(self.logger, metrics=self.metrics)
        state = ocp.args.StandardSave(self.state)
        args = ocp.args.Composite(jaxmetrics=item, state=state)
        self.manager.save(self.step, args=args)
        acknowledge(Stage.SAVING * STAGE_FACTOR + self.step)

    def close(self):
        self.logger.close()
        self.manager.close()


@jax.jit
def update(state, metrics, batch):
    key, noise = jax.random.split(state["key"])
    error = batch @ state["w"] - 1 + 0.1 * jax.random.normal(noise, (BATCH_SIZE,))
    loss = error**2
    state = {
        "w": state["w"] - 0.05 * error @ batch / BATCH_SIZE,
        "key": key,
        "position": state["position"] + BATCH_SIZE,
        "ballast": state["ballast"] + 1,
    }
    return state, metrics.update(loss=loss), loss.mean()


def forget_on_the_last(leaf):
    """Clear the last process's part of a leaf."""
    parts = [shard.data for shard in leaf.addressable_shards]
    if jax.process_index() == jax.process_count() - 1:
        parts = [jnp.zeros_like(part) for part in parts]
    make = jax.make_array_from_single_device_arrays
    return make(leaf.shape, leaf.sharding, parts)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_byte(file, size):
    """Kill this process once a file has `size` bytes, possibly within a line."""
    write = os.write

    def writing(fd, data):
        if os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(file):
            room = size - os.fstat(fd).st_size
            if len(data) > room:
                write(fd, bytes(data)[: max(room, 0)])
                die()
        return write(fd, data)

    os.write = writing


def die_at_event(training, event):
    """Kill this process in a save, before its nth file system call on any thread."""
    events, saving = count(1), []

    def hook(name, _):
        if saving and name.startswith(("open", "os.", "shutil.")):
            if next(events) == event:
                acknowledge(Stage.KILLED_SAVING * STAGE_FACTOR + training.step)
                die()

    training.before_save = lambda: saving.append(training.step)
    sys.addaudithook(hook)


def main(root, last=None, at=None, byte=None, event=None, port=None, **options):
    if port is not None:
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    training = Training(root, **options)
    acknowledge(Stage.RESTORED * STAGE_FACTOR + training.restored)
    if byte is not None:
        file = training.logger.run_dir / "metrics.jsonl"
        die_at_byte(file, file.stat().st_size + byte)
    if event is not None:
        die_at_event(training, event)
    for phase in training.train():
        done = training.step - training.restored
        if last is not None and done >= last and phase == at:
            die()
    training.close()


if __name__ == "__main__":
    arguments, rank, acknowledge = serve()
    main(**arguments)
