"""Two plans, one after the other, as one plan for the dense model."""

import torch

from prunus.errors import PlanError
from prunus.extents import Extent, mask_of, size_kept
from prunus.records import Kept, Plan


def compose(first: Plan, second: Plan) -> Plan:
    """Return the one plan that does to the dense model what `first` and then `second` do.

    With it a model that was pruned twice is saved, loaded and shrunk from the original in one go.

    Args:
        first: Made for the dense model.
        second: Made for what `first` made of it, whether trained in between or not.

    Returns:
        A plan for the dense model. Its provenance is that of `second`, with that of `first` under
        "after".

    Raises:
        PlanError: `second` was not made for the result of `first`, the two are of different
            granularity, or no one plan does what they do.

    Cost: that of writing out the kept positions of each tensor; no model is needed.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> half = prunus.Budget(units=0.5)
        >>> once = prunus.prune(dense, torch.randn(1, 4), budget=half)
        >>> twice = prunus.prune(once.model, torch.randn(1, 4), budget=half)
        >>> plan = prunus.compose(once.plan, twice.plan)
        >>> plan.counts, prunus.shrink(dense, plan)[0]
        ({'0': 2}, Linear(in_features=4, out_features=2, bias=True))
    """
    if first.stacks or second.stacks:
        raise PlanError(
            "plans that take out whole blocks do not make one",
            why="the second counts the blocks anew that the first one left",
            hint="keep both, and shrink with one after the other",
        )
    if first.lines or second.lines:
        raise PlanError(
            "plans that make activation functions lines do not make one",
            why="each line was fitted to what its function read at that time",
            hint="keep both, and shrink with one after the other",
        )
    _check_follows(first, second)
    kept = {**second.kept, **first.kept}
    for name in first.kept.keys() & second.kept.keys():
        kept[name] = _both(first, second, name)
    attributes = {(each.module, each.attribute): each for each in second.attributes}
    attributes |= {(each.module, each.attribute): each for each in first.attributes}
    plan = Plan(
        granularity=first.granularity,
        kept=kept,
        tensors={**second.tensors, **first.tensors},
        attributes=tuple(attributes.values()),
        provenance={**second.provenance, "after": dict(first.provenance)},
        # Both are powers of what is kept, which multiply to that of what is kept in the end.
        corrections=tuple(
            ({each.tensor: each for each in (*second.corrections, *first.corrections)}).values()
        ),
    )
    _check_same(first, second, plan)
    return plan


def _both(first: Plan, second: Plan, name: str) -> Kept:
    """Return what stays of a group that both plans cut."""
    mask_U = first.kept[name].mask()
    if first.tensors:  # the second plan counts only what the first one left
        mask_U[mask_U.clone()] = second.kept[name].mask()
        return Kept.of(mask_U)
    return Kept.of(mask_U & second.kept[name].mask())


def _check_follows(first: Plan, second: Plan) -> None:
    """Raise PlanError unless `second` may be a plan for the result of `first`."""
    if first.granularity != second.granularity:
        raise PlanError(
            f"a '{first.granularity}' plan and a '{second.granularity}' plan do not make one",
            why="a plan has one granularity",
            hint="keep both, and shrink with one after the other",
        )
    for name in sorted(first.tensors.keys() & second.tensors.keys()):
        left = tuple(size_kept(extent, first.counts) for extent in first.tensors[name])
        wanted = tuple(extent.size for extent in second.tensors[name])
        if left != wanted:
            raise _not_the_result(f"the first leaves '{name}' {left}, the second cuts {wanted}")
    for name in sorted(first.kept.keys() & second.kept.keys()):
        left_ = first.kept[name].count if first.tensors else first.kept[name].size
        if left_ != second.kept[name].size:
            raise _not_the_result(
                f"the first leaves {left_} units of '{name}', the second cuts "
                f"{second.kept[name].size}"
            )


def _check_same(first: Plan, second: Plan, plan: Plan) -> None:
    """Raise PlanError unless `plan` keeps, of every tensor, what the two keep in turn."""
    for name in second.tensors:
        dims = first.tensors.get(name, second.tensors[name])
        for dim, (dense, small) in enumerate(zip(dims, second.tensors[name], strict=True)):
            stepwise = _mask(dense, first) if name in first.tensors else _mask(small, second)
            if name in first.tensors:
                stepwise[stepwise.clone()] = _mask(small, second)
            if not torch.equal(stepwise, _mask(plan.tensors[name][dim], plan)):
                raise PlanError(
                    f"the plans do not make one: dim {dim} of '{name}' is cut along other units "
                    "by the second",
                    why="after the first cut the model is made of other groups",
                    hint="keep both, and shrink with one after the other",
                )


def _mask(extent: Extent, plan: Plan) -> torch.Tensor:
    return mask_of(extent, {name: kept.mask() for name, kept in plan.kept.items()}).clone()


def _not_the_result(what: str) -> PlanError:
    return PlanError(
        f"the second plan was not made for what the first one leaves: {what}",
        hint="compose(first, second) with second = prunus.prune(pruned.model, ...).plan",
    )
