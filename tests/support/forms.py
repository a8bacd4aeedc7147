"""Forms in which a batch may be counted: jit, placed, deferred, shard_map."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def mesh_of(explicit=False):
    """Return a mesh of all devices."""
    kind = AxisType.Explicit if explicit else AxisType.Auto
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(kind,))


def has_deferred_form(metric):
    """Return whether `metric.deferred` takes it."""
    try:
        metric.deferred(mesh_of())
    except TypeError:
        return False
    return True


def in_every_form(metric, outputs):
    """Return the value of a metric on one batch, by form."""
    values = {"eager": metric.update(**outputs).compute()}
    update = jax.jit(lambda m, o: m.update(**o))
    values["jit"] = update(metric, outputs).compute()
    values["in jit"] = jax.jit(lambda o: metric.update(**o).compute())(outputs)
    for explicit in (False, True):
        mesh = mesh_of(explicit)
        placed = jax.device_put(outputs, NamedSharding(mesh, P("data")))
        values[f"placed {explicit}"] = update(metric.place(mesh), placed).compute()
        if has_deferred_form(metric):
            deferred = update(metric.deferred(mesh), placed)
            values[f"deferred {explicit}"] = deferred.compute()
    body = jax.shard_map(
        lambda o: metric.from_model_output(**o).reduce("data"),
        mesh=mesh_of(),
        in_specs=P("data"),
        out_specs=P(),
    )
    values["shard_map"] = metric.merge(jax.jit(body)(outputs)).compute()
    return values


def assert_close(values, expected):
    """Check that all forms give the expected value."""
    for form, value in values.items():
        for got, want in zip(jax.tree.leaves(value), jax.tree.leaves(expected)):
            np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=form)
