"""Feature distillation: inner layers learn to give what those of the dense model give.

Legend for tensor names: N places, S units of the small model, T those of the dense one.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from prunus.data import checked, set_epoch
from prunus.errors import TrainError, unknown_name
from prunus.inputs import Loss, call, device_of
from prunus.modes import eager, mode
from prunus.records import Plan
from prunus.recover.base import Cut, Given, Held, Training, dense_of, loss_of
from prunus.recover.readers import readers
from prunus.shrink.stacks import dense_names
from prunus.train import Hook, fit

Outputs: TypeAlias = dict[str, list[Tensor]]
DAMPING = 0.01  # of the first maps, as a share of the mean square of an input


@dataclass(frozen=True, kw_only=True)
class FeatureDistillation(Training):
    """Trains on, by the loss and towards what layers of the dense model give.

    Minimises loss + weight * mean over layers of |map(small) - dense|² / |dense|². Where a layer
    has fewer units than the dense one, a linear map leads from the ones to the others. It starts
    as the ridge regression on the first batch, is trained along, and is gone afterwards.

    Counts steps of the optimizer. Data: inputs and targets.

    Cost: a training, and in each step a forward pass of the dense model and the maps, S T numbers
    each; the outputs of the layers are held meanwhile.

    Source: Romero et al. 2015, FitNets, arXiv:1412.6550. Differs: several layers at once and
    together with the loss; the distance is relative, so that layers count alike; the map does
    not start at random.

    Attributes:
        layers: Names of modules of the small model that return one tensor; None for the linear
            layers and convolutions that lost inputs or weights.
        weight: Of the distance.

    Raises:
        TrainError: A number is out of its range.

    Example:
        >>> dense = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> data = [(torch.randn(16, 4), torch.randint(2, (16,)))]
        >>> pruned = prunus.prune(dense, torch.randn(1, 4), budget=prunus.Budget(units=0.5))
        >>> step = FeatureDistillation(layers=("1",), recipe=prunus.Recipe(epochs=2))
        >>> prunus.recover(pruned, [step], data=data, loss=nn.CrossEntropyLoss())[0].changed
        2
    """

    layers: tuple[str, ...] | None = None
    weight: float = 1.0
    compares = True

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.layers == ():
            raise TrainError(
                f"FeatureDistillation(layers={self.layers}, weight={self.weight}) cannot be used",
                why="weight must be above 0, and one layer must be named, or layers=None",
            )

    def run(self, cut: Cut, given: Given) -> int:
        """Recover in place; return how many steps were taken."""
        model, dense, loss = cut.model, dense_of(cut), loss_of(given)
        pairs = self._pairs(cut, dense)
        with ExitStack() as stack:
            for context in (eager(), mode(dense, training=False)):
                stack.enter_context(context)
            small = stack.enter_context(_seen(model, pairs))
            large = stack.enter_context(_seen(dense, pairs.values()))
            features = _Features(pairs, small, large)
            features.begin(model, dense, given)
            inputs = stack.enter_context(_inputs_of(model))
            history = fit(
                model,
                given.data,
                loss=features.added_to(loss, dense, inputs, weight=self.weight),
                recipe=self.recipe or given.recipe,
                hooks=[features, *given.hooks, Held(cut.plan)],
                seed=given.seed,
            )
        return history.steps

    def _pairs(self, cut: Cut, dense: nn.Module) -> dict[str, str]:
        """Return the layers, by their names in the small model, and those in the dense one."""
        names = self.layers or tuple(readers(cut.model, dense=dense, plan=cut.plan))
        if not names:
            raise TrainError(
                "no layer lost inputs or weights, so there is none to learn from",
                hint="name some: FeatureDistillation(layers=('layer1', 'layer2'))",
            )
        modules = dict(cut.model.named_modules())
        for name in names:
            if name not in modules:
                raise unknown_name("module", name, modules, TrainError)
        return {name: _dense_name(cut.plan, name) for name in names}


def _dense_name(plan: Plan, name: str) -> str:
    """Return what a module of the small model is called in the dense one."""
    ((_, found),) = dense_names(plan, [f"{name}.weight"]).items()
    return found.removesuffix(".weight")


@dataclass
class _Features(Hook):
    """What both models gave in the last pass, and the maps between.

    Attributes:
        pairs: Name in the small model -> name in the dense one.
        small: Outputs of layers of the small model, in the order of the calls.
        large: Those of the dense model.
        maps: The dim in which a layer became smaller, and the map; none where it did not.
    """

    pairs: Mapping[str, str]
    small: Outputs
    large: Outputs
    maps: dict[str, tuple[int, nn.Linear]] = field(default_factory=dict)

    def begin(self, model: nn.Module, dense: nn.Module, given: Given) -> None:
        """Read the first batch, and make the maps.

        Raises:
            TrainError: Two layers cannot be compared.
        """
        set_epoch(given.data, 0)
        inputs, _ = next(checked(given.data, device=device_of(model)))
        with mode(model, training=False), torch.no_grad():
            call(model, inputs)
            call(dense, inputs)
            for name, small, large in self.compared():
                dim = _narrowed(name, small, large)
                if dim is not None:
                    self.maps[name] = (dim, _least_squares(small, large, dim))

    def start(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Let the maps be trained along."""
        weights = [weight for _, linear in self.maps.values() for weight in linear.parameters()]
        if weights:
            optimizer.add_param_group({"params": weights, "weight_decay": 0.0})

    def compared(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield name, small and dense output of each call, and forget them."""
        small, large = dict(self.small), dict(self.large)
        self.small.clear()
        self.large.clear()
        for name, other in self.pairs.items():
            mine, theirs = small.get(name, []), large.get(other, [])
            if not mine or len(mine) != len(theirs):
                raise TrainError(
                    f"'{name}' ran {len(mine)} times and '{other}' of the dense model "
                    f"{len(theirs)} times",
                    hint="name layers that run in both models",
                )
            yield from ((name, *pair) for pair in zip(mine, theirs, strict=True))

    def distance(self) -> Tensor:
        """Return the mean relative square distance of what was given last."""
        found = []
        for name, small, large in self.compared():
            if name in self.maps:
                dim, linear = self.maps[name]
                small = linear(small.movedim(dim, -1)).movedim(-1, dim)
            tiny = torch.finfo(large.dtype).tiny
            found.append((small - large).square().sum() / large.square().sum().clamp(min=tiny))
        return torch.stack(found).mean()

    def added_to(self, loss: Loss, dense: nn.Module, inputs: list[Any], *, weight: float) -> Loss:
        """Return `loss` plus the distance."""

        def both(outputs: Any, targets: Any) -> Tensor:
            (positional, named) = inputs.pop()
            with torch.no_grad():
                dense(*positional, **named)
            return loss(outputs, targets) + weight * self.distance()

        return both


@contextmanager
def _seen(model: nn.Module, names: Iterable[str]) -> Iterator[Outputs]:
    """Gather what modules of these names return, as long as this lasts."""
    outputs: Outputs = {}

    def hook(name: str) -> Any:
        def after(_: nn.Module, __: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise TrainError(
                    f"'{name}' returns a {type(output).__name__}, not one tensor",
                    hint="name layers that return one tensor",
                )
            outputs.setdefault(name, []).append(output)

        return after

    handles = [model.get_submodule(n).register_forward_hook(hook(n)) for n in set(names)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _inputs_of(model: nn.Module) -> Iterator[list[Any]]:
    """Gather the arguments that `model` is called with."""
    arguments: list[Any] = []
    handle = model.register_forward_pre_hook(
        lambda _, positional, named: arguments.append((positional, named)), with_kwargs=True
    )
    try:
        yield arguments
    finally:
        handle.remove()


def _narrowed(name: str, small: Tensor, large: Tensor) -> int | None:
    """Return the one dim in which two outputs differ, None where they have the same shape."""
    if small.shape == large.shape:
        return None
    same_dims = small.dim() == large.dim()
    differ = [d for d in range(small.dim()) if same_dims and small.shape[d] != large.shape[d]]
    if len(differ) != 1:
        raise TrainError(
            f"'{name}' gives {tuple(small.shape)}, in the dense model {tuple(large.shape)}",
            why="a linear map leads from one width to another, and more than that differs",
            hint="name other layers",
        )
    return differ[0]


def _least_squares(small: Tensor, large: Tensor, dim: int) -> nn.Linear:
    """Return the linear map from `small` to `large` along `dim`, by ridge regression."""
    small_NS = small.movedim(dim, -1).flatten(0, -2).double()
    large_NT = large.movedim(dim, -1).flatten(0, -2).double()
    read_NS = torch.cat([small_NS, small_NS.new_ones(len(small_NS), 1)], dim=1)
    square_SS = read_NS.T @ read_NS
    # Places may be few and units alike: large maps would make large gradients of small errors.
    square_SS.diagonal().add_(DAMPING * square_SS.diagonal().mean())
    solved_ST = torch.linalg.solve(square_SS, read_NS.T @ large_NT)
    linear = nn.Linear(small_NS.shape[1], large_NT.shape[1], device=small.device, dtype=small.dtype)
    linear.weight.copy_(solved_ST[:-1].T)
    linear.bias.copy_(solved_ST[-1])
    return linear
