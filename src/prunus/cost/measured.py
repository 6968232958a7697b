"""What a model costs when it runs: time and memory of one forward pass.

Models run in evaluation mode and without gradients; training flags, the number of threads and
the garbage collector are as before afterwards. `torch.no_grad` rather than `inference_mode`:
a table that a model caches in its first forward pass must stay usable in training.
"""

import gc
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from prunus.errors import PruneError
from prunus.inputs import Inputs, call, device_of, tensors_in, to_device
from prunus.modes import mode
from prunus.records import Latency

_FEWEST_RUNS = 5


def measure_latency(
    model: nn.Module,
    inputs: Inputs,
    *,
    runs: int | None = None,
    warmup: int = 3,
    seconds: float = 1.0,
    threads: int | None = None,
) -> Latency:
    """Return how long one forward pass takes.

    Args:
        model: Measured where it is; inputs are moved to its device first.
        inputs: A tensor, a tuple, or a dict of keyword arguments.
        runs: How many passes to time; by default as many as fit in `seconds`, at least 5.
        warmup: Passes that run first and are not timed.
        seconds: Time to spend on the timed passes where `runs` is not given.
        threads: CPU threads for PyTorch; by default as many as it uses now.

    Raises:
        PruneError: If a number is out of range.

    Example:
        >>> latency = measure_latency(nn.Linear(8, 8), torch.zeros(4, 8), runs=7)
        >>> latency.runs, latency.batch, latency.lower <= latency.median <= latency.upper
        (7, 4, True)
    """
    (latency,) = measure_latencies(
        [model], inputs, runs=runs, warmup=warmup, seconds=seconds, threads=threads
    )
    return latency


def measure_latencies(
    models: Sequence[nn.Module],
    inputs: Inputs,
    *,
    runs: int | None = None,
    warmup: int = 3,
    seconds: float = 1.0,
    threads: int | None = None,
) -> tuple[Latency, ...]:
    """Return how long one forward pass of each model takes, measured in turns.

    Each round runs every model once (A B A B ...). What slows the machine for a while slows all
    of them, so ratios of the medians are fair. `seconds` is for each model; see
    `measure_latency` for the rest.
    """
    check_at_least(1, runs=runs, threads=threads, models=len(models))
    check_at_least(0, warmup=warmup, seconds=seconds)
    passes = [pass_of(model, inputs) for model in models]
    with undisturbed(models, threads):
        for _ in range(warmup):
            for timed_pass in passes:
                timed_pass()
        rounds = _rounds(runs, seconds * len(models))
        milliseconds_RM = 1e3 * np.array([[run() for run in passes] for _ in rounds])
        used = torch.get_num_threads()
    return tuple(
        summary(of_model_R, device=device_of(model), inputs=inputs, threads=used)
        for of_model_R, model in zip(milliseconds_RM.T, models, strict=True)
    )


def summary(
    milliseconds_R: npt.NDArray[np.float64], *, device: torch.device, inputs: Inputs, threads: int
) -> Latency:
    """Return what timed passes come to."""
    lower, median, upper = np.quantile(milliseconds_R, [0.25, 0.5, 0.75]).tolist()
    return Latency(
        median=median,
        lower=lower,
        upper=upper,
        runs=milliseconds_R.size,
        batch=_batch_size(inputs),
        threads=threads,
        device=str(device),
    )


def measure_peak_memory(model: nn.Module, inputs: Inputs) -> int:
    """Return the largest memory that one forward pass holds at once, in bytes.

    What was there before the pass is not counted: parameters, buffers, inputs, anything cached.
    Outputs are.

    On the CPU the figure is exact and the same in every run: the bytes of all tensor storages
    that an operator of the pass has returned and that are still alive, at their largest. Views
    share the storage that they look into. Scratch memory inside an operator is not seen, such
    as the unfolded image of a convolution. On other devices it is the peak of PyTorch's
    allocator, scratch memory and rounding included, above what was allocated before.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
        >>> measure_peak_memory(model, torch.zeros(1, 8))   # two times 32 floats around the ReLU
        256
    """
    device = device_of(model)
    inputs = to_device(inputs, device)
    with mode(model, training=False), torch.no_grad():
        if device.type == "cpu":
            live = LiveStorages()
            with live:
                call(model, inputs)
            return live.peak
        before = torch.accelerator.memory_allocated(device)
        torch.accelerator.reset_peak_memory_stats(device)
        call(model, inputs)
        return int(torch.accelerator.max_memory_allocated(device)) - before


def pass_of(model: nn.Module, inputs: Inputs) -> Callable[[], float]:
    """Return a function that runs `model` once and returns the seconds that it took."""
    device = device_of(model)
    inputs = to_device(inputs, device)

    def run() -> float:
        wait_for(device)
        start = time.perf_counter()
        call(model, inputs)
        wait_for(device)
        return time.perf_counter() - start

    return run


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _rounds(runs: int | None, seconds: float) -> Iterator[int]:
    """Count `runs` rounds, or as many as start before `seconds` have passed."""
    end = time.perf_counter() + seconds
    done = 0
    while done < (runs or _FEWEST_RUNS) or (runs is None and time.perf_counter() < end):
        yield done
        done += 1


@contextmanager
def undisturbed(models: Sequence[nn.Module], threads: int | None) -> Iterator[None]:
    """Evaluation mode, no gradients, no garbage collection, `threads` threads; then as before."""
    threads_before, collected_before = torch.get_num_threads(), gc.isenabled()
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(mode(model, training=False))
        stack.enter_context(torch.no_grad())
        try:
            torch.set_num_threads(threads or threads_before)
            gc.disable()
            yield
        finally:
            torch.set_num_threads(threads_before)
            if collected_before:
                gc.enable()


def _batch_size(inputs: Inputs) -> int:
    """First size of the first tensor that has one."""
    return next((tensor.shape[0] for tensor in tensors_in(inputs) if tensor.dim()), 1)


def check_at_least(least: int, **settings: float | None) -> None:
    """Raise PruneError where a setting that is given is below `least`."""
    for name, value in settings.items():
        if value is not None and not value >= least:
            raise PruneError(f"{name} must be at least {least}, but is {value}")


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operators return, and takes off each as it dies.

    Attributes:
        peak: The most bytes that were alive at once; what was there before counts nothing.

    Example:
        >>> with LiveStorages() as live:
        ...     total = (torch.ones(4) + 1).sum()
        >>> live.peak >= 32
        True
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._alive = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        for tensor in tensors_in((args, kwargs)):
            self._note(tensor, new=False)
        result = func(*args, **kwargs)
        for tensor in tensors_in(result):
            self._note(tensor, new=True)
        return result

    def _note(self, tensor: Tensor, *, new: bool) -> None:
        """Count a storage when it is first seen; one that was there before counts nothing."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes() if new else 0
        self._known[key] = weakref.ref(storage, lambda _: self._forget(key, size))
        self._alive += size
        self.peak = max(self.peak, self._alive)

    def _forget(self, key: int, size: int) -> None:
        del self._known[key]
        self._alive -= size
