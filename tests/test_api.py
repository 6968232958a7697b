"""The whole way: from a model to a smaller one with its proof, and to disk and back."""

import copy
import json

import pytest
import torch
from models import Net, conv, linear, masked
from torch import nn

import prunus
from prunus import Budget, networks
from prunus.allocate import Global
from prunus.criteria import Magnitude
from prunus.errors import (
    BudgetError,
    CriterionError,
    DataError,
    PlanError,
    SaveError,
    TraceError,
    TrainError,
    VerifyError,
)

IMAGES, ROWS = torch.randn(2, 1, 8, 8), torch.randn(2, 6)

NETWORKS = {
    "mlp": networks.mlp,
    "lenet": networks.lenet,
    "resnet": lambda: networks.resnet(width=8),
}
each_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def two_layers():
    return nn.Sequential(linear(6, 8), nn.ReLU(), linear(8, 4))


def pruned(model, inputs=ROWS, **settings):
    settings.setdefault("budget", Budget(units=0.5))
    return prunus.prune(model, inputs, **settings)


# -- from end to end --------------------------------------------------------------------------


@each_network
@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_prune_meets_the_budget_and_proves_it(build, allocation):
    model = build()
    result = pruned(model, IMAGES, budget=Budget(macs=0.5), allocation=allocation)
    report = result.report

    assert report.after.macs <= report.before.macs / 2
    assert report.after.params == sum(p.numel() for p in result.model.parameters())
    assert report.before.params == sum(p.numel() for p in model.parameters())
    assert report.agreement.difference <= report.agreement.tolerance
    assert report.agreement.batches == (2, 4)


