"""Studies that run: what is in the table, what each run measures, and that a killed one goes on."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn

import prunus.study.penalise
import prunus.study.run
from prunus.allocate import Budget
from prunus.criteria import Criterion
from prunus.errors import CriterionError, DataError, StudyError, VerifyError
from prunus.recover import BatchNorm, FineTune, LeastSquares, steps
from prunus.save import read, read_manifest
from prunus.schedules import Iterative
from prunus.study import Study, read_results
from prunus.study.results import RESULTS
from prunus.study.strategy import Strategy
from prunus.train import Recipe
from prunus.verify import verify

MIXED = ("magnitude", "l1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A study at both granularities, uninterrupted, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, tiny.study(folder, strategies=MIXED, budgets=tiny.HALF_OF_BOTH)


# -- the table --------------------------------------------------------------------------------


def test_both_controls_are_always_in_the_table(whole: tuple[Path, Study]) -> None:
    kinds = [(run.granularity, run.strategy, run.kind) for run in whole[1].runs]

    assert kinds == [
        (granularity, strategy, kind)
        for granularity in ("channel", "weight")
        for strategy, kind in [
            ("magnitude", "pruned"),
            ("l1", "pruned"),
            ("random", "control"),
            ("scratch", "scratch"),
        ]
    ]


def test_the_file_holds_what_is_returned(whole: tuple[Path, Study]) -> None:
    folder, study = whole

    assert read_results(folder).runs == study.runs
    assert len((folder / RESULTS).read_bytes().splitlines()) == 1 + len(study.runs)


def test_facts_say_what_all_share(whole: tuple[Path, Study]) -> None:
    facts = whole[1].facts

    assert facts.dense["params"] == 8 * 12 + 12 + 24 + 12 * 12 + 12 + 12 * 3 + 3
    assert facts.dense["macs"] == 8 * 12 + 12 * 12 + 12 * 3
    assert facts.epochs == {"dense": 2, "recovery": 4, "penalty": 2, "scratch": 6}
    assert (facts.items, facts.margin, facts.seeds) == (120, 0.05, (0,))
    assert facts.title == "Sequential"


def test_removed_channels_make_a_smaller_model_that_is_checked(whole: tuple[Path, Study]) -> None:
    run = tiny.of(whole[1], "magnitude", granularity="channel")

    assert run.macs <= 0.5 * whole[1].facts.dense["macs"]
    assert run.params == run.nonzero < whole[1].facts.dense["params"]
    assert run.agreement is not None
    assert run.agreement < 1e-4
    assert run.bytes < whole[1].facts.dense["bytes"]
    assert (run.target, run.fraction, run.budget) == ("macs", 0.5, "macs=0.5")


def test_zeroed_weights_stay_zero_and_save_nothing(whole: tuple[Path, Study]) -> None:
    dense = whole[1].facts.dense
    for strategy in ("magnitude", "l1", "random"):
        run = tiny.of(whole[1], strategy, granularity="weight")

        assert run.nonzero <= dense["params"] // 2
        assert (run.params, run.macs, run.bytes) == (dense["params"], dense["macs"], dense["bytes"])
        assert run.folder is None
        assert run.latency is not None


def test_the_network_from_scratch_costs_what_the_pruned_one_does(
    whole: tuple[Path, Study],
) -> None:
    dense = whole[1].facts.dense
    channel = tiny.of(whole[1], "scratch", granularity="channel")
    weight = tiny.of(whole[1], "scratch", granularity="weight")

    assert channel.macs <= 0.5 * dense["macs"]
    assert weight.params <= tiny.of(whole[1], "magnitude", granularity="weight").nonzero
    assert weight.macs < dense["macs"]
    assert (channel.accuracy_cut, channel.score_seconds) == (None, None)


def test_what_each_needs(whole: tuple[Path, Study]) -> None:
    needs = {run.strategy: run.needs for run in whole[1].runs}

    assert needs["magnitude"] == needs["random"] == ()
    assert needs["l1"] == ("data", "labels", "training")


def test_the_model_that_is_kept_is_the_one_that_was_measured(whole: tuple[Path, Study]) -> None:
    folder, study = whole
    run = tiny.of(study, "l1", granularity="channel")

    model = read(folder / run.folder, model=tiny.network())
    comparison = verify(tiny.dense(), model, tiny.test(), margin=0.05)

    assert comparison.after == run.accuracy
    assert comparison.difference == run.comparison["difference"]
    assert read_manifest(folder / run.folder).extra["comparison"]["verdict"] == comparison.verdict


def test_scoring_memory_is_that_of_the_signals(whole: tuple[Path, Study]) -> None:
    by_name = {run.strategy: run.score_bytes for run in whole[1].runs}

    assert by_name["scratch"] is None
    assert 0 < by_name["magnitude"] < 100_000


# -- fairness ---------------------------------------------------------------------------------


@dataclass
class Trainings:
    """The epochs of every training of a run, and which of them had a teacher."""

    epochs: list[int]
    taught: list[bool]


def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    seen, fit = Trainings([], []), prunus.study.run.fit

    def spying(*args: Any, recipe: Recipe, teacher: nn.Module | None = None, **rest: Any) -> Any:
        seen.epochs.append(recipe.epochs)
        seen.taught.append(teacher is not None)
        return fit(*args, recipe=recipe, teacher=teacher, **rest)

    for module in (prunus.study.run, prunus.study.penalise, steps):
        monkeypatch.setattr(module, "fit", spying)
    return seen


def test_all_strategies_are_trained_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = trainings(monkeypatch)

    tiny.study(tmp_path, strategies=["magnitude", "l1"])

    magnitude, l1, control, scratch = [4], [2, 2], [4], [2, 4]
    assert seen.epochs == magnitude + l1 + control + scratch
    assert seen.taught == [True, True, True, True, False, True]


def test_without_distillation_nobody_has_a_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = trainings(monkeypatch)

    tiny.study(tmp_path, recipe=replace(tiny.RECIPE, distill=0.0))

    assert not any(seen.taught)


def test_a_penalty_leaves_less_to_be_lost_in_the_cut(tmp_path: Path) -> None:
    study = tiny.study(tmp_path, strategies=["magnitude", "group-lasso"])

    lasso, magnitude = tiny.of(study, "group-lasso"), tiny.of(study, "magnitude")
    assert lasso.accuracy_cut > magnitude.accuracy_cut
    assert lasso.penalty_seconds is not None
    assert magnitude.penalty_seconds is None


def test_a_strategy_may_score_in_rounds_and_measure_its_allocation(tmp_path: Path) -> None:
    rounds = Strategy(name="rounds", criterion="taylor", schedule=Iterative(rounds=2))
    measured = Strategy(name="measured", allocation="sensitivity")

    study = tiny.study(tmp_path, strategies=[rounds, measured])

    assert tiny.of(study, "rounds").fraction == tiny.of(study, "measured").fraction
    assert not study.failures


# -- recovery ---------------------------------------------------------------------------------


def test_the_usual_recovery_may_be_written_out(whole: tuple[Path, Study], tmp_path: Path) -> None:
    written = Strategy(name="written", recovery=("batch_norm", "logit_distillation"))
    study = tiny.study(tmp_path, strategies=[written])

    usual = tiny.of(whole[1], "magnitude", granularity="channel")
    assert tiny.untimed(tiny.of(study, "written")) == replace(
        tiny.untimed(usual), strategy="written", folder=tiny.of(study, "written").folder
    )


def test_training_steps_share_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = trainings(monkeypatch)
    own = FineTune(recipe=replace(tiny.RECIPE, epochs=1))
    mixed = Strategy(name="mixed", recovery=("fine_tune", own, "logit_distillation"))

    tiny.study(tmp_path, strategies=[mixed], recipe=replace(tiny.RECIPE, epochs=5))

    assert seen.epochs[:3] == [3, 1, 2]
    assert seen.taught[:3] == [False, False, True]


def test_a_recovery_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = trainings(monkeypatch)
    solved = Strategy(name="solved", recovery=(LeastSquares(), BatchNorm(batches=2)))
    cut = Strategy(name="cut", recovery=())

    study = tiny.study(tmp_path, strategies=[solved, cut])

    run, bare = tiny.of(study, "solved"), tiny.of(study, "cut")
    assert seen.epochs == [4, 2, 4]  # the two controls
    assert run.accuracy == run.accuracy_batch_norm
    assert (bare.accuracy, bare.accuracy_batch_norm) == (bare.accuracy_cut, None)
    assert bare.recover_seconds == 0


def test_more_training_steps_than_epochs(tmp_path: Path) -> None:
    long = Strategy(name="long", recovery=("fine_tune", "logit_distillation", "fine_tune"))
    with pytest.raises(StudyError, match="'long' trains in 3 steps, and has epochs for 2"):
        tiny.study(tmp_path, strategies=[long], recipe=replace(tiny.RECIPE, epochs=2))


@pytest.mark.parametrize("name", ["hard-concrete", "greg-2", "group-sparse"])
def test_penalties_run_by_their_names(name: str, tmp_path: Path) -> None:
    study = tiny.study(tmp_path, strategies=[name], recipe=replace(tiny.RECIPE, epochs=8))

    run = tiny.of(study, name)
    assert run.penalty_seconds is not None
    assert run.needs == ("data", "labels", "training")


# -- the same every time ----------------------------------------------------------------------


def interrupt_at(number: int) -> Any:
    def progress(done: int, total: int, text: str) -> None:
        if done == number:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("number", [0, 5])
def test_a_killed_study_goes_on_where_it_stopped(
    number: int, whole: tuple[Path, Study], tmp_path: Path
) -> None:
    settings = {"strategies": MIXED, "budgets": tiny.HALF_OF_BOTH}
    with pytest.raises(KeyboardInterrupt):
        tiny.study(tmp_path, progress=interrupt_at(number), **settings)
    assert len(read_results(tmp_path).runs) == number

    done = []
    study = tiny.study(tmp_path, progress=lambda *step: done.append(step[0]), **settings)

    assert done == list(range(number, 9))
    assert study.facts == whole[1].facts
    assert [*map(tiny.untimed, study.runs)] == [*map(tiny.untimed, whole[1].runs)]
    assert read_results(tmp_path).runs == study.runs


def test_a_line_that_was_cut_is_done_again(whole: tuple[Path, Study], tmp_path: Path) -> None:
    content = (whole[0] / RESULTS).read_bytes()
    (tmp_path / RESULTS).write_bytes(content[:-40])

    study = tiny.study(tmp_path, strategies=MIXED, budgets=tiny.HALF_OF_BOTH)

    assert [*map(tiny.untimed, study.runs)] == [*map(tiny.untimed, whole[1].runs)]
    assert read_results(tmp_path).runs == study.runs


def test_a_run_does_not_depend_on_what_ran_before(
    whole: tuple[Path, Study], tmp_path: Path
) -> None:
    torch.manual_seed(123)
    study = tiny.study(tmp_path, strategies=["l1", "magnitude"])

    for strategy in ("l1", "magnitude", "random", "scratch"):
        before = tiny.of(whole[1], strategy, granularity="channel")
        assert tiny.untimed(tiny.of(study, strategy)) == tiny.untimed(before)


def test_seeds_read_the_data_in_orders_of_their_own(tmp_path: Path) -> None:
    study = tiny.study(tmp_path, strategies=["magnitude"], seeds=[0, 1])

    one, other = (
        tiny.state_of(read(tmp_path / tiny.of(study, "magnitude", seed=seed).folder,
                           model=tiny.network()))
        for seed in (0, 1)
    )  # fmt: skip
    assert one.keys() == other.keys()
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_the_caller_is_left_alone(tmp_path: Path) -> None:
    model = tiny.dense().train()
    weights, threads = tiny.state_of(model), torch.get_num_threads()
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    tiny.study(tmp_path, model=model)

    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    assert torch.get_num_threads() == threads


def test_a_finished_study_is_only_read(tmp_path: Path) -> None:
    first = tiny.study(tmp_path)
    content = (tmp_path / RESULTS).read_bytes()

    assert tiny.study(tmp_path, title="by another name") == first
    assert (tmp_path / RESULTS).read_bytes() == content


# -- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("granularity", "budget", "words"),
    [
        ("channel", Budget(macs=0.01), r"'macs=0.01' is no .* 'channel': macs=0.01 cannot be met.*"
         r"hint: budgets={'channel': ...}: ask for macs>=0\.\d+"),
        ("channel", Budget(sparsity=0.5), "units are removed, not zeroed.*ask for params="),
        ("weight", Budget(macs=0.5), "'macs=0.5' is no budget for granularity 'weight': .*zeros in "
         "a dense tensor cost the same.*or remove channels: granularity='channel'"),
        ("4x1", Budget(bytes=0.5), "zeros in a dense tensor take the same space"),
        ("2:4", Budget(params=0.1), "the slots leave 0.[56]"),
        ("activation_channel", Budget(macs=0.5), "ask for units=0.5"),
    ],
)  # fmt: skip
def test_a_budget_that_no_strategy_can_meet_is_refused_before_the_first_run(
    tmp_path: Path, granularity: str, budget: Budget, words: str
) -> None:
    budgets = {"channel": [Budget(macs=0.5)]} | {granularity: [Budget(units=0.7), budget]}

    with pytest.raises(StudyError, match=f"(?s){words}"):
        tiny.study(tmp_path, budgets=budgets, progress=lambda *_: pytest.fail("it ran"))

    assert not list(tmp_path.iterdir())


@final
@dataclass(frozen=True, kw_only=True)
class Broken(Criterion):
    needs = frozenset()

    def score(self, group: Any) -> Tensor:
        return torch.zeros(1)


def test_any_other_error_stops_the_study(tmp_path: Path) -> None:
    broken = Strategy(name="broken", criterion=Broken())

    with pytest.raises(CriterionError, match=r"returned scores of shape \(1,\)"):
        tiny.study(tmp_path, strategies=["magnitude", broken])

    assert [run.strategy for run in read_results(tmp_path).runs] == ["magnitude"]


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    tiny.study(tmp_path)

    with pytest.raises(StudyError, match=r"recovery.epochs was 4 and is 2"):
        tiny.study(tmp_path, recipe=replace(tiny.RECIPE, epochs=2))
    with pytest.raises(StudyError, match="the dense weights or the test data are not the same"):
        tiny.study(tmp_path, model=tiny.network())


class Frozen(nn.Module):
    """Has no unit that may go: what it makes is its output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)


