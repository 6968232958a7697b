"""What makes up for cuts that are not exact: a factor on a parameter further on.

A mean over fewer units is larger than the masked model's by (size / size kept). That factor is
followed along the operators, as a power of the extent's share, until a parameter that lies along
the extent is multiplied in: RMSNorm is a mean of squares, a root, and a weight. Then the inverse
factor on that parameter undoes it, up to the norm's epsilon.

Where a drifting value reaches an operator that is not known here, or an output, the cut stays
inexact.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from prunus.trace.axes import Node, leaves_of
from prunus.trace.record import LAYOUT, Step

# Operators over an extent, and the exponent of what they return.
_SEEDS = {"mean": -1.0, "_fused_rms_norm": 0.5}

# Products, and the place of their first factor among the tensors that they read.
_FACTORS = {"mul": 0, "mul_": 0, "addcmul": 1}

LARGEST_EPSILON = 1e-3


@dataclass(frozen=True)
class Drift:
    """By which power of an extent's share the shrunk model's value differs from the masked one's.

    Attributes:
        node: The extent.
        exponent: -1 behind a mean over it.
        seeds: Places in the list of steps where it came in.
    """

    node: Node
    exponent: float
    seeds: frozenset[int]


Move: TypeAlias = Callable[[Step, Tensor], float | None]
"""What an operator multiplies the exponent of a tensor with, None where it leaves no power."""


def _power(step: Step, drifting: Tensor) -> float | None:
    exponent = step.call.get("exponent")
    return float(exponent) if isinstance(exponent, int | float) else None


def _times(factor: float) -> Move:
    return lambda step, drifting: factor


def _plus_epsilon(step: Step, drifting: Tensor) -> float | None:
    other = step.call.get("other")
    small = isinstance(other, int | float) and abs(other) <= LARGEST_EPSILON
    return 1.0 if small else None


def _divided(step: Step, drifting: Tensor) -> float | None:
    return -1.0 if step.call["other"] is drifting else 1.0


_MOVES: Mapping[str, Move] = {
    **dict.fromkeys((*LAYOUT, "alias", "detach", "mul", "mul_", "neg", "squeeze"), _times(1)),
    **dict.fromkeys(("add", "add_", "clamp_min"), _plus_epsilon),
    **dict.fromkeys(("div", "div_"), _divided),
    "pow": _power,
    "reciprocal": _times(-1),
    "rsqrt": _times(-0.5),
    "sqrt": _times(0.5),
}  # fmt: skip


@dataclass
class _Followed:
    """The state of one walk over the steps."""

    weights: Mapping[int, str]
    drifts: dict[int, Drift] = field(default_factory=dict)
    # (parameter, extent, exponent) -> the seeds that it makes up for.
    found: dict[tuple[str, Node, float], set[int]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    # Place in the list of steps -> the extent that a mean is taken over there.
    seeds: dict[int, Node] = field(default_factory=dict)
    absorbed: Counter[str] = field(default_factory=Counter)

    def take(self, place: int, step: Step) -> None:
        """Follow one step."""
        if step.call.name in _SEEDS:
            self._seed(place, step)
        drifting = [t for t in step.inputs if t is not None and id(t) in self.drifts]
        if not drifting:
            return
        drift = self.drifts[id(drifting[0])]
        factor = _MOVES.get(step.call.name, _lost)(step, drifting[0])
        if len(drifting) == 1 and self._absorbed(step, drift, drifting[0]):
            return
        if len(drifting) > 1 or factor is None:
            for tensor in drifting:
                self.failed |= self.drifts[id(tensor)].seeds
            return
        moved = Drift(drift.node, factor * drift.exponent, drift.seeds)
        self.drifts.update((id(tensor), moved) for tensor in step.call.outputs)

    def _seed(self, place: int, step: Step) -> None:
        inputs = step.input_dims[0]
        dims = step.call.get("dim", step.call.get("normalized_shape"))
        if inputs is None or not isinstance(dims, list) or len(dims) != 1:
            return
        node = inputs.nodes[dims[0] if step.call.name == "mean" else -1].find()
        if not any(leaf.inexact for leaf in leaves_of(node)):
            return
        self.seeds[place] = node
        drift = Drift(node, _SEEDS[step.call.name], frozenset({place}))
        if step.call.name == "mean":
            for tensor in step.call.outputs:
                self.drifts[id(tensor)] = drift
        elif step.call.get("weight") is not None:
            self._absorb(self.weights.get(id(step.call["weight"]), ""), drift)

    def _absorbed(self, step: Step, drift: Drift, drifting: Tensor) -> bool:
        """Whether a parameter that lies along the extent is multiplied in."""
        first = _FACTORS.get(step.call.name)
        if first is None or all(tensor is not drifting for tensor in step.inputs[first:]):
            return False
        for tensor, dims in zip(step.inputs[first:], step.input_dims[first:], strict=True):
            weight = self.weights.get(id(tensor)) if tensor is not None else None
            nodes = dims.nodes if dims is not None else ()
            if weight and any(node.find() is drift.node.find() for node in nodes):
                self._absorb(weight, drift)
                return True
        return False

    def _absorb(self, weight: str, drift: Drift) -> None:
        self.absorbed[weight] += 1
        key = (weight, drift.node.find(), -drift.exponent)
        self.found.setdefault(key, set()).update(drift.seeds)

    def fail_ambiguous(self, steps: Sequence[Step]) -> None:
        """A parameter that is read elsewhere too, or needs two factors, makes up for nothing."""
        reads = Counter(
            self.weights[id(tensor)]
            for step in steps
            if step.call.name not in LAYOUT
            for tensor in step.inputs
            if tensor is not None and id(tensor) in self.weights
        )
        factors = Counter(weight for weight, _, _ in self.found)
        for (weight, _, _), seeds in self.found.items():
            if factors[weight] > 1 or reads[weight] != self.absorbed[weight]:
                self.failed |= seeds


def _lost(step: Step, drifting: Tensor) -> float | None:
    return None


@dataclass(frozen=True)
class Corrections:
    """What a walk found.

    Attributes:
        factors: (parameter, extent, exponent): see `prunus.records.Correction`.
        solved: (leaf, start of a reason) that these make up for.
    """

    factors: tuple[tuple[str, Node, float], ...]
    solved: frozenset[tuple[Node, str]]

    def solve(self, leaf: Node) -> bool:
        """Whether all reasons why a cut of `leaf` is not exact are made up for."""
        starts = [start for node, start in self.solved if node is leaf]
        return bool(leaf.inexact) and all(
            any(reason.startswith(start) for start in starts) for reason in leaf.inexact
        )


def corrections(
    steps: Sequence[Step], weights: Mapping[int, str], outputs: Iterable[Tensor]
) -> Corrections:
    """Follow what drifts.

    Args:
        steps: What was recorded, in order.
        weights: Id of every tensor that is a parameter, or one in another layout, -> its name.
        outputs: The model's outputs: what drifts there is not made up for.
    """
    state = _Followed(weights)
    for place, step in enumerate(steps):
        state.take(place, step)
    for tensor in outputs:
        if id(tensor) in state.drifts:
            state.failed |= state.drifts[id(tensor)].seeds
    state.fail_ambiguous(steps)
    good = {key: seeds for key, seeds in state.found.items() if not seeds & state.failed}
    solved = {seed for seeds in good.values() for seed in seeds}
    verdicts: dict[tuple[Node, str], bool] = {}
    for place, node in state.seeds.items():
        call = steps[place].call
        for leaf in leaves_of(node):
            key = (leaf, f"{call.name} at {call.location}: ")
            verdicts[key] = verdicts.get(key, True) and place in solved
    return Corrections(tuple(good), frozenset(key for key, good in verdicts.items() if good))
