"""Multiply-adds: by hand, and against PyTorch's own counter."""

import pytest
import torch
from operator_recorder import graph_of, record
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from prunus.cost import CostModel
from prunus.cost.macs import FORMULAS, terms_of
from prunus.extents import Leaf
from prunus.records import Operator, Value


def half_of_flops(function):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    assert counter.get_total_flops() > 0
    return counter.get_total_flops() // 2


def sdpa_by_products():
    return sdpa_kernel(SDPBackend.MATH)


class Products(nn.Module):
    def forward(self, x):
        y = torch.baddbmm(torch.zeros(2, 5, 5), x, x.transpose(1, 2))
        return torch.einsum("bij,bjk->bik", y, x), x[0] @ x[1].T


ZOO = {
    "linear": (nn.Linear(8, 3), torch.zeros(4, 5, 8)),
    "linear without bias": (nn.Linear(8, 3, bias=False), torch.zeros(4, 8)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2), torch.zeros(2, 4, 9)),
    "conv2d": (nn.Conv2d(4, 6, (3, 5), padding=1), torch.zeros(2, 4, 9, 8)),
    "conv2d without batch": (nn.Conv2d(4, 6, 3), torch.zeros(4, 9, 8)),
    "conv3d": (nn.Conv3d(4, 6, 3, dilation=2), torch.zeros(2, 4, 9, 8, 7)),
    "grouped": (nn.Conv2d(8, 12, 3, groups=4), torch.zeros(2, 8, 9, 8)),
    "depthwise": (nn.Conv2d(8, 16, 3, groups=8), torch.zeros(2, 8, 9, 8)),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3, stride=2), torch.zeros(2, 4, 9)),
    "transposed 2d": (nn.ConvTranspose2d(4, 6, 3, stride=2), torch.zeros(2, 4, 5, 6)),
    "transposed grouped": (nn.ConvTranspose2d(8, 6, 3, groups=2), torch.zeros(2, 8, 5, 6)),
    "products": (Products(), torch.zeros(2, 5, 8)),
    "gru": (nn.GRU(8, 6), torch.zeros(3, 2, 8)),
    "lstm cell": (nn.LSTMCell(8, 6), torch.zeros(2, 8)),
    "encoder": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.zeros(2, 5, 8)),
    "network": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)),
        torch.zeros(2, 3, 6, 6),
    ),
}


@pytest.mark.parametrize("name", ZOO)
def test_equals_half_of_the_flops_that_pytorch_counts(name):
    model, inputs = ZOO[name]

    with sdpa_by_products():
        macs = CostModel(record(lambda: model(inputs))).macs({})
        assert macs == half_of_flops(lambda: model(inputs))


def test_every_forward_operator_that_pytorch_counts_has_a_formula():
    counted = {str(operator).split(".")[-1] for operator in flop_registry}

    assert {name for name in counted if "backward" not in name} <= set(FORMULAS)


def test_a_convolution_by_hand():
    model = nn.Conv2d(3, 4, 2, bias=False)

    macs = CostModel(record(lambda: model(torch.zeros(5, 3, 7, 7)))).macs({})

    assert macs == 5 * (4 * 3 * 2 * 2) * 6 * 6


@pytest.mark.parametrize("key_heads", [6, 2])
def test_fused_attention_on_the_cpu_counts_like_the_products_that_it_fuses(key_heads):
    query = torch.zeros(2, 6, 5, 8)
    key = torch.zeros(2, key_heads, 7, 8)

    def attend():
        F.scaled_dot_product_attention(query, key, key, enable_gqa=True)

    graph = record(attend)
    with sdpa_by_products():
        by_products = half_of_flops(attend)

    assert CostModel(graph).macs({}) == by_products == 2 * 6 * 5 * 7 * (8 + 8)


def value(*shape):
    return Value(shape, tuple(Leaf(size) for size in shape), torch.float32)


