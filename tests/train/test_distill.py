import math

import pytest
import torch
from torch import nn

from prunus.errors import TrainError
from prunus.train import Recipe, distillation, fit


def test_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    # At temperature 2 the teacher says (3/4, 1/4), the student (1/2, 1/2).
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    value = distillation(student, teacher, temperature=2.0)
    assert value.item() == pytest.approx(4 * divergence)


def test_is_the_mean_over_all_items():
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    single = [
        distillation(student[i, j], teacher[i, j], temperature=1.5)
        for i in range(2)
        for j in range(3)
    ]
    whole = distillation(student, teacher, temperature=1.5)
    torch.testing.assert_close(whole, torch.stack(single).mean())


def test_gradient_at_high_temperature_is_that_of_the_logits():
    student, teacher = torch.randn(1, 4, requires_grad=True), torch.randn(1, 4)
    distillation(student, teacher, temperature=1e3).backward()
    centred = [logits - logits.mean() for logits in (student.detach(), teacher)]
    torch.testing.assert_close(student.grad, (centred[0] - centred[1]) / 4, atol=1e-2, rtol=1e-2)


def test_outputs_that_are_no_logits():
    with pytest.raises(TrainError, match="the model returns a tuple and the teacher a Tensor"):
        distillation((torch.zeros(1, 2),), torch.zeros(1, 2), temperature=1.0)


def test_logits_of_different_shape():
    with pytest.raises(TrainError, match=r"of shape \(1, 2\), the teacher \(1, 3\)"):
        distillation(torch.zeros(1, 2), torch.zeros(1, 3), temperature=1.0)


def trained(*, distill: float, teacher: nn.Module | None) -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    data = [(torch.randn(6, 3), torch.randint(2, (6,)))]
    recipe = Recipe(epochs=1, distill=distill, lr=0.1, weight_decay=0.0)
    fit(model, data, loss=nn.CrossEntropyLoss(), recipe=recipe, teacher=teacher)
    return model


def test_share_of_zero_is_training_without_a_teacher():
    alone, taught = (
        trained(distill=0.0, teacher=None),
        trained(distill=0.0, teacher=nn.Linear(3, 2)),
    )
    assert torch.equal(alone.weight, taught.weight)


def test_share_of_one_ignores_the_targets():
    torch.manual_seed(0)
    start = nn.Linear(3, 2)
    model = trained(distill=1.0, teacher=start)
    torch.testing.assert_close(model.weight, start.weight)


def test_teacher_is_left_as_it_was():
    teacher = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    trained(distill=0.5, teacher=teacher)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert teacher.training
