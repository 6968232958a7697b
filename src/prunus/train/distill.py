"""Distillation: a small model learns from the outputs of the dense one that it was cut from."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from prunus.errors import TrainError


def distillation(student: Any, teacher: Any, *, temperature: float) -> Tensor:
    """Return how far the student's logits are from the teacher's.

    The Kullback-Leibler divergence from the teacher's softmax to the student's, both at
    `temperature`, times the square of the temperature, averaged over all items (Hinton, Vinyals
    and Dean 2015, arXiv:1503.02531).

    Args:
        student: Logits (..., classes).
        teacher: Logits of the same shape, without gradient.
        temperature: By which the logits are divided.

    Raises:
        TrainError: The outputs are not two tensors of one shape.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> distillation(logits, logits, temperature=2.0).item()
        0.0
    """
    if not (isinstance(student, Tensor) and isinstance(teacher, Tensor)):
        raise TrainError(
            f"distillation needs logits, but the model returns a {type(student).__name__} and the "
            f"teacher a {type(teacher).__name__}",
            hint="train without a teacher, or let both return one tensor",
        )
    if student.shape != teacher.shape:
        raise TrainError(
            f"the model returns logits of shape {tuple(student.shape)}, the teacher "
            f"{tuple(teacher.shape)}",
            hint="take as teacher the model that this one was cut from",
        )
    classes = student.shape[-1]
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=-1).reshape(-1, classes),
        F.log_softmax(teacher / temperature, dim=-1).reshape(-1, classes),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2
