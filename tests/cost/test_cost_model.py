"""The cost of a plan from the graph equals the cost of a model that was built that small."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from prunus.cost import CostModel, count
from prunus.cost.model import Total
from prunus.extents import Leaf, Product, Sum
from prunus.records import Graph, Operator, Value

BATCH, SIZE, CLASSES = 2, 6, 5


class Network(nn.Module):
    """Two branches, concatenated, flattened into a linear layer: every kind of extent."""

    def __init__(self, left, right):
        super().__init__()
        self.left = nn.Conv2d(3, left, 3, padding=1)
        self.right = nn.Conv2d(3, right, 3, padding=1)
        self.norm = nn.BatchNorm2d(left + right)
        self.head = nn.Linear((left + right) * SIZE * SIZE, CLASSES)

    def forward(self, images):
        both = self.norm(torch.cat([self.left(images), self.right(images)], dim=1))
        return self.head(both.flatten(1))


def value(*extents, dtype=torch.float32):
    return Value(tuple(extent.size for extent in extents), extents, dtype)


def graph_of_network(left, right):
    """What a tracer would find in Network(left, right)."""
    batch, space, image, kernel = Leaf(BATCH), Leaf(SIZE), Leaf(3), Leaf(3)
    left, right, classes = Leaf(left, "left"), Leaf(right, "right"), Leaf(CLASSES)
    both = Sum((left, right))
    flat = Product((both, space, space))
    norm = {f"norm.{name}": value(both) for name in ("weight", "bias")}
    buffers = {f"norm.running_{name}": value(both) for name in ("mean", "var")}
    parameters = norm | {
        "left.weight": value(left, image, kernel, kernel),
        "left.bias": value(left),
        "right.weight": value(right, image, kernel, kernel),
        "right.bias": value(right),
        "head.weight": value(classes, flat),
        "head.bias": value(classes),
    }
    buffers["norm.num_batches_tracked"] = value(dtype=torch.int64)
    images = value(batch, image, space, space)
    operators = [
        Operator(
            "convolution",
            (images, parameters[f"{branch.axis}.weight"], None),
            (value(batch, branch, space, space),),
            {"transposed": False},
            "",
        )
        for branch in (left, right)
    ]
    matrices = (parameters["head.bias"], value(batch, flat), value(flat, classes))
    operators.append(Operator("addmm", matrices, (value(batch, classes),), {}, ""))
    tensors = parameters | buffers
    return Graph({}, tensors, frozenset(parameters), {}, tuple(operators), (), (), {})


@given(left=st.integers(1, 7), right=st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_cost_of_a_plan_is_the_cost_of_a_model_built_that_small(left, right):
    small = Network(left, right).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        small(torch.zeros(BATCH, 3, SIZE, SIZE))
    built = count(small, macs=counter.get_total_flops() // 2)

    cost = CostModel(graph_of_network(7, 9))
    counts = {"left": left, "right": right}

    assert cost.params(counts) == built.params
    assert cost.macs(counts) == built.macs
    assert cost.bytes(counts) == built.bytes


def test_without_counts_every_unit_stays():
    cost = CostModel(graph_of_network(7, 9))

    assert cost.macs({}) == cost.macs({"left": 7, "right": 9})
    assert cost.macs({"somewhere else": 1}) == cost.macs({})


def test_transient_buffers_take_no_bytes():
    graph = graph_of_network(7, 9)

    less = CostModel(graph, transient={"norm.running_mean"})

    assert CostModel(graph).bytes({}) - less.bytes({}) == 16 * 4


def test_equal_terms_are_merged_and_fixed_sizes_multiplied_out():
    unit, other = Leaf(8, "a"), Leaf(4, "b")
    terms = [(1, (unit, Leaf(3), other))] * 50 + [(2, (Product((other, unit)), Leaf(5)))] * 50

    total = Total.of(terms)

    assert total.terms == ((50 * 3 + 50 * 10, (0, 1)),)
    assert total({"a": 2}) == 650 * 2 * 4


def test_a_square_of_an_axis():
    assert Total.of([(1, (Leaf(8, "a"), Leaf(8, "a")))])({"a": 3}) == 9


def test_totals_are_exact_beyond_floats():
    huge = 3**25

    assert Total.of([(1, (Leaf(huge, "a"), Leaf(huge))), (1, ())])({}) == huge**2 + 1
