"""Remove the activation functions that matter least, and merge what they stood between."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from prunus.cost import CostModel, count
from prunus.data import checked
from prunus.errors import BudgetError, PlanError
from prunus.inputs import Inputs, call, device_of, map_tensors
from prunus.linearize.affine import Affine, Probe, channel_dim, ensure_bias, take_up
from prunus.linearize.chains import activations, own_modules
from prunus.linearize.merge import folded_norm, merged
from prunus.modes import mode
from prunus.records import Agreement, Cost
from prunus.text import amount, share
from prunus.trace import trace
from prunus.trace.restore import copy_of
from prunus.verify.agreement import agree, outputs_of


@dataclass(frozen=True)
class Linearized:
    """A model with fewer activation functions, and the proof.

    Attributes:
        model: Plain PyTorch: an `nn.Identity` where something is gone, merged layers.
        removed: Names of the activations that are gone; with them
            `linearized_architecture` repeats the change on a fresh model.
        scores: Per activation that could be removed, how much the outputs change when it alone
            is made affine: squared change over squared output. Larger means keep.
        frozen: Per activation that could not, why.
        before: Cost of the model as it was.
        after: Cost of the result; its MACs are never more.
        agreement: The check that merged equals affine and unmerged.
    """

    model: nn.Module
    removed: tuple[str, ...]
    scores: Mapping[str, float]
    frozen: Mapping[str, str]
    before: Cost
    after: Cost
    agreement: Agreement

    def __str__(self) -> str:
        total = len(self.scores) + len(self.frozen)
        lines = ["             before      after   kept"]
        left = total - len(self.removed)
        lines.append(f"{'units':8} {total:>10} {left:>10} {share(left, total):>7}")
        for figure in ("params", "macs", "bytes"):
            one, other = getattr(self.before, figure), getattr(self.after, figure)
            lines.append(f"{figure:8} {amount(one):>10} {amount(other):>10} {share(other, one):>7}")
        lines += [f"  {name} is frozen: {reason}" for name, reason in self.frozen.items()]
        found, allowed = self.agreement.difference, self.agreement.tolerance
        lines.append(f"merged == unmerged: largest difference {found:.1e}, rounding {allowed:.1e}")
        return "\n".join(lines)


def linearize(
    model: nn.Module, data: Iterable[Any], *, units: float, batches: int = 8
) -> Linearized:
    """Return a copy of `model` with the activation functions that matter least made affine.

    Each becomes the least-squares line per channel on `data`, refitted one after the other, which
    the layer in front takes up exactly. Layers left side by side merge where that is exact and
    lowers MACs; a batch norm between them is folded first, as in eval mode.

    Args:
        model: Any module; only activation modules in an `nn.Sequential` behind a linear layer,
            convolution or batch norm can go, the others are reported as frozen.
        data: Batches (inputs, targets), or inputs alone; targets are not used.
        units: Largest share of the activation functions to keep, frozen ones included.
        batches: Read so many at most.

    Raises:
        BudgetError: `units` is not within 0 to 1, or more are frozen than may stay.
        DataError: The data yield no batch, or one holds NaN or infinity.
        VerifyError: Merged and unmerged differ, as when `forward` runs a part of a Sequential.

    Cost: one pass over the data per activation, and one more per removed one.

    Source: Dror et al. 2021, Layer Folding, arXiv:2106.09309, learns which to remove; here they
    are ranked by the change of the output and replaced in closed form.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> small = linearize(model, [torch.randn(16, 4)], units=0)
        >>> small.model
        Sequential(
          (0): Linear(in_features=4, out_features=2, bias=True)
          (1): Identity()
          (2): Identity()
        )
        >>> small.before.macs, small.after.macs  # 16 rows
        (768, 128)
    """
    found = activations(model)
    number = _number_to_remove(len(found.free), len(found.frozen), units=units)
    pairs = islice(data, batches)
    inputs = [one for one, _ in checked(pairs, device=device_of(model))]
    before = count(model, macs=_macs(model, inputs[0]))
    scores = _scores(model, inputs, found.free)
    ranked = sorted(scores, key=lambda name: scores[name])[:number]
    removed = tuple(name for name in found.free if name in ranked)
    result, unmerged = copy_of(model), copy_of(model)
    for name in removed:
        affine = _fit(unmerged, inputs, {name: found.free[name]})[name]
        unmerged.set_submodule(name, affine)
        take_up(result.get_submodule(found.free[name]), affine)
    _merge_all(result, removed, found.chains)
    agreement = agree(outputs_of(unmerged, inputs), outputs_of(result, inputs))
    after = count(result, macs=_macs(result, inputs[0]))
    return Linearized(result, removed, scores, found.frozen, before, after, agreement)


def linearized_architecture(model: nn.Module, removed: Collection[str]) -> nn.Module:
    """Give a freshly built `model` the architecture of a linearized one, in place; return it.

    Its weights mean nothing until `load_state_dict` has filled them.

    Raises:
        PlanError: `model` has no such activation that could be removed.

    Example:
        >>> def build():
        ...     return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> small = linearize(build(), [torch.randn(16, 4)], units=0)
        >>> fresh = linearized_architecture(build(), small.removed)
        >>> fresh.load_state_dict(small.model.state_dict())
        <All keys matched successfully>
    """
    found = activations(model)
    unknown = [name for name in removed if name not in found.free]
    if unknown:
        raise PlanError(
            f"no activation that can be removed is called {', '.join(unknown)}",
            hint="build the model with the code that built the one that was linearized",
        )
    for name in removed:
        ensure_bias(model.get_submodule(found.free[name]))
    _merge_all(model, [name for name in found.free if name in removed], found.chains)
    return model


def _number_to_remove(free: int, frozen: int, *, units: float) -> int:
    if not 0 <= units <= 1:
        raise BudgetError(f"units={units} is no share", hint="units is within 0 to 1")
    total = free + frozen
    number = total - int(total * units + 1e-9)
    if number > free:
        raise BudgetError(
            f"{number} of {total} activation functions should go, {free} can",
            why=f"{frozen} are frozen; prunus.linearize.chains.activations(model).frozen says why",
            hint=f"units={ceil(100 * frozen / total) / 100} or more",
        )
    return number


def _fit(
    model: nn.Module, inputs: Sequence[Inputs], layers: Mapping[str, str]
) -> Mapping[str, Affine]:
    """Return the best affine map for each activation: name -> name of the layer in front."""
    twin = copy_of(model)
    probes = {}
    for name, layer in layers.items():
        dim = channel_dim(twin.get_submodule(layer))
        probes[name] = Probe(twin.get_submodule(name), dim)
        twin.set_submodule(name, probes[name])
    with mode(twin, training=False), torch.no_grad():
        for one in inputs:
            call(twin, map_tensors(torch.clone, one))
    lines = {name: probe.line() for name, probe in probes.items()}
    unread = [name for name, line in lines.items() if line is None]
    if unread:
        raise PlanError(
            f"nothing ran through {', '.join(unread)}",
            hint="give data that reach every activation function",
        )
    return {name: line for name, line in lines.items() if line is not None}


def _scores(
    model: nn.Module, inputs: Sequence[Inputs], layers: Mapping[str, str]
) -> Mapping[str, float]:
    if not layers:
        return {}
    dense = _flat(outputs_of(model, inputs))
    scores = {}
    for name, affine in _fit(model, inputs, layers).items():
        twin = copy_of(model)
        twin.set_submodule(name, affine)
        change = _flat(outputs_of(twin, inputs)) - dense
        scores[name] = float(change.square().sum() / dense.square().sum().clamp_min(1e-30))
    return scores


def _flat(outputs: Sequence[Sequence[Tensor]]) -> Tensor:
    floats = [t for batch in outputs for t in batch if t.is_floating_point()]
    return torch.cat([t.double().flatten() for t in floats])


def _macs(model: nn.Module, inputs: Inputs) -> int:
    return CostModel(trace(model, inputs)).macs({})


def _merge_all(model: nn.Module, removed: Sequence[str], chains: Sequence[tuple[str, ...]]) -> None:
    """Put an Identity in place of each of `removed`, and merge the layers around it."""
    for name in removed:
        model.set_submodule(name, nn.Identity().train(model.get_submodule(name).training))
    own = own_modules(model)
    chain_of = {name: chain for chain in chains for name in chain}
    while any(_merge_around(model, name, chain_of[name], own) for name in removed):
        pass


def _merge_around(
    model: nn.Module, name: str, chain: tuple[str, ...], own: Collection[str]
) -> bool:
    """Merge the layers in front of and behind `name`, if they can be."""
    place = chain.index(name)
    ahead = [link for link in chain[:place] if not _is_identity(model, link)][-2:]
    behind = [link for link in chain[place:] if not _is_identity(model, link)][:1]
    if not ahead or not behind or not set(ahead[-1:] + behind) <= set(own):
        return False
    second = model.get_submodule(behind[0])
    first = model.get_submodule(ahead[-1])
    target, gone = ahead[-1], [behind[0]]
    if len(ahead) == 2 and ahead[0] in own:
        folded = folded_norm(model.get_submodule(ahead[0]), model.get_submodule(ahead[1]))
        if folded is not None:
            first, target, gone = folded, ahead[0], [ahead[1], behind[0]]
    layer = merged(first, second)
    if layer is None:
        return False
    model.set_submodule(target, layer)
    for link in gone:
        model.set_submodule(link, nn.Identity().train(layer.training))
    return True


def _is_identity(model: nn.Module, name: str) -> bool:
    return type(model.get_submodule(name)) is nn.Identity