@each_network
def test_the_proof_is_true(build):
    """Checked without prunus' own check: with the mask of the tests, in another batch."""
    model = build().double().eval()
    result = pruned(model, IMAGES.double(), budget=Budget(params=0.4))
    batch = torch.randn(5, 1, 8, 8, dtype=torch.float64)

    expected = masked(model, result.plan)(batch)
    torch.testing.assert_close(result.model(batch), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(result.masked()(batch), expected, rtol=1e-9, atol=1e-9)


@each_network
def test_the_callers_model_is_untouched(build):
    model = build().train()
    before, words = copy.deepcopy(model.state_dict()), repr(model)
    pruned(model, IMAGES)

    assert repr(model) == words
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@each_network
def test_save_and_load(build, tmp_path):
    result = pruned(build(), IMAGES, budget=Budget(macs=0.5))
    prunus.save(result, tmp_path / "small", extra={"verdict": "same"})
    loaded = prunus.load(tmp_path / "small", model=build())

    assert repr(loaded) == repr(result.model)
    torch.testing.assert_close(loaded.eval()(IMAGES), result.model.eval()(IMAGES), rtol=0, atol=0)
    assert {path.name for path in (tmp_path / "small").iterdir()} == {
        "model.safetensors",
        "manifest.json",
    }
    manifest = json.loads((tmp_path / "small" / "manifest.json").read_text())
    assert "verdict" in json.dumps(manifest)


@pytest.mark.parametrize("wrong", [None, nn.Linear(2, 2), "small"])
def test_saved_is_all_that_prune_returned(wrong, tmp_path):
    with pytest.raises(SaveError, match=r"pruned=.* means nothing\n  why: .*\n  hint: .*returned"):
        prunus.save(wrong, tmp_path / "small")

    assert not (tmp_path / "small").exists()


@each_network
def test_the_result_trains(build):
    small = pruned(build(), IMAGES).model.train()
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(small(IMAGES), torch.tensor([0, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0]


def test_what_was_pruned_can_be_pruned_again():
    first = pruned(networks.resnet(width=8), IMAGES, budget=Budget(macs=0.6))
    second = pruned(first.model, IMAGES, budget=Budget(macs=0.6))

    assert second.report.before.macs == first.report.after.macs
    assert second.report.after.macs <= 0.6 * first.report.after.macs


def test_single_weights():
    model = networks.lenet()
    result = pruned(model, IMAGES, granularity="weight", budget=Budget(sparsity=0.8))
    weights = sum(p.numel() for p in model.parameters())

    assert result.report.after.params == weights
    assert result.report.after.nonzero <= 0.2 * weights + 1
    assert result.report.agreement is None
    assert torch.equal(result.masked().fc1.weight, result.model.fc1.weight)
    assert (model.fc1.weight != 0).all()


@pytest.mark.parametrize("criterion", ["gradient", "taylor", "random", Magnitude(p=1)])
def test_every_criterion(criterion):
    data = [(torch.randn(4, 6), torch.randint(4, (4,)))]
    result = pruned(two_layers(), criterion=criterion, data=data, loss=nn.CrossEntropyLoss())

    assert result.model[0].out_features == 4


def test_the_units_that_stay_are_the_strong_ones():
    model = two_layers()
    model[0].weight.data[[1, 4, 6, 7]] *= 100

    assert pruned(model).plan.kept["0"].mask().nonzero().flatten().tolist() == [1, 4, 6, 7]


# -- in place, with an optimizer --------------------------------------------------------------


def test_in_place_gives_the_same():
    model = networks.resnet(width=8)
    expected = pruned(model, IMAGES).model
    weight = model.head.weight
    result = pruned(model, IMAGES, in_place=True)

    assert result.model is model
    assert model.head.weight is weight
    assert all(torch.equal(v, expected.state_dict()[k]) for k, v in model.state_dict().items())


def test_in_place_has_no_masked_twin():
    result = pruned(two_layers(), in_place=True)

    assert result.dense is None
    with pytest.raises(PlanError, match="there is no masked twin"):
        result.masked()


@pytest.mark.parametrize("in_place", [True, False])
def test_the_optimizer_goes_on_with_the_result(in_place):
    model = two_layers()
    optimizer = torch.optim.Adam(model.parameters())
    model(ROWS).sum().backward()
    optimizer.step()
    small = pruned(model, optimizer=optimizer, in_place=in_place).model

    assert optimizer.param_groups[0]["params"][0] is small[0].weight
    assert optimizer.state[small[0].weight]["exp_avg"].shape == (4, 6)


# -- include, exclude, explain ----------------------------------------------------------------


def test_include_and_exclude():
    model = networks.resnet(width=8)
    result = pruned(
        model, IMAGES, budget=Budget(units=0.8), include=["block*"], exclude=["block2.*"]
    )
    cut = {row.name for row in result.report.groups if row.kept < row.size}

    assert cut == {"block1.conv1"}
    assert result.model.stem[0].out_channels == 8


def test_explain_says_what_is_free_and_why_not():
    model = nn.Sequential(linear(6, 8), nn.LayerNorm(8), linear(8, 5), linear(5, 4))
    text = str(prunus.explain(model, ROWS))

    assert "2 (5) free\n    2, 3\n" in text
    assert "0 (8) frozen: removal is not exact: native_layer_norm at normalization.py" in text
    assert "3 (4) frozen: model output" in text


def test_explain_lists_parameters_that_do_not_run():
    model = Net(lambda net, x: net.a(x), {"a": linear(6, 8), "aside": linear(3, 2)})
    explanation = prunus.explain(model, ROWS)

    assert explanation.unreached == ("aside.weight", "aside.bias")
    assert "parameters that no operator read: aside.weight, aside.bias" in str(explanation)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_explain_and_prune_agree(granularity):
    model = networks.resnet(width=8)
    groups = prunus.explain(model, IMAGES, granularity=granularity).groups
    budget = Budget(units=0.5) if granularity == "channel" else Budget(sparsity=0.5)
    rows = pruned(model, IMAGES, granularity=granularity, budget=budget).report.groups

    assert [(row.name, row.size) for row in rows] == [(g.name, g.size) for g in groups.values()]


def test_the_report_tells_all():
    def forward(net, x):
        return net.c(net.b(net.a(x)).reshape(-1, 5 * 36))

    parts = {"a": conv(1, 8), "b": conv(8, 5, 3, padding=0), "c": linear(180, 4)}
    result = pruned(Net(forward, parts), IMAGES, budget=Budget(params=0.8))
    text = str(result.report)

    assert "params" in text
    assert "macs" in text
    assert "1 of 3 groups lost units; 2 are frozen:" in text
    assert "  b (5): size 180 is a literal at test_api.py:" in text
    assert "masked == shrunk: largest difference" in text
    assert set(result.report.seconds) == {"trace", "score", "choose", "cut and check"}
    assert result.report.provenance == result.plan.provenance


# -- when the proof fails ---------------------------------------------------------------------


@pytest.fixture
def sabotaged(monkeypatch):
    """Shrink, and then spoil one number."""

    def spoil(model, plan, **settings):
        result = prunus.shrink(model, plan, **settings)
        result[-1].bias.data[0] += 1
        return result

    monkeypatch.setattr("prunus.api.shrink", spoil)


def test_a_wrong_result_is_not_returned(sabotaged):
    model = two_layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(VerifyError, match="differs from the masked one by 1 "):
        pruned(model, optimizer=optimizer)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert optimizer.param_groups[0]["params"][0] is model[0].weight


def test_a_wrong_result_in_place_is_taken_back(monkeypatch):
    def spoil(model, plan, **settings):
        result = prunus.shrink(model, plan, **settings)
        result[0].bias.data += 1
        return result

    monkeypatch.setattr("prunus.api.shrink", spoil)
    model = two_layers()
    model(ROWS).sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    before, words = copy.deepcopy(model.state_dict()), repr(model)
    gradients = [parameter.grad for parameter in model.parameters()]
    with pytest.raises(VerifyError, match="differs from the masked one"):
        pruned(model, optimizer=optimizer, in_place=True)

    assert repr(model) == words
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is grad for p, grad in zip(model.parameters(), gradients, strict=True))
    assert optimizer.state[model[0].weight]["momentum_buffer"].shape == model[0].weight.shape


def test_the_check_can_be_switched_off(sabotaged):
    assert pruned(two_layers(), verify=False).report.agreement is None


# -- input that cannot be used ----------------------------------------------------------------

TAYLOR = {"criterion": "taylor", "data": [(ROWS, ROWS)], "loss": nn.MSELoss()}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"criterion": "magnitud"}, CriterionError, "there is no criterion 'magnitud'"),
        ({"allocation": "globl"}, BudgetError, "there is no allocation 'globl'"),
        ({"granularity": "chanel"}, PlanError, "there is no granularity 'chanel'"),
        ({"include": ["nowhere"]}, PlanError, "pattern 'nowhere' matches no layer"),
        ({"criterion": "taylor"}, CriterionError, r"needs data and loss, but none was given"),
        (
            {"budget": Budget(params=0.01)},
            BudgetError,
            r"params=0\.01 cannot be met: .* has 0\.164 of the parameters \(15 of 92\)",
        ),
        (
            {"budget": Budget(sparsity=0.5)},
            BudgetError,
            "sparsity=0.5 has no meaning at granularity channel",
        ),
        (
            {"criterion": "taylor", "data": [], "loss": nn.MSELoss()},
            DataError,
            "the data yield no batch",
        ),
        (
            {"budget": 0.5},
            BudgetError,
            r"budget=0\.5 means nothing\n.*a float\n.*Budget\(macs=0\.5",
        ),
        ({"criterion": Magnitude}, CriterionError, r"=Magnitude means nothing[^$]*Magnitude\(\)"),
        ({"allocation": Global}, BudgetError, r"=Global means nothing[^$]*pass Global\(\), with"),
        ({"granularity": None}, PlanError, "granularity=None means nothing"),
        ({"schedule": "cubic"}, TrainError, "schedule='cubic' means nothing"),
        ({"optimizer": "sgd"}, TrainError, "optimizer='sgd' means nothing"),
        (
            {"optimizer": torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)},
            TrainError,
            "the optimizer trains no parameter of this Sequential",
        ),
        (TAYLOR | {"loss": nn.MSELoss}, CriterionError, "loss=MSELoss means nothing"),
        (TAYLOR | {"loss": "mse"}, CriterionError, "loss='mse' means nothing"),
        (TAYLOR | {"data": ROWS}, DataError, "the data are a Tensor, and no batches"),
        (TAYLOR | {"data": 5}, DataError, "the data are an int, and no batches"),
    ],
)
def test_settings_that_cannot_be_used(settings, error, words):
    model = two_layers()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=words):
        pruned(model, **settings)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [(ROWS.to("meta"), "lie on meta, the model on cpu"), ("text", "hold no tensor, but a str")],
)
def test_inputs_that_cannot_be_used(inputs, words):
    with pytest.raises(TraceError, match=words):
        pruned(two_layers(), inputs)


