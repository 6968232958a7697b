from collections import OrderedDict, deque
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import prunus
from prunus import prune, trace
from prunus.allocate import Budget
from prunus.trace.restore import as_it_was


class Slot:
    __slots__ = ("value",)

    def __init__(self):
        self.value = 5

    def __repr__(self):
        return f"Slot({self.value})"


class Diary(nn.Module):
    """A model that writes down all that happens to it, in every kind of place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)
        self.width, self.shape, self.sizes = 8, (2, 4), [6, 8]
        self.calls, self.nothing = 0, None
        self.cache, self.deep = {}, {"keys": [{}, deque([1])]}
        self.ordered, self.seen_shapes = OrderedDict(one=1), {(1, 6)}
        self.plain = torch.zeros(3)
        self.state = SimpleNamespace(steps=2, seen=[torch.zeros(2)], slot=Slot())
        self.count = nn.Buffer(torch.zeros(()))
        self.a.register_forward_hook(lambda module, inputs, output: output)
        self.drop = nn.Dropout().eval()

    def forward(self, x):
        self.calls += 1
        self.cache["x"], self.last = x, x
        self.deep["keys"][0]["x"] = x
        self.deep["keys"][1].append(x)
        self.ordered.pop("one", None)
        self.seen_shapes.add(tuple(x.shape))
        self.sizes.append(0)
        self.plain.add_(1)
        self.state.steps, self.state.last = self.state.steps + 1, x
        self.state.seen[0].add_(1)
        self.state.slot.value += 1
        self.count += 1
        if not hasattr(self, "lazy"):
            self.register_buffer("lazy", torch.zeros(2))
        self.b.register_forward_hook(lambda module, inputs, output: output)
        return self.b(self.drop(self.a(x).view(-1, self.width)))


def everything(model):
    """All that a module holds, with the objects themselves."""
    found = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            content = dict(value) if isinstance(value, dict) else value
            content = list(value) if isinstance(value, (list, set, deque)) else content
            found[name, key] = (id(value), type(value), content)
    return found | {
        "deep": repr(model.deep),
        "plain": model.plain.tolist(),
        "state": repr(model.state),
    }


def assert_untouched(model, action):
    before, state = everything(model), {k: v.clone() for k, v in model.state_dict().items()}
    types = [type(size) for size in (model.width, *model.shape, *model.sizes)]
    random, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    action()
    assert everything(model) == before
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert types == [type(size) for size in (model.width, *model.shape, *model.sizes)]
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled() == fast


@pytest.mark.parametrize("training", [True, False])
def test_a_trace_leaves_the_model_as_it_was(training):
    model, x = Diary().train(training), torch.randn(2, 6)
    model.drop.eval()

    assert_untouched(model, lambda: trace(model, x))


def test_prune_leaves_the_model_as_it_was():
    model, x = Diary(), torch.randn(2, 6)

    assert_untouched(model, lambda: prune(model, x, budget=Budget(units=0.5)))


class ItsOwn(Exception):
    pass


def test_a_forward_that_raises_leaves_the_model_as_it_was():
    model, x = Diary(), torch.randn(2, 6)

    def fail(module, inputs):
        raise ItsOwn("the user's words")

    model.drop.register_forward_pre_hook(fail)

    def action():
        with pytest.raises(ItsOwn, match=r"^the user's words\nprunus called model") as caught:
            trace(model, x)
        assert caught.value.__context__ is None

    assert_untouched(model, action)


def test_random_numbers_are_not_used_up():
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4))
    model.register_forward_hook(lambda *_: torch.rand(3))
    before = torch.get_rng_state()
    trace(model, torch.ones(2, 6))

    assert torch.equal(torch.get_rng_state(), before)


def test_buffers_only_where_asked():
    model = Diary()
    with as_it_was(model):
        model.count += 1
    assert model.count == 1

    with as_it_was(model, buffers=True):
        model.count += 1
    assert model.count == 1


def test_what_forward_shares_stays_one_object():
    model = nn.Linear(2, 2)
    model.one = model.other = []
    with as_it_was(model):
        model.one.append(1)
        model.other = [2]

    assert model.one is model.other
    assert model.one == []


class Merging(nn.Module):
    """Adds an adapter to its weights in `eval`, and takes it out in `train`, as LoRA does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8, bias=False), nn.Linear(8, 4)
        self.merged = False
        self.adapter = nn.Parameter(torch.ones(8, 6))

    def train(self, mode=True):  # noqa: FBT002 - as in nn.Module
        if self.merged == mode:
            self.a.weight.data += -self.adapter if mode else self.adapter
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        weight = self.a.weight + (0 if self.merged else self.adapter)
        return self.b(nn.functional.linear(x, weight))


@pytest.mark.parametrize("action", [trace, lambda m, x: prune(m, x, budget=Budget(units=0.5))])
def test_train_and_eval_of_the_model_are_not_called(action):
    model, x = Merging(), torch.randn(2, 6)
    before = model.a.weight.clone()
    action(model, x)

    assert torch.equal(model.a.weight, before)
    assert model.training
    assert not model.merged


class Streams(nn.Module):
    """It holds what Python does not copy."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.stream = nn.Linear(4, 8), nn.Linear(8, 2), iter(lambda: 0, 1)
        self.numbers = (number for number in range(3))

    def forward(self, x):
        return self.b(self.a(x).relu())


def test_a_model_that_cannot_be_copied_can_still_be_cut_in_place():
    model, rows, half = Streams(), torch.randn(2, 4), prunus.Budget(units=0.5)
    with pytest.raises(prunus.PruneError, match="the model cannot be copied: TypeError") as caught:
        prunus.prune(model, rows, budget=half)
    assert "in_place=True" in caught.value.hint
    assert "'numbers' is or holds something that Python cannot copy" in caught.value.why
    assert model.a.out_features == 8
    prunus.prune(model, rows, budget=half, in_place=True)
    assert model.a.out_features == 4


class Own(nn.Module):
    """A module that copies itself in a way of its own."""

    def __init__(self, way):
        super().__init__()
        self.a, self.b, self.way = nn.Linear(4, 8), nn.Linear(8, 2), way

    def __deepcopy__(self, memo):
        return self.way(self)

    def forward(self, x):
        return self.b(self.a(x).relu())


def rebuilt(module):
    copied = Own(rebuilt)
    copied.load_state_dict(module.state_dict())
    return copied


def test_a_copy_that_takes_no_notice_of_the_memo_is_cut():
    model, rows = Own(rebuilt), torch.randn(2, 4)
    pruned = prunus.prune(model, rows, budget=prunus.Budget(units=0.5))
    assert (model.a.out_features, pruned.model.a.out_features) == (8, 4)
    torch.testing.assert_close(pruned.model(rows), pruned.masked()(rows))


@pytest.mark.parametrize("way", [lambda module: module, lambda module: nn.Identity()])
def test_a_copy_that_shares_or_lacks_tensors_is_refused(way):
    with pytest.raises(prunus.PruneError, match=r"has the same 'a\.weight', or none") as caught:
        prunus.prune(Own(way), torch.randn(2, 4), budget=prunus.Budget(units=0.5))
    assert "__deepcopy__" in caught.value.why


def doubled(x):
    return 2 * x


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
def test_functions_of_torchscript_are_shared():
    scripted = torch.jit.script(doubled)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model[1].then = {"step": scripted}
    pruned = prunus.prune(model, torch.randn(2, 4), budget=prunus.Budget(units=0.5))
    assert pruned.model[1].then["step"] is scripted
