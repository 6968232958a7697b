"""Fourier transforms, and complex numbers as pairs."""

from prunus.trace.axes import fresh
from prunus.trace.call import Call, Dims, rule


@rule("_fft_r2c", "_fft_c2r", "_fft_c2c")
def transform(call: Call) -> Dims:
    """Positions mix along the transformed dims; what was zero along the others stays zero."""
    inputs = call.dims("self")
    result = inputs
    for dim in call.dim_list(of=len(inputs.nodes)):
        call.run_along([inputs.nodes[dim]])
        result = result.replaced(dim, fresh(call.outputs[0].shape[dim], FREQUENCY), zero=False)
    return result


FREQUENCY = "a frequency"


@rule("view_as_real", "view_as_real_copy")
def as_pairs(call: Call) -> Dims:
    """A last dim of 2 is added."""
    inputs = call.dims("self")
    return Dims((*inputs.nodes, fresh(2, PAIR)), (*inputs.zero, False))


PAIR = "real and imaginary part"


@rule("view_as_complex", "view_as_complex_copy")
def from_pairs(call: Call) -> Dims:
    """The last dim of 2 goes."""
    inputs = call.dims("self")
    call.freeze(inputs.nodes[-1], PAIR)
    return inputs.picked(range(len(inputs.nodes) - 1))
