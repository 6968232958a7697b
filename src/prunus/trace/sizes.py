"""Who supplied each size: ints that remember where they come from.

`view(b, n, self.num_heads, self.head_dim)` breaks after a cut unless `num_heads` follows. While a
model is traced, the ints in its modules are `TaggedInt`s, and so are the sizes that tensors give
of themselves. They are ints in every other respect, and survive + - * // and the like, so that
`self.heads * self.dim` is still known to be those two. A plain int that reaches a view is a
literal in the user's source.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

from torch import nn

from prunus.extents import size_kept
from prunus.records import SizeAttribute
from prunus.trace.axes import Mismatch, Node, cut, freeze, leaves_of, mark_inexact, split, unify
from prunus.trace.holders import parts_of, put, set_attribute
from prunus.trace.location import user_line
from prunus.trace.restore import as_it_was


class Attribute:
    """An int that a module holds.

    Attributes:
        module: Name of the module.
        path: Where below it: "heads", "normalized_shape.0", or "config.vision.width".
        node: The extent whose size it supplies, once that is known.
        number_uses: Where the int is used as a number and not as a size.
        equals: Attributes that it was compared with and is equal to.
    """

    __slots__ = ("equals", "module", "node", "number_uses", "path")

    def __init__(self, module: str, path: str) -> None:
        self.module = module
        self.path = path
        self.node: Node | None = None
        self.number_uses: list[str] = []
        self.equals: list[Attribute] = []

    def used_as_number(self, where: str) -> None:
        """Note that the value enters a computation."""
        self.number_uses.append(where)


@dataclass(frozen=True)
class DimSize:
    """A size that a tensor gave of itself, in `x.shape` or `x.size(1)`.

    Attributes:
        node: The extent whose size it is.
        claims: Takes what the user's code assumes of it.
    """

    node: Node
    claims: "list[Claim]" = field(default_factory=list, compare=False)

    def used_as_number(self, where: str) -> None:
        """Note that the value enters a computation, which a cut would change."""
        mark_inexact(self.node, f"its size is used as a number at {where}")


@dataclass(frozen=True)
class Arithmetic:
    """The result of `left operator right`; an origin of None is a literal."""

    operator: str
    left: "Origin | None"
    right: "Origin | None"
    left_value: int
    right_value: int

    def used_as_number(self, where: str) -> None:
        """Pass the note on to what the number was computed from."""
        for origin in (self.left, self.right):
            if origin is not None:
                origin.used_as_number(where)


Origin: TypeAlias = Attribute | DimSize | Arithmetic


class TaggedInt(int):
    """An int that knows its `origin`."""

    origin: Origin

    def __new__(cls, value: int, origin: Origin) -> "TaggedInt":
        """Return `value` with its origin."""
        tagged = super().__new__(cls, value)
        tagged.origin = origin
        return tagged

    def __eq__(self, other: object) -> bool:
        equal = int(self) == other
        if equal and isinstance(other, TaggedInt):
            _must_stay_equal(int(self), self.origin, other.origin)
        return equal

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __divmod__(self, other: int) -> tuple[int, int]:
        return self // other, self % other

    def __neg__(self) -> "TaggedInt":
        match self.origin:
            case Arithmetic(operator="-", left=None, right=right, left_value=0) if right:
                return TaggedInt(-int(self), right)
        return TaggedInt(-int(self), Arithmetic("-", None, self.origin, 0, int(self)))

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Copy as a plain int, so that no tag outlives the trace."""
        return int, (int(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> int:
        return int(self)


def _arithmetic(name: str, symbol: str, *, reflected: bool) -> Callable[[Any, Any], Any]:
    plain = getattr(int, name)

    def operate(self: TaggedInt, other: Any) -> Any:
        value = plain(self, other)
        if isinstance(other, float):
            self.origin.used_as_number(user_line())
        if value is NotImplemented or not isinstance(other, int):
            return value
        pair = (other, self) if reflected else (self, other)
        left, right = map(origin_of, pair)
        return TaggedInt(value, Arithmetic(symbol, left, right, int(pair[0]), int(pair[1])))

    return operate


def _as_number(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def operate(self: TaggedInt, *others: Any) -> Any:
        self.origin.used_as_number(user_line())
        return plain(self, *others)

    return operate


for _name in ("float", "truediv", "rtruediv", "pow", "rpow"):
    setattr(TaggedInt, f"__{_name}__", _as_number(f"__{_name}__"))
_SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%", "rshift": ">>",
    "lshift": "<<", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
for _name, _symbol in _SYMBOLS.items():
    setattr(TaggedInt, f"__{_name}__", _arithmetic(f"__{_name}__", _symbol, reflected=False))
    setattr(TaggedInt, f"__r{_name}__", _arithmetic(f"__r{_name}__", _symbol, reflected=True))


def origin_of(number: Any) -> Origin | None:
    """Return where `number` comes from, None for a literal."""
    return number.origin if isinstance(number, TaggedInt) else None


# -- tagging a model --------------------------------------------------------------------------


@contextmanager
def tagged(model: nn.Module, *, tags: bool = True) -> Iterator[list[Attribute]]:
    """Replace every int of 2 or more that the modules of `model` hold by a `TaggedInt`; undo it.

    Ints are tagged in modules, and in the tuples, lists, dicts and plain objects that these hold,
    such as `model.config.vision.width`. An object that several modules share is tagged once, so
    that what is sized by one of its ints stays together. Everything is put back afterwards, what
    `forward` set included. Yields the origins handed out; none without `tags`.
    """
    with as_it_was(model):
        tagger = _Tagger()
        for name, module in model.named_modules() if tags else ():
            held = vars(module)
            own = {step: held[step] for step in held if step not in _OF_EVERY_MODULE}
            tagger.tag_parts(held, own, name)
        yield tagger.attributes


_DEPTH = 5  # of nested holders; what lies deeper belongs to other things than the model
_MOST_ITEMS = 256  # in a holder of sizes; longer ones are data, such as a vocabulary
_OF_EVERY_MODULE = vars(nn.Module()).keys()  # its tensors, modules and hooks


class _Tagger:
    """Puts tags on ints, each holder once."""

    def __init__(self) -> None:
        self.attributes: list[Attribute] = []
        self._seen: set[int] = set()

    def tag(self, holder: Any, module: str, *above: str) -> Any:
        """Tag what `holder` holds, and return it, or what stands for it where it is a tuple."""
        parts = parts_of(holder)
        if id(holder) in self._seen or not 0 < len(parts) <= _MOST_ITEMS or len(above) > _DEPTH:
            return holder
        if not isinstance(holder, tuple):
            self._seen.add(id(holder))
        return self.tag_parts(holder, parts, module, *above)

    def tag_parts(self, holder: Any, parts: Mapping[str, Any], module: str, *above: str) -> Any:
        """Tag these parts of `holder`."""
        for step, item in parts.items():
            if type(item) is int and item > 1:
                self.attributes.append(Attribute(module, ".".join((*above, step))))
                holder = put(holder, step, TaggedInt(item, self.attributes[-1]))
            else:
                other = self.tag(item, module, *above, step)
                holder = holder if other is item else put(holder, step, other)
        return holder


def set_sizes(
    model: nn.Module, attributes: Iterable[SizeAttribute], counts: Mapping[str, int]
) -> None:
    """Set every attribute to what it is when `counts[axis]` units of each named axis are kept."""
    modules = dict(model.named_modules())
    for each in attributes:
        set_attribute(modules[each.module], each.attribute, size_kept(each.extent, counts))


# -- binding ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """The user's code sized `node` by a number of this origin, at this line."""

    node: Node
    origin: Origin | None
    value: int
    where: str
    what: str = "is computed from other sizes"


def bind(size: int, node: Node) -> Claim:
    """Note that `size`, as the user's code wrote it, is the size of `node`.

    An attribute must follow the node: two nodes that take their size from one attribute become
    one. Products and sums of attributes are followed into their parts. What is claimed is
    settled when the run is over, and all that the nodes are made of is known.
    """
    claim = Claim(node, origin_of(size), int(size), user_line())
    _bind(claim.origin, node, claim.where)
    return claim


def _must_stay_equal(value: int, one: "Origin", other: "Origin") -> None:
    """The user's code compares the size of a dim with an attribute or another, and goes by it."""
    match one, other:
        case (DimSize() as dim, compared) | (compared, DimSize() as dim):
            claim = Claim(dim.node, compared, value, user_line(), "is compared with another")
            _bind(compared, dim.node, claim.where)
            dim.claims.append(claim)
        case (Attribute(), Attribute()) if one is not other:
            one.equals.append(other)


def tie_equals(attributes: Iterable[Attribute]) -> None:
    """Let attributes that the user's code found equal stay so: it went on by that.

    `if self.heads != self.groups` is the case in point: one of the two may size nothing by itself.
    """
    pairs = [(one, other) for one in attributes for other in one.equals]
    for one, other in [*pairs, *pairs[::-1]]:  # twice, since what is known may come from behind
        if one.node is not None and other.node is not None:
            _unify(one.node, other.node, f"'{one.path}' and '{other.path}' are compared")
        else:
            one.node = other.node = one.node or other.node


def follows_the_inputs(size: int) -> bool:
    """Whether `size` comes from a dim of fixed extent, which is another with other inputs."""
    return any(
        all(leaf.frozen for leaf in leaves_of(node))
        for node in _nodes_in(origin_of(size), of_dims=True)
    )


def _bind(origin: Origin | None, node: Node, where: str) -> None:
    match origin:
        case None:
            if node.size > 1:
                freeze(node, f"size {node.size} is a literal at {where}")
        case Attribute(node=None):
            origin.node = node
        case Attribute(node=Node() as known, path=path):
            _unify(known, node, f"both take their size from '{path}' at {where}")
        case Arithmetic(operator="*"):
            _bind_parts(origin, split, node, where)
        case Arithmetic(operator="+"):
            _bind_parts(origin, cut, node, where)


def _bind_parts(
    origin: Arithmetic, refine: Callable[[Node, int], tuple[Node, Node]], node: Node, where: str
) -> None:
    try:
        left, right = refine(node, origin.left_value)
    except Mismatch as mismatch:
        freeze(node, f"its size is computed at {where}, and {mismatch}")
        return
    _bind(origin.left, left, where)
    _bind(origin.right, right, where)


def _unify(one: Node, other: Node, why: str) -> None:
    try:
        unify(one, other)
    except Mismatch as mismatch:
        for node in (one, other):
            freeze(node, f"{why}, and {mismatch}")


# -- settling ---------------------------------------------------------------------------------

# The size of an extent after any cut is a polynomial in the sizes of its leaves that are not
# frozen: {(leaf, leaf, ...): coefficient}.
Polynomial: TypeAlias = dict[tuple[int, ...], int]


def settle(claims: Sequence[Claim]) -> None:
    """Freeze what would not have the size that the user's code gives it, after some cut.

    A claim holds where the number, recomputed from what it was computed from, has the size of
    the node whatever units are removed. What is frozen counts as a constant, so that one claim
    may make another hold or fail: repeated until nothing changes.
    """
    open_claims = list(claims)
    while open_claims:
        failed = [claim for claim in open_claims if not _holds(claim)]
        if not failed:
            return
        literals = [claim for claim in failed if claim.origin is None]
        for claim in literals or failed:
            _freeze_sides(claim)
        done = set(map(id, literals or failed))
        open_claims = [claim for claim in open_claims if id(claim) not in done]


def _holds(claim: Claim) -> bool:
    return _number(claim.origin, claim.value) == _extent(claim.node)


def _freeze_sides(claim: Claim) -> None:
    what = "is a literal" if claim.origin is None else claim.what
    reason = f"size {claim.value} {what} at {claim.where}"
    freeze(claim.node, reason)
    for node in _nodes_in(claim.origin):
        freeze(node, reason)


def _nodes_in(origin: Origin | None, *, of_dims: bool = False) -> Iterator[Node]:
    """Yield the extents that a number was computed from; those of tensor dims only if asked."""
    match origin:
        case DimSize(node=node):
            yield node
        case Attribute(node=node) if node is not None and not of_dims:
            yield node
        case Arithmetic(left=left, right=right):
            yield from _nodes_in(left, of_dims=of_dims)
            yield from _nodes_in(right, of_dims=of_dims)


def _extent(node: Node) -> Polynomial:
    node = node.find()
    if node.kind == "leaf":
        return {(): node.size} if node.frozen or node.size == 1 else {(id(node),): 1}
    parts = [_extent(part) for part in node.parts]
    return reduce(_times if node.kind == "product" else _plus, parts)


def _number(origin: Origin | None, value: int) -> Polynomial | None:
    """Return the polynomial of a number; None for one that is none."""
    match origin:
        case DimSize(node=node):
            return _extent(node)
        case Attribute(node=node) if node is not None:
            return _extent(node)
        case Arithmetic(operator=operator, left=left, right=right):
            one = _number(left, origin.left_value)
            other = _number(right, origin.right_value)
            operation = _OPERATIONS.get(operator)
            if one is None or other is None or operation is None:
                return None
            return operation(one, other)
    return {(): value}


def _plus(one: Polynomial, other: Polynomial) -> Polynomial:
    result = {term: one.get(term, 0) + other.get(term, 0) for term in one | other}
    return {term: count for term, count in result.items() if count}


def _minus(one: Polynomial, other: Polynomial) -> Polynomial:
    return _plus(one, {term: -count for term, count in other.items()})


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for term, count in one.items():
        for factor, times in other.items():
            both = tuple(sorted(term + factor))
            result[both] = result.get(both, 0) + count * times
    return result


def _divided(one: Polynomial, other: Polynomial) -> Polynomial | None:
    """Divide by a single term, where that leaves whole numbers; None otherwise."""
    if len(other) != 1:
        return None
    ((divisor, times),) = other.items()
    result: Polynomial = {}
    for term, count in one.items():
        rest = list(term)
        for factor in divisor:
            if factor not in rest:
                return None
            rest.remove(factor)
        if count % times:
            return None
        result[tuple(rest)] = count // times
    return result


_OPERATIONS: dict[str, Callable[[Polynomial, Polynomial], Polynomial | None]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "//": _divided,
}
