"""Products with the Hessian against torch.autograd.functional.hessian, which forms it whole."""

import pytest
import torch
from torch import nn

from prunus.criteria import GRASP, Hessian
from prunus.errors import CriterionError, DataError
from prunus.records import Group, Member
from prunus.signals import HESSIAN_GRADIENT, collect, hessian_diagonal


def weight_groups(model: nn.Module) -> dict[str, Group]:
    return {
        name: Group(name, "weight", tensor.numel(), (Member(name, None),))
        for name, tensor in model.named_parameters()
    }


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def batches(number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.randn(8, 3), torch.randint(2, (8,))) for _ in range(number)]


def exact(model, data, loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient and the Hessian of the mean loss by all parameters in a row."""
    named = {name: tensor.detach() for name, tensor in model.named_parameters()}

    def mean_loss(flat):
        split = flat.split([tensor.numel() for tensor in named.values()])
        values = {name: part.view_as(named[name]) for name, part in zip(named, split, strict=True)}
        losses = [loss(torch.func.functional_call(model, values, (x,)), y) for x, y in data]
        return torch.stack(losses).mean()

    flat = torch.cat([tensor.flatten() for tensor in named.values()]).requires_grad_()
    (gradient,) = torch.autograd.grad(mean_loss(flat), flat)
    return gradient, torch.autograd.functional.hessian(mean_loss, flat.detach())


def collected(model, criterion, data, loss) -> torch.Tensor:
    found = collect(model, weight_groups(model), [criterion], data=data, loss=loss).values
    (signal,) = [signal for signal in criterion.needs if signal.name.startswith("hessian")]
    return torch.cat([tensor.flatten() for tensor in found[signal].values()])


def test_a_diagonal_hessian_is_exact_with_one_probe():
    """The loss of one output by squares of single weights: sum of x ** 2 * w ** 2."""
    model = nn.Linear(5, 1, bias=False)
    model.forward = lambda inputs: (inputs**2 @ (model.weight**2).T).squeeze(1)
    data = [(torch.randn(7, 5), None) for _ in range(2)]
    found = collected(model, Hessian(), data, lambda outputs, _: outputs.mean())
    expected = torch.stack([2 * inputs.square().mean(dim=0) for inputs, _ in data]).mean(dim=0)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("probes", [20, 500])
def test_the_error_is_that_of_hutchinson(probes):
    """The variance of an entry is the sum of the squares of the rest of its row, over probes."""
    model, data, loss = network(), batches(1), nn.CrossEntropyLoss()
    _, hessian = exact(model, data, loss)
    error = (collected(model, Hessian(probes=probes), data, loss) - hessian.diag()).norm()
    expected = (hessian - hessian.diag().diag()).norm() / probes**0.5
    assert 0.5 < error / expected < 2


def test_more_batches_have_their_own_signs():
    """One batch many times is as good as many probes."""
    model, data, loss = network(), batches(1), nn.CrossEntropyLoss()
    probes = collected(model, Hessian(probes=30), data, loss)
    torch.testing.assert_close(collected(model, Hessian(), data * 30, loss), probes)


def test_the_seed_decides():
    model, data, loss = network(), batches(1), nn.CrossEntropyLoss()
    first, again, other = (collected(model, Hessian(seed=s), data, loss) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_equal_settings_share_one_signal():
    assert hessian_diagonal(probes=2, seed=0) == hessian_diagonal(probes=2, seed=0)
    assert Hessian(probes=2).needs != Hessian(probes=3).needs


def test_hessian_gradient_equals_the_whole_hessian():
    model, data, loss = network(), batches(3), nn.CrossEntropyLoss()
    gradient, hessian = exact(model, data, loss)
    torch.testing.assert_close(collected(model, GRASP(), data, loss), hessian @ gradient)


@pytest.mark.parametrize("criterion", [Hessian(), GRASP()])
def test_a_linear_loss_has_no_curvature(criterion):
    data = [(torch.randn(4, 3), None)]
    found = collected(nn.Linear(3, 2), criterion, data, lambda outputs, _: outputs.mean())
    assert (found == 0).all()


@pytest.mark.parametrize("criterion", [Hessian(), GRASP()])
def test_fused_attention_is_differentiated_twice(criterion):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    data = [(torch.randn(2, 3, 8), torch.randn(2, 3, 8))]
    assert collected(model, criterion, data, nn.MSELoss()).isfinite().all()


class OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * 2


def test_an_operator_without_second_derivative():
    model = nn.Linear(3, 2)
    loss = lambda outputs, _: OnceDifferentiable.apply(outputs).square().mean()  # noqa: E731
    with pytest.raises(CriterionError, match="cannot be differentiated twice") as caught:
        collected(model, Hessian(), [(torch.randn(4, 3), None)], loss)
    assert "fisher or taylor" in caught.value.hint


def test_data_that_can_be_read_once_are_too_few_for_two_passes():
    with pytest.raises(DataError, match="the data yield no batch"):
        collected(network(), GRASP(), iter(batches(2)), nn.CrossEntropyLoss())


def test_progress_counts_both_passes():
    told, model = [], network()
    collect(
        model, weight_groups(model), [GRASP()], data=batches(2), loss=nn.CrossEntropyLoss(),
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 2), (2, 2), (1, 2), (2, 2)]
    assert HESSIAN_GRADIENT.requires == ("data", "loss")
