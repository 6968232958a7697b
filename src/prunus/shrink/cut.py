"""Cut parameters, buffers and optimizer state along the kept indices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from prunus.errors import PlanError
from prunus.extents import Extent, mask_of
from prunus.masks import Masked, check_fits
from prunus.records import Plan
from prunus.shrink.computed import compute_weights
from prunus.shrink.lines import straighten
from prunus.shrink.stacks import dense_names, take_out
from prunus.trace.restore import copy_of
from prunus.trace.sizes import set_sizes


@torch.inference_mode(mode=False)  # the result can be trained wherever it was made
@torch.no_grad()
def shrink(
    model: nn.Module,
    plan: Plan,
    *,
    in_place: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
) -> nn.Module:
    """Return `model` without the units that `plan` removes.

    The result is made of the same module classes with smaller tensors; names, order, ties, dtype,
    device, memory format, flags and hooks are those of `model`. At weight level, where no shape
    changes, the removed weights become zeros.

    Args:
        model: The dense model that the plan was made for.
        plan: What to keep.
        in_place: Cut `model` itself. Its parameters stay the same objects.
        optimizer: One that trains `model`; it is bound to the result and its state is cut along
            the same indices, so that training goes on with it.

    Raises:
        PlanError: The plan does not fit the model; nothing was changed.

    Cost: one copy of what is kept; with `in_place`, of one tensor at a time.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> plan = prunus.prune(model, torch.randn(1, 4), budget=prunus.Budget(units=0.5)).plan
        >>> shrink(model, plan)[0]
        Linear(in_features=4, out_features=4, bias=True)
    """
    check_fits(model, plan)
    cuts = _cuts(plan)
    if optimizer is not None:
        _check_followed(plan)
        _check_state(optimizer, model, cuts)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    affected = {tensors[name]: cut for name, cut in cuts.items()}
    if in_place:
        for tensor, cut in affected.items():
            _replace(tensor, cut.apply(tensor.detach()))
        result = model
    else:
        # What is in the memo is not copied: no second dense model comes into being.
        memo = {id(tensor): _smaller(tensor, cut) for tensor, cut in affected.items()}
        result = copy_of(model, memo)
        _cut_what_was_copied(result, cuts, made=memo.values())
    set_sizes(result, plan.attributes, plan.counts)
    _correct(result, plan)
    for recurrent in (each for each in result.modules() if isinstance(each, nn.RNNBase)):
        recurrent.flatten_parameters()  # cuDNN wants the weights side by side; else it warns
    take_out(result, plan)
    straighten(result, plan)
    if plan.zeroes:
        Masked(result, plan)
    compute_weights(result)
    if optimizer is not None:
        rebind(optimizer, model, result, plan)
    return result


def rebind(
    optimizer: torch.optim.Optimizer, model: nn.Module, result: nn.Module, plan: Plan
) -> None:
    """Point an `optimizer` of `model` at its shrunk `result`, and cut its state like it.

    What has a parameter's dense shape, such as momentum, is cut, and what has it but for dims of
    size 1; step counts and the like stay.

    Raises:
        PlanError: The optimizer keeps something of another shape, or of layers that became
            others; nothing was changed.
    """
    _check_followed(plan)
    _check_state(optimizer, model, _cuts(plan))
    dense, small = dict(model.named_parameters()), dict(result.named_parameters())
    names = {name: name for name in small} if result is model else dense_names(plan, small)
    counterparts = {dense[names[name]]: param for name, param in small.items()}
    gone = set(dense.values()) - counterparts.keys()  # with the blocks that were taken out
    cuts = {dense[name]: cut for name, cut in _cuts(plan).items() if name in dense}
    for group in optimizer.param_groups:
        left = (param for param in group["params"] if param not in gone)
        group["params"] = [counterparts.get(param, param) for param in left]
    params = [param for param in optimizer.state if isinstance(param, nn.Parameter)]
    for param in params:
        cut, state = cuts.get(param), optimizer.state.pop(param)
        for key, value in state.items():
            if cut is not None and isinstance(value, Tensor) and cut.fits(value):
                state[key] = cut.apply(value)
        if param not in gone:
            optimizer.state[counterparts.get(param, param)] = state


def _cut_what_was_copied(
    result: nn.Module, cuts: Mapping[str, "_Cut"], *, made: Iterable[Tensor]
) -> None:
    """Cut the tensors that a module with a `__deepcopy__` of its own copied whole."""
    smaller = {id(tensor) for tensor in made}
    tensors = dict(result.named_parameters()) | dict(result.named_buffers())
    for name, cut in cuts.items():
        if id(tensors[name]) not in smaller:
            _replace(tensors[name], cut.apply(tensors[name].detach()))


def _replace(tensor: Tensor, data: Tensor) -> None:
    """Put `data` of another shape into `tensor`, and forget its gradient."""
    if tensor.requires_grad:
        # While anything of an earlier pass is alive, such as its loss, autograd expects gradients
        # of the old shape. It forgets that where the type changes.
        other = torch.float16 if tensor.dtype == torch.float32 else torch.float32
        tensor.data = tensor.detach().new_empty(0, dtype=other)
    tensor.data = data
    tensor.grad = None


def _correct(model: nn.Module, plan: Plan) -> None:
    for correction in plan.corrections:
        model.get_parameter(correction.tensor).mul_(correction.factor(plan.counts))


@dataclass(frozen=True)
class _Cut:
    """What stays of a tensor: its dense shape, and per dim the positions (None: all)."""

    shape: tuple[int, ...]
    positions: tuple[Tensor | None, ...]

    def fits(self, tensor: Tensor) -> bool:
        """Whether `tensor` has the dense shape, but for dims of size 1."""
        return tensor.dim() == len(self.shape) and all(
            size in (dense, 1) for size, dense in zip(tensor.shape, self.shape, strict=True)
        )

    def apply(self, tensor: Tensor) -> Tensor:
        """Return the kept part of `tensor` in the same memory format."""
        result = tensor
        for dim, index in enumerate(self.positions):
            if index is not None and tensor.shape[dim] == self.shape[dim]:
                result = result.index_select(dim, index.to(tensor.device))
        return result.contiguous(memory_format=_memory_format(tensor))


def _cuts(plan: Plan) -> dict[str, _Cut]:
    masks = {name: kept.mask() for name, kept in plan.kept.items()}

    @cache
    def positions(extent: Extent) -> Tensor | None:
        mask = mask_of(extent, masks)
        return None if mask.all() else torch.nonzero(mask).flatten()

    return {
        name: _Cut(tuple(extent.size for extent in extents), tuple(map(positions, extents)))
        for name, extents in plan.tensors.items()
    }


def _check_followed(plan: Plan) -> None:
    if plan.lines:
        raise PlanError(
            "the optimizer cannot follow: layers became others where activation functions went",
            why="what it keeps of the old weights says nothing of the new ones",
            hint="leave optimizer=... out, and make a new one for the result",
        )


def _check_state(optimizer: torch.optim.Optimizer, model: nn.Module, cuts: dict[str, _Cut]) -> None:
    parameters = dict(model.named_parameters())
    for name, cut in ((name, cut) for name, cut in cuts.items() if name in parameters):
        for key, value in optimizer.state.get(parameters[name], {}).items():
            if isinstance(value, Tensor) and value.dim() and not cut.fits(value):
                raise PlanError(
                    f"the optimizer cannot follow the cut: '{key}' of '{name}' has shape "
                    f"{tuple(value.shape)}, the parameter {cut.shape}",
                    why=f"{type(optimizer).__name__} keeps something that is not cut like it",
                    hint="shrink without optimizer=..., and make a new one for the result",
                )


def _memory_format(tensor: Tensor) -> torch.memory_format:
    for rank, memory_format in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        channels_last = tensor.dim() == rank and not tensor.is_contiguous()
        if channels_last and tensor.is_contiguous(memory_format=memory_format):
            return memory_format
    return torch.contiguous_format


def _smaller(tensor: Tensor, cut: _Cut) -> Tensor:
    """Return a cut twin of the same kind, with the attributes that the user gave it."""
    data = cut.apply(tensor.detach())
    if not isinstance(tensor, nn.Parameter):
        return data
    twin = nn.Parameter(data, requires_grad=tensor.requires_grad)
    twin.__dict__.update(tensor.__dict__)
    return twin
