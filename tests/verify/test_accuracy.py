"""Running both models over the same data."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from prunus.errors import DataError, VerifyError
from prunus.verify import compare, measure, verify
from prunus.verify.accuracy import IGNORED, METRICS


def batches(items: int = 600, size: int = 100) -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs = torch.randn(items, 4)
    targets = inputs[:, :3].argmax(dim=1)
    return list(zip(inputs.split(size), targets.split(size), strict=True))


class Table(nn.Module):
    """Gives back fixed outputs, batch after batch."""

    def __init__(self, *outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = iter(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return next(self.outputs)


def one_batch(targets: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.zeros(len(targets), 1), targets)]


# -- verify -----------------------------------------------------------------------------------


def test_verify_is_the_comparison_of_what_both_models_get_right():
    data, before, after = batches(), nn.Linear(4, 3), nn.Linear(4, 3)
    found = verify(before, after, data, margin=0.2)
    right = [
        torch.cat([model(inputs).argmax(1) == targets for inputs, targets in data])
        for model in (before, after)
    ]
    assert found == compare(*right, margin=0.2)
    assert found.metric == "accuracy"


def test_verify_by_loss_is_the_bootstrap_of_the_cross_entropy():
    data, before = batches(), nn.Linear(4, 3)
    after = nn.Linear(4, 3)
    after.load_state_dict({name: 1.01 * t for name, t in before.state_dict().items()})
    found = verify(before, after, data, "loss", margin=0.01, seed=3)
    loss = torch.cat([F.cross_entropy(before(x), y, reduction="none") for x, y in data])
    assert found.before == pytest.approx(-loss.mean().item(), rel=1e-5)
    assert (found.metric, found.lost, found.verdict) == ("negative loss", None, "same")
    assert "seed 3" in found.method


def test_a_generator_that_can_be_read_once_will_do():
    data, model = batches(), nn.Linear(4, 3)
    assert verify(model, model, (batch for batch in data)) == verify(model, model, data)


def test_a_loader_that_shuffles_still_pairs_the_items():
    data = DataLoader(TensorDataset(torch.randn(64, 4), torch.arange(64) % 3), 8, shuffle=True)
    model = nn.Linear(4, 3)
    found = verify(model, model, data)
    assert (found.items, found.lost, found.gained) == (64, 0, 0)


def test_a_metric_of_your_own_is_named_after_its_function():
    def top_2(outputs, targets):
        return (outputs.topk(2, dim=1).indices == targets[:, None]).any(dim=1)

    model = nn.Linear(4, 3)
    found = verify(model, model, batches(), top_2)
    assert (found.metric, found.lost, found.gained) == ("top 2", 0, 0)
    assert found.before > measure(model, batches()).double().mean()


def test_models_run_in_evaluation_mode_without_gradients_and_are_left_as_they_were():
    seen = []

    class Spy(nn.Linear):
        def forward(self, inputs):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().forward(inputs)

    before, after = nn.Sequential(Spy(4, 3), nn.Dropout(0.9).eval()), nn.Linear(4, 3).eval()
    verify(before, after, batches())
    assert set(seen) == {(False, False)}
    assert [module.training for module in before.modules()] == [True, True, False]
    assert not after.training


def test_flags_come_back_after_an_error_too():
    model = nn.Linear(4, 3)
    with pytest.raises(DataError, match="no batch"):
        verify(model, model, [])
    assert model.training


def test_a_model_that_writes_to_its_inputs_does_not_change_what_the_other_sees():
    writes, reads = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), nn.Linear(4, 3)
    data = batches()
    kept = [inputs.clone() for inputs, _ in data]
    alone = verify(reads, reads, data).after
    assert verify(writes, reads, data).after == alone
    assert all(torch.equal(inputs, copy) for (inputs, _), copy in zip(data, kept, strict=True))


@pytest.mark.parametrize("pack", [lambda x: (x, x), lambda x: {"first": x, "second": x}])
def test_inputs_may_be_several(pack):
    class Sum(nn.Module):
        def forward(self, first, second):
            return first + second

    data = [(pack(torch.eye(3)), torch.arange(3))]
    assert measure(Sum(), data).tolist() == [True, True, True]


def test_the_margin_is_looked_at_before_the_models_run():
    with pytest.raises(VerifyError, match="margin=0 cannot be judged"):
        verify(Table(), Table(), batches(), margin=0)


# -- measure ----------------------------------------------------------------------------------


def test_measure_gives_every_item_in_order():
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 4.0]])
    value = measure(Table(outputs), one_batch(torch.tensor([0, 0, 0])))
    assert value.dtype == torch.bool
    assert value.tolist() == [True, False, True]


def test_values_are_float64_on_the_cpu():
    value = measure(
        nn.Linear(4, 3).bfloat16(), [(torch.ones(2, 4).bfloat16(), torch.tensor([0, 1]))], "loss"
    )
    assert (value.dtype, value.device.type, value.shape) == (torch.float64, "cpu", (2,))


def test_outputs_with_logits_inside_are_read():
    outputs = SimpleNamespace(logits=torch.eye(3))
    assert measure(Table(outputs), one_batch(torch.arange(3))).all()


def test_a_class_that_is_ruled_out_may_be_minus_infinity():
    outputs = torch.tensor([[0.0, -math.inf], [1.0, 2.0]])
    assert measure(Table(outputs), one_batch(torch.tensor([0, 1]))).all()


# -- tokens -----------------------------------------------------------------------------------


def test_tokens_count_by_text_and_leave_out_what_is_ignored():
    outputs = F.one_hot(torch.tensor([[0, 1, 2], [0, 0, 0]]), 3).float()
    targets = torch.tensor([[0, 1, 1], [0, 1, IGNORED]])
    value = measure(Table(outputs), one_batch(targets))
    assert value.tolist() == pytest.approx([2 / 3, 1 / 2])


def test_the_loss_of_a_text_is_the_mean_over_its_tokens():
    outputs, targets = torch.randn(2, 4, 5), torch.randint(5, (2, 4))
    targets[0, 2:] = IGNORED
    value = measure(Table(outputs), one_batch(targets), "loss")
    expected = [-F.cross_entropy(o, t).item() for o, t in zip(outputs, targets, strict=True)]
    assert value.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_an_item_without_a_target_is_refused(metric):
    targets = torch.tensor([[0, 1], [IGNORED, IGNORED]])
    with pytest.raises(DataError, match=r"batch 1: 1 of 2 items have no target"):
        measure(Table(torch.randn(2, 2, 3)), one_batch(targets), metric)


# -- errors -----------------------------------------------------------------------------------


def test_an_unknown_metric_is_offered_the_nearest():
    with pytest.raises(VerifyError, match=r"no metric 'acuracy'(.|\n)*did you mean 'accuracy'"):
        measure(Table(), [], "acuracy")


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        pytest.param(torch.randn(3, 4), torch.arange(2), id="length"),
        pytest.param(torch.randn(3, 4), torch.ones(3), id="targets are not classes"),
        pytest.param(torch.randn(3, 4), torch.ones(3, 4), id="targets are probabilities"),
        pytest.param(torch.randn(3, 1), torch.ones(3).long(), id="one class only"),
        pytest.param(torch.randn(3), torch.ones(3).long(), id="no classes"),
        pytest.param(torch.randn(3, 4, 8), torch.ones(3, 8).long(), id="classes not last"),
        pytest.param((torch.randn(3, 4),), torch.arange(3), id="a tuple"),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_outputs_that_do_not_match_the_targets_are_refused(outputs, targets, metric):
    data = [(torch.zeros(3, 1), targets)]
    with pytest.raises(DataError, match=r"the model, batch 1: outputs .* do not match targets"):
        measure(Table(outputs), data, metric)


def test_outputs_that_are_not_finite_name_the_model_and_the_batch():
    good, bad = torch.eye(3), torch.full((3, 3), math.nan)
    data = 2 * one_batch(torch.arange(3))
    with pytest.raises(DataError, match="the model after, batch 2: 9 of 9 outputs are NaN"):
        verify(Table(good, good), Table(good, bad), data)


def test_a_metric_that_is_not_finite_names_the_item():
    with pytest.raises(DataError, match="the model, batch 1: the metric of item 1 is inf"):
        measure(nn.Identity(), one_batch(torch.arange(3)), lambda o, t: 1 / (t - 1.0).abs())


@pytest.mark.parametrize(
    ("metric", "got"),
    [
        (lambda outputs, targets: 0.9, "float"),
        (lambda outputs, targets: outputs.mean(), r"shape \(\)"),
        (lambda outputs, targets: outputs, r"shape \(3, 1\)"),
        (lambda outputs, targets: outputs.mean(dim=0), r"shape \(1,\)(.|\n)*here \(3,\)"),
    ],
)
def test_a_metric_gives_one_value_per_item(metric, got):
    with pytest.raises(DataError, match=f"the metric returned {got}(.|\n)*reduction='none'"):
        measure(nn.Identity(), one_batch(torch.arange(3)), metric)


def test_data_without_a_batch_are_refused():
    with pytest.raises(DataError, match="no batch"):
        measure(nn.Identity(), iter([]))
