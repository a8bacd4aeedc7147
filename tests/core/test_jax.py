"""Each use of jax beyond its documentation raises if jax no longer has it."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from support.processes import run_python

import jaxmetrics as jm
from jaxmetrics.core import _jax
from jaxmetrics.telemetry import CompileWatch, count_flops

REMOVED = {
    "jax.core.Tracer": lambda: _jax.is_tracer(0),
    "jax.sharding.get_abstract_mesh": _jax.manual_axes,
    "jax.lax.pcast": lambda: _jax.mark_varying(0, ("x",)),
    "jax.sharding.use_abstract_mesh": lambda: _jax.with_auto_axes(abs, None, (), 0, 0),
    "jax.sharding.auto_axes": lambda: _jax.with_auto_axes(abs, None, (), 0, 0),
    "jax.extend.core.get_opaque_trace_state": _jax.trace_token,
    "jax._src.xla_bridge.backends_are_initialized": _jax.backends_are_initialized,
    "jax._src.distributed.global_state": _jax.CoordinationService.connected,
    "jax.monitoring.register_event_duration_secs_listener": lambda: CompileWatch(),
    "jax.monitoring.unregister_event_duration_listener": lambda: CompileWatch(),
    "jax._src.dispatch.JAXPR_TRACE_EVENT": lambda: CompileWatch(),
    "jax._src.dispatch.JAXPR_TO_MLIR_MODULE_EVENT": lambda: CompileWatch(),
    "jax._src.dispatch.BACKEND_COMPILE_EVENT": lambda: CompileWatch(),
    "jax._src.dispatch.log_elapsed_time": lambda: CompileWatch(),
    "jax.stages.Traced": lambda: _jax.arguments_read(jax.jit(abs), 1.0),
}
"""Attributes of modules, each with a call that needs it."""


class Without:
    """An object of jax without some of its attributes."""

    def __init__(self, value, *missing):
        self._value = value
        self._missing = missing

    def __getattr__(self, name):
        if name in self._missing:
            raise AttributeError(name)
        return getattr(self._value, name)


def raises_version():
    return pytest.raises(RuntimeError, match=f"^jax {jax.__version__} has no ")


@pytest.mark.parametrize("path", REMOVED)
def test_a_missing_attribute_is_an_error_with_the_version_of_jax(path, monkeypatch):
    monkeypatch.delattr(path)
    with raises_version() as error:
        REMOVED[path]()
    assert path in str(error.value) or "fun_name" in str(error.value)


def test_a_value_reduced_before_is_not_counted_again_when_jax_hides_it(monkeypatch):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    total = jm.Sum("loss")

    def step(x):
        loss = jax.lax.pmean(x.mean(), "data")
        return total.from_model_output(loss=loss).reduce("data")

    reduce = jax.shard_map(step, mesh=mesh, in_specs=P("data"), out_specs=P())
    assert float(reduce(jnp.ones(8)).compute()) == 1.0
    typeof = jax.typeof
    monkeypatch.setattr(jax, "typeof", lambda x: Without(typeof(x), "mat", "vma"))
    with raises_version() as error:
        reduce(jnp.ones(8))
    assert "aval.mat.varying" in str(error.value)


def test_values_outside_shard_map_vary_along_no_axis_in_any_version(monkeypatch):
    typeof = jax.typeof
    monkeypatch.setattr(jax, "typeof", lambda x: Without(typeof(x), "mat", "vma"))
    assert _jax.varying_axes(jnp.ones(3)) == frozenset()


def test_the_sharding_of_a_type_is_required(monkeypatch):
    typeof = jax.typeof
    monkeypatch.setattr(jax, "typeof", lambda x: Without(typeof(x), "sharding"))
    with raises_version():
        _jax.array_sharding(jnp.ones(3))


def test_the_manual_axes_of_a_mesh_are_required(monkeypatch):
    mesh = Without(jax.sharding.get_abstract_mesh(), "manual_axes")
    monkeypatch.setattr(jax.sharding, "get_abstract_mesh", lambda: mesh)
    with raises_version():
        _jax.manual_axes()


def client_without(*missing):
    return Without(
        types.SimpleNamespace(
            **dict.fromkeys(_jax.CoordinationService.METHODS, lambda *a: None)
        ),
        *missing,
    )


@pytest.mark.parametrize("method", _jax.CoordinationService.METHODS)
def test_each_method_of_the_coordination_service_is_required(method, monkeypatch):
    from jax._src import distributed

    monkeypatch.setattr(distributed.global_state, "client", client_without(method))
    with raises_version() as error:
        _jax.CoordinationService.connected()
    assert method in str(error.value)


def test_the_client_of_the_coordination_service_is_required(monkeypatch):
    from jax._src import distributed

    state = Without(distributed.global_state, "client")
    monkeypatch.setattr(distributed, "global_state", state)
    with raises_version():
        _jax.CoordinationService.connected()


def service_with_error(text):
    def fail(*args):
        raise jax.errors.JaxRuntimeError(text)

    methods = dict.fromkeys(_jax.CoordinationService.METHODS, fail)
    return _jax.CoordinationService(types.SimpleNamespace(**methods))


def test_status_codes_of_the_service_become_values():
    timed_out = service_with_error("DEADLINE_EXCEEDED: GetKeyValue() timed out")
    assert timed_out.get("key", 1.0) is None
    taken = service_with_error("ALREADY_EXISTS: Config key key already exists.")
    assert taken.set("key", b"value") is False


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "NOT_FOUND"])
def test_other_status_codes_of_the_service_are_raised(code):
    service = service_with_error(f"{code}: DEADLINE_EXCEEDED ALREADY_EXISTS")
    for call in (lambda: service.get("key", 1.0), lambda: service.set("key", b"")):
        with pytest.raises(jax.errors.JaxRuntimeError, match=code):
            call()


@pytest.mark.parametrize("text", ["Timed out.", "Deadline exceeded: key", ""])
def test_an_error_without_a_status_code_names_the_version_of_jax(text):
    service = service_with_error(text)
    for call in (lambda: service.get("key", 1.0), lambda: service.set("key", b"")):
        with pytest.raises(RuntimeError, match=f"^jax {jax.__version__}: an error of"):
            call()


def test_compile_events_without_function_names_are_refused(monkeypatch):
    monkeypatch.setattr("jax._src.dispatch.log_elapsed_time", lambda event: None)
    with raises_version():
        _jax.on_runtime_event(print)


def test_a_compilation_is_reported_in_three_steps_with_its_function():
    events = []
    stop = _jax.on_runtime_event(events.append)

    def reported_function(x):
        return x + 1

    jax.jit(reported_function)(1.0)
    stop()
    stop()
    jax.jit(lambda x: reported_function(x) * 2)(1.0)
    named = [e.kind for e in events if e.function == "reported_function"]
    assert named == ["trace", "lower", "compile"]
    assert all(e.seconds >= 0 for e in events)
    assert {e.function for e in events}.isdisjoint({"<lambda>"})


def test_events_can_be_cleared_by_others():
    stop = _jax.on_runtime_event(print)
    jax.monitoring.clear_event_listeners()
    stop()


def equation_without(*path):
    """Return an equation of which the last attribute of a path is missing."""
    (equation,) = _jax.traced_program(
        jnp.matmul, jnp.ones((2, 2)), jnp.ones((2, 2))
    ).eqns
    *objects, missing = path
    value = equation
    for name in objects:
        value = getattr(value, name)
    value = Without(value[0] if isinstance(value, list) else value, missing)
    for name in reversed(objects):
        value = types.SimpleNamespace(**{name: [value] if "vars" in name else value})
    return _jax.Equation(value)


@pytest.mark.parametrize(
    ("path", "attribute"),
    [
        (("primitive", "name"), "name"),
        (("params",), "params"),
        (("invars",), "operands"),
        (("invars", "aval"), "input_shapes"),
        (("outvars", "aval"), "output_shapes"),
        (("outvars",), "output_shapes"),
        (("source_info", "name_stack"), "recomputed"),
    ],
)
def test_each_attribute_of_an_equation_is_required(path, attribute):
    with raises_version():
        getattr(equation_without(*path), attribute)


def test_the_parameters_of_a_primitive_are_required():
    equation = _jax.Equation(
        types.SimpleNamespace(primitive=types.SimpleNamespace(name="scan"), params={})
    )
    with raises_version() as error:
        equation.param("length")
    assert "'length' of the primitive 'scan'" in str(error.value)


def test_the_equations_of_a_program_are_required():
    with raises_version():
        list(_jax.equations(object()))


@pytest.mark.parametrize(
    "name", ["scan", "cond", "while", "dot_general", "conv_general_dilated"]
)
def test_a_renamed_primitive_is_an_error_of_count_flops(name, monkeypatch):
    real = _jax.Equation.name.fget
    renamed = property(lambda self: real(self).replace(name, "renamed"))
    monkeypatch.setattr(_jax.Equation, "name", renamed)
    with raises_version() as error:
        count_flops(jnp.matmul, np.ones((2, 2)), np.ones((2, 2)))
    assert repr(name) in str(error.value)


def test_recomputation_without_a_mark_is_an_error_of_count_flops(monkeypatch):
    monkeypatch.setattr(_jax.Equation, "recomputed", False)
    with raises_version() as error:
        count_flops(jnp.matmul, np.ones((2, 2)), np.ones((2, 2)))
    assert "rematted_computation" in str(error.value)


@pytest.mark.parametrize("attribute", ["args_info", "jaxpr"])
def test_each_attribute_of_a_traced_step_is_required(attribute, monkeypatch):
    monkeypatch.delattr(jax.stages.Traced, attribute)
    with raises_version():
        _jax.arguments_read(jax.jit(lambda x: x + 1), 1.0)


def test_arguments_that_a_step_reads_are_found():
    step = jax.jit(lambda state, batch: state + batch["x"])
    arguments = _jax.arguments_read(step, 1.0, {"x": 2.0, "mask": True})
    assert [read for _, read in arguments] == [True, False, True]
    assert _jax.arguments_read(lambda x: x, 1.0) is None
    assert _jax.arguments_read(types.SimpleNamespace(trace=lambda x: x), 1.0) is None


def test_all_uses_are_there_in_this_version_of_jax():
    for use in _jax.jax_uses():
        use.check()


@pytest.mark.parametrize("use", _jax.jax_uses(), ids=lambda use: use.name)
def test_the_check_of_each_use_fails_without_it(use, monkeypatch):
    def missing(name, purpose=""):
        raise _jax._missing(name, purpose)

    typeof = jax.typeof
    monkeypatch.delattr("jax.core.Tracer")
    monkeypatch.setattr(
        jax, "typeof", lambda x: Without(typeof(x), "mat", "vma", "sharding")
    )
    monkeypatch.setattr(_jax, "_lookup", lambda path, purpose: missing(path))
    monkeypatch.setattr(_jax.Equation, "param", lambda self, name: missing(name))
    monkeypatch.setattr(_jax.Equation, "name", "renamed")
    outputs = property(lambda self: missing("outvars"))
    monkeypatch.setattr(_jax.Equation, "results", outputs)
    with raises_version():
        use.check()


def test_checking_all_uses_starts_no_backend():
    script = """
        from jaxmetrics.core import backends_are_initialized, jax_uses
        assert not backends_are_initialized()
        for use in jax_uses():
            use.check()
        assert not backends_are_initialized()
        print("ok")
    """
    assert run_python(script).stdout == "ok\n"
