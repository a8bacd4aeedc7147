"""Checks pass on a machine that works, and fail where something is broken."""

import os

import jax
import pytest
from support.processes import run_python

from jaxmetrics.cli import main
from jaxmetrics.core import jax_uses
from jaxmetrics.doctor import Check
from jaxmetrics.doctor._arithmetic import two_sum_is_exact
from jaxmetrics.doctor._check import ensure, run_check
from jaxmetrics.doctor._machine import devices, undocumented_jax, versions
from jaxmetrics.record import loads

USES = [use.name for use in jax_uses()]
NAMES = ["versions", "devices", *["jax"] * len(USES)]
NAMES += ["two-sum", "counts", "sums", "reduce", "writers", "orbax"]


def test_all_checks_pass_on_a_working_machine(tmp_path, capsys):
    assert main(["doctor", "--root", str(tmp_path)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == NAMES
    assert all(line.startswith("ok    ") for line in lines)
    assert last == f"all {len(NAMES)} checks passed"
    assert "jax 0." in lines[0] and "jaxmetrics " in lines[0]
    assert "8 x cpu (cpu)" in lines[1]
    for use, line in zip(USES, lines[2:]):
        assert line.startswith(f"ok    jax       {use} (")
    assert "8 local devices are right" in lines[-3]
    assert "JSONL, CSV, TensorBoard" in lines[-2]
    assert list(tmp_path.iterdir()) == []  # temporary files are deleted


def test_inexact_arithmetic_of_a_compiler_fails_the_checks_of_sums():
    script = """
    import sys
    from jaxmetrics.cli import main
    sys.exit(main(["doctor", "--json", "--root", sys.argv[1]]))
    """
    flags = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true", "JAX_PLATFORMS": "cpu"}
    process = run_python(script, "/dev/null", env=os.environ | flags)
    assert process.returncode == 1, process.stderr
    assert process.stdout, process.stderr
    report = loads(process.stdout)
    failed = {check["name"]: check for check in report["checks"] if not check["passed"]}
    assert report["passed"] is False
    assert {"two-sum", "sums", "writers"} <= set(failed)
    assert set(failed) <= {"two-sum", "sums", "writers", "reduce"}
    assert "lost their error under jit" in failed["two-sum"]["detail"]
    assert "XLA_FLAGS" in failed["two-sum"]["advice"]
    assert "NotADirectoryError" in failed["writers"]["detail"]


def test_sums_that_lose_their_rounding_error_are_counted():
    check = run_check("x", lambda: two_sum_is_exact(lambda a, b: (a + b, 0 * a)), "Go.")
    assert not check.passed
    assert check.detail.endswith("of 4,096 sums lost their error under jit")


def test_a_check_that_raises_fails_with_the_first_line_of_its_error():
    def broken():
        raise OSError("the first line\nthe second")

    assert run_check("x", broken, "Go.") == Check(
        "x", False, "OSError: the first line", "Go."
    )
    wrong = run_check("x", lambda: str(ensure(False, "3, not 4")), "Go.")
    assert wrong.line() == "FAIL  x         3, not 4. Go."
    assert run_check("x", lambda: "fine", "Go.").line() == "ok    x         fine"
    sentence = run_check("x", lambda: str(ensure(False, "It is 3.")), "Go.")
    assert sentence.line() == "FAIL  x         It is 3. Go."


def test_a_use_that_this_version_of_jax_breaks_fails_its_check(monkeypatch):
    monkeypatch.delattr("jax.extend.core.get_opaque_trace_state")
    failed = [check for check in undocumented_jax() if not check.passed]
    (check,) = failed
    assert check.name == "jax"
    assert f"jax {jax.__version__} has no jax.extend.core.get_opaque" in check.detail
    assert check.advice == "Do not rely on this until then: telemetry.taps."


def test_an_old_package_is_named():
    required = ["numpy>=2.0", 'absent>=1; extra == "a"']
    assert versions(required).split(", ")[2].startswith("numpy 2.")
    with pytest.raises(Exception, match=r"numpy is 2\..*, expected at least 99.1"):
        versions(["numpy>=99.1"])
    with pytest.raises(Exception, match="no-such-package is not installed"):
        versions(["no-such-package>=1"])


def test_an_accelerator_that_jax_does_not_use_is_named(tmp_path):
    card = tmp_path / "nvidia0"
    card.touch()
    chosen = jax.config.jax_platforms
    assert devices([str(card)]) == "8 x cpu (cpu)"  # the CPU was chosen
    jax.config.update("jax_platforms", None)
    try:
        with pytest.raises(Exception, match="but there is an accelerator, .*nvidia0"):
            devices([str(card)])
        assert devices([str(tmp_path / "none")]) == "8 x cpu (cpu)"
    finally:
        jax.config.update("jax_platforms", chosen)
