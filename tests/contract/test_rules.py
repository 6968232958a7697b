"""What every rule must keep: where it says that units can go, masked equals shrunk.

The models are in `cases_*.py` beside this file, one file per family of operators; a new rule needs
one more model there and nothing here.
"""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from models import CASES, Case, Net, free_axes, masked, plan_of
from torch import Tensor, nn

from prunus.inputs import call, tensors_in
from prunus.records import Graph, Plan
from prunus.shrink import shrink
from prunus.trace import replay, trace
from prunus.trace.axes import fresh, product, sizes, sum_of
from prunus.trace.call import RULES, Call, Dims, Rule, is_composite
from prunus.trace.record import _rule_for
from prunus.trace.rules.pointwise import pointwise

for _file in sorted(Path(__file__).parent.glob("cases_*.py")):
    import_module(_file.stem)

CONTIGUOUS, CHANNELS_LAST = torch.contiguous_format, torch.channels_last


# -- the contract -----------------------------------------------------------------------------


def plans(graph: Graph) -> Iterator[Plan]:
    """Yield a half of each group alone, of all, and what chance leaves of all."""
    generator = torch.Generator().manual_seed(0)
    axes = free_axes(graph)
    halves = {name: torch.arange(size) % 2 == 0 for name, size in axes.items()}
    chance = {name: torch.rand(size, generator=generator) < 0.6 for name, size in axes.items()}
    for mask_U in chance.values():
        mask_U[-1] = True  # a group keeps one unit at least
    alone = [{name: mask_U} for name, mask_U in halves.items()]
    for kept in [*alone, *([halves] if len(halves) > 1 else []), *([chance] if chance else [])]:
        yield plan_of(graph, kept)


def build(case: Case, memory_format: torch.memory_format) -> Net:
    """Return the model; in channels_last, its convolutions lie so in memory."""
    return case.build().to(memory_format=memory_format)


def inputs_of(case: Case, size: int, memory_format: torch.memory_format) -> tuple[Tensor, ...]:
    inputs = case.inputs(size)
    return tuple(
        tensor.contiguous(memory_format=memory_format) if tensor.dim() == 4 else tensor
        for tensor in inputs
    )


def check_contract(case: Case, memory_format: torch.memory_format = CONTIGUOUS) -> None:
    """Prune all that prunus says can be pruned, in many ways; compare with the masked model."""
    model = build(case, memory_format)
    batches = [inputs_of(case, size, memory_format) for size in range(len(case.sizes))]
    graph = trace(model, batches[0])
    for plan in plans(graph):
        divergence = replay(model, batches[0], graph, plan.counts)
        assert divergence is None, f"replay: {divergence}"
        small, twin = shrink(model, plan), masked(model, plan)
        for inputs in batches:
            assert_same(call(twin, inputs), call(small, inputs))
        assert_trains(small, batches[0])


def assert_same(expected: object, found: object) -> None:
    for one, other in zip(tensors_in(expected), tensors_in(found), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9, equal_nan=True)


def assert_trains(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """A forward, a backward and a step of SGD run in training mode."""
    model = copy.deepcopy(model).train()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    outputs = call(model, inputs)
    sum(t.square().sum() for t in tensors_in(outputs) if t.is_floating_point()).backward()
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())


each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
with_images = {name: case for name, case in CASES.items() if case.inputs()[0].dim() == 4}


@each_case
def test_masked_equals_shrunk(case: Case) -> None:
    check_contract(case)


@pytest.mark.parametrize("case", with_images.values(), ids=with_images)
def test_masked_equals_shrunk_in_channels_last(case: Case) -> None:
    check_contract(case, CHANNELS_LAST)


@cache
def traced(name: str) -> Graph:
    return trace(CASES[name].build(), CASES[name].inputs())


@each_case
def test_what_can_be_pruned_and_what_cannot(case: Case) -> None:
    graph = traced(case.name)
    assert free_axes(graph) == case.free
    for name, why in case.kept.items():
        reasons = [graph.axes[name].frozen_because or "", *graph.axes[name].inexact_because]
        assert any(why in reason for reason in reasons), f"{name}: {reasons}"


# -- no rule is left out ----------------------------------------------------------------------

