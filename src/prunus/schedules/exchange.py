"""Exchanging single weights: some of those at work are dropped, and as many others start.

Legend: U weights of a tensor.
"""

import torch
from torch import Tensor

from prunus.schedules.base import Regrow


def exchanged(
    how: Regrow, *, weight_U: Tensor, gradient_U: Tensor | None, works_U: Tensor
) -> Tensor:
    """Return which weights work afterwards, as many as before.

    As in the paper, one that is dropped may be grown again at once, which leaves it as it was.

    Args:
        how: How many, and by what.
        weight_U: The weights.
        gradient_U: Their gradients, also of those at zero; not read where growing is at random.
        works_U: bool: which work now.

    Cost: two sorts of the tensor.

    Example:
        >>> works_U = torch.tensor([True, True, False, False])
        >>> weight_U, gradient_U = torch.tensor([0.1, 2, 0, 0]), torch.tensor([0.0, 0, 1, -3])
        >>> how = Regrow(share=0.5, by="gradient")
        >>> exchanged(how, weight_U=weight_U, gradient_U=gradient_U, works_U=works_U)
        tensor([False,  True, False,  True])
    """
    number = int(how.share * int(works_U.sum()))
    magnitude_U = weight_U.detach().abs().masked_fill(~works_U, torch.inf)
    after_U = works_U.clone()
    after_U[magnitude_U.argsort(stable=True)[:number]] = False
    wanted_U = _random_like(works_U, how.seed) if gradient_U is None else gradient_U.abs()
    order_U = wanted_U.masked_fill(after_U, -1).argsort(descending=True, stable=True)
    after_U[order_U[:number]] = True
    return after_U


def _random_like(works_U: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(works_U.shape, generator=generator).to(works_U.device)
