"""Uses of jax that its public documentation does not promise, each with a guard.

This is the only file that names such attributes. Every function looks its attribute
up when it is called and raises an error that names the version of jax if it is gone.
None falls back to a default: `varying_axes`, for example, decides which devices hold
different values, and an empty set in its place would count a loss that is already
averaged over eight devices eight times, without a word.

`jax_uses()` lists the uses with a test of each; `jaxmetrics doctor` runs them. Nothing
here runs when the module is imported, and no function starts a backend.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

with contextlib.suppress(ImportError):  # is_tracer raises if it is gone
    import jax.core


def is_tracer(x: object) -> bool:
    """Return whether a value is being traced, by jit or grad for example."""
    try:
        return isinstance(x, jax.core.Tracer)
    except AttributeError:
        raise _missing("jax.core.Tracer", "to tell traced values from arrays") from None


def varying_axes(x: Any) -> frozenset[str]:
    """Return the manual mesh axes along which an array differs between devices.

    It is empty outside `shard_map`, and inside one with `check_vma=False`.

    Raises:
      RuntimeError: This version of jax does not say, and there are manual axes.
    """
    aval = jax.typeof(x)
    try:
        return aval.mat.varying
    except AttributeError:
        pass
    try:
        return aval.vma
    except AttributeError:
        if not manual_axes():
            return frozenset()
        raise _missing(
            "aval.mat.varying or aval.vma",
            "to tell values that are reduced over devices from values that are not",
        ) from None


def abstract_mesh() -> AbstractMesh:
    """Return the mesh of the enclosing `shard_map` or `jax.set_mesh`."""
    return _lookup("jax.sharding.get_abstract_mesh", "to find the mesh in use")()


def manual_axes() -> tuple[str, ...]:
    """Return the mesh axes of the enclosing `shard_map` or pmap."""
    mesh = abstract_mesh()
    try:
        return tuple(mesh.manual_axes)
    except AttributeError:
        raise _missing(
            "AbstractMesh.manual_axes", "to find the axes of an enclosing shard_map"
        ) from None


def mark_varying(x: Any, axes: tuple[str, ...]) -> Any:
    """Return the same array, marked as varying along manual axes."""
    pcast = _lookup("jax.lax.pcast", "to mark values as varying along an axis")
    return pcast(x, axes, to="varying")


def array_sharding(x: Any) -> Any:
    """Return the sharding in the type of an array, which a tracer has too."""
    aval = jax.typeof(x)
    try:
        return aval.sharding
    except AttributeError:
        raise _missing(
            "jax.typeof(x).sharding", "to find the mesh of a value"
        ) from None


def with_auto_axes(
    function: Callable[[Any], Any],
    mesh: Any,
    axes: tuple[str, ...],
    argument: Any,
    out: Any,
) -> Any:
    """Return `function(argument)`, traced with Explicit mesh axes turned to Auto.

    Args:
      function: Function of the argument.
      mesh: Mesh of the argument's arrays.
      axes: Axes that are Explicit.
      argument: Tree of arrays.
      out: Partition of the output, a tree or one for all.
    """
    use = "to compute on meshes with Explicit axes"
    use_abstract_mesh = _lookup("jax.sharding.use_abstract_mesh", use)
    auto_axes = _lookup("jax.sharding.auto_axes", use)
    with use_abstract_mesh(mesh):
        return auto_axes(function, axes=axes, out_sharding=out)(argument)


def trace_token() -> object:
    """Return a token of the current trace, equal only within the same trace."""
    use = "to keep recorded values from leaving their trace"
    return _lookup("jax.extend.core.get_opaque_trace_state", use)(convention="nnx")


def backends_are_initialized() -> bool:
    """Return whether jax has started a backend; the question does not start one."""
    use = "to know whether devices can be listed without starting them"
    return bool(_lookup("jax._src.xla_bridge.backends_are_initialized", use)())


class CoordinationService:
    """Key-value store that `jax.distributed.initialize` shares between processes.

    Args:
      client: Client of jax's service, by default the one of this process.

    Raises:
      RuntimeError: The client has not the methods that are used.
    """

    METHODS = (
        "blocking_key_value_get_bytes",
        "key_value_delete",
        "key_value_dir_get_bytes",
        "key_value_increment",
        "key_value_set_bytes",
    )

    def __init__(self, client: Any) -> None:
        """Check the methods of the client."""
        for method in self.METHODS:
            if not hasattr(client, method):
                name = f"DistributedRuntimeClient.{method}"
                raise _missing(name, "to exchange data between processes")
        self._client = client

    @classmethod
    def connected(cls) -> CoordinationService | None:
        """Return the service of this process, or None if none was started."""
        use = "to exchange data between processes"
        state = _lookup("jax._src.distributed.global_state", use)
        try:
            client = state.client
        except AttributeError:
            raise _missing("jax._src.distributed.global_state.client", use) from None
        return None if client is None else cls(client)

    def get(self, key: str, timeout: float) -> bytes | None:
        """Return the value of a key once it is set; None after `timeout` seconds."""
        milliseconds = max(int(timeout * 1000), 1)
        try:
            return self._client.blocking_key_value_get_bytes(key, milliseconds)
        except jax.errors.JaxRuntimeError as error:
            if _status_code(error) == "DEADLINE_EXCEEDED":
                return None
            raise

    def set(self, key: str, value: bytes, overwrite: bool = False) -> bool:
        """Set a key; return False if it has a value and must not be overwritten."""
        try:
            self._client.key_value_set_bytes(key, value, overwrite)
        except jax.errors.JaxRuntimeError as error:
            if _status_code(error) == "ALREADY_EXISTS":
                return False
            raise
        return True

    def list(self, directory: str) -> dict[str, bytes]:
        """Return the values of all keys below a directory, by the rest of the key."""
        pairs = self._client.key_value_dir_get_bytes(f"{directory}/")
        return {key.rpartition("/")[2]: value for key, value in pairs}

    def increment(self, key: str) -> int:
        """Add 1 to a counter and return its new value."""
        return self._client.key_value_increment(key, 1)

    def delete(self, key: str) -> None:
        """Delete a key, or a directory of keys."""
        self._client.key_value_delete(key)


def _status_code(error: Exception) -> str:
    """Return the status code with which the text of a service's error begins."""
    match = re.match(r"([A-Z]+(?:_[A-Z]+)*):", str(error))
    if match is None or match[1] not in _STATUS_CODES:
        raise RuntimeError(
            f"jax {jax.__version__}: an error of the coordination service begins with "
            f"{str(error)[:40]!r}, expected a status code such as 'ALREADY_EXISTS:'. "
            f"{_ADVICE}"
        ) from error
    return match[1]


