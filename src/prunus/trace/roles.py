"""What the units of an axis are: heads, their width, experts, the residual stream, or channels.

An axis has the role that its operators give it; nobody has to say which layer is an attention.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from prunus.trace.axes import Node, leaves_of
from prunus.trace.corrections import Corrections
from prunus.trace.record import CONTRACTIONS, Step

# Where operators give an axis several roles, the first of these.
ROLES = ("expert", "head", "head_dim", "width", "channel")

_BATCHED = {"bmm": (0, 1), "baddbmm": (1, 2)}
_EXPERTS = {"_grouped_mm": 1}
_ADDITIONS = frozenset({"add", "add_"})
_NORMS = frozenset({"native_layer_norm", "_fused_rms_norm"})


def roles(
    steps: Sequence[Step], weights: Mapping[int, str], corrected: Corrections
) -> dict[Node, str]:
    """Return the role of each leaf that has another one than "channel".

    Args:
        steps: What was recorded.
        weights: Id of every tensor that is a parameter, or one in another layout.
        corrected: What is made up for where norms run over fewer units.

    A batch dim of a matrix product is made of heads, and what such products sum over or leave is
    their width; of experts where one factor is a parameter. The residual stream is what a
    residual addition runs over, or a normalisation over features that nothing makes up for.
    """
    found: dict[Node, str] = {}
    for leaf, role in _given(steps, weights, corrected):
        if ROLES.index(role) < ROLES.index(found.get(leaf, "channel")):
            found[leaf] = role
    return found


def _given(
    steps: Sequence[Step], weights: Mapping[int, str], corrected: Corrections
) -> Iterator[tuple[Node, str]]:
    residual = set(residual_additions(steps, weights))
    for place, step in enumerate(steps):
        name = step.call.name
        if name in _BATCHED:
            yield from _of_product(step, weights)
        elif name in _EXPERTS:
            yield from _all(step, _EXPERTS[name], slice(0, 1), "expert")
        elif place in residual:
            yield from _all(step, 0, slice(None), "width")
        elif name in _NORMS or _is_mean_of_features(step):
            count = len(step.call.get("normalized_shape", [-1]))
            found = _all(step, 0, slice(-count, None), "width")
            yield from ((leaf, role) for leaf, role in found if not corrected.solve(leaf))


def _of_product(step: Step, weights: Mapping[int, str]) -> Iterator[tuple[Node, str]]:
    left, right = _BATCHED[step.call.name]
    of_weight = any(id(step.inputs[place]) in weights for place in (left, right))
    yield from _all(step, left, slice(0, 1), "expert" if of_weight else "head")
    if not of_weight:
        yield from _all(step, left, slice(1, None), "head_dim")
        yield from _all(step, right, slice(2, None), "head_dim")


def residual_additions(steps: Sequence[Step], weights: Collection[int]) -> list[int]:
    """Return the places in `steps` where what was read on the way is added to what came of it.

    On the way it went through a product with weights: a function that adds its argument to what
    it makes of it element by element is no residual block.
    """
    reads: Counter[int] = Counter()
    products: defaultdict[int, int] = defaultdict(int)  # behind a tensor, along the longest way
    found = []
    for place, step in enumerate(steps):
        name = step.call.name
        if name in _ADDITIONS and _is_residual(step, weights, reads, products):
            found.append(place)
        read = [id(tensor) for tensor in step.inputs if tensor is not None]
        reads.update(read)
        behind = max((products[key] for key in read), default=0)
        behind += name in CONTRACTIONS or name in _EXPERTS
        products.update((id(tensor), behind) for tensor in step.call.outputs)
    return found


def _is_residual(
    step: Step, weights: Collection[int], reads: Mapping[int, int], products: Mapping[int, int]
) -> bool:
    """Whether two activations of one shape are added, one of which was read on the way before."""
    tensors = step.inputs[:2]
    if len(tensors) < 2 or any(t is None or id(t) in weights for t in tensors):
        return False
    one, other = step.input_dims[:2]
    if one is None or other is None or len(one.nodes) != len(other.nodes):
        return False
    pairs = zip(one.nodes, other.nodes, strict=True)
    alike = all(a.size == b.size and (a.size == 1 or a.find() is b.find()) for a, b in pairs)
    keys = [id(tensor) for tensor in tensors]
    return alike and products[keys[0]] != products[keys[1]] and any(reads[key] for key in keys)


def _is_mean_of_features(step: Step) -> bool:
    """Whether this is a mean over the last dim, as in a norm written out by hand."""
    dims = step.call.get("dim")
    return step.call.name == "mean" and dims in ([-1], [step.call["self"].dim() - 1])


def _all(step: Step, place: int, dims: slice, role: str) -> Iterator[tuple[Node, str]]:
    known = step.input_dims[place]
    for node in known.nodes[dims] if known is not None else ():
        yield from ((leaf, role) for leaf in leaves_of(node))
