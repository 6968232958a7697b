"""Networks that nobody would write: whatever prunus says can be pruned, can be.

A network is a list of steps on a state of (B, C, H, W). Each step adds modules to the net and
says what it does in forward, with the sizes taken from where real code takes them.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from models import Case, conv, numbers, weight
from test_rules import backwards, check_contract, replaced  # noqa: F401 - `replaced` is a fixture
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[[Any, Tensor, list[Tensor]], Tensor]  # net, state, earlier states -> new state
Parts = dict[str, Any]
Made = tuple[int, Step]  # channels afterwards, what to do


def layer(parts: Parts, module: Any) -> str:
    name = f"part{len(parts)}"
    parts[name] = module
    return name


def widen(parts: Parts, channels: int, pick: int) -> Made:
    outputs = (4, 6, 8, 12)[pick % 4]
    name = layer(parts, conv(channels, outputs, 1 + 2 * (pick % 2)))
    return outputs, lambda net, x, past: getattr(net, name)(x)


def grouped(parts: Parts, channels: int, pick: int) -> Made:
    divisors = [g for g in (2, 3, 4, channels) if channels % g == 0]
    groups = divisors[pick % len(divisors)]
    outputs = groups * (1 + pick % 3)
    name = layer(parts, conv(channels, outputs, groups=groups))
    return outputs, lambda net, x, past: getattr(net, name)(x)


def activation(parts: Parts, channels: int, pick: int) -> Made:
    grown, held = lambda x: x.clamp(max=1).exp(), lambda x: x.clamp(min=0.2)
    every = torch.relu, torch.sigmoid, torch.tanh, F.gelu, grown, held
    return channels, lambda net, x, past: every[pick % len(every)](x)


def norm(parts: Parts, channels: int, pick: int) -> Made:
    groups = [g for g in (1, 2, 3, channels) if channels % g == 0]
    kinds = (
        nn.BatchNorm2d(channels),
        nn.BatchNorm2d(channels, affine=False),
        nn.GroupNorm(groups[pick % len(groups)], channels),
        nn.InstanceNorm2d(channels, affine=True),
    )
    name = layer(parts, kinds[pick % 4])
    return channels, lambda net, x, past: getattr(net, name)(x)


def shortcut(parts: Parts, channels: int, pick: int) -> Made:
    alike = [place for place, width in enumerate(parts["widths"]) if width == channels]
    place = alike[pick % len(alike)]
    return channels, lambda net, x, past: x + past[place] if pick % 2 else x * past[place]


def join(parts: Parts, channels: int, pick: int) -> Made:
    name = layer(parts, conv(channels, 4, 1))
    order = 1 if pick % 2 else -1
    return channels + 4, lambda net, x, past: torch.cat([x, getattr(net, name)(x)][::order], 1)


def halve(parts: Parts, channels: int, pick: int) -> Made:
    if channels % 2:
        return channels, lambda net, x, past: x

    def step(net: Any, x: Tensor, past: list[Tensor]) -> Tensor:
        half = x.shape[1] // 2
        ways = (
            lambda: x.chunk(2, 1),
            lambda: (x[:, :half], x[:, half:]),
            lambda: (x[:, ::2], x[:, 1::2]),
            lambda: x.unflatten(1, (2, -1)).unbind(1),
            lambda: x.split(half, dim=1),
        )
        one, other = ways[pick % 5]()
        return one * other.sigmoid()

    return channels // 2, step


def shuffle(parts: Parts, channels: int, pick: int) -> Made:
    groups = [g for g in (2, 3, 4) if channels % g == 0]
    if not groups:
        return channels, lambda net, x, past: x
    name = layer(parts, groups[pick % len(groups)])

    def step(net: Any, x: Tensor, past: list[Tensor]) -> Tensor:
        b, c, h, w = x.shape
        y = x.view(b, getattr(net, name), c // getattr(net, name), h, w)
        return y.transpose(1, 2).reshape(b, c, h, w)

    return channels, step


def excite(parts: Parts, channels: int, pick: int) -> Made:
    down, up = layer(parts, conv(channels, 3, 1)), layer(parts, conv(3, channels, 1))

    def step(net: Any, x: Tensor, past: list[Tensor]) -> Tensor:
        gate = getattr(net, up)(getattr(net, down)(x.mean((2, 3), keepdim=True)).relu())
        return x * (gate.sigmoid() if pick % 2 else gate.softmax(1))

    return channels, step


def scale(parts: Parts, channels: int, pick: int) -> Made:
    name = layer(parts, weight(1, channels, 1, 1))
    return channels, lambda net, x, past: getattr(net, name) * x


def mix(parts: Parts, channels: int, pick: int) -> Made:
    """Attention of each channel to the others, by hand."""

    def step(net: Any, x: Tensor, past: list[Tensor]) -> Tensor:
        y = x.flatten(2)
        scores = y @ y.transpose(1, 2)
        return ((scores.softmax(-1) if pick % 2 else scores.tanh()) @ y).view_as(x)

    return channels, step


def narrowed(parts: Parts, channels: int, pick: int) -> Made:
    at = layer(parts, 2)
    return channels - 2, lambda net, x, past: x[:, getattr(net, at) :]


def reduce(parts: Parts, channels: int, pick: int) -> Made:
    ways = (
        lambda x: x.sum(1, keepdim=True),
        lambda x: x.amax(1, keepdim=True),
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.norm(dim=1, keepdim=True),
    )
    return channels, lambda net, x, past: x - ways[pick % 4](x)


STEPS = (
    widen, widen, grouped, activation, activation, norm, shortcut, shortcut, join, halve, shuffle,
    excite, scale, mix, narrowed, reduce,
)  # fmt: skip
recipes = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 59)), min_size=2, max_size=9)


def network(recipe: list[tuple[Callable[..., Made], int]]) -> Case:
    """Return the model of a recipe: a stem, its steps, a pooled head."""
    parts: Parts = {"stem": conv(3, 6), "widths": [6]}
    channels, steps = 6, []
    for make, pick in recipe:
        if channels > 3:
            channels, step = make(parts, channels, pick)
            steps.append(step)
            parts["widths"].append(channels)
    del parts["widths"]
    parts["head"] = conv(channels, 2, 1)

    def forward(net: Any, x: Tensor) -> Tensor:
        past = [net.stem(x)]
        for step in steps:
            past.append(step(net, past[-1], past))
        return net.head(past[-1])

    return Case("random", forward, lambda: parts, numbers((2, 3, 4, 4), (3, 3, 5, 4)), {})


@settings(max_examples=40)
@given(recipe=recipes)
@example(recipe=[(shuffle, 0), (shuffle, 0)])
def test_whatever_can_be_pruned_is_masked_equal(recipe):
    check_contract(network(recipe))


def test_a_wrong_rule_is_found(replaced):  # noqa: F811
    recipe = [(activation, 2), (join, 0), (norm, 0)]
    check_contract(network(recipe))

    replaced("cat", backwards)
    with pytest.raises(AssertionError, match="not close"):
        check_contract(network(recipe))
