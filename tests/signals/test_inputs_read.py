"""The mean square of what each weight is multiplied with, against the matrix form of PyTorch."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunus.records import Group, Member
from prunus.signals import INPUT, INPUT_SQUARE, OUTPUT, WEIGHT, collect


class Reads:
    needs = frozenset({INPUT_SQUARE, INPUT, OUTPUT})


def signals_of(layer: nn.Module, *batches: Tensor) -> dict[str, Tensor]:
    group = Group("weight", "weight", layer.weight.numel(), (Member("weight", None),))
    data = [(batch, None) for batch in batches]
    values = collect(layer, {"weight": group}, [Reads()], data=data).values
    return {signal.name: values[signal]["weight"] for signal in Reads.needs}


def by_unfold(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return the mean square, in the shape of the weight, from every patch written out."""
    columns_BXN = functional.unfold(
        inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride
    )
    mean_X = columns_BXN.square().mean(dim=(0, 2))
    mean = mean_X.reshape(layer.groups, 1, -1, *layer.kernel_size)
    each = layer.out_channels // layer.groups
    return mean.repeat(1, each, 1, 1, 1).reshape(layer.weight.shape)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding": 1},
        {"stride": 2, "padding": (1, 0)},
        {"dilation": 2, "padding": 2},
        {"groups": 2, "stride": (1, 2)},
        {"groups": 4, "padding": 1},
    ],
)
def test_a_convolution(settings):
    layer, inputs = nn.Conv2d(4, 8, (3, 2), **settings), torch.randn(5, 4, 9, 8)
    torch.testing.assert_close(
        signals_of(layer, inputs)["input_square_UF"], by_unfold(layer, inputs)
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_inputs_and_outputs_of_a_convolution_are_numbered(groups):
    layer = nn.Conv2d(4, 6, 3, groups=groups)
    found = signals_of(layer, torch.randn(2, 4, 5, 5))
    assert torch.equal(
        found["output_UF"].flatten(1), torch.arange(6.0)[:, None].expand(6, 36 // groups)
    )
    inputs = found["input_UF"].reshape(groups, 6 // groups, -1)
    assert torch.equal(inputs, torch.arange(36.0).view(groups, 1, -1).expand(inputs.shape))


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv3d])
def test_other_dims(kind):
    dims = 1 if kind is nn.Conv1d else 3
    layer, inputs = kind(2, 3, 1), torch.randn(4, 2, *[3] * dims)
    mean_C = inputs.square().transpose(0, 1).flatten(1).mean(dim=1)
    expected = mean_C.view(1, 2, *[1] * dims).expand(layer.weight.shape)
    torch.testing.assert_close(signals_of(layer, inputs)["input_square_UF"], expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution(groups):
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups)
    found = signals_of(layer, torch.arange(1.0, 5.0).view(1, 4, 1, 1).expand(2, 4, 5, 5))
    assert found["input_square_UF"][:, 0, 0, 0].tolist() == [1, 4, 9, 16]
    assert found["input_UF"][:, -1, -1, -1].tolist() == [0, 1, 2, 3]
    first, last = found["output_UF"][0, :, 0, 0], found["output_UF"][-1, :, 0, 0]
    assert torch.cat([first, last]).unique().tolist() == list(range(6))


def test_how_items_are_batched_makes_no_difference():
    layer, inputs = nn.Conv2d(4, 4, 3, padding=1), torch.randn(7, 4, 6, 6)
    whole, split = signals_of(layer, inputs), signals_of(layer, inputs[:1], inputs[1:5], inputs[5:])
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value)


def test_a_single_item_without_a_batch():
    layer, inputs = nn.Conv2d(2, 3, 3), torch.randn(2, 5, 5)
    torch.testing.assert_close(
        signals_of(layer, inputs)["input_square_UF"], by_unfold(layer, inputs[None])
    )


def test_channels_last():
    layer, inputs = nn.Conv2d(4, 8, 3), torch.randn(5, 4, 9, 8)
    expected = by_unfold(layer, inputs)
    layer.to(memory_format=torch.channels_last)
    torch.testing.assert_close(signals_of(layer, inputs)["input_square_UF"], expected)


def test_one_input_takes_no_memory_for_every_output():
    found = signals_of(nn.Linear(3, 1000), torch.randn(4, 3))
    assert all(value.untyped_storage().nbytes() <= 4000 for value in found.values())


def test_biases_and_norms_have_zeros(chain):
    class Both:
        needs = frozenset({INPUT_SQUARE, WEIGHT})

    group = chain.groups["0.weight"]
    collected = collect(chain.model, chain.groups, [Both()], data=chain.data)
    members = collected.of(group, Both.needs).members
    assert [bool(m.input_square_UF.any()) for m in members] == [True, False, False, False, True]


def test_half_precision_does_not_overflow():
    layer = nn.Linear(2, 2).half()
    found = signals_of(layer, torch.full((4, 2), 6e4, dtype=torch.float16) / 3)["input_square_UF"]
    torch.testing.assert_close(found, torch.full((2, 2), 2e4**2), rtol=1e-3, atol=0)
