"""The layers that read what a plan removed, in the dense model and in the pruned one.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output
(kernel positions, and channels within each); `kept` ones are those of the pruned model.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunus.errors import PlanError
from prunus.extents import mask_of
from prunus.masks import check_fits
from prunus.records import Plan
from prunus.shrink.stacks import dense_names
from prunus.solvers.matrices import LAYERS, Layer, as_matrices


@dataclass(frozen=True)
class Reader:
    """One layer, before and after.

    Attributes:
        dense: Of the dense model.
        pruned: Of the pruned model.
        outputs: bool (O,): outputs of each group that the pruned layer has.
        inputs: bool (I,): inputs of each output that the pruned layer has.
    """

    dense: Layer
    pruned: Layer
    outputs: Tensor
    inputs: Tensor

    @property
    def weight_GOI(self) -> Tensor:
        """The dense weights of the outputs that are left, all inputs."""
        return as_matrices(self.dense)[:, self.outputs]

    @property
    def bias_GO(self) -> Tensor | None:
        """The dense biases of the outputs that are left."""
        if self.dense.bias is None:
            return None
        groups = as_matrices(self.dense).shape[0]
        return self.dense.bias.detach().view(groups, -1)[:, self.outputs]


def readers(model: nn.Module, *, dense: nn.Module, plan: Plan) -> dict[str, Reader]:
    """Return the linear layers and convolutions that lost inputs, or single weights.

    Grouped convolutions that lost channels are left out: they lose outputs along with them.

    Args:
        model: What `plan` made of `dense`, trained since or not.
        dense: The dense model.
        plan: What was kept.

    Raises:
        PlanError: The plan does not fit the models.
    """
    check_fits(dense, plan)
    found = dict(_readers(model, dense, plan))
    for name, reader in found.items():
        shape = as_matrices(reader.pruned).shape
        wanted = (shape[0], int(reader.outputs.sum()), int(reader.inputs.sum()))
        if shape != wanted:
            raise PlanError(
                f"the plan does not fit these models: '{name}' has {tuple(shape)[1:]} weights "
                f"after the cut, the plan leaves {wanted[1:]}",
                why="the pruned model was not made of the dense one by this plan",
                hint="pass pruned.model, dense=pruned.dense, plan=pruned.plan",
            )
    return found


def _readers(model: nn.Module, dense: nn.Module, plan: Plan) -> Iterator[tuple[str, Reader]]:
    masks = {name: kept.mask() for name, kept in plan.kept.items()}
    modules = dict(dense.named_modules())
    for name, pruned in model.named_modules():
        if not isinstance(pruned, LAYERS):
            continue
        own = f"{name}.weight" if name else "weight"
        weight = dense_names(plan, [own])[own]  # blocks may have moved up
        layer = modules.get(weight.rpartition(".")[0])
        if not isinstance(layer, LAYERS):
            continue
        shape = layer.weight.shape
        outputs, channels = (torch.ones(size, dtype=torch.bool) for size in shape[:2])
        if plan.tensors:
            if getattr(layer, "groups", 1) > 1 or weight not in plan.tensors:
                continue
            outputs, channels = (mask_of(extent, masks) for extent in plan.tensors[weight][:2])
            if channels.all():
                continue
        elif weight not in plan.kept:
            continue
        else:
            outputs = outputs[: shape[0] // getattr(layer, "groups", 1)]
        inputs = channels.repeat(shape[2:].numel())
        yield (
            name,
            Reader(layer, pruned, outputs.to(layer.weight.device), inputs.to(layer.weight.device)),
        )
