"""Tables are measured by a pretended clock: nothing here depends on how long anything takes."""

from itertools import count

import pytest
import torch
from pretended import numbers_read, pretended_table
from torch import nn

from prunus import networks
from prunus.cost import CostModel
from prunus.cost.timing import measure_table
from prunus.errors import BudgetError, PruneError
from prunus.trace import trace

ROWS = torch.zeros(16, 4)
PARTS = (8 + 64 + 32) + 128 + (2 + 128 + 16)  # numbers read: linear, ReLU, linear


def two_layers():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def latency_of(model, inputs, table, counts):
    """Milliseconds."""
    return CostModel(trace(model, inputs), table=table).latency(counts) / 1e6


def test_the_parts_and_the_rest_by_hand():
    model = two_layers()
    table = pretended_table(model, ROWS, milliseconds=PARTS + 22)

    assert (table.rest, table.scale) == (pytest.approx(22), pytest.approx(1))
    assert latency_of(model, ROWS, table, {}) == pytest.approx(PARTS + 22)
    smaller = (4 + 64 + 16) + 64 + (2 + 64 + 8)
    assert latency_of(model, ROWS, table, {"0": 4}) == pytest.approx(smaller + 22)


def test_parts_that_take_longer_than_the_whole_are_scaled():
    model = two_layers()
    table = pretended_table(model, ROWS, milliseconds=PARTS / 2)

    assert (table.rest, table.scale) == (0, pytest.approx(0.5))
    assert latency_of(model, ROWS, table, {}) == pytest.approx(PARTS / 2)


def test_what_is_recorded_of_the_measurement():
    table = pretended_table(two_layers(), ROWS, milliseconds=500, runs=3, levels=2, threads=1)

    assert (table.dense.batch, table.dense.threads, table.dense.device) == (16, 1, "cpu")
    assert (table.dense.runs, table.dense.median) == (9, pytest.approx(500))
    assert table.provenance["torch"] == torch.__version__
    assert [curve.sizes for curve in table.curves.values()] == [((1, 4, 5, 8),)] * 3
    assert str(table).startswith("3 operators at batch 16 on cpu, 1 thread: the dense model takes")


def test_layers_that_are_alike_are_measured_once():
    layers = [nn.Linear(8, 8) for _ in range(4)]
    calls = []
    pretended_table(
        nn.Sequential(*layers), torch.zeros(2, 8), milliseconds=1,
        watch=lambda call: calls.append(call.one.name) or 1e-3,
    )  # fmt: skip

    names = list(dict.fromkeys(calls))
    assert [name.split(";")[1] for name in names] == [
        " n0=8", " n0=8, n1=8", " n0=8"
    ]  # the first reads what is fixed, and the last makes it  # fmt: skip


def test_the_sizes_of_an_operator_take_turns_and_the_median_counts():
    spikes = count()

    def noisy(call):  # every fifth call is disturbed
        return numbers_read(call) + (1.0 if next(spikes) % 5 == 0 else 0.0)

    quiet = pretended_table(two_layers(), ROWS, milliseconds=400)
    disturbed = pretended_table(two_layers(), ROWS, milliseconds=400, watch=noisy)

    for name, curve in quiet.curves.items():
        assert disturbed.curves[name].milliseconds == pytest.approx(curve.milliseconds, rel=0.5)


def test_more_work_that_takes_less_time_is_noise():
    table = pretended_table(
        two_layers(), ROWS, milliseconds=400, watch=lambda call: 1 / numbers_read(call)
    )
    for curve in table.curves.values():
        assert len(set(curve.milliseconds)) == 1


NETWORKS = {
    "mlp": (networks.mlp, torch.zeros(2, 1, 8, 8)),
    "lenet": (networks.lenet, torch.zeros(2, 1, 8, 8)),
    "resnet": (lambda: networks.resnet(width=4), torch.zeros(2, 1, 8, 8)),
    "grouped": (lambda: nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=4), nn.Conv2d(12, 5, 1)
    ), torch.zeros(2, 3, 8, 8)),
    "transposed": (lambda: nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2), nn.Conv2d(6, 5, 1)
    ), torch.zeros(2, 3, 8, 8)),
    "last": (lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3)
    ).to(memory_format=torch.channels_last), torch.zeros(2, 3, 8, 8)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), torch.zeros(2, 5, 16)
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(9, 8), nn.LayerNorm(8), nn.Linear(8, 3)),
        torch.zeros(2, 5, dtype=torch.long),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "inputs"), NETWORKS.values(), ids=NETWORKS)
def test_every_call_runs_at_every_size(build, inputs):
    def run(call):
        call.run()
        return numbers_read(call)

    model = build().eval()
    table = pretended_table(model, inputs, milliseconds=1e6, watch=run, levels=3, runs=1)
    assert table.unmeasured == ()
    dense = sum(curve.milliseconds[-1] for curve in table.curves.values())
    assert 0 < dense <= 1e6 - table.rest + 1e-6


@pytest.mark.parametrize(("build", "inputs"), NETWORKS.values(), ids=NETWORKS)
def test_fewer_units_never_take_longer(build, inputs):
    model = build().eval()
    table = pretended_table(model, inputs, milliseconds=1e6, levels=2, runs=1)
    graph = trace(model, inputs)
    cost = CostModel(graph, table=table)
    for name, axis in graph.axes.items():
        if axis.frozen_because is None:
            times = [cost.latency({name: count}) for count in range(1, axis.size + 1)]
            assert times == sorted(times)
            assert times[0] < times[-1] == cost.latency({})


def test_what_is_not_measured_alone_is_named():
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.last(self.first(x).cumsum(dim=0))

    assert pretended_table(Sums(), ROWS, milliseconds=1e4).unmeasured == ("cumsum",)


def test_a_table_of_another_model():
    table = pretended_table(two_layers(), ROWS, milliseconds=400)
    with pytest.raises(
        BudgetError, match=r"of another model: it lacks 3 operators\n.*addmm.*\n.*at"
    ):
        CostModel(trace(two_layers(), ROWS[:3]), table=table)  # at another batch size


@pytest.mark.parametrize("setting", [{"levels": 0}, {"runs": 0}, {"threads": 0}])
def test_settings_out_of_range(setting):
    with pytest.raises(PruneError, match=f"{next(iter(setting))} must be at least 1"):
        pretended_table(two_layers(), ROWS, milliseconds=1, **setting)


def test_it_really_measures():
    model = two_layers()
    table = measure_table(model, ROWS, trace(model, ROWS), runs=2)
    assert all(curve.milliseconds[0] > 0 for curve in table.curves.values())
    assert table.dense.median > 0

    assert model.training  # as it was
