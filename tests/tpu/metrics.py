"""The metrics of all cases in one program, and the one that a fault comes from."""

import cases
import jax
import numpy as np
from support.laws import draw
from tpu.programs import compiled, mesh_of, program_of

import jaxmetrics as jm

ROWS = 8  # a device
CASES = cases.sample(16)


def together(kind, chosen):
    """The metrics of cases, and a device's outputs: those of one shape are shared.

    A deferred update is without those that refuse the parts of a batch.
    """
    metrics, outputs = {}, {"mask": np.ones(ROWS, bool)}
    for case in chosen:
        if kind == "deferred update" and "total reduced" in case.without:
            continue
        arguments = {output: argument for argument, output in case.reads.items()}
        drawn = draw(case, ROWS)
        names = {name: f"{name} {x.dtype}{x.shape}" for name, x in drawn.items()}
        outputs |= {names[name]: x for name, x in drawn.items()}
        metrics[case.name] = case.metric.on(
            **{arguments.get(name, name): names[name] for name in drawn}
        )
    return jm.Collection(**metrics), outputs


def compile_cases(kind, mesh, chosen=CASES):
    """The program of cases' metrics, see `programs.KINDS`."""
    return compiled(*program_of(kind, *together(kind, chosen), mesh))


def compile_for_topology(kind, topology):
    """Compile the program of all cases; the arguments are plain, for a worker."""
    return compile_cases(kind, mesh_of(topology))


def lower_wide(kind, mesh, chosen=CASES):
    """What jax writes for the compiler where float64 is allowed."""
    function, operands = program_of(kind, *together(kind, chosen), mesh)
    with jax.enable_x64(True):
        return jax.jit(function).lower(*operands).as_text()


def complaint(chosen, make, check, made=None):
    """A case whose program alone has what `check` finds in that of all, and what.

    Args:
      chosen: the cases.
      make: gives the program of some cases.
      check: gives what is wrong with a program; nothing if it is right. A program that
        cannot be made is wrong.
      made: gives the program of all the chosen, where `make` did its work already.
    """

    def fault(some, make=make):
        try:
            return check(make(some))
        except Exception as error:  # whatever it is, the metric is to be named
            return f"{type(error).__name__}: {error}"

    found = fault(chosen, (lambda _: made()) if made else make)
    return f"{_guilty(chosen, fault)}: {found}" if found else ""


def _guilty(chosen, fault):
    while len(chosen) > 1:
        middle = len(chosen) // 2
        halves = chosen[:middle], chosen[middle:]
        guilty_half = next((half for half in halves if fault(half)), None)
        if guilty_half is None:
            return f"{[case.name for case in chosen]} together"
        chosen = guilty_half
    return repr(chosen[0].name)
