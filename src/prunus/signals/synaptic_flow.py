"""Synaptic flow: what each unit contributes to the sum of the outputs, all weights made positive.

It needs no data: the input is all ones. See Tanaka et al., "Pruning neural networks without any
data by iteratively conserving synaptic flow", NeurIPS 2020, arXiv:2006.05467.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prunus.errors import CriterionError
from prunus.inputs import Inputs, call, device_of, map_tensors, tensors_in, to_device
from prunus.records import Group
from prunus.signals.passes import random_state_kept
from prunus.signals.signal import Progress, Request, Signal, Values
from prunus.signals.tensors import MemberTensors, Signals


@dataclass(frozen=True, kw_only=True)
class SynapticFlow:
    """Collects each unit's share of the flow, in rounds of which each takes some units away.

    The flow is the sum of the outputs of a float64 copy of the model whose parameters are replaced
    by their absolute values, at an input of ones. A weight's share is w * d flow / dw, over the
    flow. The flow is conserved: in a network of layers in series, with ReLU and no biases, the
    shares of each layer add up to 1. A unit's share is that of the weights that read it, or where
    nothing does, of all that it owns.

    After each round but the last, the units of least share are taken away, over all groups
    together and the same fraction in each round, so that the last round would leave one unit per
    group: the best one of each always stays. The score of a unit is its share in the round in
    which it goes, or that of the last one that went before it where this is larger: so units rank
    in the order in which they go.

    Normalisation would undo all scales. In the copy batch norms keep their scale and lose their
    mean, and layer, group, instance and RMS norms only multiply and add. Softmax and norms of the
    user's own stay: with these the flow is not conserved.

    Args:
        rounds: How often units are scored anew; 1 for once.

    Cost: Per round a forward and a backward pass of the example inputs in float64. Memory: 16
        bytes per parameter, and 13 per scored weight.

    Raises:
        CriterionError: The flow is zero, infinite, or does not depend on what is scored.
    """

    rounds: int

    def __call__(self, request: Request) -> Values:
        """Return the one signal of `request`, which has example inputs."""
        (signal,) = request.signals
        with random_state_kept(request.model), torch.inference_mode(mode=False):
            flow = _Flow.of(request)
            return {signal: _rounds(flow, self.rounds, request.progress)}


def synaptic_flow(*, rounds: int) -> Signal:
    """Return the signal `flow_U`. Signals of the same arguments are equal."""
    return Signal(
        name="flow_U",
        meaning="share of the synaptic flow that passes a unit",
        per="group",
        collector=SynapticFlow(rounds=rounds),
        requires=("inputs",),
    )


def _rounds(flow: "_Flow", rounds: int, progress: Progress | None) -> dict[str, Tensor]:
    """Return the score of every unit by group name."""
    sizes = [group.size for group in flow.groups.values()]
    total, least = sum(sizes), len(sizes)
    score_U = torch.zeros(total)
    stays_U = torch.ones(total, dtype=torch.bool)
    reached = 0.0
    for number in range(1, rounds + 1):
        share_U = torch.cat(list(flow.shares(number)))
        score_U = torch.where(stays_U, share_U.clamp(min=reached), score_U)
        if number < rounds:
            left = round(total * (least / total) ** (number / rounds))
            share_U.masked_fill_(~stays_U, -1)
            best = [share.argmax() for share in torch.split(share_U, sizes)]
            share_U.masked_fill_(~stays_U, torch.inf)
            for share, place in zip(torch.split(share_U, sizes), best, strict=True):
                share[place] = torch.inf
            goes_U, highest = _lowest(share_U, int(stays_U.sum()) - left)
            reached = max(reached, highest)
            stays_U &= ~goes_U
            flow.remove(dict(zip(flow.groups, torch.split(goes_U, sizes), strict=True)))
        if progress is not None:
            progress(number, rounds)
    return dict(zip(flow.groups, torch.split(score_U, sizes), strict=True))


def _lowest(share_U: Tensor, count: int) -> tuple[Tensor, float]:
    """Return which `count` units are lowest, the first of equal ones, and the highest of these."""
    if count < 1:
        return torch.zeros_like(share_U, dtype=torch.bool), 0.0
    highest = share_U.kthvalue(count).values
    goes_U = share_U < highest
    tied = torch.nonzero(share_U == highest).flatten()
    goes_U[tied[: count - int(goes_U.sum())]] = True
    return goes_U, highest.item()


@dataclass(frozen=True)
class _Flow:
    """A positive copy of the model, and the groups that are scored."""

    model: nn.Module
    inputs: Inputs
    groups: Mapping[str, Group]
    parameters: Mapping[str, nn.Parameter]

    @classmethod
    def of(cls, request: Request) -> "_Flow":
        model = _positive(request.model)
        named = dict(model.named_parameters())
        parameters = {name: named[name] for name in request.parameters}
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        inputs = map_tensors(_ones, to_device(request.inputs, device_of(model)))
        return cls(model, inputs, request.groups, parameters)

    def shares(self, number: int) -> Iterator[Tensor]:
        """Yield the share of every unit in round `number`, float32 (U,) on the CPU, by group."""
        with torch.enable_grad():
            outputs = [t for t in tensors_in(call(self.model, self.inputs)) if t.requires_grad]
            if not outputs:
                raise _no_flow("the outputs do not depend on any parameter that is scored", number)
            flow = torch.stack([output.sum() for output in outputs]).sum()
            if not (torch.isfinite(flow) and flow > 0):
                raise _no_flow(f"it is {flow.item():.3g}", number)
            weights = list(self.parameters.values())
            gradients = torch.autograd.grad(flow, weights, allow_unused=True)
        share = {}
        for (name, weight), gradient in zip(self.parameters.items(), gradients, strict=True):
            slope = torch.zeros_like(weight) if gradient is None else gradient.to_dense()
            share[name] = (weight.detach() * slope / flow.detach()).abs().float()
        signals = Signals({_SHARE: share})
        for group in self.groups.values():
            pieces = signals.pieces(group, frozenset({_SHARE}))
            yield torch.cat([_through(piece.members) for piece in pieces]).cpu()

    @torch.no_grad()
    def remove(self, goes: Mapping[str, Tensor]) -> None:
        """Zero all that the units own for which `goes[group]`, (U,), is True."""
        for name, goes_U in goes.items():
            group = self.groups[name]
            for position, member in enumerate(group.members):
                if not member.parameter:
                    continue
                weight = self.parameters[member.tensor]
                if member.dim is None:
                    weight.view(-1)[goes_U.to(weight.device)] = 0
                else:
                    index = group.index_UK[position][goes_U].flatten().to(weight.device)
                    weight.index_fill_(member.dim, index, 0)


def _through(members: Sequence[MemberTensors]) -> Tensor:
    readers = [member for member in members if member.reads] or members
    return torch.stack([member.share_UF.sum(dim=1) for member in readers]).sum(dim=0)


_SHARE = Signal(name="share_UF", meaning="share of the flow", per="member", collector=lambda _: {})


def _no_flow(why: str, number: int) -> CriterionError:
    hint = 'use criterion="magnitude", which needs no data either'
    if number > 1:
        hint = f"take less away in each round, with more rounds; or {hint}"
    return CriterionError(
        f"the synaptic flow of round {number} cannot be shared out",
        why=why + ": it is the sum of the outputs with positive weights and an input of ones",
        hint=hint,
    )


# -- the positive copy ------------------------------------------------------------------------


def _positive(model: nn.Module) -> nn.Module:
    """Return a copy in float64 and evaluation mode with |parameters| and without normalisation."""
    memo: dict[int, object] = {}  # what deepcopy takes instead: no float32 copy is made first
    for parameter in model.parameters():
        value = parameter.detach().abs().double().contiguous()
        memo[id(parameter)] = nn.Parameter(value, requires_grad=False)
    for buffer in model.buffers():
        dtype = torch.float64 if buffer.is_floating_point() else buffer.dtype
        memo[id(buffer)] = buffer.detach().to(dtype, copy=True)
    positive = copy.deepcopy(model, memo)
    for module in positive.modules():
        module.training = False
        if isinstance(module, _BATCH_NORMS) and module.running_mean is not None:
            module.running_mean.zero_()
        elif isinstance(module, (*_BATCH_NORMS, *_OTHER_NORMS)):
            module.forward = _Affine(module)  # type: ignore[assignment, method-assign]
    return positive


_BATCH_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
_OTHER_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class _Affine:
    """What a norm does beside normalising."""

    module: nn.Module

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs = inputs
        for name, apply in (("weight", torch.mul), ("bias", torch.add)):
            parameter = getattr(self.module, name, None)
            if parameter is not None:
                outputs = apply(outputs, self._along_channels(parameter, inputs))
        return outputs

    def _along_channels(self, parameter: Tensor, inputs: Tensor) -> Tensor:
        """Layer and RMS norms scale the last dims, all others dim 1."""
        if isinstance(self.module, nn.LayerNorm | nn.RMSNorm):
            return parameter
        return parameter.view(-1, *[1] * (inputs.dim() - 2))


def _ones(tensor: Tensor) -> Tensor:
    """Numbers become 1; indices and masks stay."""
    return torch.ones_like(tensor, dtype=torch.float64) if tensor.is_floating_point() else tensor
