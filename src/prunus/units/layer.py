"""Whole residual blocks: one group per row of blocks of the same make, one unit a block."""

from collections import defaultdict

from prunus.links import Block
from prunus.records import Graph, Group, Groups, Member


def groups(graph: Graph) -> Groups:
    """Return one group per row of alike blocks.

    Blocks are alike that hold parameters of the same shapes and run the same operators. Taking
    one out is never exact by itself: the model must do without what it adds.
    """
    rows: defaultdict[tuple[object, ...], list[Block]] = defaultdict(list)
    for block in graph.blocks:
        rows[_make(graph, block)].append(block)
    found: dict[str, Group] = {}
    for row in rows.values():
        name = _name(row[0].stack or "blocks", found)
        members = tuple(
            Member(tensor, dim=None, produces=True)
            for block in row
            for tensor in _parameters(graph, block)
        )
        found[name] = Group(
            name, "layer", len(row), members, blocks=tuple(block.path for block in row)
        )
    return found


def _make(graph: Graph, block: Block) -> tuple[object, ...]:
    shapes = tuple(graph.tensors[name].shape for name in _parameters(graph, block))
    first, last = block.ran
    return block.stack, shapes, tuple(each.name for each in graph.operators[first:last])


def _parameters(graph: Graph, block: Block) -> list[str]:
    prefix = f"{block.path}."
    return [name for name in graph.tensors if name.startswith(prefix) and name in graph.parameters]


def _name(stack: str, taken: Groups) -> str:
    number = sum(name.partition("#")[0] == stack for name in taken)
    return stack if not number else f"{stack}#{number + 1}"
