"""Models that cannot be traced are refused in clear words, and all stay as they were."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.nn.utils import prune as torch_prune

import prunus
from prunus import Budget, PruneError, prune, trace
from prunus.errors import TraceError
from prunus.trace.check import check

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch finds many of these deprecated
X, HALF = torch.ones(2, 4), Budget(units=0.5)


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


class Around(nn.Module):
    """A network with something odd about it."""

    def __init__(self, *others):
        super().__init__()
        self.n, self.others = net(), nn.ModuleList(others)
        self.set_up()

    def set_up(self):
        """Add what is odd."""


def everything(model, inputs):
    """What must be the same before and after."""
    named = model.named_parameters(remove_duplicate=False)
    attributes = [(id(module), sorted(vars(module))) for module in model.modules()]
    values = [value.clone() for value in model.state_dict().values()]
    return [(name, id(each)) for name, each in named], attributes, repr(values), repr(inputs)


def assert_left_alone(model, inputs, action):
    """Do something to a model, which may fail, and see that it is as before."""
    before = everything(model, inputs)
    try:
        return action()
    finally:
        assert everything(model, inputs) == before


# -- refused ----------------------------------------------------------------------------------


def sharded():
    model = net()
    model.__class__ = type("FSDPSequential", (nn.Sequential, type("FSDPModule", (), {})), {})
    return model


def quantised():
    return torch.ao.quantization.quantize_dynamic(net(), {nn.Linear})


def with_sparse_weight():
    model = net()
    model[0].weight = nn.Parameter(model[0].weight.detach().to_sparse())
    return model


REFUSED = {
    "script": (
        lambda: torch.jit.script(net()),
        "the model is TorchScript.*its Python code is gone.*script or trace the result",
    ),
    "traced": (lambda: torch.jit.trace(net(), X), "the model is TorchScript"),
    "script inside": (
        lambda: nn.Sequential(torch.jit.script(nn.Linear(4, 8)), nn.Linear(8, 2)),
        "'0' is TorchScript",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2)),
        r"'0\.weight' has no shape yet.*lazy module.*run the model once, model\(example_inputs\)",
    ),
    "data parallel": (
        lambda: nn.DataParallel(net()),
        r"wrapped for several devices \(DataParallel\).*prune model\.module",
    ),
    "sharded": (sharded, r"\(FSDPSequential\).*prune before the model is sharded"),
    "quantised": (
        quantised,
        "'0' is quantised.*packed integers.*prune the float model, and quantise the result",
    ),
    "sparse": (with_sparse_weight, r"'0\.weight' is of layout torch\.sparse_coo.*dense tensors"),
}


@pytest.mark.parametrize(("build", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_in_clear_words(build, words):
    with pytest.raises(TraceError, match=f"(?s){words}"):
        prune(build(), X, budget=HALF)


def test_inference_tensors_are_refused_and_a_copy_is_not():
    with torch.inference_mode():
        model = net()
    with pytest.raises(TraceError, match=r"(?s)'0\.weight' is an inference tensor.*copy\.deepcopy"):
        assert_left_alone(model, X, lambda: prune(model, X, budget=HALF))

    assert prune(copy.deepcopy(model), X, budget=HALF).plan.counts == {"0": 4}


def test_what_is_no_module():
    with pytest.raises(TraceError, match=r"the model is a function, not a torch\.nn\.Module"):
        prune(lambda x: x, X, budget=HALF)


class Subclass(torch.Tensor):
    """As tensors in pieces or of few bits are made."""

    def __tensor_flatten__(self):
        return [], None

    @classmethod
    def __tensor_unflatten__(cls, *_):
        return cls()


def test_parameters_made_of_other_tensors():
    model = net()
    model.register_buffer("odd", torch.zeros(2).as_subclass(Subclass))
    with pytest.raises(TraceError, match=r"(?s)'odd' is a Subclass.*prunus cuts plain tensors"):
        check(model, X)


class Word(Around):
    def forward(self, x):
        self.n(x)
        return "word"


class Opaque(Around):
    def forward(self, x):
        result = type("Result", (), {})()
        result.logits = self.n(x)
        return result


class Nothing(Around):
    def forward(self, x):
        self.n(x)


@pytest.mark.parametrize(("build", "kind"), [(Word, "str"), (Opaque, "Result"), (Nothing, "None")])
def test_outputs_that_are_no_tensors(build, kind):
    model = build()
    with pytest.raises(TraceError, match=f"returns no tensor, but a {kind}") as caught:
        assert_left_alone(model, X, lambda: prune(model, X, budget=HALF))
    assert "register_pytree_node" in caught.value.hint


class Fails(Around):
    def forward(self, x):
        raise ArithmeticError("on fake tensors and on real ones")


def test_the_users_own_exception_shows():
    model = Fails()
    with pytest.raises(ArithmeticError, match="on fake tensors and on real ones"):
        assert_left_alone(model, X, lambda: prune(model, X, budget=HALF))


def test_a_model_on_the_meta_device_has_no_weights_to_score():
    model = net().to("meta")
    with pytest.raises(
        PruneError, match=r"(?s)'0\.weight' is on the meta device.*load the weights"
    ):
        prune(model, X.to("meta"), budget=HALF)
    assert prunus.explain(model, X.to("meta")).groups["0"].frozen_because is None


# -- cut, or frozen ---------------------------------------------------------------------------


class Creates(Around):
    def forward(self, x):
        self.w = nn.Parameter(torch.eye(x.shape[1]))
        return self.n(x @ self.w)


class CreatesHidden(Around):
    def forward(self, x):
        if not hasattr(self, "w"):
            self.w = nn.Parameter(torch.ones(8))
        return self.n[2](self.n[0](x).relu() * self.w)


class Replaces(Around):
    def forward(self, x):
        self.n[0].weight = nn.Parameter(self.n[0].weight * 1)
        return self.n(x)


class ReplacesData(Around):
    def forward(self, x):
        self.n[0].weight.data = self.n[0].weight.data * 1
        return self.n(x)


class AddsModule(Around):
    def forward(self, x):
        self.n.add_module("extra", nn.Identity())
        return self.n(x)


class AddsLayer(Around):
    def forward(self, x):
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(8, 8)
        return self.n[2](self.layer(self.n[0](x).relu()))


class WritesToInputs(Around):
    def forward(self, x):
        return self.n(x.add_(1))


class BranchesOnValues(Around):
    def forward(self, x):
        hidden = self.n[0](x)
        return self.n[2](hidden.relu() if hidden.sum() > 0 else hidden.abs())


class BranchesAtRandom(Around):
    def forward(self, x):
        hidden = self.n[0](x)
        return self.n[2](hidden.relu() if random.random() < 0.5 else hidden.abs())


class DrawsABranch(Around):
    def set_up(self):
        self.m = net()

    def forward(self, x):
        return self.n(x) if torch.rand(()) < 0.5 else self.m(x)


class Steps(Around):
    def forward(self, x):
        for _ in range(int(x.abs().sum().item()) % 3 + 1):
            y = self.n(x)
        return y


class LeavesPyTorch(Around):
    def forward(self, x):
        return torch.from_numpy(self.n(x).numpy() * 2)


class PlainTensor(Around):
    def set_up(self):
        self.scale = torch.rand(8)

    def forward(self, x):
        return self.n[2](self.n[0](x).relu() * self.scale)


class Scale:
    def __init__(self):
        self.scale = torch.rand(8)

    def __call__(self, hidden):
        return hidden * self.scale


class CallableWithTensor(Around):
    def set_up(self):
        self.function = Scale()

    def forward(self, x):
        return self.n[2](self.function(self.n[0](x).relu()))


class ListOfParameters(Around):
    def set_up(self):
        self.weights = [nn.Parameter(torch.rand(8))]

    def forward(self, x):
        return self.n[2](self.n[0](x).relu() * self.weights[0])


class ListOfModules(Around):
    def set_up(self):
        self.layers = [nn.Linear(8, 8)]

    def forward(self, x):
        return self.n[2](self.layers[0](self.n[0](x).relu()))


class Property(Around):
    @property
    def width(self):
        return self.n[0].out_features

    def forward(self, x):
        return self.n[2](self.n[0](x).relu().view(-1, self.width))


class Slots(Around):
    __slots__ = ("width",)

    def set_up(self):
        self.width = 8

    def forward(self, x):
        return self.n[2](self.n[0](x).relu().view(-1, self.width))


class ClassAttribute(Slots):
    width = 8

    def set_up(self):
        """Nothing of its own."""


OF_UNKNOWN_ORIGIN = "neither parameter, buffer nor computed from the inputs, at test_bad_input.py:"
FROZEN = {
    CreatesHidden: OF_UNKNOWN_ORIGIN,
    AddsLayer: "size 8 is a literal at test_bad_input.py:",
    PlainTensor: OF_UNKNOWN_ORIGIN,
    CallableWithTensor: OF_UNKNOWN_ORIGIN,
    ListOfParameters: OF_UNKNOWN_ORIGIN,
    ListOfModules: OF_UNKNOWN_ORIGIN,
    Slots: "size 8 is a literal at test_bad_input.py:",
    ClassAttribute: "size 8 is a literal at test_bad_input.py:",
}
CUT = [
    Creates, Replaces, ReplacesData, AddsModule, WritesToInputs, BranchesOnValues,
    BranchesAtRandom, DrawsABranch, Steps, LeavesPyTorch,
    Property,
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "words"), FROZEN.items(), ids=lambda it: getattr(it, "__name__", "")
)
def test_frozen_with_the_reason(build, words):
    model = build()
    graph = assert_left_alone(model, X, lambda: trace(model, X))

    assert words in graph.axes["n.0"].frozen_because
    with pytest.raises(PruneError, match="no group of the model may lose units"):
        assert_left_alone(model, X, lambda: prune(model, X, budget=HALF))


@pytest.mark.parametrize("build", CUT)
def test_cut_all_the_same(build):
    model = build()
    pruned = assert_left_alone(model, X, lambda: prune(model, X, budget=HALF))

    assert pruned.plan.counts == {"n.0": 4}
    with torch.no_grad():
        assert pruned.model(X.clone()).shape == (2, 2)


def test_numbers_that_leave_pytorch_are_kept():
    frozen = trace(LeavesPyTorch(), X).axes["n.2"].frozen_because
    assert frozen.startswith("is read as plain numbers at test_bad_input.py:")


class ComputedWeight:
    """Ways in which a weight is computed when the layer runs."""

    def pruned_by_torch(layer):
        return torch_prune.l1_unstructured(layer, "weight", amount=0.25)

    old_weight_norm, old_spectral_norm = weight_norm, spectral_norm
    weight_norm, spectral_norm = parametrizations.weight_norm, parametrizations.spectral_norm


@pytest.mark.parametrize("way", [name for name in vars(ComputedWeight) if name[0] != "_"])
def test_weights_that_are_computed_when_they_are_used(way):
    layer = getattr(ComputedWeight, way)(nn.Linear(4, 8))
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    model, x = model.double().eval(), X.double()
    model(x)  # now the layer holds a weight with a history
    pruned = assert_left_alone(model, x, lambda: prune(model, x, budget=Budget(units=0.6)))

    copy.deepcopy(pruned.model)
    assert pruned.model[0].weight.shape == (pruned.model[2].in_features, 4)
    torch.testing.assert_close(pruned.model(x), pruned.masked()(x))


class Noted(Around):
    def forward(self, x):
        self.last = self.n[0](x)
        return self.n[2](self.last.relu())


def test_activations_that_a_model_keeps_can_be_copied():
    model = Noted()
    model(X)
    pruned = prune(model, X, budget=HALF)

    assert model.last.grad_fn is not None
    assert pruned.masked().last.shape == (2, 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    pruned = prune(net().to(dtype), X.to(dtype), budget=HALF)
    assert {parameter.dtype for parameter in pruned.model.parameters()} == {dtype}


def test_parameters_without_gradients():
    pruned = prune(net().requires_grad_(False), X, budget=HALF)
    assert pruned.plan.counts == {"0": 4}
    assert not any(parameter.requires_grad for parameter in pruned.model.parameters())


def never(*_):
    raise AssertionError("nothing is to be compiled")


class HalfCompiled(Around):
    def set_up(self):
        self.n[0] = torch.compile(self.n[0], backend=never)

    def forward(self, x):
        return self.n(x)


@pytest.mark.parametrize(
    "build", [lambda: torch.compile(net(), backend=never), HalfCompiled], ids=["whole", "a part"]
)
def test_compiled_models_run_as_the_python_that_they_are(build):
    model = build()
    pruned = prune(model, X, budget=HALF)

    assert list(pruned.plan.counts.values()) == [4]
    assert type(pruned.model) is type(model)
