import copy

import pytest
import torch
from torch import nn

from prunus.criteria import Movement
from prunus.errors import CriterionError, DataError
from prunus.records import Group, Member
from prunus.signals import collect, movement

GROUPS = {
    name: Group(name, "weight", size, (Member(name, None),))
    for name, size in {"0.weight": 12, "2.weight": 8}.items()
}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def batches(number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.randn(8, 3), torch.randint(2, (8,))) for _ in range(number)]


def moved(model, data, *, lr=0.1, epochs=1, loss=None, **options) -> dict[str, torch.Tensor]:
    loss = loss or nn.CrossEntropyLoss()
    criterion = Movement(lr=lr, epochs=epochs)
    found = collect(model, GROUPS, [criterion], data=data, loss=loss, **options)
    return found.values[movement(lr=lr, epochs=epochs)]


def test_equals_a_loop_with_sgd():
    model, data = network(), batches(3)
    expected = {name: torch.zeros_like(model.get_parameter(name)) for name in GROUPS}
    tuned = copy.deepcopy(model)
    optimizer = torch.optim.SGD([tuned.get_parameter(name) for name in GROUPS], lr=0.1)
    for inputs, targets in data * 2:
        optimizer.zero_grad()
        nn.functional.cross_entropy(tuned(inputs), targets).backward()
        for name, total in expected.items():
            weight = tuned.get_parameter(name)
            total -= 0.1 * weight.grad * weight.detach()
        optimizer.step()
    for name, value in moved(model, data, epochs=2).items():
        torch.testing.assert_close(value, expected[name])


def test_is_half_of_what_the_square_grows():
    """In small steps."""
    model = network()
    data = batches(1) * 200
    before = model[0].weight.detach().square()
    found = moved(model, data, lr=1e-3)["0.weight"]
    tuned = copy.deepcopy(model)
    optimizer = torch.optim.SGD([tuned.get_parameter(name) for name in GROUPS], lr=1e-3)
    for inputs, targets in data:
        optimizer.zero_grad()
        nn.functional.cross_entropy(tuned(inputs), targets).backward()
        optimizer.step()
    grown = (tuned[0].weight.detach().square() - before) / 2
    torch.testing.assert_close(found, grown, rtol=0.05, atol=1e-5)


def test_only_a_copy_is_tuned():
    model = network()
    before = copy.deepcopy(model.state_dict())
    moved(model, batches(2))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_steps_that_are_too_large():
    data = [(torch.randn(8, 3) * 100, torch.randn(8, 2)) for _ in range(20)]
    with pytest.raises(CriterionError, match=r"fine-tuning with lr=1000 failed") as caught:
        moved(network(), data, lr=1e3, loss=nn.MSELoss())
    assert caught.value.hint == "lower it: Movement(lr=100)"


def test_a_loss_that_was_never_finite_is_no_matter_of_steps():
    with pytest.raises(DataError, match="the loss of batch 1 is inf"):
        moved(network(), batches(2), loss=lambda outputs, _: outputs.square().sum() * torch.inf)
