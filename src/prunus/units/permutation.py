"""An order of channels in which slots keep more.

Which weights share a slot is an accident of the order of channels, and that order means nothing:
the units of an axis may change places, if all that they own moves along. Channels whose weights
are large together are better in different slots.

Legend: U units of an axis, R rows of the weights that read them, S slots in a row, M units of a
slot, n of which stay.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from prunus.extents import Extent, Leaf, Product
from prunus.records import Graph, Group
from prunus.units import channel
from prunus.units.tiles import Tiling

_ROWS = 512  # at most so many are looked at in the search, evenly spaced
_ROUNDS = 20


def orders(
    graph: Graph, parameters: Mapping[str, Tensor], tilings: Mapping[str, Tiling]
) -> dict[str, Tensor]:
    """Return per axis an order of its units, (U,), in which more magnitude is kept.

    Considered are the axes whose units may be removed, and whose order decides what shares a slot:
    where a unit is one input channel of the weights that read it. Axes that gain nothing are left
    out.

    Cost: U² x R operations a round, for R up to 512 rows; at most 20 rounds.

    Source: Pool and Yu, "Channel Permutations for N:M Sparsity", NeurIPS 2021. Differs: swaps of
        the highest gain that touch different slots are made together, and no escape from a local
        optimum is tried.
    """
    found = {}
    for name, group in channel.groups(graph).items():
        if group.frozen_because is not None:
            continue
        readers = list(_readers(group, tilings))
        if not readers:
            continue
        tiling = tilings[readers[0]]
        assert tiling.keep is not None
        weight_RU = torch.cat([_rows(parameters[tensor], tilings[tensor]) for tensor in readers])
        order_U = _search(weight_RU, tiling.keep, tiling.columns)
        before = float(_kept(weight_RU, tiling.keep, tiling.columns).sum())
        if float(_kept(weight_RU[:, order_U], tiling.keep, tiling.columns).sum()) > before:
            found[name] = order_U
    return found


def index_of(extent: Extent, order: Mapping[str, Tensor]) -> Tensor:
    """Return where each position of a dim comes from, (extent.size,), once axes are reordered.

    Example:
        >>> index_of(Product((Leaf(2, "c"), Leaf(2))), {"c": torch.tensor([1, 0])}).tolist()
        [2, 3, 0, 1]
    """
    if isinstance(extent, Leaf):
        if extent.axis is None or extent.axis not in order:
            return torch.arange(extent.size)
        return order[extent.axis]
    parts = [index_of(part, order) for part in extent.parts]
    whole = parts[0]
    for index in parts[1:]:
        if isinstance(extent, Product):
            whole = (whole[:, None] * len(index) + index).flatten()
        else:
            whole = torch.cat([whole, len(whole) + index])
    return whole


def _readers(group: Group, tilings: Mapping[str, Tiling]) -> list[str]:
    """Return the weights in which unit u is input channel u and no other."""
    one_each = torch.arange(group.size)[:, None]
    return [
        member.tensor
        for member, index_UK in zip(group.members, group.index_UK, strict=True)
        if member.reads
        and member.tensor in tilings
        and member.dim == 1 - tilings[member.tensor].output_dim
        and torch.equal(index_UK, one_each)
        and tilings[member.tensor].shape[member.dim] == group.size
    ]


def _rows(weight: Tensor, tiling: Tiling) -> Tensor:
    """Return magnitudes with a column per input channel, float32 (R, U)."""
    by_channel = weight.detach().cpu().abs().float().movedim(1 - tiling.output_dim, -1)
    return by_channel.reshape(-1, by_channel.shape[-1])


def _kept(weight_RU: Tensor, n: int, m: int) -> Tensor:
    """Return what each slot keeps, summed over rows, (S,)."""
    slots_RSM = weight_RU.reshape(len(weight_RU), -1, m)
    return slots_RSM.topk(n, dim=2).values.sum((0, 2), dtype=torch.float64)


def _search(weight_RU: Tensor, n: int, m: int) -> Tensor:
    """Return an order (U,) found by swaps, those of highest gain first."""
    seen_RU = weight_RU[:: -(-len(weight_RU) // _ROWS)]
    order_U = torch.arange(seen_RU.shape[1])
    for _ in range(_ROUNDS):
        pairs = _gaining(_gains(seen_RU[:, order_U], n, m), m)
        touched: set[int] = set()
        for first, second in pairs:
            slots = {first // m, second // m}
            if not slots & touched:
                touched |= slots
                order_U[[first, second]] = order_U[[second, first]]
        if not touched:
            break
    return order_U


def _gains(weight_RU: Tensor, n: int, m: int) -> Tensor:
    """Return what is kept more when unit a and unit b change places, (U, U).

    A slot without unit a keeps its n - 1 largest, and the larger of the next and what comes in.
    """
    slots_RSM = weight_RU.reshape(len(weight_RU), -1, m)
    sure_SM, next_RSM = [], torch.empty_like(slots_RSM)
    for place in range(m):
        rest = [other for other in range(m) if other != place]
        top_RSN = slots_RSM[:, :, rest].topk(n, dim=2).values
        sure_SM.append(top_RSN[:, :, :-1].sum((0, 2)))
        next_RSM[:, :, place] = top_RSN[:, :, -1]
    sure_U, next_UR = torch.stack(sure_SM, 1).flatten(), next_RSM.flatten(1).T.contiguous()
    weight_UR = weight_RU.T.contiguous()
    # The larger of two numbers is half of their sum and their distance.
    sums_UU = next_UR.sum(1)[:, None] + weight_UR.sum(1)
    comes_UU = (sums_UU + torch.cdist(next_UR, weight_UR, p=1)) / 2
    now_U = _kept(weight_RU, n, m).float().repeat_interleave(m)
    alone_UU = sure_U[:, None] + comes_UU - now_U[:, None]
    return alone_UU + alone_UU.T


def _gaining(gain_UU: Tensor, m: int) -> list[list[int]]:
    """Return the pairs of different slots whose swap gains more than rounding, highest first."""
    slot_U = torch.arange(len(gain_UU)) // m
    gain_UU = gain_UU.masked_fill(slot_U[:, None] >= slot_U, 0)  # each pair once
    pairs = torch.nonzero(gain_UU > 1e-3 * gain_UU.max())
    ranked = gain_UU[pairs[:, 0], pairs[:, 1]].argsort(descending=True, stable=True)
    found: list[list[int]] = pairs[ranked].tolist()
    return found
