"""Leave a model as it was, whatever its `forward` writes down in it."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from prunus.errors import PruneError
from prunus.trace.closures import lead_home
from prunus.trace.holders import keep, reached_from

_PARTS = ("_parameters", "_buffers", "_modules")
_CLEARED = frozenset({dict, OrderedDict, set})


@contextmanager
def as_it_was(model: nn.Module, *, buffers: bool = False) -> Iterator[None]:
    """Give every attribute of every module back at the end, as after a run of `forward`.

    New attributes go, hooks too; dicts, lists, sets and plain objects hold what they held, at any
    depth, and stay the same objects; plain tensors have the values that they had, and buffers
    where asked.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> model.calls = [1]
        >>> with as_it_was(model):
        ...     model.calls.append(2)
        >>> model.calls
        [1]
    """
    put_back = snapshot(model, buffers=buffers)
    try:
        yield
    finally:
        put_back()


def snapshot(model: nn.Module, *, buffers: bool = False) -> Callable[[], None]:
    """Return what puts everything back as it is now: see `as_it_was`."""
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    parts = [held[name] for _, held in attributes for name in _PARTS]
    values = [value for _, held in attributes for name, value in held.items() if name not in _PARTS]
    empty = [value for value in values if type(value) in _CLEARED and not value]  # mostly for hooks
    reached = list(reached_from(v for v in values if type(v) not in _CLEARED or v))
    refills = [refill for holder in (*parts, *reached) if (refill := keep(holder)) is not None]
    plain = [value for value in reached if isinstance(value, Tensor)]
    tensors = [(tensor, tensor.detach().clone()) for tensor in _kept(model, plain, buffers=buffers)]

    def put_back() -> None:
        for module, held in attributes:
            vars(module).clear()
            vars(module).update(held)
        for holder in empty:
            holder.clear()
        for refill in refills:
            refill()
        for tensor, value in tensors:
            _restore(tensor, value)

    return put_back


def _kept(model: nn.Module, plain: Sequence[Tensor], *, buffers: bool) -> Iterator[Tensor]:
    """Yield the tensors whose values are kept: buffers only where asked, and no parameters."""
    if plain:
        of_model = {id(tensor) for tensor in chain(model.parameters(), model.buffers())}
        yield from (tensor for tensor in plain if id(tensor) not in of_model)
    if buffers:
        yield from model.buffers()


def copy_of(model: nn.Module, memo: Mapping[int, Any] | None = None) -> nn.Module:
    """Return `copy.deepcopy(model)`, also where modules hold tensors that were computed.

    Such are activations that `forward` noted, and weights that hooks compute, as in
    `torch.nn.utils.weight_norm` and `.prune`: PyTorch copies none with a history of gradients, so
    their values are copied without it. Functions of TorchScript are shared; Python's functions and
    weak references in the copy lead to the copy.

    Args:
        model: What to copy.
        memo: id -> what to take in place of a copy. A module with a `__deepcopy__` of its own may
            take no notice of it.

    Raises:
        PruneError: Something in it cannot be copied, or a module shares a tensor with its copy.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> layer.last = layer(torch.ones(1, 2))
        >>> copy_of(layer).last.requires_grad
        False
    """
    reached = list(reached_from(value for each in model.modules() for value in vars(each).values()))
    computed = (value for value in reached if isinstance(value, Tensor) and not value.is_leaf)
    known: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in computed}
    known |= {id(value): value for value in reached if isinstance(value, torch.jit.ScriptFunction)}
    known |= memo or {}
    copies = dict(known)
    try:
        result = copy.deepcopy(model, copies)
    except Exception as error:
        raise PruneError(
            f"the model cannot be copied: {type(error).__name__}: {error}",
            why=f"'{_uncopied(model, known)}' is or holds something that Python cannot copy, such "
            "as a generator, a lock or a compiled function",
            hint="prune with in_place=True, which needs no copy",
        ) from error
    shared = _shared(model, result)
    if shared is not None:
        raise PruneError(
            f"the model cannot be copied: its copy has the same '{shared}', or none",
            why="a module has a __deepcopy__ of its own, which does not copy it",
            hint="let __deepcopy__ copy all tensors, or prune with in_place=True",
        )
    lead_home(result, copies)
    return result


def _uncopied(model: nn.Module, known: Mapping[int, Any]) -> str:
    """Return the name of the attribute, or else of the innermost module, that cannot be copied."""
    modules = list(model.named_modules())
    attributes = (
        (f"{name}.{attribute}".removeprefix("."), value)
        for name, module in modules
        for attribute, value in vars(module).items()
        if attribute != "_modules"
    )
    whole = ((name or type(module).__name__, module) for name, module in reversed(modules))
    found = (name for name, value in (*attributes, *whole) if not _is_copied(value, known))
    return next(found, "the model")


def _is_copied(value: Any, known: Mapping[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(known))
    except Exception:  # noqa: BLE001 - of any kind: that is what is asked
        return False
    return True


def _shared(model: nn.Module, result: nn.Module) -> str | None:
    """Return the name of a tensor that the copy of a model shares with it, or lacks."""
    copies = dict(result.named_parameters()) | dict(result.named_buffers())
    named = (*model.named_parameters(), *model.named_buffers())
    return next((name for name, tensor in named if copies.get(name, tensor) is tensor), None)


def _restore(tensor: Tensor, value: Tensor) -> None:
    if tensor.is_meta:
        return
    with torch.no_grad(), torch.inference_mode(mode=tensor.is_inference()):
        if tensor.layout != torch.strided or not torch.equal(tensor, value):
            tensor.copy_(value)
