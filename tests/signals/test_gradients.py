import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from prunus.errors import CriterionError, DataError
from prunus.records import Group, Member
from prunus.signals import (
    GRADIENT,
    GRADIENT_PRODUCT,
    GRADIENT_SQUARE,
    WEIGHT,
    Signal,
    Signals,
    collect,
)

PARAMETERS = ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight")


class Reads:
    def __init__(self, *signals: Signal):
        self.needs = frozenset(signals)

    def __repr__(self) -> str:
        return "Saliency()"


ALL = Reads(GRADIENT, GRADIENT_SQUARE, GRADIENT_PRODUCT)


def collected(chain, *, reader=ALL, **changes) -> Signals:
    arguments = {"data": chain.data, "loss": chain.loss} | changes
    return collect(chain.model, chain.groups, [reader], **arguments)


def backward_of_each_batch(chain) -> list[dict[str, torch.Tensor]]:
    """The independent way: `.backward()` on a copy, batch by batch."""
    model = copy.deepcopy(chain.model).eval()
    gradients = []
    for inputs, targets in chain.data:
        model.zero_grad()
        chain.loss(model(inputs), targets).backward()
        gradients.append({name: tensor.grad.clone() for name, tensor in model.named_parameters()})
    return gradients


@pytest.mark.parametrize(("signal", "power"), [(GRADIENT, 1), (GRADIENT_SQUARE, 2)])
def test_member_signals_equal_backward(chain, signal, power):
    found = collected(chain).values[signal]
    per_batch = backward_of_each_batch(chain)
    assert set(found) == set(PARAMETERS)  # the bias of the last convolution is no member
    for name in PARAMETERS:
        mean = torch.stack([gradients[name] ** power for gradients in per_batch]).mean(dim=0)
        torch.testing.assert_close(found[name], mean)


def test_product_equals_a_loop_over_units(chain):
    expected = torch.zeros(4)
    weights = dict(chain.model.named_parameters())
    for gradients in backward_of_each_batch(chain):
        for unit in range(4):
            total = 0.0
            for name in PARAMETERS:
                dim = 1 if name == "3.weight" else 0
                product = (gradients[name] * weights[name]).select(dim, unit)
                total += product.sum().item()
            expected[unit] += total**2 / len(chain.data)
    torch.testing.assert_close(collected(chain).values[GRADIENT_PRODUCT]["0.weight"], expected)


def test_product_of_single_weights_is_the_squared_product(chain):
    groups = {"0.weight": Group("0.weight", "weight", 108, (Member("0.weight", None),))}
    found = collect(chain.model, groups, [ALL], data=chain.data, loss=chain.loss).values
    weight_square = chain.model[0].weight.detach().square()
    torch.testing.assert_close(
        found[GRADIENT_PRODUCT]["0.weight"],
        (weight_square * found[GRADIENT_SQUARE]["0.weight"]).flatten(),
    )


def test_criteria_share_one_pass(chain):
    passes = []
    chain.model.register_forward_hook(lambda *_: passes.append(1))
    readers = [Reads(WEIGHT), Reads(GRADIENT, WEIGHT), Reads(GRADIENT_PRODUCT)]
    found = collect(chain.model, chain.groups, readers, data=chain.data, loss=chain.loss)
    assert len(passes) == 3
    assert set(found.values) == {WEIGHT, GRADIENT, GRADIENT_PRODUCT}


def test_weights_cost_no_pass(chain):
    chain.model.register_forward_hook(lambda *_: pytest.fail("the model ran"))
    collect(chain.model, chain.groups, [Reads(WEIGHT)], data=chain.data, loss=chain.loss)


def test_the_model_is_left_as_it_was(chain):
    model = chain.model.train()
    model[1].eval()
    model[3].weight.requires_grad_(False)
    model[0].weight.grad = torch.full_like(model[0].weight, 7.0)
    before = copy.deepcopy(model)
    collected(chain)
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    for (name, now), then in zip(model.named_parameters(), before.parameters(), strict=True):
        assert now.requires_grad == then.requires_grad, name
        assert torch.equal(now, then)
    gradients = {name: tensor.grad for name, tensor in model.named_parameters()}
    assert (gradients.pop("0.weight") == 7).all()
    assert set(gradients.values()) == {None}
    for now, then in zip(model.buffers(), before.buffers(), strict=True):
        assert torch.equal(now, then)


def test_the_model_is_left_as_it_was_after_an_error(chain):
    chain.model.train().requires_grad_(False)
    with pytest.raises(ZeroDivisionError):
        collected(chain, loss=lambda outputs, targets: 1 / 0)
    assert all(module.training for module in chain.model.modules())
    assert not any(parameter.requires_grad for parameter in chain.model.parameters())


def test_frozen_parameters_are_scored(chain):
    expected = collected(chain).values[GRADIENT]
    chain.model.requires_grad_(False)
    found = collected(chain).values[GRADIENT]
    assert all(torch.equal(found[name], expected[name]) for name in PARAMETERS)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_where_the_caller_forbids_gradients(chain, context):
    expected = collected(chain).values[GRADIENT]
    with context():
        found = collected(chain).values[GRADIENT]
    assert torch.equal(found["0.weight"], expected["0.weight"])


