"""The base alone does its part, and a missing package names the extra to install."""

import json
import os
import re
import subprocess
import sys

import pytest
from support.extras import EXTRAS, PROJECT, distribution, distributions
from support.readme import examples

ROWS = {
    "TensorBoard": (
        "tensorboard",
        "import jaxmetrics as jm, pathlib\n"
        "jm.writers.TensorBoard().open(pathlib.Path('.'), None)",
    ),
    "WandB": (
        "wandb",
        "import jaxmetrics as jm, pathlib\n"
        "jm.writers.WandB('offline').open(pathlib.Path('.'), None)",
    ),
    "plots": (
        "plots",
        "import jaxmetrics as jm\njm.runs.generate_all_plots(RUN)",
    ),
    "to_pandas": ("pandas", "import jaxmetrics as jm\njm.Run.load(RUN).to_pandas()"),
    "parquet": (
        "pandas",
        "import jaxmetrics as jm\njm.runs.export(RUN, 'metrics.parquet', 'parquet')",
    ),
    "checkpoint.args": (
        "orbax",
        "import jaxmetrics as jm\njm.checkpoint.args(None, metrics=jm.Mean())",
    ),
    "checkpoint.restore": (
        "orbax",
        "import jaxmetrics as jm\njm.checkpoint.restore(None, 1, None)",
    ),
    "monitor": ("optax", "import jaxmetrics as jm\njm.telemetry.monitor()"),
    "interop.nnx": ("flax", "import jaxmetrics as jm\njm.interop.nnx"),
    "interop.linen": ("flax", "import jaxmetrics as jm\njm.interop.linen"),
    "interop.clu": ("clu", "import jaxmetrics as jm\njm.interop.clu.from_clu(int)"),
    "compute_value": (
        "clu",
        "import jaxmetrics as jm\njm.Mean().update(values=1.0).compute_value()",
    ),
    "from_yaml": (
        "telemetry",
        "import jaxmetrics as jm\njm.TelemetryConfig.from_yaml('training.yaml')",
    ),
    "view": ("view", "import jaxmetrics as jm\njm.runs.view('.')"),
    "mirror": (
        "gcs",
        "import jaxmetrics as jm\njm.Run.load('gs://bucket/project/run')",
    ),
    "demo": (
        "demo",
        "import sys\nfrom jaxmetrics.cli import main\nsys.exit(main(['demo']))",
    ),
}
"""A feature, by the extra that installs its packages, and code that uses it."""

CHILD = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("error")
blocked, rows, base = json.loads(sys.stdin.read())
sys.modules |= dict.fromkeys(blocked)  # None: as if it were not installed
import jaxmetrics as jm

with jm.TrainingLogger("extras", "run", writers=[jm.writers.JSONL()]) as logger:
    logger.log_step(1, loss=1.0)

def complaint(code):
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            exec(code, {"RUN": logger.run_dir, "__name__": "child"})
    except BaseException as error:
        return f"{type(error).__name__}: {error} {shown.getvalue()}"

print(json.dumps([{name: complaint(code) for name, code in rows.items()},
                  [complaint(code) for code in base]]))
"""


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory):
    """Return the error text of each row, and of each example of the README."""
    blocked = "tensorboardX google_crc32c tensorboard wandb PIL matplotlib pandas "
    blocked += "pyarrow orbax tensorstore optax flax clu yaml etils starlette uvicorn "
    blocked += "fsspec gcsfs"
    rows = {name: code for name, (_, code) in ROWS.items()}
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([blocked.split(), rows, examples()]),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("base"),
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    complaints, base = json.loads(run.stdout.splitlines()[-1])
    return complaints, base


@pytest.mark.parametrize("feature", ROWS)
def test_a_missing_package_names_the_extra(feature, without_extras):
    extra, _ = ROWS[feature]
    complaint = without_extras[0][feature]
    assert complaint is not None, "it works without the extra"
    assert re.match("(ImportError|ModuleNotFoundError|SystemExit): ", complaint)
    assert "is not installed" in complaint
    assert f"pip install jaxmetrics[{extra}]" in complaint
    assert extra in EXTRAS


def test_the_readme_runs_with_the_base_alone(without_extras):
    assert without_extras[1] == [None] * len(examples())


def test_the_base_is_thin():
    names = {distribution(line) for line in PROJECT["dependencies"]}
    assert names == {"numpy", "jax", "rich", "orjson"}


def test_all_is_every_extra_but_tpu_aot_and_test():
    installed = set(distributions("all"))
    for extra in set(EXTRAS) - {"all", "test", "tpu-aot"}:
        assert set(distributions(extra)) <= installed, extra
    assert "libtpu" not in installed and "pytest" not in installed
    assert installed <= set(distributions("test"))


def test_the_demo_checks_packages_that_its_extra_installs():
    from jaxmetrics.demo import _command

    required = {name.split("-")[0] for name in distributions("demo")}
    assert set(_command._PACKAGES) <= required
