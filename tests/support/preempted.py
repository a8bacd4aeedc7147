"""A training that goes on from its last checkpoint, and is killed as it is told to be.

What it acknowledges is a step, and what was done with it: see `Said`.
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
from support.zygote import serve

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.pipeline._sink import Sinks
from jaxmetrics.writers import CSV, JSONL, TensorBoard

ROWS = 8  # in a batch
DATA = np.random.default_rng(7).normal(size=(1024, 3)).astype(np.float32)
MANY = 10**6


class Said(IntEnum):
    """What an acknowledgement is about: this times `MANY`, and the step."""

    LOGGED = 0
    RESTORED = 1
    SAVING = 2
    SAVED = 3  # all of it, on the disk
    KILLED_SAVING = 4


class Training:
    """The loop; its clock goes on by half a second a step.

    Args:
      root: The folder of the run, its checkpoints beside it.
      steps: After so many it is done.
      save_every: Steps between checkpoints, which are written while it goes on.
      deferred: Whether the metrics are.
      without: What it forgets to restore, as no loop should.
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
        everywhere = NamedSharding(self.mesh, P())
        start = {
            "w": jnp.zeros(3),
            "key": jax.random.PRNGKey(0),
            "position": jnp.int32(0),
            "ballast": jnp.zeros(2**16),
        }
        self.state = jax.device_put(start, everywhere)
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
            writers=[JSONL(), CSV(), TensorBoard()],
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
        back = checkpoint.restore(self.manager, step, self.logger, metrics=template)
        self.metrics = back["metrics"]
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
        """All parts of a checkpoint are those of its step."""
        assert int(state["position"]) == self.step * ROWS
        assert set(np.asarray(state["ballast"])) == {self.step}
        whole = metrics.reduce() if self.deferred else metrics
        assert whole["loss"].plain()["count"] == self.step * ROWS

    def batch(self):
        position = int(self.state["position"])
        rows = DATA[np.arange(position, position + ROWS) % len(DATA)]
        shared = NamedSharding(self.mesh, P("data"))
        return jax.make_array_from_callback(rows.shape, shared, lambda i: rows[i])

    def train(self):
        while True:
            # After the save of this step: who goes on from there does it again.
            if self.step and self.step % 5 == 0:
                self.logger.log_step(self.step, split="val", w=self.state["w"].sum())
            if self.step == self.steps:
                break
            self.step += 1
            batch = self.batch()
            self.state, self.metrics, loss = update(self.state, self.metrics, batch)
            yield "updated"
            self.log(loss)
            acknowledge(Said.LOGGED * MANY + self.step)
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
            acknowledge(Said.SAVED * MANY + self.manager.latest_step())
        self.before_save()
        item = checkpoint.args(self.logger, metrics=self.metrics)
        state = ocp.args.StandardSave(self.state)
        args = ocp.args.Composite(jaxmetrics=item, state=state)
        self.manager.save(self.step, args=args)
        acknowledge(Said.SAVING * MANY + self.step)

    def close(self):
        self.logger.close()
        self.manager.close()


@jax.jit
def update(state, metrics, batch):
    key, noise = jax.random.split(state["key"])
    error = batch @ state["w"] - 1 + 0.1 * jax.random.normal(noise, (ROWS,))
    loss = error**2
    state = {
        "w": state["w"] - 0.05 * error @ batch / ROWS,
        "key": key,
        "position": state["position"] + ROWS,
        "ballast": state["ballast"] + 1,
    }
    return state, metrics.update(loss=loss), loss.mean()


def forget_on_the_last(leaf):
    """A leaf without what the last process had of it."""
    parts = [shard.data for shard in leaf.addressable_shards]
    if jax.process_index() == jax.process_count() - 1:
        parts = [jnp.zeros_like(part) for part in parts]
    make = jax.make_array_from_single_device_arrays
    return make(leaf.shape, leaf.sharding, parts)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_byte(file, size):
    """Be killed when a file has so many bytes, be it amid a line."""
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
    """Be killed in a save, before its nth call of the file system, on any thread."""
    events, saving = count(1), []

    def hook(name, _):
        if saving and name.startswith(("open", "os.", "shutil.")):
            if next(events) == event:
                acknowledge(Said.KILLED_SAVING * MANY + training.step)
                die()

    training.before_save = lambda: saving.append(training.step)
    sys.addaudithook(hook)


def main(root, last=None, at=None, byte=None, event=None, port=None, **options):
    if port is not None:
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    training = Training(root, **options)
    acknowledge(Said.RESTORED * MANY + training.restored)
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
    given, rank, acknowledge = serve()
    main(**given)
