"""Every metric in the TPU compiler's hands, all of them in one program a topology.

Where a program is at fault, the failure names a metric whose program alone is.
"""

import functools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from tpu import checks
from tpu.metrics import (
    CASES,
    compile_cases,
    compile_for_topology,
    complaint,
    lower_wide,
)
from tpu.programs import KINDS, TOPOLOGIES, mesh_of

every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)

# A test waits for a program of all metrics, which takes minutes to compile.
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def programs(request):
    """Compile the programs that the selected tests need, on all cores.

    libtpu's compiler crashes when two threads of one process are in it, so each core
    gets a process of its own. A worker that dies fails the tests that wait for it.
    """
    users = [item for item in request.session.items if "programs" in item.fixturenames]
    needed = [(x.callspec.params["kind"], x.callspec.params["topology"]) for x in users]
    workers = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), workers)
    yield {
        key: pool.submit(compile_for_topology, *key) for key in dict.fromkeys(needed)
    }
    pool.shutdown(cancel_futures=True)


def examined(programs, kind, topology, check):
    """What is wrong with a program of all metrics."""
    make = functools.partial(compile_cases, kind, mesh_of(topology))
    return complaint(CASES, make, check, made=programs[kind, topology].result)


@pytest.mark.parametrize("kind", KINDS)
@every_topology
def test_programs_compile_and_ask_the_host_for_nothing(programs, kind, topology):
    assert examined(programs, kind, topology, checks.host_calls) == ""


@pytest.mark.parametrize("kind", ["deferred update"])
@every_topology
def test_the_deferred_update_has_no_collective(programs, kind, topology):
    assert examined(programs, kind, topology, checks.communication) == ""


@pytest.mark.parametrize("kind", ["reduction"])
@every_topology
def test_the_reduction_is_at_most_three_all_reduces(programs, kind, topology):
    check = checks.more_than_three_all_reduces
    assert examined(programs, kind, topology, check) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_no_float64_is_written_even_where_it_is_allowed(kind):
    make = functools.partial(lower_wide, kind, mesh_of("v5e"))
    assert complaint(CASES, make, checks.float64) == ""


def test_one_topology_is_large_and_one_has_two_slices():
    devices = {topology: mesh_of(topology).devices for topology in TOPOLOGIES}
    assert max(x.size for x in devices.values()) >= 256
    assert {x.slice_index for x in devices["v5e, two slices"]} == {0, 1}
