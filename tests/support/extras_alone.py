"""Install each extra alone in an empty environment, and use what it is for.

    python tests/support/extras_alone.py WHEEL [EXTRA ...] --python 3.13 --jax 0.10.0

Without names it takes all extras but `test`. It downloads packages for each of them.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.buckets import emulated_bucket
from support.extras import EXTRAS
from support.newest_python import interpreter

RUN = """
    import jaxmetrics as jm

    options = dict(console=False, overwrite=True)
    logger = jm.TrainingLogger("extras", "run", **options, {})
    with logger:
        for step in range(1, 9):
            logger.log_step(step, loss=1 / step)
"""
CHECKPOINT = """
    import orbax.checkpoint as ocp, pathlib
    import jaxmetrics as jm

    folder = pathlib.Path("checkpoints").absolute()
    with (
        jm.TrainingLogger("extras", "saved") as logger,
        ocp.CheckpointManager(folder) as manager,
    ):
        metrics = jm.Mean().update(values=2.0)
        logger.log_step(1, metrics)
        args = jm.checkpoint.args(logger, metrics=metrics)
        manager.save(1, args=ocp.args.Composite(jaxmetrics=args))
        manager.wait_until_finished()
        back = jm.checkpoint.restore(manager, 1, logger, metrics=metrics.empty())
    assert back["metrics"].compute() == 2.0
"""
USES = {
    "flax": """
        import jax.numpy as jnp, jaxmetrics as jm
        from flax import nnx, serialization

        metrics = jm.interop.nnx.Metrics(jm.Collection(loss=jm.Mean("loss")))
        metrics.update(loss=jnp.float32(3))
        assert metrics.compute()["loss"] == 3
        assert jm.interop.linen.TrainState
        state = serialization.to_state_dict(jm.Mean().update(values=1.0))
        assert serialization.from_state_dict(jm.Mean(), state).compute() == 1
    """,
    "optax": """
        import jax.numpy as jnp, optax, jaxmetrics as jm

        tx = optax.chain(jm.telemetry.monitor(), optax.sgd(0.5))
        params = {"w": jnp.ones(4)}
        state = tx.init(params)
        updates, state = tx.update({"w": jnp.ones(4)}, state, params)
        injected = optax.inject_hyperparams(optax.adam)(learning_rate=0.5)
        rates = jm.telemetry.learning_rates(injected.init(params))
        assert 0.5 in [float(rate) for rate in rates.values()], rates
    """,
    "orbax": CHECKPOINT,
    "clu": """
        import clu.metrics, flax, numpy as np, jaxmetrics as jm

        @flax.struct.dataclass
        class Both(clu.metrics.Collection):
            ours: jm.Mean
            theirs: clu.metrics.Average.from_output("values")

        both = Both.single_from_model_output(values=np.ones(3, np.float32)).compute()
        assert both["ours"] == both["theirs"] == 1
        assert jm.interop.clu.from_clu(clu.metrics.Average)
    """,
    "tensorboard": RUN.format("writers=[jm.writers.TensorBoard()]")
    + """
    assert list(logger.run_dir.glob("tensorboard/events*")), "no events"
    assert logger.counters()["tensorboard"]["written"] == 8
""",
    "wandb": RUN.format("writers=[jm.writers.WandB('offline', every=1)]")
    + """
    assert logger.counters()["wandb"]["written"] == 8
    assert list(logger.run_dir.glob("wandb/**/*.wandb"))
""",
    "plots": RUN.format("")
    + """
    assert jm.runs.generate_all_plots(logger.run_dir)
    jm.runs.generate_report(logger.run_dir)
    assert (logger.run_dir / "training_report.md").exists()
    import numpy as np
    logits, labels = np.float32([[0, 1], [1, 0]]), np.int32([1, 0])
    jm.ConfusionMatrix(2).update(logits=logits, labels=labels).plot()
