"""Sequences of several lengths laid out as one: features pass, time and batch are data."""

from prunus.trace.axes import SPACE, fresh
from prunus.trace.call import Call, Dims, fixed, rule


@rule("_pack_padded_sequence")
def pack(call: Call) -> list[Dims]:
    """(time, batch, ..) becomes (all steps, ..) and the number of sequences at each step."""
    inputs = call.dims("input")
    call.run_along(inputs.nodes[:2])
    steps = fresh(call.outputs[0].shape[0], SPACE)
    data = Dims((steps, *inputs.nodes[2:]), (False, *inputs.zero[2:]))
    return [data, fixed(call.outputs[1].shape, SPACE)]
