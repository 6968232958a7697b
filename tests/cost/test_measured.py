"""Nothing here depends on the clock: a clock is faked where time matters."""

import gc

import pytest
import torch
from torch import nn

from prunus.cost import measure_latencies, measure_latency, measure_peak_memory, measured
from prunus.errors import PruneError


class Spy(nn.Module):
    def __init__(self, log, name="spy"):
        super().__init__()
        self.log, self.name = log, name
        self.inner = nn.Dropout().eval()

    def forward(self, x):
        threads = torch.get_num_threads()
        self.log.append((self.name, self.training, torch.is_grad_enabled(), threads))
        return x


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by 1 ms each time that it is read."""
    ticks = iter(range(10**9))
    monkeypatch.setattr(measured.time, "perf_counter", lambda: next(ticks) / 1000)


def test_runs_and_warmup_are_what_was_asked_for():
    log = []

    latency = measure_latency(Spy(log), torch.zeros(4, 2), runs=7, warmup=2)

    assert len(log) == 7 + 2
    assert (latency.runs, latency.batch, latency.device) == (7, 4, "cpu")


def test_figures_are_milliseconds(clock):
    latency = measure_latency(nn.Identity(), torch.zeros(1), runs=5)

    assert latency.lower == latency.median == latency.upper == pytest.approx(1.0)


def test_quartiles(monkeypatch):
    stops = iter([0, 1, 0, 2, 0, 3, 0, 4, 0, 5])
    monkeypatch.setattr(measured, "_rounds", lambda runs, seconds: range(5))
    monkeypatch.setattr(measured.time, "perf_counter", lambda: next(stops) / 1000)

    latency = measure_latency(nn.Identity(), torch.zeros(1), warmup=0)

    figures = (latency.lower, latency.median, latency.upper)
    assert figures == pytest.approx((2.0, 3.0, 4.0))


def test_the_number_of_runs_follows_the_time(clock):
    few = measure_latency(nn.Identity(), torch.zeros(1), seconds=0.0)
    many = measure_latency(nn.Identity(), torch.zeros(1), seconds=0.3)

    assert few.runs == 5
    assert many.runs == pytest.approx(100, abs=2)


def test_models_take_turns():
    log = []

    latencies = measure_latencies([Spy(log, "a"), Spy(log, "b")], torch.zeros(1), runs=3, warmup=1)

    assert "".join(name for name, *_ in log) == "abababab"
    assert [latency.runs for latency in latencies] == [3, 3]


def test_evaluation_mode_without_gradients_on_the_threads_asked_for():
    log = []

    latency = measure_latency(Spy(log).train(), torch.zeros(1), runs=1, warmup=0, threads=1)

    assert log == [("spy", False, False, 1)]
    assert latency.threads == 1


def test_everything_is_as_before_even_when_the_model_fails():
    model = nn.Sequential(Spy([]), nn.Linear(3, 3))
    model.train()
    model[0].inner.eval()
    threads = torch.get_num_threads()

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_latency(model, torch.zeros(2, 2), threads=threads + 1)

    assert torch.get_num_threads() == threads
    assert gc.isenabled()
    assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == [True, True, False, True]


@pytest.mark.parametrize(
    "setting", [{"runs": 0}, {"threads": 0}, {"warmup": -1}, {"seconds": float("nan")}]
)
def test_settings_out_of_range(setting):
    with pytest.raises(PruneError, match=f"{next(iter(setting))} must be at least"):
        measure_latency(nn.Identity(), torch.zeros(1), **setting)


def test_no_models():
    with pytest.raises(PruneError, match="models must be at least 1"):
        measure_latencies([], torch.zeros(1))


FLOAT = 4


@pytest.mark.parametrize(
    ("model", "floats"),
    [
        (nn.Linear(8, 32), 32),
        (nn.Sequential(nn.Linear(8, 32), nn.ReLU()), 32 + 32),
        (nn.Sequential(nn.Linear(8, 32), nn.ReLU(inplace=True)), 32),
        (nn.Sequential(nn.Linear(8, 32), nn.Unflatten(1, (4, 8)), nn.Flatten()), 32),
        (nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2), nn.ReLU()), 32 + 32),
        (nn.Identity(), 0),
    ],
    ids=["output", "new", "in place", "views", "freed", "input only"],
)
def test_peak_memory_by_hand(model, floats):
    batch = 3

    assert measure_peak_memory(model, torch.zeros(batch, 8)) == batch * floats * FLOAT


class Keeps(nn.Module):
    """Holds a table that no operator of the pass made, and the results of earlier passes."""

    def __init__(self):
        super().__init__()
        self.table = torch.zeros(1000)
        self.kept = []

    def forward(self, x):
        self.kept.append(x + self.table[0])
        return self.table.view(-1)


def test_peak_memory_counts_what_the_pass_made_and_nothing_older():
    model = Keeps()

    peaks = [measure_peak_memory(model, torch.zeros(10)) for _ in range(3)]

    assert peaks == [10 * FLOAT] * 3


def test_peak_memory_of_a_residual_holds_both_branches():
    class Residual(nn.Module):
        def forward(self, x):
            a = x + 1
            return a + torch.relu(a)

    assert measure_peak_memory(Residual(), torch.zeros(50)) == 3 * 50 * FLOAT
