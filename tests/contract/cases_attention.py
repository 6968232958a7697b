import math

import torch
from models import SEQUENCES, case, linear, weight
from torch import nn
from torch.nn import functional as F


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 12),
        "k": linear(6, 12),
        "v": linear(6, 12),
        "o": linear(12, 4),
        "heads": 3,
    },
    free={"q": 3, "q#2": 4, "v": 4},
)
def by_hand(net, x):
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    y = (q @ k.transpose(-2, -1) * 0.5).softmax(-1) @ v
    return net.o(y.transpose(1, 2).reshape(b, n, -1))


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 12),
        "k": linear(6, 12),
        "v": linear(6, 12),
        "o": linear(12, 4),
        "heads": 3,
    },
    free={"q": 3, "v": 4},
    kept={"q#2": "as a number"},
)
def scaled_by_the_width(net, x):
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    y = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return net.o(y.transpose(1, 2).reshape(b, n, -1))


@case(
    SEQUENCES,
    lambda: {"qkv": linear(6, 36), "o": linear(12, 4), "heads": 3, "dim": 4},
    free={"qkv": 3, "qkv#2": 4},
    kept={"qkv#3": "every position"},
)
def fused(net, x):
    b, n, _ = x.shape
    qkv = net.qkv(x).reshape(b, n, 3, net.heads, net.dim).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    y = (q @ k.mT * 0.5).softmax(-1) @ v
    return net.o(y.transpose(1, 2).reshape(b, n, net.heads * net.dim))


@case(
    SEQUENCES,
    lambda: {"qkv": linear(6, 36), "o": linear(12, 4), "heads": 3},
    free={"qkv": 3},
    kept={"qkv#2": "the scale of the scores follows the width"},
)
def fused_and_split(net, x):
    b, n, _ = x.shape
    parts = net.qkv(x).chunk(3, dim=-1)
    q, k, v = (part.view(b, n, net.heads, -1).transpose(1, 2) for part in parts)
    y = F.scaled_dot_product_attention(q, k, v)
    return net.o(y.transpose(1, 2).flatten(2))


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 24), "k": linear(6, 8), "v": linear(6, 8), "o": linear(24, 4),
        "kv_heads": 2, "repeats": 3, "dim": 4,
    },
    free={"q": 2, "q#2": 3, "v": 4},
    kept={"q#3": "the scale of the scores follows the width"},
)  # fmt: skip
def grouped_queries(net, x):
    b, n, _ = x.shape
    q = net.q(x).view(b, n, net.kv_heads * net.repeats, net.dim).transpose(1, 2)
    k, v = (f(x).view(b, n, net.kv_heads, -1).transpose(1, 2) for f in (net.k, net.v))
    k, v = (
        t[:, :, None].expand(b, net.kv_heads, net.repeats, n, t.shape[-1]).flatten(1, 2)
        for t in (k, v)
    )
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return net.o(y.transpose(1, 2).reshape(b, n, -1))


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 12),
        "k": linear(6, 12),
        "v": linear(6, 15),
        "o": linear(15, 4),
        "heads": 3,
    },
    free={"q": 3, "v": 5, "q#2": 4},
)
def scaled_dot_product(net, x):
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    return net.o(F.scaled_dot_product_attention(q, k, v, scale=0.5).transpose(1, 2).flatten(2))


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 12), "k": linear(6, 12), "v": linear(6, 12), "o": linear(12, 4), "heads": 3,
        "bias": weight(3, 7, 7),
    },
    free={"bias": 3, "v": 4},
    kept={"bias.in": "a size of the inputs", "bias.in#2": "a size of the inputs"},
)  # fmt: skip
def with_a_bias_for_each_head(net, x):
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=net.bias[:, :n, :n])
    return net.o(y.transpose(1, 2).flatten(2))


@case(
    SEQUENCES,
    lambda: {"qkv": linear(6, 24), "o": linear(8, 4)},
    free={"qkv": 8},
    kept={"qkv#2": "literal"},
)
def single_head(net, x):
    q, k, v = net.qkv(x).unflatten(-1, (3, -1)).unbind(-2)
    causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    scores = (q @ k.transpose(1, 2)).masked_fill(~causal, float("-inf"))
    return net.o(scores.softmax(-1) @ v)


@case(
    SEQUENCES,
    lambda: {
        "q": linear(6, 16),
        "k": linear(6, 16),
        "v": linear(6, 8),
        "o": linear(8, 4),
        "heads": 2,
    },
    free={"q": 2, "q#2": 4, "v": 4},
)
def rotary(net, x):
    """The two halves of each head turn into each other."""
    b, n, _ = x.shape
    q, k, v = (f(x).view(b, n, net.heads, -1).transpose(1, 2) for f in (net.q, net.k, net.v))
    angle = torch.arange(n)[:, None] * 0.3

    def turn(t):
        half = t.shape[-1] // 2
        turned = torch.cat([-t[..., half:], t[..., :half]], -1)
        return t * angle.cos() + turned * angle.sin()

    y = (turn(q) @ turn(k).mT).softmax(-1) @ v
    return net.o(y.transpose(1, 2).reshape(b, n, -1))


@case(
    SEQUENCES,
    lambda: {"a": nn.MultiheadAttention(6, 2, batch_first=True)},
)
def of_pytorch(net, x):
    return net.a(x, x, x, need_weights=False)[0]
