"""Weights in slots and blocks: which numbers of a tensor they are, and where they fit."""

import pytest
import torch
from models import Net, conv, linear, weight
from torch import nn

from prunus import trace, units
from prunus.errors import PlanError
from prunus.units import Tiling

IMAGE = torch.ones(1, 4, 6, 6)


def reasons(model, inputs, granularity):
    groups = units.groups(trace(model, inputs), granularity)
    return {name: group.frozen_because for name, group in groups.items()}


def tiling(model, inputs, granularity):
    (found,) = units.tilings(trace(model, inputs), granularity).values()
    return found


def test_a_slot_is_a_run_of_inputs_of_one_output():
    values = torch.arange(16).view(2, 8)
    slots = tiling(linear(8, 2), torch.ones(1, 8), "2:4")
    assert slots.tiles(values).tolist() == values.reshape(4, 4).tolist()


def test_a_slot_of_a_kernel_runs_over_channels_at_one_position():
    values = torch.arange(3 * 4 * 2 * 2).view(3, 4, 2, 2)
    slots = tiling(nn.Conv2d(4, 3, 2), IMAGE, "2:4").tiles(values)
    assert slots[0].tolist() == values[0, :, 0, 0].tolist()
    assert slots[1].tolist() == values[0, :, 0, 1].tolist()
    assert slots[4].tolist() == values[1, :, 0, 0].tolist()


def test_a_block_of_a_kernel_lies_at_one_position():
    values = torch.arange(4 * 4 * 2 * 2).view(4, 4, 2, 2)
    blocks = tiling(nn.Conv2d(4, 4, 2), IMAGE, "2x4").tiles(values)
    assert blocks[0].tolist() == values[:2, :, 0, 0].flatten().tolist()
    assert blocks[4].tolist() == values[2:, :, 0, 0].flatten().tolist()


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Net(lambda net, x: x @ net.w, {"w": weight(8, 4)}), torch.ones(2, 8)),
        (nn.ConvTranspose2d(8, 4, 2), torch.ones(1, 8, 3, 3)),
    ],
)
def test_the_input_axis_is_found_in_transposed_layouts(model, inputs):
    slots = tiling(model, inputs, "2:4")
    values = torch.arange(slots.size).view(slots.shape)
    first = values.flatten(2)[:4, 0, 0] if values.dim() == 4 else values[:4, 0]
    assert slots.tiles(values)[0].tolist() == first.tolist()


@pytest.mark.parametrize("output_dim", [0, 1])
@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (4, 1), (2, 2)])
@pytest.mark.parametrize("kernel", [(), (3,), (2, 3)])
def test_tiles_can_be_put_back(output_dim, rows, columns, kernel):
    tiles = Tiling(shape=(4, 8, *kernel), output_dim=output_dim, rows=rows, columns=columns)
    values = torch.arange(tiles.size)
    assert torch.equal(tiles.weights(tiles.tiles(values)), values)


def test_what_slots_and_blocks_do_not_cover_is_frozen():
    model = nn.Sequential(conv(3, 8), conv(8, 8, groups=4), nn.Flatten(), linear(288, 10))
    images = torch.ones(1, 3, 6, 6)
    assert reasons(model, images, "2:4") == {
        "0.weight": "its 3 input channels are not a multiple of 4",
        "1.weight": "its 2 input channels are not a multiple of 4",
        "3.weight": None,
    }
    assert reasons(model, images, "4x1") == {
        "0.weight": None,
        "1.weight": "its 2 output channels are not a multiple of 4",
        "3.weight": "its 10 output channels are not a multiple of 4",
    }


def test_a_tensor_that_is_no_matrix_is_frozen():
    model = Net(lambda net, x: torch.bmm(x, net.w), {"w": weight(3, 4, 4)})
    assert "no matrix" in reasons(model, torch.ones(3, 2, 4), "2:4")["w"]


def test_kinds_stand_for_the_usual_numbers():
    assert units.spelled("n:m") == "2:4"
    assert units.spelled("block") == "4x1"
    assert {"n:m", "block"} <= set(units.names())
    assert units.zeroes("1:3") and units.zeroes("16x1") and not units.zeroes("channel")


@pytest.mark.parametrize(
    ("granularity", "words"),
    [
        ("4:4", "'4:4' is not a granularity n:m"),
        ("0:4", "0 < n < m"),
        ("1x1", "'1x1' is no block of weights"),
        ("0x8", "spans at least two weights"),
        ("2:x", "there is no granularity '2:x'"),
    ],
)
def test_numbers_that_make_no_sense(granularity, words):
    with pytest.raises(PlanError) as caught:
        units.spelled(granularity)
    assert words in str(caught.value)
