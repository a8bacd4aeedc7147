"""Floating-point operations of single equations of a traced program."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from jaxmetrics.core import Equation


def dot_flops(equation: Equation) -> int:
    """Count 2 per element of the product and per element contracted."""
    (contracted, _), _ = equation.param("dimension_numbers")
    left, *_ = equation.input_shapes
    (out,) = equation.output_shapes
    return 2 * math.prod(out) * math.prod(left[d] for d in contracted)


def ragged_dot_flops(equation: Equation) -> int:
    """Count each row in one group, as if the groups covered all rows."""
    numbers = equation.param("ragged_dot_dimension_numbers")
    (_, contracted), (_, batch) = numbers.dot_dimension_numbers
    left, right = equation.input_shapes[:2]
    excluded = {*contracted, *batch, *numbers.rhs_group_dimensions}
    return (
        2
        * math.prod(left)
        * math.prod(size for d, size in enumerate(right) if d not in excluded)
    )


def convolution_flops(equation: Equation) -> int:
    """Count 2 per output element, kernel tap and input feature of the group.

    Taps on the padding count, as in published figures; taps in the holes of a dilated
    input do not: along each dimension a tap meets as many positions as the smaller of
    input and output has. So each of the two gradients costs as much as the
    convolution.
    """
    left, right = equation.input_shapes[:2]
    out = equation.output_shapes[0]
    numbers = equation.param("dimension_numbers")
    flops = 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]]
    flops *= right[numbers.rhs_spec[1]]
    spatial = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:])
    return flops * math.prod(
        right[taps] * min(left[inputs], out[outputs])
        for inputs, taps, outputs in spatial
    )


def kernel_flops(equation: Equation) -> tuple[str, int | None]:
    """Return the name of a Pallas kernel, and the operations it declares or None."""
    cost = equation.param("cost_estimate")
    name = equation.params.get("name")
    label = f"pallas_call {name}" if name else "pallas_call"
    return label, None if cost is None else int(cost.flops)


RULES: Mapping[str, Callable[[Equation], int]] = MappingProxyType(
    {
        "dot_general": dot_flops,
        "ragged_dot_general": ragged_dot_flops,
        "conv_general_dilated": convolution_flops,
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
"""Primitives whose cost is neither in their shapes nor in a jaxpr."""
