"""Whole blocks are taken out of a model: found, scored, removed, numbered anew, saved."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import prunus
from prunus import Budget, trace
from prunus.criteria import BlockInfluence
from prunus.errors import CriterionError, PlanError, VerifyError
from prunus.planner import Planner
from prunus.records import Kept, Plan
from prunus.shrink.stacks import dense_names

TOKENS = torch.randn(2, 5, 8)
DATA = [(torch.randn(4, 5, 8), torch.randn(4, 5, 3)) for _ in range(2)]


class Block(nn.Module):
    def __init__(self, place, share=1.0):
        super().__init__()
        self.layer_idx = place
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.down.weight.data *= share
        self.down.bias.data *= share

    def forward(self, x, bias=None):
        return x + self.down(self.up(self.norm(x)).relu())


class Stacked(nn.Module):
    """Embeds, runs blocks, reads out; `shares` says how much each block adds."""

    def __init__(self, shares=(1.0, 0.0, 1.0, 0.01), kind=nn.ModuleList):
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=len(shares), hidden_size=8)
        self.embed, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.layers = kind([Block(k, share) for k, share in enumerate(shares)])

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x, bias=None)
        return self.head(x)


def data_of(model):
    """Batches that the model itself has labelled."""
    with torch.no_grad():
        return [(inputs, model(inputs)) for inputs, _ in DATA]


def pruned(model, kept=0.5, criterion="block_influence", **more):
    return prunus.prune(
        model, TOKENS, budget=Budget(units=kept), granularity="layer", criterion=criterion,
        data=data_of(model), loss=nn.MSELoss(), **more,
    )  # fmt: skip


@pytest.mark.parametrize("criterion", ["block_influence", "greedy_loss"])
def test_the_blocks_that_add_least_go(criterion):
    model = Stacked()
    result = pruned(model, criterion=criterion)
    assert result.plan.taken_out == ("layers.1", "layers.3")
    kept = [block.down.weight for block in result.model.layers]
    torch.testing.assert_close(kept, [model.layers[k].down.weight for k in (0, 2)])
    torch.testing.assert_close(result.model(TOKENS), result.masked()(TOKENS))
    assert result.report.agreement.difference == 0


def test_costs_are_those_of_the_blocks_left():
    result = pruned(Stacked())
    block = sum(p.numel() for p in Block(0).parameters())
    assert result.report.before.params - result.report.after.params == 2 * block
    macs = prunus.explain(result.model, TOKENS).costs.macs({})
    assert result.report.after.macs == macs


def test_numbers_follow_and_the_callers_model_stays():
    model = Stacked()
    small = pruned(model).model
    assert [block.layer_idx for block in small.layers] == [0, 1]
    assert (small.config.num_hidden_layers, small.config.hidden_size) == (2, 8)
    assert [block.layer_idx for block in model.layers] == [0, 1, 2, 3]
    assert model.config.num_hidden_layers == 4
    assert len(model.layers) == 4


def test_saved_and_loaded(tmp_path):
    result = pruned(Stacked())
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=Stacked())
    torch.testing.assert_close(loaded(TOKENS), result.model(TOKENS))
    prunus.save_plan(result.plan, tmp_path / "plan.json")
    again = prunus.shrink(Stacked(), prunus.load_plan(tmp_path / "plan.json"))
    assert len(again.layers) == 2


def test_in_place_with_its_optimizer():
    model = Stacked()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruned(model, in_place=True, optimizer=optimizer)
    assert len(model.layers) == 2
    model(TOKENS).sum().backward()
    optimizer.step()


def test_named_blocks_of_a_sequential_keep_their_names(tmp_path):
    def build():
        blocks = OrderedDict((f"block{k}", Block(k, share)) for k, share in enumerate((1, 0, 1)))
        return nn.Sequential(OrderedDict(body=nn.Sequential(blocks), head=nn.Linear(8, 3)))

    result = pruned(build(), kept=0.67)
    assert list(result.model.body._modules) == ["block0", "block2"]
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=build())
    torch.testing.assert_close(loaded(TOKENS), result.model(TOKENS))


def test_what_is_no_residual_block_is_none():
    plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    assert trace(plain, TOKENS).blocks == ()


def test_a_stage_that_holds_blocks_is_none_itself():
    stages = nn.Sequential(*(nn.Sequential(Block(0), Block(1)) for _ in range(2)))
    model = nn.Sequential(stages, nn.Linear(8, 3))
    paths = [block.path for block in trace(model, TOKENS).blocks]
    assert paths == ["0.0.0", "0.0.1", "0.1.0", "0.1.1"]


def test_a_block_that_runs_twice_stays():
    class Twice(Stacked):
        def forward(self, x):
            return super().forward(self.layers[0](x))

    assert {block.name for block in trace(Twice(), TOKENS).blocks} == {"1", "2", "3"}


def test_weights_do_not_score_blocks():
    with pytest.raises(CriterionError, match=r"cannot score whole blocks such as 'layers\.0'"):
        pruned(Stacked(), criterion="magnitude")


def test_blocks_do_not_score_channels():
    with pytest.raises(
        CriterionError, match=r"BlockInfluence.* cannot score units that are slices of tensors"
    ):
        prunus.prune(
            Stacked(), TOKENS, budget=Budget(units=0.5), criterion="block_influence", data=DATA
        )


def test_a_plan_of_another_model_is_refused():
    plan = pruned(Stacked()).plan
    with pytest.raises(PlanError, match=r"there is no module 'layers\.3'"):
        prunus.shrink(Stacked(shares=(1.0, 1.0, 1.0)), plan)
    with pytest.raises(PlanError, match="take out whole blocks do not make one"):
        prunus.compose(plan, plan)


def test_a_failed_check_gives_the_blocks_back(monkeypatch):
    def differ(*_, **__):
        raise VerifyError("made up")

    model = Stacked()
    monkeypatch.setattr("prunus.api.agree", differ)
    with pytest.raises(VerifyError):
        pruned(model, in_place=True)
    assert [block.layer_idx for block in model.layers] == [0, 1, 2, 3]
    assert model.config.num_hidden_layers == 4


class Scaled(nn.Module):
    """Returns (1 + factor) x."""

    def __init__(self, factor):
        super().__init__()
        self.scale = nn.Linear(8, 8, bias=False)
        self.scale.weight = nn.Parameter(factor * torch.eye(8))

    def forward(self, x):
        return x + self.scale(x)


def test_influence_by_hand():
    """What turns x to 2 x changes no direction; what turns it to -2 x the most."""
    model = nn.Sequential(nn.Sequential(Scaled(1.0), Scaled(-3.0)), nn.Linear(8, 3))
    planner = Planner.of(
        model, TOKENS, budget=Budget(units=0.5), granularity="layer", criterion=BlockInfluence()
    )
    torch.testing.assert_close(planner.scores(data=DATA)["0"], torch.tensor([0.0, 2.0]))


class Looked(Block):
    """It has a number of its own that has nothing to do with its place."""

    def __init__(self, place):
        super().__init__(place)
        self.padding_idx = place


def test_only_numbers_of_places_follow():
    model = Stacked()
    model.layers[2] = Looked(2)
    small = pruned(model).model
    assert small.layers[1].layer_idx == 1
    assert small.layers[1].padding_idx == 2


def test_what_stands_behind_the_blocks_is_found_again(tmp_path):
    def build():
        torch.manual_seed(0)
        return nn.Sequential(Block(0), Block(1, 0.0), Block(2, 0.0), nn.Linear(8, 8), nn.ReLU())

    result = pruned(build(), kept=0.34)
    assert result.plan.taken_out == ("1", "2")
    prunus.save(result, tmp_path / "small")
    loaded = prunus.load(tmp_path / "small", model=build())
    torch.testing.assert_close(loaded(TOKENS), result.model(TOKENS))


def test_stacks_in_stacks_are_found_again():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.ModuleList([Block(0, 0.0), Block(1)])

        def forward(self, x):
            return self.body[-1](x) if len(self.body) == 1 else self.body[1](self.body[0](x))

    plan = Plan(
        "layer",
        {name: Kept.of(torch.tensor(stays)) for name, stays in KEPT.items()},
        {},
        stacks={"": ("0", "1"), "2.body": ("2.body.0", "2.body.1")},
    )
    model = nn.Sequential(Block(0, 0.0), Block(1), Inner())
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    small = prunus.shrink(model, plan).state_dict()
    dense = dense_names(plan, small)
    assert dense["1.body.0.up.weight"] == "2.body.1.up.weight"
    assert all(torch.equal(small[name], expected[dense[name]]) for name in small)


KEPT = {"": [False, True], "2.body": [False, True]}
