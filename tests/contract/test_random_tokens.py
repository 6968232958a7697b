"""Networks by the dice, the whole way: half of the units out, masked == shrunk, trained, saved.

`PRUNUS_NETWORKS=2000 pytest tests/contract/test_random_tokens.py` tries more of them.
"""

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_random_networks import STEPS, network
from token_networks import TokenNetwork
from torch import Tensor, nn

import prunus
from prunus.errors import BudgetError
from prunus.inputs import tensors_in

NUMBER = int(os.environ.get("PRUNUS_NETWORKS", "100")) // 2
Inputs = tuple[Tensor, ...]


def token_network(seed: int) -> tuple[Callable[[], nn.Module], list[Inputs]]:
    """Return how to build a token network, and its inputs in two sizes."""

    def build() -> nn.Module:
        torch.manual_seed(seed)
        return TokenNetwork(seed).eval()

    return build, [build().inputs(2), build().inputs(3)]  # type: ignore[operator]


def image_network(seed: int) -> tuple[Callable[[], nn.Module], list[Inputs]]:
    """Return the same for a convolution network of the steps that are shrunk one by one there."""
    dice = random.Random(seed)
    recipe = [(dice.choice(STEPS), dice.randrange(60)) for _ in range(dice.randrange(2, 9))]

    def build() -> nn.Module:
        torch.manual_seed(seed)
        return network(recipe).build().eval()

    case = network(recipe)
    return build, [case.inputs(0), case.inputs(1)]


def halved(build: Callable[[], nn.Module], inputs: Inputs) -> prunus.Pruned | None:
    """Prune to about half of the units; None where nothing may be removed."""
    try:
        return prunus.prune(build(), inputs, budget=prunus.Budget(units=0.5))
    except BudgetError:
        return None


def check(build: Callable[[], nn.Module], sizes: list[Inputs], folder: Path) -> bool:
    """Check one network the whole way; return whether anything was removed."""
    pruned = halved(build, sizes[0])
    if pruned is None:
        return False
    masked = pruned.masked()
    for inputs in sizes:
        _close(pruned.model(*inputs), masked(*inputs))
    prunus.save(pruned, folder)
    loaded = prunus.load(folder, model=build())
    _close(loaded(*sizes[0]), pruned.model(*sizes[0]))
    _train_a_step(pruned.model, sizes[0])
    return pruned.report.after.params < pruned.report.before.params


def _close(found: Any, expected: Any) -> None:
    for one, other in zip(tensors_in(found), tensors_in(expected), strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * scale)


def _train_a_step(model: nn.Module, inputs: Inputs) -> None:
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.01)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    sum(tensor.sum() for tensor in tensors_in(model(*inputs))).backward()  # type: ignore[union-attr]
    optimizer.step()
    moved = zip(before, model.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in moved)


def test_none_is_wrong_none_crashes_nearly_all_are_cut(tmp_path):
    cut = 0
    for make, seed in itertools.product((token_network, image_network), range(NUMBER)):
        try:
            cut += check(*make(seed), tmp_path / f"{make.__name__}{seed}")
        except Exception as error:
            raise AssertionError(f"{make.__name__}({seed})") from error
    assert cut >= 0.9 * 2 * NUMBER


def test_a_wrong_result_is_found(tmp_path, monkeypatch):
    build, sizes = token_network(0)
    monkeypatch.setattr(prunus.Pruned, "masked", lambda pruned: build())
    with pytest.raises(AssertionError):
        check(build, sizes, tmp_path / "small")
