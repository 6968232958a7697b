"""What the removed inputs gave on average, added to the bias.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output,
N places where a layer was read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from prunus.data import checked
from prunus.errors import DataError
from prunus.inputs import device_of
from prunus.modes import mode
from prunus.records import Plan
from prunus.recover.readers import Reader, readers
from prunus.solvers.matrices import Layer, as_matrices, read_by
from prunus.solvers.reading import read, stages


def compensate_bias(
    model: nn.Module, data: Iterable[Any], *, dense: nn.Module, plan: Plan, batches: int = 100
) -> int:
    """Add to each bias what its layer gives less on average than the dense one, in place.

    bias += mean of what the dense layer gives - mean of what the pruned one gives. Where nothing
    before it was cut, that is W[:, removed] @ mean of x[removed]: only what varies is lost. Layers
    are taken in the order in which they run, so that each also makes up for what those before it
    shift.

    It serves mild cuts. After heavy ones what varies is gone, the outputs of a classifier tend to
    their mean, and it predicts one class: see `reconstruct`.

    Layers without a bias are left as they are: a batch norm behind one is best measured again,
    see `reestimate_batch_norm`. So are grouped convolutions that lost channels.

    Args:
        model: What `plan` made of `dense`.
        data: Batches (inputs, targets), or inputs alone, iterated once for the dense model and
            once per set of layers that read the same tensor; targets are not used.
        dense: The dense model; it is run and left as it is.
        plan: What was kept.
        batches: Read so many at most.

    Returns:
        How many biases were changed; 0 where there is none, and then no data are read.

    Raises:
        DataError: `batches` is below 1, the data end, or they hold NaN or infinity.
        PlanError: The plan does not fit the models.
        After an error all is as before.

    Cost: the passes over the data, and one mean per input of each layer.

    Source: An et al. 2024, FLAP, arXiv:2312.11983, section 3.3; Berisha et al. 2025, VBP,
        arXiv:2507.12988. Differs: the mean is a plain one over all places, where the reference
        code of FLAP mixes the old mean with the new; and what earlier cuts shift is made up for.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 2))
        >>> rows = torch.randn(64, 4)
        >>> pruned = prunus.prune(dense, rows, granularity="4x1", budget=prunus.Budget(units=0.5))
        >>> compensate_bias(pruned.model, [rows], dense=dense, plan=pruned.plan)
        1
    """
    if batches < 1:
        raise DataError(f"batches={batches} reads no batch", hint="batches is 1 or more")
    found = {
        name: reader
        for name, reader in readers(model, dense=dense, plan=plan).items()
        if reader.pruned.bias is not None
    }
    if not found:
        return 0
    layers: dict[str, Layer] = {name: reader.pruned for name, reader in found.items()}
    held = {name: _bias(layer).detach().clone() for name, layer in layers.items()}
    with mode(dense, training=False), mode(model, training=False), torch.no_grad():
        try:
            of_dense = {name: reader.dense for name, reader in found.items()}
            before = _means(dense, of_dense, islice(data, batches), once=False)
            inputs, _ = next(checked(data, device=device_of(model)))
            for stage in stages(model, inputs, layers):
                of_stage = {name: layers[name] for name in stage.names}
                means = _means(model, of_stage, islice(data, batches), once=stage.once)
                for name, mean_GI in means.items():
                    _bias(layers[name]).add_(_lost(found[name], before[name], mean_GI))
        except BaseException:
            for name, values in held.items():
                _bias(layers[name]).copy_(values)
            raise
    return len(found)


def _bias(layer: Layer) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _means(
    model: nn.Module, layers: Mapping[str, Layer], data: Iterable[Any], *, once: bool
) -> dict[str, Tensor]:
    """Return the mean of what each layer reads, float64 (G, I)."""
    sums: dict[str, Tensor] = {}
    places: Counter[str] = Counter()

    def add(name: str, given: Tensor) -> None:
        read_GNI = read_by(layers[name], given)
        sum_GI = read_GNI.double().sum(1)
        sums[name] = sums[name] + sum_GI if name in sums else sum_GI
        places[name] += read_GNI.shape[1]

    read(model, layers, data, add, once=once)
    return {name: sum_GI / places[name] for name, sum_GI in sums.items()}


def _lost(reader: Reader, before_GI: Tensor, mean_GI: Tensor) -> Tensor:
    """Return by how much the mean of each output, without its bias, fell, (G * O,)."""
    before_GO = torch.einsum("goi,gi->go", reader.weight_GOI.double(), before_GI)
    weight_GOI = as_matrices(reader.pruned).double()
    return (before_GO - torch.einsum("goi,gi->go", weight_GOI, mean_GI)).flatten()
