"""What the removed inputs gave on average, added to the bias.

Legend for tensor names: G groups of a convolution, O outputs of a group, I inputs of one output,
N places where a layer was read.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from prunus.errors import DataError
from prunus.modes import mode
from prunus.records import Plan
from prunus.recover.readers import Reader, readers
from prunus.solvers.matrices import as_matrices, read_by
from prunus.solvers.reading import read


def compensate_bias(
    model: nn.Module, data: Iterable[Any], *, dense: nn.Module, plan: Plan, batches: int = 100
) -> int:
    """Add to each bias what the removed inputs of its layer gave on average, in place.

    bias += W[:, removed] @ mean of x[removed]. So the mean of what each output gives is that of
    the dense layer, and only what varies is lost. Where weights were zeroed or solved anew, the
    same holds of the difference between the dense weights and those that the layer has now.

    Layers without a bias are left as they are: a batch norm behind one is best measured again,
    see `reestimate_batch_norm`. So are grouped convolutions that lost channels.

    Args:
        model: What `plan` made of `dense`.
        data: Batches (inputs, targets), or inputs alone; targets are not used.
        dense: The dense model; it is run and left as it is.
        plan: What was kept.
        batches: Read so many at most.

    Returns:
        How many biases were changed; 0 where there is none, and then no data are read.

    Raises:
        DataError: `batches` is below 1, the data yield no batch, or one holds NaN or infinity.
        PlanError: The plan does not fit the models. Nothing was changed.

    Cost: one pass over the data, one mean per input of each layer.

    Source: An et al. 2024, FLAP, arXiv:2312.11983, section 3.3; Berisha et al. 2025, VBP,
        arXiv:2507.12988. Differs: the mean is a plain one over all places, where the reference
        code of FLAP mixes the old mean with the new.

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
    with mode(dense, training=False), torch.no_grad():
        means = _means(dense, found, islice(data, batches))
        for name, mean_GI in means.items():
            bias = found[name].pruned.bias
            assert bias is not None
            bias += _lost(found[name], mean_GI).to(bias.dtype)
    return len(means)


def _means(dense: nn.Module, found: dict[str, Reader], data: Iterable[Any]) -> dict[str, Tensor]:
    """Return the mean of what each layer of the dense model reads, float64 (G, I)."""
    sums: dict[str, Tensor] = {}
    places: Counter[str] = Counter()

    def add(name: str, given: Tensor) -> None:
        read_GNI = read_by(found[name].dense, given)
        sum_GI = read_GNI.double().sum(1)
        sums[name] = sums[name] + sum_GI if name in sums else sum_GI
        places[name] += read_GNI.shape[1]

    layers = {name: reader.dense for name, reader in found.items()}
    read(dense, layers, data, add, once=False)
    return {name: sum_GI / places[name] for name, sum_GI in sums.items()}


def _lost(reader: Reader, mean_GI: Tensor) -> Tensor:
    """Return by how much the mean of each output fell, (G * O,)."""
    before_GO = torch.einsum("goi,gi->go", reader.weight_GOI.double(), mean_GI)
    weight_GOI = as_matrices(reader.pruned).double()
    after_GO = torch.einsum("goi,gi->go", weight_GOI, mean_GI[:, reader.inputs])
    return (before_GO - after_GO).flatten()
