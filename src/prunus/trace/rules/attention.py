"""Scaled dot-product attention in its fused forms.

Legend: q, k, v are (batch, heads, tokens, width).
"""

from collections.abc import Sequence

from prunus.trace.axes import fresh
from prunus.trace.call import Call, Dims, rule


@rule(
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_attention_math",
    "_scaled_dot_product_attention_math_for_mps", "scaled_dot_product_attention",
)  # fmt: skip
def attention(call: Call) -> Sequence[Dims]:
    """softmax(q k^T / sqrt(width)) v."""
    query, key, value = call.dims("query"), call.dims("key"), call.dims("value")
    for dim in range(len(query.nodes) - 2):
        call.unify(query.nodes[dim], key.nodes[dim])
        call.unify(query.nodes[dim], value.nodes[dim])
    call.contract(query, -1, key, -1)
    call.unify(key.nodes[-2], value.nodes[-2])
    if call.get("scale") is None:
        call.mark_inexact(query.nodes[-1], "the scale of the scores follows the width")
    nodes = (*(node.find() for node in query.nodes[:-1]), value.nodes[-1].find())
    zero = (*value.zero[:-2], False, value.zero[-1])
    rest = [
        Dims(tuple(fresh(size) for size in tensor.shape), (False,) * tensor.dim())
        for tensor in call.outputs[1:]
    ]
    return [Dims(nodes, zero), *rest]