class Forgetless(Frozen):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


def batches(*inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(part, torch.zeros(len(part), dtype=torch.int64)) for part in inputs]


class Shuffled(list[Any]):
    """Test data in another order each time."""

    def __iter__(self) -> Iterator[Any]:
        self[:] = [*self[1:], self[0]]
        return super().__iter__()


UNLIKE = Shuffled([
    (torch.eye(8)[:3] * 3, torch.arange(3)),
    (torch.eye(8)[:3] * 3, torch.ones(3).long()),
])
HALVES = [Budget(macs=0.5), Budget(macs=0.5)]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"train": iter(tiny.train())}, DataError, "train is a .*, which can be read only once"),
        ({"test": itertools.repeat(0)}, DataError, "test is a repeat"),
        ({"train": []}, DataError, "the data yield no batch"),
        ({"train": batches(torch.full((2, 8), torch.nan))}, DataError, "not finite"),
        ({"test": UNLIKE}, StudyError, "not the same when they are read again"),
        ({"budgets": {}}, StudyError, "there is nothing to compare"),
        ({"seeds": []}, StudyError, "there is nothing to compare"),
        ({"seeds": [0, 0]}, StudyError, "asked for 2 times: channel random macs=0.5, seed 0"),
        ({"budgets": {"channel": HALVES}}, StudyError, "asked for 2 times"),
        ({"strategies": ["magnitud"]}, StudyError, "did you mean 'magnitude'"),
        ({"dense_epochs": 0}, StudyError, "dense_epochs=0 is no training"),
        (
            {"strategies": ["l2"], "recipe": Recipe(epochs=1)},
            StudyError,
            "'l2' needs a recipe of 2 epochs or more",
        ),
        ({"margin": 0.0}, VerifyError, "margin"),
        ({"model": Frozen()}, StudyError, "nothing of this model can be pruned"),
        ({"model": Forgetless()}, StudyError, "Forgetless.* cannot be initialised anew"),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_it_starts(
    changes: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        tiny.study(tmp_path / "study", **changes)

    assert not (tmp_path / "study" / RESULTS).exists()


def test_the_timed_batch_is_filled_up_with_the_items_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    measure = prunus.study.run.measure_latencies

    def spying(models: Any, inputs: Tensor, **rest: Any) -> Any:
        sizes.append(len(inputs))
        return measure(models, inputs, **rest)

    monkeypatch.setattr(prunus.study.run, "measure_latencies", spying)
    tiny.study(tmp_path, latency_batch=100)

    assert sizes == [100, 100]