CANNOT_RUN_HERE = {
    "_scaled_dot_product_flash_attention": "needs CUDA",
    "_scaled_dot_product_efficient_attention": "needs CUDA",
    "_scaled_dot_product_cudnn_attention": "needs CUDA",
    "_scaled_dot_product_fused_attention_overrideable": "needs a device that brings it",
    "_scaled_dot_product_attention_math_for_mps": "needs Metal",
    "cudnn_batch_norm": "needs CUDA",
    "miopen_batch_norm": "needs ROCm",
    "detach_": "PyTorch drops it where there are no gradients",
    "as_strided_": "PyTorch calls it inside some of its own operators",
}


def test_every_rule_is_exercised() -> None:
    seen = {operator.name for name in CASES for operator in traced(name).operators}
    seen |= {name.removesuffix("_") for name in seen}
    left = {name for name in RULES if name.removeprefix("torchvision::") not in seen}
    assert left == CANNOT_RUN_HERE.keys()


def test_no_rule_is_for_what_pytorch_takes_apart() -> None:
    packets = {name: getattr(torch.ops.aten, name) for name in RULES if "::" not in name}
    whole = {
        name: [getattr(packet, overload) for overload in packet.overloads()]
        for name, packet in packets.items()
    }
    assert [name for name, each in whole.items() if all(map(is_composite, each))] == []


# -- rules that are wrong on purpose ----------------------------------------------------------


def unchanged(call: Call) -> list[Dims]:
    """Take the first tensor's dims for those of every output: what an unknown operator is not."""
    inputs = call.dims_of(next(v for v in call.arguments.values() if isinstance(v, Tensor)))
    return [inputs if tuple(t.shape) == sizes(inputs.nodes) else free(t) for t in call.outputs]


def unrelated(call: Call) -> list[Dims]:
    """Say nothing about how the outputs come from the inputs."""
    return [free(tensor) for tensor in call.outputs]


def free(tensor: Tensor) -> Dims:
    return Dims(tuple(fresh(size) for size in tensor.shape), (False,) * tensor.dim())


def backwards(call: Call) -> Dims:
    """Join in the wrong order."""
    one, other = (call.dims_of(tensor) for tensor in call["tensors"])
    dim = call.dim(of=len(one.nodes))
    return one.replaced(dim, sum_of([other.nodes[dim], one.nodes[dim]]), zero=False)


def column_major(call: Call) -> Dims:
    """Merge dims in the wrong order."""
    inputs, (rows, _) = call.dims("self"), call.outputs[0].shape
    if len(inputs.nodes) != 4:
        return RULES["_unsafe_view"](call)
    return Dims((fresh(rows, "batch"), product(inputs.nodes[:0:-1])), (False, False))


def always_zero(call: Call) -> list[Dims]:
    return [Dims(dims.nodes, (True,) * len(dims.nodes)) for dims in RIGHT["tanh"](call)]


RIGHT: dict[str, Rule] = {"tanh": pointwise, **RULES}
WRONG = {  # operator -> what is wrong with it, and the model that must show it
    "flip": (unchanged, "flip"),
    "_softmax": (unchanged, "softmax"),
    "sort": (unchanged, "sort"),
    "channel_shuffle": (unchanged, "channel_shuffle_of_pytorch"),
    "native_layer_norm": (unchanged, "layer_norm"),
    "native_group_norm": (unchanged, "group_norm"),
    "avg_pool2d": (unchanged, "smoothing_of_units"),
    "slice": (unrelated, "slices_by_halves"),
    "select": (unrelated, "select"),
    "split": (unrelated, "chunk_for_a_gate"),
    "index": (unrelated, "index_of_units"),
    "convolution": (unrelated, "conv2d"),
    "bmm": (unrelated, "product_of_activations"),
    "cat": (backwards, "cat_of_the_last_dim"),
    "scatter_add": (unchanged, "elements_scattered_over_units"),
    "index_put": (unchanged, "units_written_over"),
    "_fft_r2c": (unrelated, "transform_of_units"),
    "diag_embed": (unrelated, "diagonal_matrix_of_the_units"),
    "_pack_padded_sequence": (unrelated, "packed_and_padded"),
    "view": (column_major, "flatten"),
    "sigmoid": (always_zero, "sigmoid_loses_zeros"),
}


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Rule], None]]:
    """Put another rule in the place of one."""
    yield lambda name, rule: (monkeypatch.setitem(RULES, name, rule), _rule_for.cache_clear())
    monkeypatch.undo()
    _rule_for.cache_clear()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_fails(name: str, replaced: Callable[[str, Rule], None]) -> None:
    wrong, case = WRONG[name]
    replaced(name, wrong)
    with pytest.raises((AssertionError, IndexError), match=r"replay|not close|out of bounds"):
        check_contract(CASES[case])
