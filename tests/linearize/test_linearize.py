"""Activation functions are removed, and what merges computes what it did unmerged."""

from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunus.errors import BudgetError, PlanError, VerifyError
from prunus.linearize import linearize, linearized_architecture
from prunus.linearize.affine import Affine, Probe
from prunus.linearize.chains import activations
from prunus.linearize.merge import folded_norm, merged


def net() -> nn.Sequential:
    """Return a net in which every way to merge occurs."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU()),
        nn.Conv2d(8, 4, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3),
        nn.Flatten(),
        nn.Linear(96, 12),
        nn.GELU(),
        nn.Linear(12, 5),
    )


def images(items: int = 32) -> torch.Tensor:
    return torch.randn(items, 3, 6, 6)


@pytest.mark.parametrize("units", [1.0, 0.67, 0.34, 0.0])
def test_merged_is_unmerged_and_costs_no_more(units: float) -> None:
    small = linearize(net(), [images(), images()], units=units)

    assert len(small.removed) == round(3 * (1 - units))
    assert small.after.macs <= small.before.macs
    assert small.agreement.difference <= small.agreement.tolerance


def test_all_of_them_leave_three_layers() -> None:
    small = linearize(net(), [images()], units=0)

    left = [m for m in small.model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [type(m) for m in left] == [nn.Conv2d, nn.Conv2d, nn.Linear]
    assert small.after.macs < small.before.macs
    assert "merged == unmerged" in str(small)


def test_the_model_is_untouched() -> None:
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    linearize(model, [images()], units=0)

    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_least_squares_line_is_that_of_lstsq() -> None:
    x = torch.randn(200, 2) + torch.tensor([0.5, -0.3])
    probe = Probe(nn.ReLU(), -1)
    y = probe(x)
    line = probe.line()
    assert line is not None

    for channel in range(2):
        columns = torch.stack([x[:, channel], torch.ones(200)], dim=1).double()
        expected = torch.linalg.lstsq(columns, y[:, channel : channel + 1].double()).solution
        found = torch.stack([line.scale_C[channel], line.shift_C[channel]])
        torch.testing.assert_close(found, expected.flatten())


def test_relu_that_never_cuts_costs_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[2].bias.add_(100.0)  # type: ignore[operator]
    data = [torch.randn(64, 3)]
    small = linearize(model, data, units=0.5)

    assert small.removed == ("3",)
    torch.testing.assert_close(small.model(data[0]), model(data[0]), rtol=1e-4, atol=1e-3)


def test_ranking_is_that_of_an_exhaustive_search() -> None:
    layers = [nn.Linear(6, 6).requires_grad_(requires_grad=False) for _ in range(4)]
    model = nn.Sequential(*[m for layer in layers for m in (layer, nn.Tanh())])
    for gain, layer in zip((3.0, 0.1, 2.0, 1.0), layers, strict=True):
        nn.init.normal_(layer.weight, std=gain)
    x = torch.randn(128, 6)

    def error(names: tuple[str, ...]) -> float:
        result = model
        for name in names:
            twin = nn.Sequential(*result)
            probe = Probe(twin[int(name)], -1)
            probe(twin[: int(name)](x))
            line = probe.line()
            assert line is not None
            twin[int(name)] = line
            result = twin
        return float((result(x) - model(x)).square().sum())

    best = min(combinations(("1", "3", "5", "7"), 1), key=error)
    assert linearize(model, [x], units=0.75).removed == best


def test_zero_padding_behind_a_bias_is_not_merged() -> None:
    pointwise, padded = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 2, 3, padding=1)
    x = torch.randn(2, 4, 5, 5)

    assert merged(pointwise, padded) is None
    padded.padding_mode = "reflect"
    padded._reversed_padding_repeated_twice = [1, 1, 1, 1]
    layer = merged(pointwise, padded)
    assert layer is not None
    torch.testing.assert_close(layer(x), padded(pointwise(x)), rtol=1e-4, atol=1e-5)


def test_a_folded_norm_is_the_norm_in_eval_mode() -> None:
    convolution, norm = nn.Conv1d(3, 4, 3, groups=1), nn.BatchNorm1d(4)
    norm(convolution(torch.randn(8, 3, 9)))
    folded = folded_norm(convolution, norm)
    assert folded is not None

    x = torch.randn(2, 3, 9)
    torch.testing.assert_close(folded(x), norm.eval()(convolution(x)), rtol=1e-4, atol=1e-5)


sizes = st.integers(1, 6)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(sizes, sizes, sizes), kernels=st.sampled_from([(1, 3), (3, 1), (1, 1)]),
    padding=st.integers(0, 1), stride=st.integers(1, 2),
)  # fmt: skip
def test_merging_is_exact_and_never_costs_more(
    channels: tuple[int, int, int], kernels: tuple[int, int], padding: int, stride: int
) -> None:
    inner, hidden, outer = channels
    steps = (stride, 1) if kernels[1] == 1 else (1, stride)
    first = nn.Conv2d(inner, hidden, kernels[0], stride=steps[0], padding=padding)
    second = nn.Conv2d(hidden, outer, kernels[1], stride=steps[1], padding=padding)
    layer = merged(first, second)
    if layer is None:
        return
    x = torch.randn(2, inner, 7, 7)
    middle, end = first(x), second(first(x))

    def macs(convolution: Any, output: torch.Tensor) -> int:
        return int(convolution.weight[0].numel() * output.numel())

    torch.testing.assert_close(layer(x), end, rtol=1e-3, atol=1e-4)
    assert macs(layer, end) <= macs(first, middle) + macs(second, end)


def test_narrow_wide_narrow_is_merged_and_wide_narrow_wide_is_not() -> None:
    assert merged(nn.Linear(2, 8), nn.Linear(8, 2)) is not None
    assert merged(nn.Linear(8, 2), nn.Linear(2, 8)) is None


def test_tied_shared_and_hooked_are_frozen() -> None:
    relu = nn.ReLU()
    hooked = nn.Tanh()
    hooked.register_forward_hook(lambda *_: None)
    tied, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = tied.weight
    model = nn.Sequential(
        nn.Linear(3, 3), relu, nn.Linear(3, 3), relu, nn.Linear(3, 3), hooked,
        tied, nn.GELU(), other,
    )  # fmt: skip
    found = activations(model)

    assert found.free == {}
    assert "is shared" in found.frozen["1"]
    assert "hooks" in found.frozen["5"]
    assert "tied" in found.frozen["7"]
    with pytest.raises(BudgetError, match="2 of 3 activation functions should go, 0 can"):
        linearize(model, [torch.randn(4, 3)], units=0.5)


def test_activations_in_a_forward_are_frozen() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(2, 2), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.act(self.layer(x))
            return out

    assert "what runs before it is not known" in activations(Plain()).frozen["act"]


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(BudgetError, match="units=2 is no share"):
        linearize(net(), [images()], units=2)


def test_architecture_is_repeated_and_filled() -> None:
    small = linearize(net(), [images()], units=0)
    fresh = linearized_architecture(net(), small.removed)
    fresh.load_state_dict(small.model.state_dict())
    x = images(2)

    assert torch.equal(fresh.eval()(x), small.model.eval()(x))
    with pytest.raises(PlanError, match="no activation that can be removed is called nowhere"):
        linearized_architecture(net(), ["nowhere"])


def test_a_wrong_merge_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets_the_first(_: nn.Linear, second: nn.Linear) -> nn.Module:
        return nn.Linear(4, second.out_features)

    monkeypatch.setattr("prunus.linearize.remove.merged", forgets_the_first)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(VerifyError, match="differs from the masked one"):
        linearize(model, [torch.randn(16, 4)], units=0)


def test_affine_maps_channels() -> None:
    affine = Affine(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]), 1)
    assert affine(torch.ones(1, 2, 1)).flatten().tolist() == [2.0, 4.0]
