"""The steps of a recovery that have a name, but for feature distillation."""

from dataclasses import dataclass

from torch import nn

from prunus.recover.base import Cut, Given, Held, Recovery, Training, dense_of, loss_of
from prunus.recover.batch_norm import reestimate_batch_norm
from prunus.recover.bias_compensation import compensate_bias
from prunus.recover.least_squares import reconstruct
from prunus.recover.twins import fold_twins
from prunus.train import Recipe, fit


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Recovery):
    """Measures the statistics of batch norms anew: see `reestimate_batch_norm`.

    Counts batch norms. Data: inputs. Cost: forward passes.

    Source: Li et al. 2020, EagleEye, arXiv:2007.02491.

    Attributes:
        batches: Reads so many at most.

    Example:
        >>> BatchNorm()
        BatchNorm(batches=100)
    """

    batches: int = 100

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many batch norms were measured."""
        return reestimate_batch_norm(cut.model, given.data, batches=self.batches)


@dataclass(frozen=True, kw_only=True)
class Bias(Recovery):
    """Gives every layer that lost inputs its mean back, by its bias: see `compensate_bias`.

    Counts biases. Data: inputs. Cost: a pass of the dense model, and one for each set of layers
    that read the same.

    Source: An et al. 2024, FLAP, arXiv:2312.11983.

    Attributes:
        batches: Reads so many at most.

    Example:
        >>> Bias(batches=10)
        Bias(batches=10)
    """

    batches: int = 100
    compares = True
    closer = True

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many biases were changed."""
        return compensate_bias(
            cut.model, given.data, dense=dense_of(cut), plan=cut.plan, batches=self.batches
        )


@dataclass(frozen=True, kw_only=True)
class LeastSquares(Recovery):
    """Solves the layers that lost inputs for what the dense ones gave: see `reconstruct`.

    Counts layers. Data: inputs. Cost: two passes for each set of layers that read the same.

    Source: He et al. 2017, arXiv:1707.06168, section 3.1.

    Attributes:
        damping: How strongly the weights are held where they are.
        batches: Reads so many at most.

    Example:
        >>> LeastSquares(damping=0.01)
        LeastSquares(damping=0.01, batches=100)
    """

    damping: float = 1e-3
    batches: int = 100
    compares = True
    closer = True

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many layers were solved."""
        return reconstruct(
            cut.model, given.data, dense=dense_of(cut), plan=cut.plan,
            damping=self.damping, batches=self.batches,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FoldTwins(Recovery):
    """Lets kept units do what removed ones did that were like them: see `fold_twins`.

    Counts layers. Data: inputs. Cost: a pass of the dense model.

    Source: Srinivas and Babu 2015, arXiv:1507.06149.

    Attributes:
        batches: Reads so many at most.

    Example:
        >>> FoldTwins(batches=10)
        FoldTwins(batches=10)
    """

    batches: int = 100
    compares = True

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many layers were changed."""
        return fold_twins(
            cut.model, given.data, dense=dense_of(cut), plan=cut.plan, batches=self.batches
        )


@dataclass(frozen=True, kw_only=True)
class FineTune(Training):
    """Trains on, by the loss alone: see `fit`.

    Counts steps of the optimizer. Data: inputs and targets. Cost: a training.

    Source: Han et al. 2015, arXiv:1506.02626.

    Example:
        >>> FineTune(recipe=prunus.Recipe(epochs=3)).recipe.epochs
        3
    """

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many steps were taken."""
        return _fitted(cut, given, self.recipe, teacher=None)


@dataclass(frozen=True, kw_only=True)
class LogitDistillation(Training):
    """Trains on, by the loss and towards the outputs of the dense model: see `distillation`.

    Counts steps of the optimizer. Data: inputs and targets. Cost: a training, and a forward pass
    of the dense model in each step.

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531. The recipe says the share of the
    teacher and the temperature.

    Example:
        >>> LogitDistillation(recipe=prunus.Recipe(distill=0.9)).recipe.distill
        0.9
    """

    compares = True

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many steps were taken."""
        return _fitted(cut, given, self.recipe, teacher=dense_of(cut))


def _fitted(cut: Cut, given: Given, recipe: Recipe | None, *, teacher: nn.Module | None) -> int:
    history = fit(
        cut.model,
        given.data,
        loss=loss_of(given),
        recipe=recipe or given.recipe,
        teacher=teacher,
        hooks=[*given.hooks, Held(cut.plan)],
        seed=given.seed,
    )
    return history.steps
