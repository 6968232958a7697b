"""Tensors made in forward. Their sizes are free where the user's code took them from elsewhere;
the size watcher freezes those that are literals."""

from prunus.trace.axes import fresh
from prunus.trace.call import Call, Dims, rule

ZERO = ("zeros", "new_zeros")


@rule(
    "zeros", "ones", "full", "empty", "rand", "randn", "new_zeros", "new_ones", "new_full",
    "new_empty", "empty_strided", "new_empty_strided",
)  # fmt: skip
def constant(call: Call) -> Dims:
    """Every dim an extent of its own."""
    shape = call.outputs[0].shape
    return Dims(tuple(fresh(size) for size in shape), (call.name in ZERO,) * len(shape))


@rule("arange", "linspace", "eye", "scalar_tensor", "randperm", "tril_indices", "triu_indices")
def numbered(call: Call) -> Dims:
    """Values that depend on the place: such a dim is not cut."""
    shape = call.outputs[0].shape
    nodes = tuple(fresh(size, f"numbered by {call.name} at {call.location}") for size in shape)
    return Dims(nodes, (False,) * len(shape))