def test_random_generators_are_left_alone(chain):
    def noisy():
        for inputs, targets in chain.data:
            yield inputs + torch.rand(1) + np.random.rand() + random.random(), targets

    def state():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = state()
    collected(chain, data=noisy())
    assert state() == before


def test_half_precision_accumulates_in_float32(chain):
    expected = collected(chain).values[GRADIENT_SQUARE]["0.weight"]
    chain.model.bfloat16()
    data = [(inputs.bfloat16(), targets) for inputs, targets in chain.data]
    found = collected(chain, data=data).values[GRADIENT_SQUARE]["0.weight"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1 * expected.max().item())


def test_a_parameter_that_the_loss_ignores_has_gradient_zero():
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "spare": nn.Linear(2, 2)})
    model.forward = model["used"].forward
    name = "spare.weight"
    groups = {n: Group(n, "weight", 4, (Member(n, None),)) for n in (name, "used.weight")}
    data = [(torch.randn(3, 2), torch.tensor([0, 1, 1]))]
    found = collect(model, groups, [ALL], data=data, loss=nn.CrossEntropyLoss())
    assert found.values[GRADIENT][name].tolist() == [[0, 0], [0, 0]]
    assert found.values[GRADIENT]["used.weight"].abs().sum() > 0


def test_sparse_gradients_of_an_embedding():
    groups = {"0.weight": Group("0.weight", "weight", 10, (Member("0.weight", None),))}
    data = [(torch.tensor([1, 1, 3]), torch.tensor([0, 1, 1]))]
    found = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(5, 2, sparse=sparse))
        found.append(collect(model, groups, [ALL], data=data, loss=nn.CrossEntropyLoss()))
    for signal in ALL.needs:
        torch.testing.assert_close(*(signals.values[signal]["0.weight"] for signals in found))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"data": None}, "needs data, but"),
        ({"loss": None}, "needs loss, but"),
        ({"data": None, "loss": None}, "needs data and loss, but"),
    ],
)
def test_missing_data_or_loss(chain, missing, words):
    with pytest.raises(CriterionError, match=rf"Saliency\(\) {words} none was given") as caught:
        collected(chain, reader=Reads(GRADIENT), **missing)
    assert "it reads grad_UF: gradient of the mean loss over the data" in caught.value.why
    assert all(f"{name}=" in caught.value.hint for name in missing)


@pytest.mark.parametrize("nothing", [{"data": []}, {"batches": 0}])
def test_no_batch(chain, nothing):
    with pytest.raises(DataError, match="the data yield no batch"):
        collected(chain, **nothing)


def test_inputs_that_are_not_finite(chain):
    chain.data[1][0][0] = torch.nan
    with pytest.raises(DataError, match="inputs of batch 2 are not finite: 75 of 375"):
        collected(chain)


def test_a_loss_that_is_not_finite(chain):
    with pytest.raises(DataError, match="the loss of batch 1 is inf"):
        collected(chain, loss=lambda outputs, targets: outputs.square().sum() * torch.inf)


def test_a_gradient_that_is_not_finite(chain):
    with pytest.raises(DataError, match=r"gradients of '0.weight' are NaN or infinite"):
        collected(chain, loss=lambda outputs, targets: (outputs * 0).abs().sqrt().sum())


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda outputs, targets: outputs.sum(dim=0), r"of shape \(2,\), expected one number"),
        (lambda outputs, targets: outputs.sum().item(), "of float, expected one number"),
        (lambda outputs, targets: outputs.detach().sum(), "does not depend on any parameter"),
        (lambda outputs, targets: torch.ones((), requires_grad=True) + 0, "does not depend on any"),
    ],
)
def test_a_loss_without_use(chain, loss, words):
    with pytest.raises(CriterionError, match=words):
        collected(chain, loss=loss)


def test_an_error_of_the_users_model_shows(chain):
    data = [(torch.randn(5, 4, 5, 5), chain.data[0][1])]
    with pytest.raises(RuntimeError, match=r"expected input.* to have 3 channels"):
        collected(chain, data=data)


@pytest.mark.parametrize(
    ("batches", "data", "expected"),
    [
        (None, list, [(1, 3), (2, 3), (3, 3)]),
        (2, list, [(1, 2), (2, 2)]),
        (9, list, [(1, 3), (2, 3), (3, 3)]),
        (None, iter, [(1, 3), (2, 3), (3, 3)]),
        (None, lambda data: (batch for batch in data), [(1, None), (2, None), (3, None)]),
    ],
)
def test_progress(chain, batches, data, expected):
    told = []
    collected(
        chain,
        data=data(chain.data),
        batches=batches,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == expected


def test_fewer_batches_are_the_mean_of_those(chain):
    found = collected(chain, batches=1).values[GRADIENT]["0.weight"]
    torch.testing.assert_close(found, backward_of_each_batch(chain)[0]["0.weight"])