_STATUS_CODES = frozenset(
    """
    CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS
    PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE
    UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED
    """.split()
)


class RuntimeEvent(NamedTuple):
    """Duration that jax or orbax reports of its own work.

    Attributes:
      kind: Trace, lower and compile are the three steps of compiling a function;
        checkpoint and restore are orbax's.
      seconds: Time for which it held the calling thread.
      function: Name of the compiled function; None for checkpoint and restore.
    """

    kind: Literal["trace", "lower", "compile", "checkpoint", "restore"]
    seconds: float
    function: str | None


def on_runtime_event(callback: Callable[[RuntimeEvent], None]) -> Callable[[], None]:
    """Call `callback` for each event; return the function that ends it."""
    use = "to measure the time of compiling"
    register = _lookup("jax.monitoring.register_event_duration_secs_listener", use)
    unregister = _lookup("jax.monitoring.unregister_event_duration_listener", use)
    kinds = _event_kinds()

    def listener(event: str, seconds: float, **attributes: Any) -> None:
        kind = kinds.get(event)
        if kind is None:
            return
        function = attributes.get("fun_name")
        if function is not None:
            function = str(function).removeprefix("jit(").removesuffix(")")
        callback(RuntimeEvent(kind, seconds, function))

    def stop() -> None:
        # clear_event_listeners() may have removed it before.
        with contextlib.suppress(AssertionError, ValueError):
            unregister(listener)

    register(listener)
    return stop


def on_scalar(callback: Callable[..., None]) -> Callable[[], None]:
    """Call `callback` for each `jax.monitoring.record_scalar`; return what ends it.

    Args:
      callback: Called with the name, the value, and the attributes as keywords.
    """
    use = "to log the scalars of jax.monitoring"
    register = _lookup("jax.monitoring.register_scalar_listener", use)
    unregister = _lookup("jax.monitoring.unregister_scalar_listener", use)

    def listener(event: str, value: Any, **attributes: Any) -> None:
        callback(event, value, **attributes)

    def stop() -> None:
        # clear_event_listeners() may have removed it before.
        with contextlib.suppress(AssertionError, ValueError):
            unregister(listener)

    register(listener)
    return stop