""",
    "pandas": RUN.format("")
    + """
    frame = jm.Run.load(logger.run_dir).to_pandas()
    jm.runs.export(logger.run_dir, "run.parquet", "parquet")
    import pandas
    assert len(frame) == len(pandas.read_parquet("run.parquet")) == 8
""",
    "view": RUN.format("")
    + """
    import subprocess, sys, re, urllib.request
    command = [sys.executable, "-m", "jaxmetrics", "view", "runs", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\\S+", server.stdout.readline())[0]
        assert urllib.request.urlopen(address, timeout=60).status == 200
    finally:
        server.terminate()
        server.wait()
""",
    "gcs": RUN.format("mirror='gs://bucket/runs'")
    + """
    assert len(jm.Run.load("gs://bucket/runs/extras/run")) == 8
""",
    "telemetry": """
        import pathlib, jax.numpy as jnp, jaxmetrics as jm

        pathlib.Path("config.yaml").write_text("telemetry:\\n  collect_every_n: 1\\n")
        config = jm.TelemetryConfig.from_yaml("config.yaml")
        assert config.collect_every_n == 1
        with jm.TrainingLogger("extras", "run") as logger:
            telemetry = jm.TrainingTelemetry(config, logger=logger)
            stats = jm.telemetry.collect(1, grads={"w": jnp.ones(4)}, every=1)
            params = {"w": jnp.ones(4)}
            telemetry.on_batch_end(stats, step=1, batch_idx=0, epoch=0, params=params)
            telemetry.close()
        assert (logger.run_dir / "telemetry" / "telemetry.jsonl").exists()
    """,
    "demo": """
        from jaxmetrics.cli import main

        assert main(["demo", "--short"]) == 0
    """,
    "tpu-aot": """
        import os
        os.environ.update(TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost")
        import jax, numpy as np, jaxmetrics as jm
        from jax.experimental import topologies

        chips = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
        place = jax.sharding.SingleDeviceSharding(chips.devices[0])
        values = jax.ShapeDtypeStruct((8,), np.float32, sharding=place)
        update = jax.jit(lambda values: jm.Mean().update(values=values))
        assert update.lower(values).compile().as_text()
    """,
}
USES["all"] = "".join(
    textwrap.dedent(USES[name]) for name in ("orbax", "tensorboard", "pandas", "clu")
)


def main() -> None:
    """Try the extras, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--python", help="version or path; default: the running one")
    parser.add_argument("--jax", help="version; default: the newest")
    options = parser.parse_args()
    wanted = options.python or sys.executable
    python = wanted if Path(wanted).is_file() else interpreter(wanted)
    assert python, f"there is no Python {wanted}"
    failed = []
    for extra in options.extras or [x for x in EXTRAS if x != "test"]:
        with tempfile.TemporaryDirectory() as folder:
            error = use(
                extra, options.wheel.resolve(), python, options.jax, Path(folder)
            )
        print(f"{extra}: {error or 'works'}", flush=True)
        failed += [extra] * bool(error)
    if failed:
        sys.exit(f"These extras do not work alone: {', '.join(failed)}")


def use(
    extra: str, wheel: Path, python: str, jax: str | None, folder: Path
) -> str | None:
    """Return what went wrong, or None."""
    environment = folder / "environment"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    interpreter = str(environment / "bin" / "python")
    wanted = [f"{wheel}[{extra}]", *([f"jax=={jax}"] if jax else [])]
    pip = [sys.executable, "-m", "pip", "--python", interpreter]
    install = [*pip, "install", "--quiet", "--no-compile", *wanted]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        return done.stderr[-2000:]
    (folder / "empty").mkdir()
    with contextlib.ExitStack() as stack:
        variables = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}
        if extra == "gcs":
            variables |= stack.enter_context(emulated_bucket())[0]
        done = subprocess.run(
            [interpreter, "-P", "-c", textwrap.dedent(USES[extra])],
            cwd=folder / "empty",
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )
    return (done.stdout + done.stderr)[-3000:] if done.returncode else None


if __name__ == "__main__":
    main()
