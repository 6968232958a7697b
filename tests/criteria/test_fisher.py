import torch
from torch import nn

from prunus.criteria import Fisher, scores
from prunus.records import Group, Member
from prunus.signals import SAMPLE_GRADIENT_SQUARE, WEIGHT, collect, group_of

GROUPS = {"0.weight": Group("0.weight", "weight", 24, (Member("0.weight", None),))}


def test_by_hand():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]
    squares = [torch.tensor([[2.0, 1.0]]), torch.tensor([[4.0]])]
    fc = group_of("fc", {WEIGHT: weights, SAMPLE_GRADIENT_SQUARE: squares})
    assert Fisher()(fc).tolist() == [21.0]


def test_equals_vmap_over_items():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    inputs, targets = torch.randn(10, 4), torch.randint(3, (10,))
    parameters = {name: tensor.detach() for name, tensor in model.named_parameters()}

    def loss(parameters, item, target):
        outputs = torch.func.functional_call(model, parameters, (item,))
        return nn.functional.cross_entropy(outputs, target)

    per_item = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, inputs, targets)
    fisher = per_item["0.weight"].square().mean(dim=0)
    data = [(inputs[:7], targets[:7]), (inputs[7:], targets[7:])]  # of unequal sizes
    signals = collect(model, GROUPS, [Fisher()], data=data, loss=nn.CrossEntropyLoss())
    expected = (parameters["0.weight"].square() * fisher / 2).flatten()
    torch.testing.assert_close(scores(Fisher(), GROUPS, signals)["0.weight"], expected)
