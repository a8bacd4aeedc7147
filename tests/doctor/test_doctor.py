"""The checks of a machine pass where all is well, and find what is broken."""

import os

import jax
import pytest
from support.processes import run_python

from jaxmetrics.cli import main
from jaxmetrics.doctor import Check
from jaxmetrics.doctor._arithmetic import two_sum_is_exact
from jaxmetrics.doctor._check import ensure, run_check
from jaxmetrics.doctor._machine import devices, versions
from jaxmetrics.record import loads

NAMES = ["versions", "devices", "two-sum", "counts", "sums", "reduce", "writers"]


def test_every_check_passes_on_a_machine_that_is_well(tmp_path, capsys):
    assert main(["doctor", "--root", str(tmp_path)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [*NAMES, "orbax"]
    assert all(line.startswith("ok    ") for line in lines)
    assert last == "all 8 checks passed"
    assert "jax 0." in lines[0] and "jaxmetrics " in lines[0]
    assert "8 x cpu (cpu)" in lines[1]
    assert "8 local devices are right" in lines[5]
    assert "JSONL, CSV, TensorBoard" in lines[6]
    assert list(tmp_path.iterdir()) == []  # it leaves nothing there


def test_arithmetic_that_a_compiler_makes_inexact_is_found():
    script = """
    import sys
    from jaxmetrics.cli import main
    sys.exit(main(["doctor", "--json", "--root", sys.argv[1]]))
    """
    flags = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true", "JAX_PLATFORMS": "cpu"}
    done = run_python(script, "/dev/null", env=os.environ | flags)
    assert done.returncode == 1, done.stderr
    told = loads(done.stdout)
    failed = {check["name"]: check for check in told["checks"] if not check["passed"]}
    assert told["passed"] is False
    assert {"two-sum", "sums", "writers"} <= set(failed)
    assert set(failed) <= {"two-sum", "sums", "writers", "reduce"}
    assert "lost their error under jit" in failed["two-sum"]["found"]
    assert "XLA_FLAGS" in failed["two-sum"]["advice"]
    assert "NotADirectoryError" in failed["writers"]["found"]


def test_a_sum_without_its_error_is_counted():
    found = run_check("x", lambda: two_sum_is_exact(lambda a, b: (a + b, 0 * a)), "Go.")
    assert not found.passed
    assert found.found.endswith("of 4,096 sums lost their error under jit")


def test_what_a_check_raises_is_what_it_found():
    def broken():
        raise OSError("the first line\nthe second")

    assert run_check("x", broken, "Go.") == Check(
        "x", False, "OSError: the first line", "Go."
    )
    wrong = run_check("x", lambda: str(ensure(False, "3, not 4")), "Go.")
    assert wrong.line() == "FAIL  x         3, not 4. Go."
    assert run_check("x", lambda: "fine", "Go.").line() == "ok    x         fine"


def test_an_old_package_is_named():
    needed = ["numpy>=2.0", 'absent>=1; extra == "a"']
    assert versions(needed).split(", ")[2].startswith("numpy 2.")
    with pytest.raises(Exception, match=r"numpy is 2\..*, and 99.1 is needed"):
        versions(["numpy>=99.1"])
    with pytest.raises(Exception, match="no-such-package is not installed"):
        versions(["no-such-package>=1"])


def test_an_accelerator_that_jax_does_not_use_is_named(tmp_path):
    card = tmp_path / "nvidia0"
    card.touch()
    chosen = jax.config.jax_platforms
    assert devices([str(card)]) == "8 x cpu (cpu)"  # somebody chose the CPU
    jax.config.update("jax_platforms", None)
    try:
        with pytest.raises(Exception, match="but there is an accelerator, .*nvidia0"):
            devices([str(card)])
        assert devices([str(tmp_path / "none")]) == "8 x cpu (cpu)"
    finally:
        jax.config.update("jax_platforms", chosen)
