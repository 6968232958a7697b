"""Is the shrunk model the masked model? Run both on the same inputs and compare."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prunus.errors import VerifyError
from prunus.inputs import Inputs, call, map_tensors, tensors_in
from prunus.masks import Masked
from prunus.modes import eager, mode, seeded
from prunus.records import Agreement, Plan
from prunus.shrink import shrink
from prunus.trace.restore import as_it_was, copy_of

# Largest difference, relative to the largest output, that rounding explains: a cut changes the
# order in which a sum is taken.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}


def outputs_of(model: nn.Module, batches: Sequence[Inputs]) -> list[list[Tensor]]:
    """Return the output tensors of `model` for each of `batches`, in eval mode, without gradients.

    Every run starts from the same random state; afterwards that and the model are what they were.
    """
    results = []
    with mode(model, training=False), torch.no_grad(), eager():
        for inputs in batches:
            with seeded(), as_it_was(model, buffers=True):
                outputs = call(model, map_tensors(torch.clone, inputs))
                results.append([tensor.detach().clone() for tensor in tensors_in(outputs)])
    return results


def agree(
    masked: Sequence[Sequence[Tensor]],
    shrunk: Sequence[Sequence[Tensor]],
    *,
    inexact_because: tuple[str, ...] = (),
    names: tuple[str, str] = ("shrunk", "masked"),
) -> Agreement:
    """Compare the outputs of the masked and the shrunk model, from `outputs_of`.

    Args:
        masked: Per batch the outputs of the masked model.
        shrunk: Those of the shrunk one.
        inexact_because: Where reasons are given, values may differ: how far is measured.
        names: What the second and the first are called.

    Raises:
        VerifyError: They differ by more than rounding explains, in number, shape or value; or no
            number that they return is finite.
    """
    empty = _holds_nothing(masked, names)
    worst, tolerance = 0.0, 0.0
    for batch, (expected, found) in enumerate(zip(masked, shrunk, strict=True)):
        if [tensor.shape for tensor in expected] != [tensor.shape for tensor in found]:
            raise VerifyError(
                f"the {names[0]} model returns {_shapes(found)}, the {names[1]} one "
                f"{_shapes(expected)}",
                hint="report this: prunus should have seen it before cutting",
            )
        for one, other in zip(expected, found, strict=True):
            difference, allowed = _difference(one, other)
            tolerance = max(tolerance, allowed)
            worst = max(worst, difference)
            if not (difference <= allowed or inexact_because):
                raise VerifyError(
                    f"the {names[0]} model differs from the {names[1]} one by {difference:.3g} "
                    f"where rounding explains {allowed:.3g}, in batch {batch}",
                    why="some operator does more with the removed units than prunus knows",
                    hint="exclude=... the layers involved, and report the model",
                )
    sizes = tuple(outputs[0].shape[0] if outputs and outputs[0].dim() else 1 for outputs in masked)
    return Agreement(worst, tolerance, sizes, inexact_because, names, empty)


def _holds_nothing(masked: Sequence[Sequence[Tensor]], names: tuple[str, str]) -> bool:
    """Return whether all outputs are empty; raise where none of their numbers is finite."""
    numbers = [tensor for outputs in masked for tensor in outputs if tensor.numel()]
    if numbers and not any(tensor.isfinite().any() for tensor in numbers):
        raise VerifyError(
            f"nothing that the {names[1]} model returns is a finite number",
            why="NaN and infinity cannot be compared with what the pruned model returns",
            hint="pass example_inputs without NaN, and weights with which the model computes "
            "finite numbers; verify=False prunes without the check",
        )
    return not numbers


def compared(model: nn.Module, plan: Plan, inputs: Inputs) -> Agreement:
    """Compare what `plan` makes of a copy of `model` with `model` masked.

    Raises:
        VerifyError: They differ by more than rounding explains.

    Cost: a copy of what is kept, and two forward passes at each of two batch sizes.
    """
    batches = example_batches(model, inputs)
    with Masked(model, plan):
        masked = outputs_of(model, batches)
    return agree(masked, outputs_of(shrink(model, plan), batches))


def agree_in_double(
    dense: nn.Module, shrunk: nn.Module, plan: Plan, batches: Sequence[Inputs]
) -> Agreement:
    """Compare the two in float64, where float32 rounding decides what a model returns.

    Which boxes a detector keeps can turn on the last bit, and an output in which all but noise
    cancels out has no scale to measure a difference by.

    Args:
        dense: The dense model.
        shrunk: What `plan` made of it.
        plan: What was kept.
        batches: The inputs.

    Raises:
        VerifyError: They differ in float64 too.
        Exception: Whatever a model raises that does not run in float64.

    Cost: a copy of both models in float64, and two runs of each.
    """
    doubled = [map_tensors(_doubled, inputs) for inputs in batches]
    twin, small = copy_of(dense).double(), copy_of(shrunk).double()
    with Masked(twin, plan):
        masked = outputs_of(twin, doubled)
    names = ("shrunk in float64", "masked in float64")
    return agree(masked, outputs_of(small, doubled), names=names)


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Return the largest difference and the one that rounding explains."""
    if not one.numel():
        return 0.0, 0.0
    if not one.is_floating_point():
        if one.is_complex():
            return _difference(torch.view_as_real(one), torch.view_as_real(other))
        return float((one != other).sum()), 0.0
    # Infinities, as in masked scores, and what is no number must be in the same places.
    finite = one.isfinite() & other.isfinite()
    if not (finite | (one == other) | (one.isnan() & other.isnan())).all():
        return float("inf"), 0.0
    if not finite.any():
        return 0.0, 0.0
    one_double, other_double = one[finite].double(), other[finite].double()
    scale = float(one_double.abs().max())
    limits = torch.finfo(one.dtype)
    spacing = limits.tiny * limits.eps  # of the smallest floats: there, rounding is not relative
    allowed = max(TOLERANCE.get(one.dtype, 1e-4) * scale, 8 * spacing)
    return float((one_double - other_double).abs().max()), allowed


def _shapes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(" x ".join(map(str, tensor.shape)) for tensor in tensors) or "no tensor"


def example_batches(model: nn.Module, inputs: Inputs) -> list[Inputs]:
    """Return the example inputs, and a batch twice as large where the model takes one."""
    sizes = {tensor.shape[0] for tensor in tensors_in(inputs) if tensor.dim()}
    if len(sizes) != 1:
        return [inputs]
    twice = map_tensors(lambda t: torch.cat([t, t.flip(0)]) if t.dim() else t, inputs)
    try:
        outputs_of(model, [twice])
    except Exception:  # noqa: BLE001 - a model for one batch size: that one is what is checked
        return [inputs]
    return [inputs, twice]
