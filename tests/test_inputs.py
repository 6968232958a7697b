"""Inputs, batches and outputs in every container that people pass around."""

import operator
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils import _pytree as pytree

import prunus
from prunus.data.loader import checked
from prunus.errors import DataError
from prunus.inputs import (
    arguments,
    call,
    loss_of,
    map_tensors,
    noted,
    tensors_in,
    to_device,
)

ONE, TWO = torch.ones(2, 6), torch.full((2, 6), 2.0)


@dataclass
class Record:
    left: Tensor
    right: Tensor
    note: str = "kept"
    unset: Tensor = field(init=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    left: Tensor
    right: Tensor


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Encoding(UserDict[str, Any]):
    """As a tokenizer returns it."""


class Output(OrderedDict[str, Any]):
    """As a model of transformers returns it: a dict whose items are attributes too."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)


class Registered:
    def __init__(self, left, right):
        self.left, self.right = left, right


pytree.register_pytree_node(
    Registered, lambda r: ((r.left, r.right), None), lambda parts, _: Registered(*parts)
)

NAMED = {"left": ONE, "right": TWO}
CONTAINERS = {
    "dict": NAMED,
    "ordered": OrderedDict(NAMED),
    "default": defaultdict(list, NAMED),
    "proxy": MappingProxyType(NAMED),
    "user": UserDict(NAMED),
    "encoding": Encoding(NAMED),
    "output": Output(NAMED),
    "list": [ONE, TWO],
    "tuple": (ONE, TWO),
    "deque": deque([ONE, TWO]),
    "named": namedtuple("Old", "left right")(ONE, TWO),
    "typed": Pair(ONE, TWO),
    "record": Record(ONE, TWO),
    "frozen": Frozen(ONE, TWO),
    "namespace": SimpleNamespace(left=ONE, right=TWO),
    "registered": Registered(ONE, TWO),
    "nested": [{"a": Record(ONE, TWO)}, ("text", None, 3)],
}
containers = pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)


def holds(container, *tensors):
    found = list(tensors_in(container))
    return len(found) == len(tensors) and all(map(operator.is_, found, tensors))


@containers
def test_tensors_are_found_in_order_and_mapped_in_a_copy(container):
    assert holds(container, ONE, TWO)
    mapped = map_tensors(lambda tensor: tensor * 10, container)

    assert type(mapped) is type(container)
    assert mapped is not container
    assert [float(each[0, 0]) for each in tensors_in(mapped)] == [10, 20]
    assert holds(container, ONE, TWO)


def test_moved_to_a_device():
    moved = to_device([{"a": Record(ONE, TWO)}], torch.device("meta"))
    assert {each.device.type for each in tensors_in(moved)} == {"meta"}


def test_what_is_no_tensor_stays():
    record = map_tensors(torch.neg, Record(ONE, TWO, "words"))
    assert (record.note, float(record.left[0, 0])) == ("words", -1)
    assert map_tensors(torch.neg, ["text", None, 3, Record]) == ["text", None, 3, Record]


def test_items_of_a_mapping_that_are_attributes_follow():
    output = map_tensors(torch.neg, Output(NAMED))
    assert output.left is output["left"]


def test_a_packed_sequence_keeps_its_sizes():
    packed = pack_sequence([ONE, TWO[:1]])
    mapped = map_tensors(lambda tensor: tensor + 1, packed)

    assert [tuple(each.shape) for each in tensors_in(packed)] == [(3, 6)]
    assert mapped.batch_sizes is packed.batch_sizes
    assert torch.equal(mapped.data, packed.data + 1)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (ONE, ((ONE,), {})),
        ((ONE, TWO), ((ONE, TWO), {})),
        (NAMED, ((), NAMED)),
        (Encoding(NAMED), ((), NAMED)),
        ((ONE, NAMED), ((ONE, NAMED), {})),
    ],
    ids=["tensor", "tuple", "dict", "encoding", "dict at the end of a tuple"],
)
def test_what_is_passed_by_place_and_what_by_name(inputs, expected):
    assert arguments(inputs) == expected


@pytest.mark.parametrize("name", ["list", "named", "typed", "record", "namespace"])
def test_a_record_or_list_is_one_argument(name):
    inputs = CONTAINERS[name]
    assert call(lambda given: given, inputs) is inputs


# -- through prune ----------------------------------------------------------------------------


def total(given):
    """The sum of whatever tensors there are."""
    return torch.stack(list(tensors_in(given))).sum(0)


class Model(nn.Module):
    """Takes anything, and returns its answer the way that it was asked."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, *args, **kwargs):
        given = args or kwargs
        answer = self.b(self.a(total(given)).relu())
        whole = given[0] if len(args) == 1 else given
        return map_tensors(lambda _: answer, whole)


@containers
def test_pruned_and_compared(container):
    pruned = prunus.prune(Model(), container, budget=prunus.Budget(units=0.5))

    assert pruned.plan.counts == {"a": 4}
    assert pruned.report.agreement.batches == (2, 4)
    assert holds(container, ONE, TWO)


@containers
def test_scored_on_batches_of_it(container):
    pruned = prunus.prune(
        Model(),
        container,
        budget=prunus.Budget(units=0.5),
        criterion="taylor",
        data=[(container, torch.zeros(2, 4))],
        loss=lambda outputs, targets: (next(tensors_in(outputs)) - targets).square().mean(),
    )
    assert pruned.plan.counts == {"a": 4}


@pytest.mark.parametrize("name", ["dict", "encoding", "record", "frozen", "namespace"])
def test_a_batch_that_is_one_container_has_no_targets(name):
    ((inputs, targets),) = checked([CONTAINERS[name]], device=torch.device("cpu"))
    assert len(list(tensors_in(inputs))) == 2
    assert targets is None


# -- what the user's code raises -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "note"),
    [
        (torch.ones(2, 5), "prunus called model(float32 2x5)"),
        ({"y": torch.ones(2, 6)}, "prunus called model(y=float32 2x6)"),
        ((ONE, None, [3]), "prunus called model(float32 2x6, None, [int])"),
        ((Pair(ONE, TWO), {"m": ONE}), "prunus called model((float32 2x6, float32 2x6), {m: float"),
        ([1] * 20, "prunus called model([int, int, int, int, int, int, int, int, 12 more])"),
    ],
)
def test_what_a_model_raises_says_how_it_was_called(inputs, note):
    with pytest.raises((RuntimeError, TypeError)) as caught:
        call(nn.Linear(6, 8), inputs)
    (found,) = caught.value.__notes__
    assert found.startswith(note)


def test_a_loss_without_targets_says_so():
    with pytest.raises(TypeError) as caught:
        loss_of(nn.functional.cross_entropy, ONE, None)
    assert caught.value.__notes__ == [
        "prunus called loss(float32 2x6, None): the data yield inputs alone, without targets"
    ]


def test_example_inputs_that_the_model_does_not_take():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        prunus.explain(nn.Linear(6, 8), torch.ones(2, 5))
    assert caught.value.__notes__ == ["prunus called model(float32 2x5): these are example_inputs"]


def test_an_error_of_prunus_gets_no_note():
    with pytest.raises(DataError) as caught, noted(lambda: "no"):
        raise DataError("all is said")
    assert not hasattr(caught.value, "__notes__")
