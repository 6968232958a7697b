"""Token networks by the dice: the ways in which people write attention, and what is around it."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, TOKENS = 12, 4
Pick = Callable[..., Any]


class HandNorm(nn.Module):
    """RMSNorm as decoders write it out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


NORMS = (nn.LayerNorm, nn.RMSNorm, lambda width: HandNorm(), lambda width: nn.Identity())


def rotary(x: Tensor) -> Tensor:
    """Turn the two halves of each head."""
    angle = torch.arange(x.shape[-2])[:, None] * torch.arange(1, x.shape[-1] // 2 + 1)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    one, other = x.chunk(2, -1)
    return x * cos + torch.cat([-other, one], -1) * sin


class Attention(nn.Module):
    """Attention in one of many layouts; sizes from attributes, from shapes, or written down."""

    def __init__(self, pick: Pick) -> None:
        super().__init__()
        self.heads = pick((2, 3, 4))
        self.groups = pick([g for g in (1, 2, self.heads) if self.heads % g == 0])
        self.dim = pick((2, 4))
        self.layout = pick(("apart", "views", "chunks", "heads first", "split"))
        self.core = pick(("sdpa", "scaled sdpa", "gqa", "by hand", "einsum", "by shape"))
        self.turn, self.literal = pick((True, False)), pick((True, False, False, False))
        if self.layout in ("views", "chunks", "heads first"):
            self.groups = self.heads
        inner, shared = self.heads * self.dim, self.groups * self.dim
        self.inner, self.shared = inner, shared
        if self.layout == "apart":
            self.q, self.k, self.v = (nn.Linear(WIDTH, n) for n in (inner, shared, shared))
        else:
            self.qkv = nn.Linear(WIDTH, inner + 2 * shared, bias=pick((True, False)))
        self.out = nn.Linear(inner, WIDTH)
        self.bias = nn.Parameter(torch.randn(self.heads, TOKENS, TOKENS)) if pick((0, 1)) else None

    def cut(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v as (batch, heads, tokens, dim)."""
        batch, tokens, _ = x.shape
        if self.layout == "views":
            y = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            return y[0], y[1], y[2]
        if self.layout == "heads first":
            y = self.qkv(x).reshape(batch, tokens, self.heads, 3, self.dim)
            q, k, v = y.transpose(1, 2).unbind(3)
            return q, k, v
        if self.layout == "apart":
            parts = self.q(x), self.k(x), self.v(x)
        elif self.layout == "chunks":
            parts = self.qkv(x).chunk(3, -1)
        else:
            parts = self.qkv(x).split([self.inner, self.shared, self.shared], -1)
        dim = (2 if self.dim == 2 else 4) if self.literal else self.dim
        q, k, v = (y.unflatten(-1, (-1, dim)).transpose(1, 2) for y in parts)
        return q, k, v

    def weigh(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.core == "gqa" and self.bias is None:
            return F.scaled_dot_product_attention(q, k, v, scale=0.5, enable_gqa=True)
        if self.groups != self.heads:
            times = self.heads // self.groups
            k, v = (y.repeat_interleave(times, 1) for y in (k, v))
        if self.core in ("sdpa", "scaled sdpa", "gqa"):
            scale = None if self.core == "sdpa" else 0.5
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias, scale=scale)
        if self.core == "einsum":
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * 0.5
        else:
            scale = q.shape[-1] ** -0.5 if self.core == "by shape" else 0.5
            scores = q @ k.transpose(-2, -1) * scale
        return (scores if self.bias is None else scores + self.bias).softmax(-1) @ v

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.cut(x)
        if self.turn:
            q, k = rotary(q), rotary(k)
        y = self.weigh(q, k, v).transpose(1, 2)
        return self.out(y.flatten(2) if self.literal else y.reshape(*y.shape[:2], -1))


class Mlp(nn.Module):
    """Plain, or gated in one of three ways, or with a depthwise convolution along the tokens."""

    def __init__(self, pick: Pick) -> None:
        super().__init__()
        self.kind, self.hidden = pick(("plain", "glu", "chunk", "apart", "conv")), pick((8, 10))
        double = self.kind in ("glu", "chunk")
        self.up = nn.Linear(WIDTH, self.hidden * (2 if double else 1))
        if self.kind == "apart":
            self.gate = nn.Linear(WIDTH, self.hidden)
        if self.kind == "conv":
            self.mix = nn.Conv1d(self.hidden, self.hidden, 3, padding=1, groups=self.hidden)
        self.down = nn.Linear(self.hidden, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        if self.kind == "glu":
            y = F.glu(y)
        elif self.kind == "chunk":
            y, gate = y.chunk(2, -1)
            y = y * F.silu(gate)
        elif self.kind == "apart":
            y = y * F.gelu(self.gate(x))
        elif self.kind == "conv":
            y = self.mix(y.transpose(1, 2)).transpose(1, 2).relu()
        return self.down(F.gelu(y))


class Windows(nn.Module):
    """Runs another module on windows of two tokens."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.size = inner, 2

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        y = x.reshape(batch * (tokens // self.size), self.size, width)
        return self.inner(y).reshape(batch, tokens, width)


class Merging(nn.Module):
    """Two neighbouring tokens become one, then go back to two, as patch merging does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.down = nn.LayerNorm(2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x[:, 0::2], x[:, 1::2]], -1)
        return self.down(self.norm(y)).repeat_interleave(2, 1)


class TokenNetwork(nn.Module):
    """An input, some blocks, an output, all by the dice of one seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        pick = random.Random(seed).choice
        self.entry, self.exit = pick(("ids", "vectors", "images")), pick(("mean", "cls", "gru"))
        self.embed = {
            "ids": lambda: nn.Embedding(20, WIDTH),
            "vectors": lambda: nn.Linear(5, WIDTH),
            "images": lambda: nn.Conv2d(3, WIDTH, 2, stride=2),
        }[self.entry]()
        self.place = nn.Parameter(torch.randn(1, TOKENS, WIDTH)) if pick((True, False)) else None
        branches: list[nn.Module] = []
        for place in range(pick((1, 2, 3))):  # the first has something inside that can be cut
            merging = [] if place == 0 else [lambda pick: Merging()]
            made = pick([Attention, Attention, Mlp, Mlp, *merging])(pick)
            plain = not isinstance(made, Merging) and getattr(made, "bias", None) is None
            branches.append(Windows(made) if plain and pick((0, 0, 1)) else made)
        self.branches = nn.ModuleList(branches)
        self.norms = nn.ModuleList(pick(NORMS)(WIDTH) for _ in branches)
        self.post, self.second = pick((True, False)), pick((True, False, False))
        self.aside = nn.Linear(5, WIDTH) if self.second else None
        self.recur = nn.GRU(WIDTH, 6, batch_first=True) if self.exit == "gru" else None
        self.head = nn.Linear(6 if self.exit == "gru" else WIDTH, 3)
        self.also = nn.Linear(WIDTH, 2) if pick((True, False, False)) else None

    def inputs(self, batch: int) -> tuple[Tensor, ...]:
        """Return inputs for a batch."""
        first = {
            "ids": lambda: torch.randint(20, (batch, TOKENS)),
            "vectors": lambda: torch.randn(batch, TOKENS, 5),
            "images": lambda: torch.randn(batch, 3, 4, 4),
        }[self.entry]()
        return (first, torch.randn(batch, 5)) if self.second else (first,)

    def forward(self, x: Tensor, aside: Tensor | None = None) -> Any:
        x = self.embed(x)
        if self.entry == "images":
            x = x.flatten(2).transpose(1, 2)
        if self.place is not None:
            x = x + self.place
        if self.aside is not None and aside is not None:
            x = x * self.aside(aside).sigmoid()[:, None]
        for norm, branch in zip(self.norms, self.branches, strict=True):
            x = norm(x + branch(x)) if self.post else x + branch(norm(x))
        pooled = x[:, 0] if self.exit == "cls" else x.mean(1)
        if self.recur is not None:
            pooled = self.recur(x)[0][:, -1]
        return self.head(pooled) if self.also is None else (self.head(pooled), self.also(x))