def test_a_model_with_no_prunable_group():
    with pytest.raises(BudgetError, match="no group of the model may lose units") as caught:
        pruned(linear(6, 4))
    assert "model output" in str(caught.value)


def test_a_forward_that_raises():
    def forward(net, x):
        raise ZeroDivisionError("the user's words")

    with pytest.raises(ZeroDivisionError, match=r"^the user's words\nprunus called model"):
        pruned(Net(forward, {"a": linear(6, 8)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value):
    model = two_layers()
    model[2].weight.data[0, 0] = value
    with pytest.raises(CriterionError, match=r"1 of 32 weights in parameter '2\.weight' are NaN"):
        pruned(model)


class ReadsValues(nn.Module):
    """Which way it goes depends on numbers, which only real tensors have."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        y = self.a(x).relu()
        return self.b(y * 2 if float(y.sum()) > -1 else y)


def test_a_trace_on_real_tensors_is_said():
    half = prunus.Budget(units=0.5)
    report = prunus.prune(ReadsValues(), torch.randn(2, 4), budget=half).report
    assert "it was traced on real tensors" in str(report)
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    assert prunus.prune(plain, torch.randn(2, 4), budget=half).report.notes == ()


def test_example_inputs_of_no_item():
    with pytest.raises(TraceError, match="example_inputs hold no number: 0x4"):
        prunus.prune(two_layers(), torch.randn(0, 4), budget=Budget(units=0.5))
