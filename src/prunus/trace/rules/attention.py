"""Scaled dot-product attention in its fused forms.

Legend: q, k, v are (batch, heads, tokens, width).
"""

from collections.abc import Sequence

from torch import Tensor

from prunus.trace.axes import Node, fresh, sizes, split
from prunus.trace.call import Call, Dims, rule


@rule(
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math_for_mps",
)  # fmt: skip
def attention(call: Call) -> Sequence[Dims]:
    """softmax(q k^T / sqrt(width)) v."""
    query, key, value = call.dims("query"), call.dims("key"), call.dims("value")
    _meet_heads(call, query, key)
    for dim in range(len(query.nodes) - 2):
        call.unify(key.nodes[dim], value.nodes[dim])
    _meet_mask(call, query.nodes[:-1] + key.nodes[-2:-1])
    call.contract(query, -1, key, -1)
    call.unify(key.nodes[-2], value.nodes[-2])
    call.mark_inexact(key.nodes[-2], "each query weighs all keys")
    if call.get("is_causal"):
        for node in (query.nodes[-2], key.nodes[-2]):
            call.freeze(node, "a query sees the keys up to its own place")
    if query.nodes[-1].size == value.nodes[-1].size:  # some kernels take no other width
        call.unify(query.nodes[-1], value.nodes[-1])
    if call.get("scale") is None:
        call.mark_inexact(query.nodes[-1], "the scale of the scores follows the width")
    nodes = (*(node.find() for node in query.nodes[:-1]), value.nodes[-1].find())
    zero = (*value.zero[:-2], False, value.zero[-1])
    return [Dims(nodes, zero), *(_statistics(tensor, nodes) for tensor in call.outputs[1:])]


def _meet_heads(call: Call, query: Dims, key: Dims) -> None:
    """Each key head serves as many query heads as there are to one: they go together."""
    *batch, heads = range(len(query.nodes) - 2)
    for dim in batch:
        call.unify(query.nodes[dim], key.nodes[dim])
    groups, _ = split(query.nodes[heads], key.nodes[heads].size)
    call.unify(groups, key.nodes[heads])


def _meet_mask(call: Call, scores: tuple[Node, ...]) -> None:
    """The mask broadcasts to the scores (batch, heads, tokens of q, tokens of k)."""
    mask = call.get("attn_mask", call.get("attn_bias"))
    if mask is not None:
        for node, score in zip(call.dims_of(mask).nodes[::-1], scores[::-1], strict=False):
            if node.size > 1:
                call.unify(node, score)


def _statistics(tensor: Tensor, nodes: tuple[Node, ...]) -> Dims:
    """Per head and token where there is one such number, else something of its own."""
    if tuple(tensor.shape) == sizes(nodes[:-1]):
        return Dims(nodes[:-1], (False,) * tensor.dim())
    return Dims(tuple(fresh(size) for size in tensor.shape), (False,) * tensor.dim())
