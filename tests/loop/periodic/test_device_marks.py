"""Marks are launched on every device and complete after earlier programs."""

import jax

from jaxmetrics.loop.periodic._device_marks import DeviceMarks


def test_a_mark_lies_on_every_local_device():
    mark = DeviceMarks().put()
    assert mark.sharding.device_set == set(jax.local_devices())
    assert mark.block_until_ready().tolist() == [1.0] * jax.local_device_count()


def test_every_mark_is_a_new_program_of_one_compilation():
    marks = DeviceMarks()
    first, second = marks.put(), marks.put()
    assert first is not second and marks._add_one._cache_size() == 1
