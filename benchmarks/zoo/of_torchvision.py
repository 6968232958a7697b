"""torchvision: classification, segmentation, detection, video and optical flow."""

from functools import partial
from typing import Any

import torch
from benchmarks.zoo.network import Inputs, Network, Networks, images, numbers
from torch import Tensor
from torchvision import models

CLASSIFIERS = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn",
    "vit_b_32", "wide_resnet50_2",
)  # fmt: skip
ONE_SIZE = {"maxvit_t": 224, "vit_b_32": 224, "alexnet": 127, "squeezenet1_1": 128}
SEGMENTERS = (
    "fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)  # fmt: skip
DETECTORS = (
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn",
    "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn",
    "ssd300_vgg16", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
VIDEO = {
    "mc3_18": (3, 8, 64, 64), "mvit_v2_s": (3, 16, 224, 224), "r2plus1d_18": (3, 8, 64, 64),
    "r3d_18": (3, 8, 64, 64), "s3d": (3, 16, 224, 224), "swin3d_t": (3, 8, 64, 64),
}  # fmt: skip
FLOW = ("raft_small", "raft_large")


def networks() -> Networks:
    """Yield one network of every family, and two where the smaller is built otherwise."""
    entry = partial(Network, library="torchvision")
    build = partial(partial, models.get_model, weights=None)
    for name in CLASSIFIERS:
        yield entry(name=name, build=build(name), inputs=images(ONE_SIZE.get(name, 64)))
    for name in ("googlenet", "inception_v3"):
        make = build(name, init_weights=False)
        yield entry(name=name, build=make, inputs=images(299 if name == "inception_v3" else 64))
    for name in SEGMENTERS:
        auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
        make = build(name, weights_backbone=None, **auxiliary)
        yield entry(name=name, build=make, inputs=images(64))
    for name in DETECTORS:
        make = build(name, weights_backbone=None, **_small(name))
        yield entry(name=name, build=make, inputs=pictures, training=partial(labelled, name))
    for name, shape in VIDEO.items():
        yield entry(name=name, build=build(name), inputs=numbers(*shape))
    for name in FLOW:
        make = build(name)
        yield entry(name=name, build=make, inputs=pair)


def _small(name: str) -> dict[str, Any]:
    """Return the settings that let a detector of pictures of any size see small ones."""
    return {} if name.startswith("ssd") else {"min_size": 96, "max_size": 160}


def pictures(batch: int) -> Inputs:
    """Return a list of pictures of unequal size, as detectors take them."""
    return ([torch.rand(3, 96 + 16 * i, 112) for i in range(batch)],)


def labelled(name: str, batch: int) -> Inputs:
    """Return pictures and what is in them."""
    return pictures(batch)[0], [_target(name) for _ in range(batch)]


def _target(name: str) -> dict[str, Tensor]:
    target = {
        "boxes": torch.tensor([[10.0, 12.0, 60.0, 70.0]]),
        "labels": torch.tensor([1]),
    }
    if name.startswith("mask"):
        target["masks"] = torch.ones(1, 112, 112, dtype=torch.uint8)
    if name.startswith("keypoint"):
        target["keypoints"] = torch.tensor([[[20.0, 20.0, 1.0]] * 17])
    return target


def pair(batch: int) -> Inputs:
    """Return two frames."""
    return torch.rand(batch, 3, 128, 128), torch.rand(batch, 3, 128, 128)
