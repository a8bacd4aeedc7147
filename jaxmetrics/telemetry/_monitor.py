"""Statistics that an optimizer keeps of its own updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.telemetry._collect import Statistics, check_every, unknown
from jaxmetrics.telemetry._groups import Groups
from jaxmetrics.telemetry._norms import norms
from jaxmetrics.telemetry._optimizer_state import found, plain

if TYPE_CHECKING:
    import optax


class MonitorState(NamedTuple):
    """The state of `monitor`, of one structure from its beginning.

    Attributes:
      step: Updates seen, int32.
      statistics: The last ones measured, float32 scalars by key; nan before.
      inner: The state of the optimizer that is wrapped, `()` if there is none.
    """

    step: jax.Array
    statistics: Statistics
    inner: Any


def monitor(
    groups: Groups = None,
    every: int = 1,
    around: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """An optax transformation that changes nothing and measures what passes.

    Last in a chain, `optax.chain(optax.adamw(1e-3), monitor())`, it keeps the
    `update/` and `param/` statistics of `norms`. Around an optimizer,
    `monitor(around=optax.adamw(1e-3))`, it sees the gradients too and keeps all of
    them. `monitored` reads them out of the optimizer's state.

    Args:
      groups: As in `norms`.
      every: How many updates lie between two measurements; in the others nothing is
        computed.
      around: The optimizer to wrap.

    Raises:
      ValueError: `every` is below 1; in `init`, a glob of the groups matches nothing.

    Example:
      >>> import optax
      >>> tx = monitor(groups={}, around=optax.sgd(0.5))
      >>> params, grads = {"w": jnp.ones(4)}, {"w": jnp.ones(4)}
      >>> _, state = tx.update(grads, tx.init(params), params)
      >>> seen = monitored(state)
      >>> float(seen["grad/norm"]), float(seen["update/ratio"])
      (2.0, 0.5)
    """
    import optax

    check_every("monitor()", every)
    wrapped = optax.with_extra_args_support(around or optax.identity())

    def measure(grads: Any, updates: Any, params: Any) -> Statistics:
        return norms(None if around is None else grads, updates, params, groups)

    def init(params: Any) -> MonitorState:
        nothing = unknown(lambda: measure(params, params, params))
        inner = () if around is None else wrapped.init(params)
        return MonitorState(jnp.zeros((), jnp.int32), nothing, inner)

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, MonitorState]:
        grads, inner = updates, state.inner
        if around is not None:
            updates, inner = wrapped.update(grads, inner, params, **extra)
        step = jnp.asarray(optax.safe_increment(state.step))

        absent = dict.fromkeys(state.statistics, jnp.full((), jnp.nan, jnp.float32))

        def now() -> Statistics:
            return absent | measure(grads, updates, params)

        if every == 1:
            statistics = now()
        else:
            statistics = lax.cond(step % every == 0, now, lambda: state.statistics)
        return updates, MonitorState(step, statistics, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def monitored(opt_state: Any) -> Statistics:
    """The statistics that `monitor` has kept, wherever it is in an optimizer.

    Under the labels of `optax.multi_transform` keys end with the label,
    `update/norm/<label>`.

    Raises:
      ValueError: No `monitor` is in it.
    """
    states = list(found(opt_state, lambda state: isinstance(state, MonitorState)))
    if not states:
        raise ValueError(
            "monitored() found no monitor() in the optimizer's state. Put it last in "
            "the chain, or around the optimizer."
        )
    return {
        f"{key}/{label}" if label else key: plain(value)
        for label, state in states
        for key, value in state.statistics.items()
    }
