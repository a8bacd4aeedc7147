"""What single equations of a jaxpr compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any


def dot(equation: Any) -> int:
    """Two for each element of the product and each of the contracted."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    (out,) = equation.outvars
    return 2 * math.prod(out.aval.shape) * math.prod(left[d] for d in contracted)


def ragged_dot(equation: Any) -> int:
    """As if the groups filled the rows, each of which belongs to one group at most."""
    numbers = equation.params["ragged_dot_dimension_numbers"]
    (_, contracted), (_, batch) = numbers.dot_dimension_numbers
    left, right = (v.aval.shape for v in equation.invars[:2])
    taken = {*contracted, *batch, *numbers.rhs_group_dimensions}
    return (
        2
        * math.prod(left)
        * math.prod(size for d, size in enumerate(right) if d not in taken)
    )


def convolution(equation: Any) -> int:
    """Two for each output element, kernel tap and input feature of its group.

    Taps on the padding count, as in published figures, but those in the holes of a
    dilated input do not: along each dimension a tap meets as many positions as the
    smaller of input and output has. So the two gradients cost as much as the
    convolution.
    """
    left, right = (v.aval.shape for v in equation.invars[:2])
    out = equation.outvars[0].aval.shape
    numbers = equation.params["dimension_numbers"]
    flops = 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]]
    flops *= right[numbers.rhs_spec[1]]
    spatial = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:])
    return flops * math.prod(
        right[kernel] * min(left[inside], out[outside])
        for inside, kernel, outside in spatial
    )


def kernel(equation: Any) -> tuple[str, int | None]:
    """The name of a Pallas kernel, and the operations it declares or None."""
    cost = equation.params.get("cost_estimate")
    name = equation.params.get("name")
    label = f"pallas_call {name}" if name else "pallas_call"
    return label, None if cost is None else int(cost.flops)


RULES: Mapping[str, Callable[[Any], int]] = MappingProxyType(
    {
        "dot_general": dot,
        "ragged_dot_general": ragged_dot,
        "conv_general_dilated": convolution,
    }
)

OPAQUE = frozenset(
    """
    call_exported call_tf core_map ffi_call fft mpmd_map triton_kernel_call
    cholesky cholesky_update eig eigh geqp3 geqrf hessenberg householder_product lu
    ormqr qr schur svd symmetric_product triangular_solve tridiagonal tridiagonal_solve
    bcoo_dot_general bcoo_spdot_general bcsr_dot_general coo_matmat coo_matvec
    csr_matmat csr_matvec scaled_matmul_wrapper
    dot_product_attention_fwd_wrapper dot_product_attention_bwd_wrapper
    dot_product_attention_fp8_fwd_wrapper dot_product_attention_fp8_bwd_wrapper
    """.split()
)
"""Primitives that compute what neither their shapes nor a jaxpr tell."""