def macs_of(name, *inputs, **arguments):
    operator = Operator(name, inputs, (), arguments, "")
    return CostModel(graph_of([operator])).macs({})


@pytest.mark.parametrize(
    "name",
    [
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_fused_attention_overrideable",
    ],
)
def test_attention_kernels_with_values_of_another_width(name):
    query, key, values = value(2, 4, 5, 8), value(2, 4, 7, 8), value(2, 4, 7, 3)

    assert macs_of(name, query, key, values) == 2 * 4 * 5 * 7 * (8 + 3)


def test_kernels_below_attention_have_positions_before_heads():
    query, key = value(2, 5, 4, 8), value(2, 7, 4, 8)

    dense = macs_of("_flash_attention_forward", query, key, key, None, None, max_q=5, max_k=7)

    assert dense == macs_of("_efficient_attention_forward", query, key, key, max_seqlen_k=None)
    assert dense == 2 * 4 * 5 * 7 * (8 + 8)


def test_packed_sequences_meet_at_most_the_longest_one():
    packed = value(12, 4, 8)

    macs = macs_of("_flash_attention_forward", packed, packed, packed, max_q=5, max_k=5)

    assert macs == 12 * 5 * 4 * (8 + 8)


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("mv", [(3, 4), (4,)], 12),
        ("addmv", [(3,), (3, 4), (4,)], 12),
        ("addmm_", [(4, 3), (4, 8), (8, 3)], 4 * 8 * 3),
        ("addmv_", [(3,), (3, 4), (4,)], 12),
        ("dot", [(7,), (7,)], 7),
        ("linear", [(2, 5, 8), (3, 8), (3,)], 2 * 5 * 8 * 3),
        ("_addmm_activation", [(3,), (4, 8), (8, 3)], 4 * 8 * 3),
        ("addbmm", [(5, 6), (2, 5, 8), (2, 8, 6)], 2 * 5 * 8 * 6),
        ("_grouped_mm", [(10, 8), (4, 8, 3), (4,)], 10 * 8 * 3),
        ("_grouped_mm", [(4, 10, 8), (4, 8, 3)], 4 * 10 * 8 * 3),
        ("_grouped_mm", [(4, 10, 8), (8, 12), (4,)], 10 * 8 * 12),
        ("relu", [(7, 7)], 0),
    ],
)
def test_by_hand(name, inputs, expected):
    assert macs_of(name, *(value(*shape) for shape in inputs)) == expected


def test_bilinear_uses_its_whole_weight_for_each_row():
    model, rows = nn.Bilinear(4, 5, 3), 7

    graph = record(lambda: model(torch.zeros(rows, 4), torch.zeros(rows, 5)))

    assert CostModel(graph).macs({}) == rows * 4 * 5 * 3


def test_a_fused_lstm_counts_like_its_cells():
    layer = nn.LSTM(8, 6, num_layers=2, bidirectional=True).eval()
    steps, batch = 3, 2

    graph = record(lambda: layer(torch.zeros(steps, batch, 8)))

    matrices = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
    assert CostModel(graph).macs({}) == steps * batch * matrices


def test_fused_recurrent_kernels_by_hand():
    weights = [value(24, 8), value(24, 6), value(24), value(24)]
    inputs, state = value(3, 2, 8), value(2, 6)

    on_cpu = macs_of("mkldnn_rnn_layer", inputs, *weights, state, state)
    on_cuda = macs_of("_cudnn_rnn", inputs, *weights, None, value(1, 2, 6), value(1, 2, 6))

    assert on_cpu == on_cuda == 3 * 2 * 24 * (8 + 6)


def test_a_term_keeps_the_axes():
    weight = Value((4, 16), (Leaf(4), Leaf(16, "hidden")), torch.float32)
    inputs = Value((2, 4), (Leaf(2), Leaf(4)), torch.float32)
    operator = Operator("mm", (inputs, weight), (), {}, "")

    assert terms_of(operator) == ((1, (Leaf(2), Leaf(4), Leaf(16, "hidden"))),)
