"""torchvision's own operators: boxes and offsets are data, channels pass."""

from collections.abc import Sequence

from torch import Tensor

from prunus.trace.axes import SPACE, fresh
from prunus.trace.call import Call, Dims, fixed, rule
from prunus.trace.rules.convolution import met_channels

BOXES = "read as boxes and scores"


@rule("torchvision::roi_align", "torchvision::roi_pool")
def regions(call: Call) -> Sequence[Dims]:
    """Each channel by itself, at places that are data: (N, C, ..) becomes (regions, C, ..)."""
    inputs = call.dims("input")
    call.run_along([inputs.nodes[0], *inputs.nodes[2:]])
    for node in call.dims("rois").nodes:
        call.freeze(node, BOXES)
    number, _, *space = call.outputs[0].shape
    nodes = (fresh(number, SPACE), inputs.nodes[1], *(fresh(size, SPACE) for size in space))
    result = Dims(nodes, (False, inputs.zero[1], *[False] * len(space)))
    places = Dims(nodes, (False,) * len(nodes))  # of the largest
    return [result, *[places] * (len(call.outputs) - 1)]


@rule("torchvision::nms", "torchvision::ps_roi_align", "torchvision::ps_roi_pool")
def boxes(call: Call) -> Sequence[Dims]:
    """Nothing of what is read or made can be cut: channels stand for places in a box."""
    for tensor in (each for each in call.arguments.values() if isinstance(each, Tensor)):
        for node in call.dims_of(tensor).nodes:
            call.freeze(node, BOXES)
    return [fixed(tensor.shape, BOXES) for tensor in call.outputs]


@rule("torchvision::deform_conv2d")
def deformable_convolution(call: Call) -> Dims:
    """A convolution whose kernel reads at places that are data."""
    inputs, weight, bias = call.dims("input"), call.dims("weight"), call.dims("bias")
    for name in ("offset", "mask"):
        call.freeze(call.dims(name).nodes[1], "places in a kernel")
    if int(call["offset_groups"]) > 1:
        call.freeze(inputs.nodes[1], "channels share places in groups")
    return met_channels(call, inputs, weight, bias, groups=int(call["groups"]))
