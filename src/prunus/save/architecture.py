"""Is a freshly built model the dense one that a saved model was cut from?"""

from collections.abc import Iterator, Mapping
from itertools import chain
from math import prod
from pathlib import Path

from torch import nn

from prunus.cost.counted import stored_tensors
from prunus.errors import SaveError
from prunus.records import Plan
from prunus.save.manifest import Manifest, shapes_of
from prunus.save.weights import Signature, signature, split_tied
from prunus.shrink.stacks import dense_names
from prunus.trace.holders import get_attribute


def check_cut(model: nn.Module, plan: Plan) -> None:
    """Raise a SaveError unless `model` has all that `plan` names, as the plan leaves it."""
    named = chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    )
    tensors = dict(named)
    dense = dense_names(plan, tensors)
    found = {dense[name]: tuple(tensor.shape) for name, tensor in tensors.items()}
    others = tuple(f"{name}." for name in (*plan.taken_out, *_renewed(plan)))
    wanted = {name: small for name, (_, small) in shapes_of(plan).items()}
    if plan.zeroes:  # such a plan knows how many values, and not their shape
        found = {name: (prod(shape),) for name, shape in found.items()}
        wanted = {name: (kept.size,) for name, kept in plan.kept.items()}
    for name, shape in wanted.items():
        if found.get(name) != shape and not name.startswith(others):
            have = f"has shape {found[name]}" if name in found else "is not there"
            raise SaveError(
                f"'{name}' {have}, but the plan makes it {shape}",
                why="the model was cut by another plan, or changed afterwards",
                hint="save the model as its plan left it, trained or not",
            )


def check_architecture(model: nn.Module, manifest: Manifest, folder: Path) -> None:
    """Raise a SaveError unless `model` can be cut and filled as the manifest says.

    Compared are the names, types, dense shapes and ties of all tensors, and the sizes in the
    user's Python: twelve heads of 64 and six of 128 have the same tensors.
    """
    differences = [
        *_stored(model, manifest),
        *_transient(model, manifest),
        *_sizes(model, manifest.plan),
    ]
    if differences:
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise SaveError(
            f"'{folder}' was cut from another architecture",
            why="; ".join(differences[:3]) + more,
            hint="pass the dense model that was pruned: same code, same sizes, same dtype"
            + _conversion(model, manifest),
        )
    if any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
        raise SaveError(
            "the model is on the meta device",
            why="tensors there cannot be filled",
            hint="build it on a real device, such as torch.device('cpu')",
        )


def _conversion(model: nn.Module, manifest: Manifest) -> str:
    """Return how to convert `model` where the saved one was converted, as by `half()`."""
    saved = {row.dtype for row in manifest.tensors.values() if "float" in row.dtype}
    here = {signature(param)[0] for param in model.parameters() if param.is_floating_point()}
    if len(saved) != 1 or here == saved:
        return ""
    return f"; convert it first, as the saved one was: model.to(torch.{saved.pop()})"


def _stored(model: nn.Module, manifest: Manifest) -> Iterator[str]:
    """Tensors that the file holds, or should hold."""
    tensors, aliases = split_tied(stored_tensors(model))
    found = {name: signature(tensor) for name, tensor in tensors.items()}
    plan = manifest.plan
    dense = dense_names(plan, manifest.tensors)
    saved = {dense[n]: (row.dtype, row.dense_shape) for n, row in manifest.tensors.items()}
    gone = tuple(f"{name}." for name in plan.taken_out)
    found = {name: what for name, what in found.items() if not name.startswith(gone)}
    # What became others has no rows; `shrink` compares the shapes of their weights.
    others = tuple(f"{name}." for name in _renewed(plan))
    for name in (name for name in {**saved, **found} if not name.startswith(others)):
        if found.get(name) != saved.get(name):
            yield f"'{name}' is {_show(found, name)} here, {_show(saved, name)} there"
    for name in {**manifest.aliases, **aliases}:
        if aliases.get(name) != manifest.aliases.get(name):
            yield f"'{name}' is tied in another way here than there"


def _renewed(plan: Plan) -> set[str]:
    """Return the modules that others take the places of."""
    of_lines = {name for line in plan.lines for name in (line.module, line.into)}
    return of_lines | {name for fold in plan.folds for name in fold.modules}


def _show(signatures: Mapping[str, Signature], name: str) -> str:
    if name not in signatures:
        return "absent"
    dtype, shape = signatures[name]
    return f"{dtype} {shape}"


def _transient(model: nn.Module, manifest: Manifest) -> Iterator[str]:
    """Buffers that no file stores and the plan cuts."""
    named = chain(model.named_parameters(), model.named_buffers())
    found = {name: tuple(tensor.shape) for name, tensor in named}
    for name, (shape, _) in shapes_of(manifest.plan).items():
        if name not in manifest.tensors and found.get(name) != shape:
            yield f"'{name}' has shape {found.get(name)} here, {shape} there"


def _sizes(model: nn.Module, plan: Plan) -> Iterator[str]:
    """Sizes in the user's Python that follow the cut."""
    modules = dict(model.named_modules())
    for attribute in plan.attributes:
        module = modules.get(attribute.module)
        found = None if module is None else get_attribute(module, attribute.attribute)
        if found != attribute.extent.size:
            name = f"{attribute.module}.{attribute.attribute}".lstrip(".")
            yield f"{name} is {found} here, {attribute.extent.size} there"
