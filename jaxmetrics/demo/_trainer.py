"""Compiled steps of the demo: training with metrics inside, and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxmetrics.demo._model import language_model
from jaxmetrics.demo._settings import Settings
from jaxmetrics.demo._text import DATASETS, VOCABULARY

if TYPE_CHECKING:
    import jax
    from jax.sharding import Mesh

    from jaxmetrics.core import Deferred
    from jaxmetrics.telemetry import FlopCount


class Trainer:
    """Train and validate the language model, data parallel.

    The methods are pure. The training state is a tree of the parameters, the state of
    the optimizer and the step.

    Args:
      settings: Settings of the run.
      mesh: Mesh with an axis `data`.
    """

    def __init__(self, settings: Settings, mesh: Mesh) -> None:
        import jax
        import optax
        from flax import nnx
        from jax.sharding import NamedSharding
        from jax.sharding import PartitionSpec as P

        self._settings = settings
        self._rows_sharding = NamedSharding(mesh, P("data"))
        self._replicated = NamedSharding(mesh, P())
        self._graph = nnx.graphdef(nnx.eval_shape(self._model))
        peak = settings.learning_rate
        self._schedule = optax.warmup_cosine_decay_schedule(
            0.1 * peak, peak, settings.steps // 10, settings.steps, 0.1 * peak
        )
        self._optimizer = optax.chain(
            optax.clip_by_global_norm(1.0), optax.adamw(self._schedule)
        )
        on_gpu = mesh.devices.flat[0].platform == "gpu"
        deterministic = {"xla_gpu_deterministic_ops": True} if on_gpu else None
        self._compiled_start = jax.jit(self._start, out_shardings=self._replicated)
        self._compiled_update = jax.jit(
            self._update, donate_argnums=(0, 1), compiler_options=deterministic
        )
        self._compiled_validate = jax.jit(
            self._validate, donate_argnums=1, compiler_options=deterministic
        )

    def start(self) -> dict[str, Any]:
        """Return the state before the first step."""
        return self._compiled_start()

    def template(self) -> dict[str, Any]:
        """Return the shapes and shardings of the state, to restore into."""
        import jax

        def replicated(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._replicated)

        return jax.tree.map(replicated, jax.eval_shape(self._start))

    def put(self, batch: dict[str, Any]) -> dict[str, jax.Array]:
        """Return the batch on the devices, with rows sharded over them."""
        import jax

        return jax.device_put(batch, self._rows_sharding)

    def update(
        self, state: Any, metrics: Deferred, batch: Any
    ) -> tuple[Any, Deferred, jax.Array]:
        """Return the next state, the updated metrics and the learning rate.

        `state` and `metrics` are donated.
        """
        return self._compiled_update(state, metrics, batch)

    def validate(self, state: Any, metrics: Deferred, batch: Any) -> Deferred:
        """Return the updated metrics; `metrics` are donated."""
        return self._compiled_validate(state["params"], metrics, batch)

    def flops(self, metrics: Deferred, batch: Any) -> FlopCount:
        """Count the operations of a step on all devices by tracing it."""
        import jax

        from jaxmetrics.telemetry import count_flops

        return count_flops(self._update, jax.eval_shape(self._start), metrics, batch)

    def _model(self) -> Any:
        settings = self._settings
        return language_model(
            vocabulary=VOCABULARY,
            width=settings.width,
            layers=settings.layers,
            length=settings.length,
            seed=settings.seed,
        )

    def _start(self) -> dict[str, Any]:
        import jax.numpy as jnp
        from flax import nnx

        params = nnx.to_pure_dict(nnx.state(self._model()))
        optimizer = self._optimizer.init(params)
        return {"params": params, "optimizer": optimizer, "step": jnp.int32(0)}

    def _outputs(self, params: Any, batch: Any) -> dict[str, Any]:
        """Return the outputs that metrics read: logits, labels, a mask per dataset."""
        from flax import nnx

        tokens = batch["tokens"]
        logits = nnx.merge(self._graph, params)(tokens[:, :-1])
        masks = {dataset: batch[dataset] for dataset in DATASETS}
        return {"logits": logits, "labels": tokens[:, 1:]} | masks

    def _update(self, state: Any, metrics: Any, batch: Any) -> tuple[Any, Any, Any]:
        import jax
        import optax

        def loss_of(params: Any) -> Any:
            outputs = self._outputs(params, batch)
            losses = optax.softmax_cross_entropy_with_integer_labels(
                outputs["logits"], outputs["labels"]
            )
            return losses.mean(), outputs

        grads, outputs = jax.grad(loss_of, has_aux=True)(state["params"])
        metrics = metrics.update(**outputs, grad_norm=optax.tree.norm(grads))
        updates, optimizer = self._optimizer.update(
            grads, state["optimizer"], state["params"]
        )
        params = optax.apply_updates(state["params"], updates)
        lr = self._schedule(state["step"])
        next_step = state["step"] + 1
        state = {"params": params, "optimizer": optimizer, "step": next_step}
        return state, metrics, lr

    def _validate(self, params: Any, metrics: Any, batch: Any) -> Any:
        return metrics.update(**self._outputs(params, batch))
