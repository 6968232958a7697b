import pytest
import torch
from torch import nn

from prunus.allocate import Budget
from prunus.criteria import BatchNormScale
from prunus.errors import CriterionError
from prunus.networks import mlp, resnet
from prunus.planner import Planner
from prunus.signals import NORM_SCALE, collect
from prunus.trace import trace
from prunus.units import groups

INPUTS = torch.randn(2, 1, 8, 8)


def free(model, granularity="channel"):
    found = groups(trace(model, INPUTS), granularity)
    return {name: group for name, group in found.items() if group.frozen_because is None}


def scaled(model, found):
    return collect(model, found, [BatchNormScale()]).values[NORM_SCALE]


def randomised(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
    return model


def test_one_norm_gives_its_scales():
    model = randomised(resnet())
    found = scaled(model, free(model))
    torch.testing.assert_close(found["block1.conv1"], model.block1.bn1.weight.abs())


def test_several_norms_give_the_mean():
    """The stem's channels are added to those of the first block."""
    model = randomised(resnet())
    expected = (model.stem[1].weight.abs() + model.block1.bn2.weight.abs()) / 2
    torch.testing.assert_close(scaled(model, free(model))["stem.0"], expected)


def test_scales_after_a_flatten_are_averaged():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 2)
    )
    nn.init.normal_(model[3].weight)
    expected = model[3].weight.abs().view(3, 64).mean(dim=1)
    torch.testing.assert_close(scaled(model, free(model))["0"], expected)


@pytest.mark.parametrize("layers", [{}, {"affine": False}])
def test_groups_without_a_scale_are_named(layers):
    norm = nn.BatchNorm2d(4, **layers) if layers else nn.LayerNorm([4, 6, 6])
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Flatten(), nn.Linear(48, 2),
    )  # fmt: skip
    found = groups(trace(model, INPUTS), "channel")
    found = {name: found[name] for name in ("0", "3")}
    with pytest.raises(CriterionError, match=r"1 of 2 groups have no batch norm.*: '0'"):
        scaled(model, found)


def test_the_hint_works():
    model = nn.Sequential(mlp(), nn.Unflatten(1, (10, 1, 1)), nn.Conv2d(10, 4, 1),
                          nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))  # fmt: skip
    options = {"budget": Budget(units=0.5), "criterion": BatchNormScale()}
    with pytest.raises(CriterionError, match="3 of 4 groups") as caught:
        Planner.of(model, INPUTS, **options).scores()
    exclude = ["0.1", "0.3", "0.5"]
    assert caught.value.hint == f'exclude={exclude}, or criterion="magnitude"'
    planner = Planner.of(model, INPUTS, exclude=exclude, **options)
    assert planner.scores()["2"].tolist() == [1, 1, 1, 1]


def test_many_groups_are_counted():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *[nn.Linear(8, 8) for _ in range(9)])
    with pytest.raises(CriterionError, match=r"9 of 9 groups .* and 3 more"):
        scaled(model, free(model))


def test_single_weights_are_refused():
    model = resnet()
    with pytest.raises(CriterionError, match=r"do not scale the single weights of 'stem.0.weight'"):
        scaled(model, free(model, "weight"))
