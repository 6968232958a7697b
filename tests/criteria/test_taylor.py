import torch
from torch import nn

from prunus.criteria import Taylor, scores
from prunus.extents import Leaf
from prunus.records import Group, Member
from prunus.signals import GRADIENT_PRODUCT, GRADIENT_SQUARE, WEIGHT, collect, group_of

NAME = "0.weight"
MEMBERS = (
    Member(NAME, 0, Leaf(6, NAME)),
    Member("0.bias", 0, Leaf(6, NAME)),
    Member("2.weight", 1, Leaf(6, NAME), reads=True),
)
CHANNELS = {NAME: Group(NAME, "channel", 6, MEMBERS)}
WEIGHTS = {NAME: Group(NAME, "weight", 24, (Member(NAME, None),))}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def score(model, groups, criterion, data) -> torch.Tensor:
    signals = collect(model, groups, [criterion], data=data, loss=nn.CrossEntropyLoss())
    return scores(criterion, groups, signals)[NAME]


def batches(number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(number)]


def test_by_hand_joint():
    assert Taylor()(group_of("fc", {GRADIENT_PRODUCT: torch.tensor([4.0, 0.0])})).tolist() == [4, 0]


def test_by_hand_separate():
    weights = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])]
    squares = [torch.tensor([[1.0, 0.25]]), torch.tensor([[4.0]])]
    separate = group_of("fc", {WEIGHT: weights, GRADIENT_SQUARE: squares})
    assert Taylor(joint=False)(separate).tolist() == [1 + 1 + 36]


def test_each_reads_only_its_own_signals():
    """Joint scores of channels need no memory of the size of the model."""
    assert Taylor().needs == {GRADIENT_PRODUCT}
    assert Taylor(joint=False).needs == {WEIGHT, GRADIENT_SQUARE}


def test_both_equal_a_loop_over_batches():
    model, data = network(), batches(3)
    joint, separate = torch.zeros(6), torch.zeros(6)
    for inputs, targets in data:
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        rows = [model[0].weight, model[0].bias.unsqueeze(1), model[2].weight.T]
        grads = [model[0].weight.grad, model[0].bias.grad.unsqueeze(1), model[2].weight.grad.T]
        product_UF = (torch.cat(rows, dim=1) * torch.cat(grads, dim=1)).detach()
        joint += product_UF[:, 5:].sum(dim=1) ** 2 / 3  # those of the layer that reads the units
        separate += (product_UF**2).sum(dim=1) / 3
    torch.testing.assert_close(score(model, CHANNELS, Taylor(), data), joint)
    torch.testing.assert_close(score(model, CHANNELS, Taylor(joint=False), data), separate)


def test_both_are_the_same_for_single_weights():
    model, data = network(), batches(2)
    joint, separate = (score(model, WEIGHTS, Taylor(joint=joint), data) for joint in (True, False))
    torch.testing.assert_close(joint, separate)


def test_joint_predicts_the_change_of_the_loss():
    model, data = network(), batches(1)
    model[2].weight.data *= 0.02  # small units, for which the first order is enough
    predicted_U = score(model, CHANNELS, Taylor(), data).sqrt()
    (inputs, targets) = data[0]
    changes = []
    with torch.no_grad():
        dense = nn.functional.cross_entropy(model(inputs), targets)
        for unit in range(6):
            column = model[2].weight[:, unit].clone()
            model[2].weight[:, unit] = 0
            changes.append(nn.functional.cross_entropy(model(inputs), targets) - dense)
            model[2].weight[:, unit] = column
    actual_U = torch.stack(changes).abs()
    assert actual_U.max() > 1e-4
    torch.testing.assert_close(predicted_U, actual_U, rtol=0.05, atol=2e-6)
