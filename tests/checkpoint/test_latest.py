"""Checkpoints compared by the latest values that were logged."""

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from support.loggers import clock, make_logger

from jaxmetrics import checkpoint

__all__ = ["clock", "make_logger"]
LOSSES = [5.0, 3.0, 4.0, 1.0, 2.0, 6.0, 1.5, 7.0]


@pytest.mark.parametrize("metrics_first", [True, False])
def test_the_best_of_eight_checkpoints_is_that_of_the_lowest_loss(
    make_logger, tmp_path, metrics_first
):
    logger = make_logger()
    options = ocp.CheckpointManagerOptions(
        best_fn=logger.best_fn("val/loss"), best_mode="min", max_to_keep=3
    )
    with ocp.CheckpointManager(tmp_path / "saved", options=options) as manager:
        for step, loss in enumerate(LOSSES, 1):
            logger.log_step(step, loss=jnp.float32(10 - step))
            logger.log_step(step, split="val", loss=jnp.float32(loss))

            def args(step=step):
                own = checkpoint.args(logger)
                model = ocp.args.StandardSave({"x": np.full(2, step)})
                return ocp.args.Composite(jaxmetrics=own, state=model)

            if metrics_first:
                manager.save(step, metrics=logger.latest(), args=args())
            else:
                manager.save(step, args=args(), metrics=logger.latest())
        manager.wait_until_finished()
        assert manager.best_step() == 1 + LOSSES.index(min(LOSSES))
        assert sorted(manager.all_steps()) == [4, 5, 7]
        saved = [manager.metrics(step)["val/loss"] for step in (4, 5, 7)]
        assert saved == [1.0, 2.0, 1.5]
