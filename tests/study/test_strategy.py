"""What strategies are, and which of them a study runs."""

import pytest
import torch
from torch import Tensor

from prunus.allocate import Uniform
from prunus.criteria import Criterion
from prunus.criteria.random import Random
from prunus.errors import BudgetError, CriterionError, PlanError, StudyError, TrainError
from prunus.schedules import Dynamic
from prunus.signals import GroupTensors
from prunus.study.strategy import Strategy, chosen, scratch, strategies
from prunus.train.penalties import PENALTIES, GroupLasso

SEVEN = ["random", "magnitude", "gradient", "taylor", "l1", "l2", "group-lasso"]


def test_the_strategies_that_ship() -> None:
    assert [strategy.name for strategy in strategies("channel")] == SEVEN
    assert [strategy.name for strategy in strategies("weight")] == SEVEN[:-1]


def test_at_one_granularity_all_share_one_allocation() -> None:
    for granularity in ("channel", "weight"):
        assert len({strategy.allocation for strategy in strategies(granularity)}) == 1
        assert {strategy.granularity for strategy in strategies(granularity)} == {granularity}


def test_penalised_ones_are_named_as_their_penalty() -> None:
    for strategy in strategies("channel"):
        assert isinstance(strategy.penalty, PENALTIES.get(strategy.name, type(None)))


def test_what_each_needs() -> None:
    needs = {strategy.name: strategy.needs for strategy in strategies("channel")}

    assert needs["random"] == needs["magnitude"] == ()
    assert needs["gradient"] == needs["taylor"] == ("data", "labels")
    assert needs["l1"] == needs["group-lasso"] == ("data", "labels", "training")


def test_kinds() -> None:
    kinds = {strategy.name: strategy.kind for strategy in chosen(None, "channel")}

    assert kinds.pop("random") == "control"
    assert kinds.pop("scratch") == "scratch"
    assert set(kinds.values()) == {"pruned"}


def test_a_criterion_with_a_seed_gets_that_of_the_run() -> None:
    random, magnitude = strategies("channel")[:2]

    assert random.criterion_for(3) == Random(seed=3)
    assert magnitude.criterion_for(3) == magnitude.criterion_for(4)


def test_both_controls_are_added_where_they_are_missing() -> None:
    assert [s.name for s in chosen(["taylor"], "channel")] == ["taylor", "random", "scratch"]
    assert [s.name for s in chosen(["random"], "weight")] == ["random", "scratch"]


def test_a_random_choice_of_ones_own_is_a_control() -> None:
    own = Strategy(name="dice", criterion=Random(seed=9), allocation=Uniform())

    assert chosen([own], "channel") == (own, scratch("channel"))


def test_shuffled_scores_are_a_second_control_beside_random() -> None:
    names = [strategy.name for strategy in chosen(["shuffled", "taylor"], "channel")]

    assert names == ["taylor", "random", "shuffled", "scratch"]
    assert chosen(["shuffled"], "channel")[1].kind == "control"


def test_strategies_of_another_granularity_are_left_out() -> None:
    weight = Strategy(name="zeros", granularity="weight", allocation="global")

    assert [s.name for s in chosen([weight, "l1"], "channel")] == ["l1", "random", "scratch"]
    assert [s.name for s in chosen([weight], "weight")] == ["zeros", "random", "scratch"]


def test_what_ships_at_another_granularity_only_is_left_out() -> None:
    assert [s.name for s in chosen(["group-lasso", "l2"], "weight")] == ["l2", "random", "scratch"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["tailor"], "there is no strategy 'tailor'\n.*\n  hint: did you mean 'taylor'"),
        (["l1", "l1"], "two strategies at granularity 'channel' are named 'l1'"),
        ([Strategy(name="scratch")], "are named 'scratch'"),
        ([Strategy(name="random")], "are named 'random'"),
    ],
)
def test_names_that_cannot_be(given: list[str | Strategy], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        chosen(given, "channel")


@pytest.mark.parametrize(
    ("field", "kind", "words"),
    [
        ("criterion", CriterionError, "did you mean 'magnitude'"),
        ("allocation", BudgetError, "there is no allocation 'magnitud'"),
        ("granularity", PlanError, "there is no granularity 'magnitud'"),
    ],
)
def test_a_strategy_is_checked_when_it_is_made(
    field: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Strategy(name="own", **{field: "magnitud"})


def test_a_penalised_random_choice_is_no_control() -> None:
    assert Strategy(name="own", criterion="random", penalty=GroupLasso()).kind == "pruned"


def test_an_allocation_that_measures_needs_data_too() -> None:
    assert Strategy(name="own", allocation="sensitivity").needs == ("data", "labels")


def test_a_schedule_that_needs_a_training_is_refused() -> None:
    with pytest.raises(
        StudyError, match=r"'own' cannot use Dynamic(.|\n)*Strategy\(during=Dynamic"
    ):
        Strategy(name="own", granularity="weight", schedule=Dynamic(steps=5))


def test_every_penalty_may_be_named() -> None:
    picked = {one.name: one for one in chosen(list(PENALTIES), "channel")}
    for name, kind in PENALTIES.items():
        assert type(picked[name].penalty) is kind
    assert picked["slimming"].criterion == "batch_norm_scale"
    zeroing = [one.name for one in chosen(["slimming", "elastic-net"], "weight")]
    assert zeroing == ["elastic-net", "random", "scratch"]


def test_steps_of_a_recovery_are_checked() -> None:
    with pytest.raises(TrainError, match="there is no recovery 'batchnorm'"):
        Strategy(name="own", recovery=("batchnorm",))
    with pytest.raises(StudyError, match="'own' cannot have a recovery"):
        Strategy(name="own", recovery=("batch_norm",), from_scratch=True)


class Custom(Criterion):
    """A criterion as people write it: no dataclass, no __repr__."""

    needs = frozenset()

    def __init__(self, setting: object = 3) -> None:
        self.setting = setting

    def score(self, group: GroupTensors) -> Tensor:
        return torch.ones(group.num_units)


def test_a_criterion_that_is_no_dataclass_is_known_by_its_settings() -> None:
    strategy = Strategy(name="mine", criterion=Custom())

    assert "Custom(setting=3)" in repr(strategy)
    assert strategy.criterion_for(7) is strategy.criterion


def test_a_part_that_prints_an_address_is_refused() -> None:
    with pytest.raises(StudyError, match=r"strategy 'mine' cannot be told .*lambda") as caught:
        Strategy(name="mine", criterion=Custom(lambda x: x))
    assert "make Custom a frozen dataclass" in caught.value.hint


def test_criteria_by_name_have_in_a_study_the_allocation_that_prune_gives_them() -> None:
    names = ["magnitude", "ria", "sparsegpt", "fisher"]
    allocations = {one.name: one.allocation for one in chosen(names, "weight")}
    assert [allocations[name] for name in names] == ["global", "uniform", "uniform", "global"]
