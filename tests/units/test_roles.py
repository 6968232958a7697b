"""Heads, their width, the residual stream and experts are found by what operators do with them."""

import pytest
import torch
import torch.nn.functional as F
from models import Net, linear, weight
from torch import nn

import prunus
from prunus import Budget, trace

TOKENS = torch.randn(2, 5, 16)


class Block(nn.Module):
    """Pre-norm attention with grouped queries, and a gated MLP."""

    def __init__(self, norm=nn.RMSNorm, scale=0.5):
        super().__init__()
        self.heads, self.groups, self.scale = 4, 2, scale
        self.norm, self.norm2 = norm(16), norm(16)
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.o = nn.Linear(16, 16)
        self.up, self.gate, self.down = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)

    def forward(self, x):
        y = self.norm(x)
        batch, tokens, _ = y.shape
        q = self.q(y).view(batch, tokens, self.heads, -1).transpose(1, 2)
        k, v = (m(y).view(batch, tokens, self.groups, -1).transpose(1, 2) for m in (self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, tokens, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def stack(**settings):
    return nn.Sequential(
        nn.Linear(16, 16), Block(**settings), Block(**settings), nn.Linear(16, 3)
    ).eval()


def pruned(granularity, model, inputs=TOKENS, kept=0.5):
    return prunus.prune(model, inputs, budget=Budget(units=kept), granularity=granularity)


def test_roles_of_a_transformer():
    axes = trace(stack(), TOKENS).axes
    assert {(axis.role, axis.size) for axis in axes.values() if axis.frozen_because is None} == {
        ("width", 16), ("head", 2), ("head_dim", 4), ("channel", 24),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("granularity", "cut"),
    [
        # PyTorch goes another way where one query head is left to a group: those stay two.
        ("head", {"1.q": 1, "2.q": 1}),
        ("head_dim", {"1.q#3": 2, "1.v": 2, "2.q#3": 2, "2.v": 2}),
        ("width", {"0": 8}),
    ],
)
def test_only_what_was_asked_for_is_cut(granularity, cut):
    assert dict(pruned(granularity, stack()).plan.counts) == cut


def test_a_key_value_head_takes_its_query_heads_along():
    model = stack()
    result = prunus.prune(
        model, TOKENS, budget=Budget(units=0.75, min_units=1), granularity="head",
    ).model  # fmt: skip
    block = result[1]
    assert block.q.out_features == block.heads * 4
    assert block.k.out_features == block.groups * 4
    assert result(TOKENS).shape == model(TOKENS).shape


def test_width_through_rms_norm_is_corrected():
    """All but the epsilon: 1e-7 against squares of about 1."""
    result = pruned("width", stack())
    agreement = result.report.agreement
    assert result.model[0].out_features == 8
    assert agreement.difference <= 10 * agreement.tolerance
    assert agreement.inexact_because[0].endswith("(corrected up to the epsilon of the norm)")
    masked, norm = result.masked()[1].norm.weight, result.model[1].norm.weight
    torch.testing.assert_close(norm, masked[masked != 0] * 0.5**-0.5)  # one over sqrt(8 / 16)


def test_width_through_layer_norm_is_measured_and_said():
    result = pruned("width", stack(norm=nn.LayerNorm))
    agreement = result.report.agreement
    assert agreement.difference > 100 * agreement.tolerance
    assert "the cut is not exact, since native_layer_norm" in str(result.report)


def test_what_is_not_exact_is_never_cut_unless_asked_for():
    result = pruned("channel", stack(norm=nn.LayerNorm))
    assert result.model[0].out_features == 16
    assert result.report.agreement.inexact_because == ()
    because = next(row for row in result.report.groups if row.name == "0").frozen_because
    assert because.endswith("granularity='width' removes it all the same")


def test_a_scale_that_follows_the_width_is_said():
    model = stack(scale=None)
    assert "#3" not in " ".join(pruned("channel", model).plan.counts)
    reasons = pruned("head_dim", model).report.agreement.inexact_because
    assert reasons[0].startswith("the scale of the scores follows the width")


def test_experts_with_weights_in_one_tensor():
    def forward(net, x):
        shares = net.router(x).softmax(-1)
        hidden = torch.einsum("nd,edh->enh", x, net.up).relu()
        return net.out(torch.einsum("enh,ehd,ne->nd", hidden, net.down, shares))

    parts = {
        "router": linear(6, 4), "up": weight(4, 6, 8), "down": weight(4, 8, 6), "out": linear(6, 2)
    }  # fmt: skip
    model, rows = Net(forward, parts), torch.randn(3, 6)
    result = pruned("expert", model, rows)
    assert result.model.up.shape == (2, 6, 8)
    assert result.model.router.out_features == 2
    assert "mixes the units" in result.report.agreement.inexact_because[0]


def test_a_convolution_net_has_channels():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    assert {axis.role for axis in trace(model, torch.randn(1, 3, 8, 8)).axes.values()} == {
        "channel"
    }


def test_a_residual_stream_of_a_convolution_net_is_its_width():
    def forward(net, x):
        x = net.stem(x)
        return net.head((x + net.branch(x).relu()).mean((2, 3)))

    parts = {
        "stem": nn.Conv2d(3, 8, 3), "branch": nn.Conv2d(8, 8, 1), "head": nn.Linear(8, 2)
    }  # fmt: skip
    model = Net(forward, parts)
    axes = trace(model, torch.randn(1, 3, 8, 8)).axes
    assert axes["stem"].role == "width"
    assert pruned("width", model, torch.randn(2, 3, 8, 8)).model.stem.out_channels == 4


class Mixture(nn.Module):
    """Each token goes to the two experts that its router likes best, as in transformers."""

    def __init__(self):
        super().__init__()
        self.experts = 4
        self.inside, self.outside = nn.Linear(6, 16), nn.Linear(16, 3)
        self.router = nn.Linear(16, 4)
        self.up = nn.Parameter(torch.randn(4, 16, 16))
        self.absent = []

    def forward(self, x):
        x = self.inside(x)
        logits = self.router(x)
        for expert in self.absent:
            logits = logits.index_fill(1, torch.tensor([expert]), -torch.inf)
        share, chosen = logits.softmax(-1).topk(2, dim=-1)
        ranked, order = chosen.reshape(-1).sort()
        number = torch.histc(ranked.float(), bins=self.experts, min=0, max=self.experts - 1)
        ends = number.cumsum(0, dtype=torch.int32)
        made = F.grouped_mm(x[order // 2], self.up, offs=ends).relu()
        made = made * share.reshape(-1)[order].unsqueeze(1)
        return self.outside(torch.zeros_like(x).index_add(0, order // 2, made))


def test_experts_go_with_their_rows_of_the_router():
    model, rows = Mixture(), torch.randn(5, 6)
    result = pruned("expert", model, rows, kept=0.75)
    assert result.model.up.shape == (3, 16, 16)
    assert (result.model.router.out_features, result.model.experts) == (3, 3)
    mask = next(iter(result.plan.kept.values())).mask()
    model.absent = (~mask).nonzero().flatten().tolist()
    torch.testing.assert_close(result.model(rows), model(rows))


def test_fewer_experts_than_a_token_goes_to_are_refused():
    with pytest.raises(prunus.errors.BudgetError, match="selected index k out of range"):
        pruned("expert", Mixture(), torch.randn(5, 6), kept=0.25)
