"""Programs compiled for TPUs that this machine does not have, and what is in them.

libtpu compiles for a topology that it is only told of. What comes back is the program
that those chips would run, and estimates: nothing here has run.
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmetrics.core import Deferred

TOPOLOGIES = {
    "v5e": ("v5e:4x4", 1),
    "v5p": ("v5p:8x8x8", 1),
    "v6e": ("v6e:16x16", 1),
    "7x": ("tpu7x:4x4x4", 1),
    "v5e, two slices": ("v5e:4x4", 2),
}
KINDS = ("update", "deferred update", "reduction")

_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-broadcast|collective-permute|"
    r"reduce-scatter)(?:-start)?\("
)
_ARRAY = re.compile(r"\b([a-z]+\d+|pred)\[([\d,]*)\]")
_TRANSFER = re.compile(r" (send|recv|infeed|outfeed)\(")
_CALLBACK = re.compile(r'custom_call_target="([^"]*callback[^"]*)"', re.IGNORECASE)
_BETWEEN_SLICES = "xla_megascale_runtime"


class Program(NamedTuple):
    """What the compiler made, and what it expects it to cost."""

    text: str
    cost: Mapping[str, float]

    def collectives(self):
        """The collectives by name, in the program's order."""
        return _COLLECTIVE.findall(self.text)

    def sent_between_slices(self):
        """How many values go to another slice: the second half of a collective."""
        return len(self.bytes_between_slices())

    def bytes_between_slices(self):
        """The bytes that each chip sends to another slice, value by value."""
        sent = re.findall(
            rf"= \((\w+\[[\d,]*\]).* send\(.*{_BETWEEN_SLICES}", self.text
        )
        return [_size(shape) for shape in sent]

    def host_calls(self):
        """Whatever asks the host for something: callbacks, infeed, outfeed."""
        transfers = [name for name, between in self._transfers() if not between]
        return transfers + _CALLBACK.findall(self.text)

    def arithmetic(self):
        """How many float32 additions and subtractions there are, fused or not."""
        return tuple(
            len(re.findall(rf"= f32\S* {name}\(", self.text))
            for name in ("add", "subtract")
        )

    def _transfers(self):
        for line in self.text.splitlines():
            if found := _TRANSFER.search(line):
                yield found[1], _BETWEEN_SLICES in line


@functools.cache
def mesh_of(topology):
    """All the devices of a topology along one axis."""
    name, slices = TOPOLOGIES[topology]
    more = {"num_slices": slices} if slices > 1 else {}
    found = topologies.get_topology_desc(platform="tpu", topology_name=name, **more)
    return Mesh(np.array(found.devices), ("data",))


def compiled(function, operands):
    """The program of a function of arrays that stand for others."""
    made = jax.jit(function).lower(*operands).compile()
    return Program(made.as_text(), made.cost_analysis())


def program_of(kind, metrics, outputs, mesh):
    """A function, and what it is called with on a mesh.

    Args:
      kind: one of KINDS.
      metrics: a collection.
      outputs: what each device holds of the outputs, by name.
      mesh: the devices.
    """
    if kind == "reduction":
        return _reduction, (deferred(metrics, mesh),)
    start = replicated if kind == "update" else deferred
    return _update, (start(metrics, mesh), _sharded(outputs, mesh))


def replicated(tree, mesh):
    """Arrays that stand for those of a tree, on every device."""
    return _standing_for(tree, NamedSharding(mesh, P()))


def deferred(metrics, mesh):
    """A deferred state whose arrays stand for one shard a device.

    Made from its parts, since no array can be put on devices that are not there.
    """
    stacked = jax.tree.map(lambda x: np.broadcast_to(x, (mesh.size, *x.shape)), metrics)
    state = _standing_for(stacked, NamedSharding(mesh, P("data")))
    return Deferred(state, mesh, axes=("data",), rows=("data",), specs=())


def written_arithmetic(function, operands):
    """How many float32 additions and subtractions a function asks for."""
    names = [
        equation.primitive.name
        for equation in _equations(jax.make_jaxpr(function)(*operands).jaxpr)
        if getattr(equation.outvars[0].aval, "dtype", None) == np.float32
    ]
    return names.count("add"), names.count("sub")


def _update(state: Any, outputs: Mapping[str, Any]) -> Any:
    return state.update(**outputs)


def _reduction(state: Any) -> Any:
    return state.reduce()


def _sharded(outputs, mesh):
    rows, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    return {
        name: jax.ShapeDtypeStruct(
            (len(x) * mesh.size, *x.shape[1:]), x.dtype, sharding=rows
        )
        if np.ndim(x)
        else _standing_for(x, everywhere)
        for name, x in outputs.items()
    }


def _standing_for(tree, sharding):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=sharding), tree
    )


def _size(shapes):
    """Return the bytes of the arrays in a text such as `(u32[8,128]{1,0}, f32[])`."""
    return sum(
        math.prod(map(int, filter(None, dims.split(","))))
        * max(8, int(re.sub(r"\D", "", kind) or 8))
        // 8
        for kind, dims in _ARRAY.findall(shapes)
    )


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        inside = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr)
        inside = [x for x in inside if _is_jaxpr(x)]
        if not inside and equation.outvars:
            yield equation
        for x in inside:
            yield from _equations(getattr(x, "jaxpr", x))


def _is_jaxpr(x):
    return isinstance(x, ClosedJaxpr | Jaxpr)
