"""torchvision's operators. Where it is not installed, simple ones stand in for them."""

from importlib.util import find_spec

import torch
from models import IMAGES, SQUARES, case, conv, weight
from torch.nn import functional as F


def stand_in(schema, compute):
    """Define an operator of torchvision that computes something like it."""

    def keep(ctx, inputs, output):
        ctx.inputs = inputs

    def backward(ctx, *gradients):
        wanted = [k for k, t in enumerate(ctx.inputs) if torch.is_tensor(t) and t.requires_grad]
        leaves = {k: ctx.inputs[k].detach().requires_grad_() for k in wanted}
        with torch.enable_grad():
            out = compute(*(leaves.get(k, value) for k, value in enumerate(ctx.inputs)))
        first = out[0] if isinstance(out, tuple) else out
        found = dict(zip(wanted, torch.autograd.grad(
            first, leaves.values(), gradients[0], allow_unused=True), strict=True))  # fmt: skip
        return tuple(found.get(k) for k in range(len(ctx.inputs)))

    name, rest = schema.split("(", 1)
    operator = torch.library.custom_op(
        f"torchvision::{name}", compute, mutates_args=(), schema=f"({rest}"
    )
    operator.register_fake(compute)
    operator.register_autograd(backward, setup_context=keep)


if find_spec("torchvision"):
    import torchvision  # noqa: F401 - defines the operators
else:
    REGIONS = "(Tensor input, Tensor rois, float spatial_scale, SymInt height, SymInt width"

    def pooled(x, rois, scale, height, width, *_):
        return (
            F.adaptive_avg_pool2d(x[rois[:, 0].long()], (height, width))
            * rois[:, 3, None, None, None]
        )

    def pooled_with_places(*args):
        y = pooled(*args)
        return y, (y + 1).int()

    def by_place(x, rois, scale, height, width, *_):
        channels = x.shape[1] // (height * width)
        y = pooled(x, rois, scale, height, width)[:, :: height * width]
        return y, torch.ones(y.shape[0], channels, height, width, dtype=torch.int)

    def deformed(x, w, offset, mask, bias, *settings):
        groups = settings[6]
        y = F.conv2d(x, w, bias, settings[:2], settings[2:4], settings[4:6], groups)
        return y * offset.mean(1, keepdim=True)

    sampling = "int sampling_ratio"
    stand_in(f"roi_align{REGIONS}, {sampling}, bool aligned) -> Tensor", pooled)
    stand_in(f"roi_pool{REGIONS}) -> (Tensor, Tensor)", pooled_with_places)
    stand_in(f"ps_roi_align{REGIONS}, {sampling}) -> (Tensor, Tensor)", by_place)
    stand_in(f"ps_roi_pool{REGIONS}) -> (Tensor, Tensor)", by_place)
    stand_in(
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        lambda boxes, scores, limit: scores.argsort(),
    )
    stand_in(
        "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias,"
        " SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h,"
        " SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor",
        deformed,
    )

BOXES = torch.tensor([[0, 0, 0, 3.5, 3.5], [1, 1, 1, 4, 5], [0, 2, 1, 5, 4]]).double()


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(8, 4)}, free={"a": 8})
def regions_of_interest(net, x):
    y = net.a(x)
    aligned = torch.ops.torchvision.roi_align(y, BOXES, 1.0, 3, 2, 2, True)
    pooled, _ = torch.ops.torchvision.roi_pool(y, BOXES, 1.0, 3, 2)
    return net.b(aligned), net.b(pooled), (aligned + pooled).sum(1)


@case(IMAGES, lambda: {"a": conv(3, 8), "b": conv(2, 4)}, kept={"a": "read as boxes"})
def regions_by_place(net, x):
    y = net.a(x)
    aligned, _ = torch.ops.torchvision.ps_roi_align(y, BOXES, 1.0, 2, 2, 2)
    pooled, _ = torch.ops.torchvision.ps_roi_pool(y, BOXES, 1.0, 2, 2)
    return net.b(aligned + pooled)


@case(
    IMAGES,
    lambda: {"a": conv(3, 8), "b": conv(8, 4), "boxes": weight(5, 4), "scores": weight(5)},
    free={"a": 8},
    kept={"boxes": "read as boxes"},
)
def boxes_without_overlap(net, x):
    kept = torch.ops.torchvision.nms(net.boxes, net.scores, 0.5)
    return net.b(net.a(x)), net.scores[kept]


def deform(x, weight, offset, bias, groups=1, offset_groups=1):
    mask = offset.new_zeros(x.shape[0], 1)
    sizes = (1, 1, 1, 1, 1, 1)
    return torch.ops.torchvision.deform_conv2d(
        x, weight, offset, mask, bias, *sizes, groups, offset_groups, False
    )


def parts(*, places):
    return {
        "a": conv(3, 8),
        "places": conv(3, places),
        "w": weight(6, 8, 3, 3),
        "bias": weight(6),
        "b": conv(6, 4),
    }


@case(SQUARES, lambda: parts(places=18), free={"a": 8, "w": 6})
def deformable_convolution(net, x):
    return net.b(deform(net.a(x), net.w, net.places(x), net.bias))


@case(SQUARES, lambda: parts(places=36), free={"w": 6}, kept={"a": "share places in groups"})
def deformable_convolution_in_groups(net, x):
    return net.b(deform(net.a(x), net.w, net.places(x), net.bias, offset_groups=2))
