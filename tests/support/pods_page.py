"""The program of docs/pods.md in forks, with the clock of a test and a signal.

Each step takes `STEP_SECONDS` by that clock.
"""

import os
import sys
from pathlib import Path

import jax
import optax  # noqa: F401, before the forks, which then need not import it
import orbax.checkpoint  # noqa: F401
from support import warm  # noqa: F401
from support.readme import examples
from support.zygote import serve

import jaxmetrics as jm

STEP_SECONDS = 10_000.0
PAGE = Path(__file__).parents[2] / "docs" / "pods.md"


def main(
    machine, folder, steps, port, processes, devices, begin, victim, at, kill_signal
):
    """Run the program as one process of a pod.

    Args:
      machine: Local folder of the process.
      folder: Folder that all processes see.
      steps: Number of steps.
      port: Port of the coordination service.
      processes: Number of processes.
      devices: Number of devices of this process.
      begin: Seconds since the epoch at which this attempt begins.
      victim: Process that gets a signal.
      at: Step after whose log_step it gets the signal; 0 for none.
      kill_signal: The signal.
    """

    class Logger(jm.TrainingLogger):
        done = 0

        def __init__(self, *arguments, **options):
            clock = dict(clock=lambda: begin + STEP_SECONDS * self.done)
            super().__init__(*arguments, **options, **clock, console=False)

        def log_step(self, step, *arguments, **values):
            self.done += 1
            super().log_step(step, *arguments, **values)
            if rank == victim and step == at:
                os.kill(os.getpid(), kill_signal)

    jm.TrainingLogger = Logger
    jax.config.update("jax_num_cpu_devices", devices)
    Path(machine).mkdir(exist_ok=True)
    os.chdir(machine)
    sys.argv = (
        f"train.py {folder} --steps {steps} --coordinator 127.0.0.1:{port}".split()
    )
    sys.argv += f"--processes {processes} --rank {rank}".split()
    (program,) = examples(PAGE)
    exec(compile(program, "train.py", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    arguments, rank, acknowledge = serve()
    main(**arguments)
