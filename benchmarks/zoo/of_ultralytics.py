"""Ultralytics YOLO and RT-DETR, built from the descriptions that come with the package."""

from functools import partial

from benchmarks.zoo.network import Network, Networks, images
from torch import nn
from ultralytics.nn.tasks import (
    ClassificationModel,
    DetectionModel,
    OBBModel,
    PoseModel,
    RTDETRDetectionModel,
    SegmentationModel,
)  # fmt: skip

TASKS: dict[str, type[nn.Module]] = {
    "-cls": ClassificationModel, "-obb": OBBModel, "-pose": PoseModel, "-seg": SegmentationModel,
    "rtdetr": RTDETRDetectionModel,
}  # fmt: skip
NETWORKS = (
    "yolov3-tiny", "yolov5n", "yolov6n", "yolov8n", "yolov8n-cls", "yolov8n-seg",
    "yolov8n-pose", "yolov8n-obb", "yolov9t", "yolov9c-seg", "yolov10n", "yolo11n",
    "yolo11n-cls", "yolo11n-seg", "yolo11n-pose", "yolo12n", "yolo12n-cls", "yolo12n-seg",
    "yolo12n-pose", "yolov8-ghost", "yolov8-p2", "rtdetr-resnet50",
)  # fmt: skip


def networks() -> Networks:
    """Yield detection, segmentation, pose and classification networks of every version."""
    for name in NETWORKS:
        yield Network(
            library="ultralytics", name=name, build=partial(build, name), inputs=images(128)
        )


def build(name: str) -> nn.Module:
    """Return the network that `name`.yaml describes, for 20 classes where they may be chosen."""
    task = next((TASKS[part] for part in TASKS if part in name), DetectionModel)
    return task(f"{name}.yaml", verbose=False)