def _event_kinds() -> dict[str, Any]:
    """Return the kind of each event by the text with which it is reported."""
    use = "to measure the time of compiling"
    # Checked here and not in the listener, which runs within the user's compilation.
    reported = _lookup("jax._src.dispatch.log_elapsed_time", use)
    if "fun_name" not in inspect.signature(reported).parameters:
        raise _missing("'fun_name' in compile events", "to name compiled functions")
    compiling = {
        _lookup(f"jax._src.dispatch.{constant}", use): kind
        for kind, constant in _COMPILE_EVENTS.items()
    }
    return compiling | _ORBAX_EVENTS


_COMPILE_EVENTS = {
    "trace": "JAXPR_TRACE_EVENT",
    "lower": "JAXPR_TO_MLIR_MODULE_EVENT",
    "compile": "BACKEND_COMPILE_EVENT",
}
_ORBAX_EVENTS = {
    "/jax/orbax/write/blocking_duration_secs": "checkpoint",
    "/jax/orbax/write/async/blocking_duration_secs": "checkpoint",
    "/jax/orbax/read/total_duration_secs": "restore",
}


class Equation:
    """One operation of a traced program: an equation of its jaxpr."""

    def __init__(self, equation: Any) -> None:
        """Wrap an equation as jax has it."""
        self._equation = equation

    @property
    def name(self) -> str:
        """Name of the primitive, such as "dot_general"."""
        return _attribute(self._equation, "primitive.name", "JaxprEqn")

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the primitive."""
        return _attribute(self._equation, "params", "JaxprEqn")

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the operands."""
        return [_attribute(v, "aval.shape", "Var") for v in self.operands]

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the results."""
        variables = _attribute(self._equation, "outvars", "JaxprEqn")
        return [_attribute(v, "aval.shape", "Var") for v in variables]

    @property
    def operands(self) -> list[Any]:
        """Variables and literals that the equation reads."""
        return _attribute(self._equation, "invars", "JaxprEqn")

    @property
    def results(self) -> list[Any]:
        """Variables that the equation defines."""
        return _attribute(self._equation, "outvars", "JaxprEqn")

    @property
    def recomputed(self) -> bool:
        """True if the backward pass of `jax.checkpoint` recomputes it."""
        stack = _attribute(self._equation, "source_info.name_stack", "JaxprEqn")
        return "rematted_computation" in str(stack)

    def param(self, name: str) -> Any:
        """Return a parameter that this primitive always has."""
        try:
            return self.params[name]
        except KeyError:
            name = f"parameter {name!r} of the primitive {self.name!r}"
            raise _missing(name, "to read traced programs") from None

    def programs(self) -> Iterator[Any]:
        """Yield the programs that the equation calls, whatever the primitive."""
        for value in self.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                program = _open(item)
                if hasattr(program, "eqns"):
                    yield program

    def shard_count(self) -> int:
        """Return the number of devices on which a shard_map runs its body."""
        mesh = self.param("mesh")
        if "manual_axes" in self.params:  # jax 0.10.0, with those of an outer shard_map
            outer = _attribute(mesh, "manual_axes", "Mesh")
            axes = set(self.params["manual_axes"]) - set(outer)
        else:
            axes = self.param("newly_manual_axes")
        return math.prod(mesh.shape[axis] for axis in axes)


def traced_program(function: Callable[..., Any], *args: Any) -> Any:
    """Return the program of a function, traced and not run."""
    return jax.make_jaxpr(function)(*args)


def equations(program: Any) -> Iterator[Equation]:
    """Yield the equations of a traced program, without those of its calls."""
    for equation in _attribute(_open(program), "eqns", "Jaxpr"):
        yield Equation(equation)


def arguments_read(step: Any, *args: Any) -> list[tuple[Any, bool]] | None:
    """Return the tree path of each array argument, and whether a step reads it.

    Tracing is shared with the later call of the step.

    Returns:
      Pairs in the order of the leaves of `(args, kwargs)`; None if `step` is not made
      by `jax.jit` or `nnx.jit`, or if its inputs are not its arguments.
    """
    if not hasattr(step, "trace"):
        return None
    traced = step.trace(*args)
    traced = getattr(traced, "traced", traced)  # that of nnx.jit wraps the one of jax
    if not isinstance(traced, _lookup("jax.stages.Traced", "to inspect a step")):
        return None
    info = _attribute(traced, "args_info", "Traced")
    paths, _ = jax.tree_util.tree_flatten_with_path(info)
    program = _open(_attribute(traced, "jaxpr", "Traced"))
    inputs = _attribute(program, "invars", "Jaxpr")
    if len(inputs) != len(paths):
        return None
    read = {id(v) for equation in equations(program) for v in equation.operands}
    return [(path, id(v) in read) for (path, _), v in zip(paths, inputs, strict=True)]


def inputs_of_outputs(function: Callable[..., Any], *args: Any) -> list[set[int]]:
    """Return for each output array of a function the inputs that it depends on.

    A call within it, such as that of a jitted function or a scan, counts as one
    operation: all of its results depend on all of its operands.

    Args:
      function: Function that can be traced.
      *args: Its arguments, trees of arrays or `jax.ShapeDtypeStruct`.

    Returns:
      Indices of the leaves of `args`, for each leaf of the result.
    """
    program = _open(traced_program(function, *args))
    inputs = _attribute(program, "invars", "Jaxpr")
    sources: dict[int, set[int]] = {id(v): {i} for i, v in enumerate(inputs)}
    for equation in equations(program):
        read = [sources.get(id(v), set()) for v in equation.operands]
        for v in equation.results:
            sources[id(v)] = set().union(*read)
    return [sources.get(id(v), set()) for v in _attribute(program, "outvars", "Jaxpr")]


def require_known_programs() -> None:
    """Trace a small program of each kind and check that it is written as expected.

    `count_flops` calls it first: a primitive under a new name, or recomputation that
    is no longer marked, would make its counts wrong and not raise.

    Raises:
      RuntimeError: A primitive is missing in the trace.
    """
    from jax import numpy as jnp

    def program(x: jax.Array) -> jax.Array:
        x, _ = jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=2)
        x = jax.lax.cond(x[0, 0] > 0, lambda c: c @ c, lambda c: c, x)
        return jax.lax.while_loop(lambda c: c[0, 0] < 0, lambda c: c @ c, x)

    def convolution(x: jax.Array) -> jax.Array:
        return jax.lax.conv(x[None, None], x[None, None], (1, 1), "SAME")

    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(jax.checkpoint(lambda x: jnp.sin(x @ x).sum()))(x)

    x = jax.ShapeDtypeStruct((2, 2), "float32")
    with jax.disable_jit(False):
        traces = [traced_program(f, x) for f in (program, convolution, gradient)]
    every = [equation for trace in traces for equation in _all_equations(trace)]
    names = {equation.name for equation in every}
    needed = {"scan", "cond", "while", "dot_general", "conv_general_dilated"}
    for name in sorted(needed - names):
        raise _missing(f"the primitive {name!r}", "to count FLOPs")
    if not any(e.recomputed and e.name == "dot_general" for e in every):
        name = "'rematted_computation' in the names of recomputed equations"
        raise _missing(name, "to leave recomputation out of a model's FLOPs")


def _all_equations(program: Any) -> Iterator[Equation]:
    for equation in equations(program):
        yield equation
        for inner in equation.programs():
            yield from _all_equations(inner)


def _open(program: Any) -> Any:
    """Return the jaxpr in a closed one; later versions of jax have one kind only."""
    return getattr(program, "jaxpr", program)


class JaxUse(NamedTuple):
    """One use of jax that could break with a new version.

    Attributes:
      name: Attribute of jax.
      purpose: What jaxmetrics needs it for.
      check: Raises if this version of jax does not have it.
    """

    name: str
    purpose: str
    check: Callable[[], object]


def jax_uses() -> list[JaxUse]:
    """Return all uses of jax beyond its documentation; checking starts no backend."""
    state = "jax._src.distributed.global_state.client"
    return [
        JaxUse("jax.core.Tracer", "traced values", lambda: is_tracer(0)),
        JaxUse("aval.mat.varying", "values reduced in shard_map", _check_varying),
        JaxUse("get_abstract_mesh().manual_axes", "the mesh in use", manual_axes),
        JaxUse("jax.typeof(x).sharding", "the mesh of a value", _check_sharding),
        JaxUse("jax.lax.pcast", "marks of varying values", _check_varying),
        JaxUse("use_abstract_mesh, auto_axes", "Explicit meshes", _check_auto_axes),
        JaxUse("get_opaque_trace_state", "telemetry.taps", trace_token),
        JaxUse("backends_are_initialized", "devices", backends_are_initialized),
        JaxUse(state, "exchange between processes", _check_coordination),
        JaxUse("jax.monitoring", "compile times", _check_monitoring),
        JaxUse("jax.monitoring scalars", "interop.monitoring", _check_scalars),
        JaxUse("names of compile events", "compile times", _event_kinds),
        JaxUse("jaxpr.eqns, primitives", "count_flops", require_known_programs),
        JaxUse("newly_manual_axes", "FLOPs in shard_map", _check_shard_map),
        JaxUse("jit(f).trace(x).jaxpr", "masks in evaluate_loop", _check_trace),
        JaxUse("jaxpr.outvars", "masks in observe", _check_outputs),
    ]


def _check_varying() -> None:
    def body(x: jax.Array) -> jax.Array:
        if "x" not in varying_axes(mark_varying(x, ("x",))) or varying_axes(x):
            raise _missing("varying axes of values", "to reduce values once")
        return x

    _trace_sharded(body)


def _check_shard_map() -> None:
    (equation,) = equations(_trace_sharded(lambda x: x + 1))
    if equation.name != "shard_map" or equation.shard_count() != 1:
        raise _missing("the primitive 'shard_map'", "to count FLOPs in shard_map")


def _trace_sharded(body: Callable[[Any], Any]) -> Any:
    function = jax.shard_map(
        body, mesh=AbstractMesh((1,), ("x",)), in_specs=P(), out_specs=P()
    )
    return traced_program(function, jax.ShapeDtypeStruct((2,), "float32"))


def _check_sharding() -> None:
    def body(x: jax.Array) -> jax.Array:
        array_sharding(x)
        return x

    traced_program(body, jax.ShapeDtypeStruct((2,), "float32"))


def _check_auto_axes() -> None:
    mesh = AbstractMesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    x = jax.ShapeDtypeStruct((2,), "float32")
    traced_program(lambda x: with_auto_axes(jax.numpy.abs, mesh, ("x",), x, P()), x)


def _check_coordination() -> None:
    if CoordinationService.connected() is None:
        client = _lookup("jaxlib._jax.DistributedRuntimeClient", "to exchange data")
        CoordinationService(client)


def _check_monitoring() -> None:
    on_runtime_event(lambda event: None)()


def _check_scalars() -> None:
    on_scalar(lambda event, value: None)()


def _check_trace() -> None:
    step = jax.jit(lambda x, mask: x + 1)
    shape = jax.ShapeDtypeStruct((2,), "float32")
    read = arguments_read(step, shape, shape)
    if read is None or [used for _, used in read] != [True, False]:
        raise _missing("inputs of a traced step", "to find steps that ignore a mask")


def _check_outputs() -> None:
    shape = jax.ShapeDtypeStruct((2,), "float32")
    if inputs_of_outputs(lambda x, y: (x + 1, y, x * y), shape, shape) != [
        {0},
        {1},
        {0, 1},
    ]:
        raise _missing("outputs of a traced program", "to find an ignored mask")


_ADVICE = (
    "Install a later jaxmetrics, or a jax that this one is tested with, 0.10 to 0.12."
)


def _missing(name: str, purpose: str) -> RuntimeError:
    return RuntimeError(
        f"jax {jax.__version__} has no {name}, which jaxmetrics needs {purpose}. "
        f"{_ADVICE}"
    )


def _lookup(path: str, purpose: str) -> Any:
    """Return `package.module.attribute`; the module is imported if need be."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError):
        raise _missing(path, purpose) from None


def _attribute(value: Any, path: str, owner: str) -> Any:
    """Return an attribute of an attribute of an object of jax."""
    try:
        for name in path.split("."):
            value = getattr(value, name)
    except AttributeError:
        raise _missing(f"{owner}.{path}", "to read traced programs") from None
    return value
