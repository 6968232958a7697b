"""Reading data in mini-batches.

prunus reads anything that can be iterated again and again and yields pairs (inputs, targets): a
`torch.utils.data.DataLoader`, a list, or `Batches`, which is the simplest and fastest for data in
memory.

Legend: B items of a batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prunus.data.dataset import Examples
from prunus.errors import DataError, kind_of
from prunus.inputs import Inputs, tensors_in, to_device


class Batches:
    """Mini-batches of examples in memory, in an order that depends on the seed alone.

    Every pass over it is the next epoch, with an order and shifts of its own; `set_epoch` chooses
    which, so that two trainings see the same items in the same order whatever was read between.

    Args:
        examples: Inputs and targets, as many of the one as of the other.
        batch_size: Items of a batch; the last one of an epoch may be smaller.
        shuffle: Whether each epoch has its own random order.
        seed: Of the orders and the shifts.
        drop_last: Whether to leave out a last batch that is smaller than the others.
        shift: Move every image by up to so many pixels in both directions, at random. What comes
            in from outside has the smallest value of all inputs: background, for bright shapes
            on black.

    Raises:
        DataError: There is no batch, or `examples` do not pair up.

    Example:
        >>> examples = Examples(torch.arange(5.0).reshape(5, 1, 1, 1), torch.arange(5))
        >>> batches = Batches(examples, batch_size=2, shuffle=True)
        >>> [targets.tolist() for _, targets in batches]
        [[1, 3], [0, 4], [2]]
        >>> [targets.tolist() for _, targets in batches]
        [[4, 3], [2, 1], [0]]
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        shift: int = 0,
    ) -> None:
        inputs, targets = examples
        if len(inputs) != len(targets):
            raise DataError(f"there are {len(inputs)} inputs but {len(targets)} targets")
        if batch_size < 1 or shift < 0:
            raise DataError(
                f"batch_size={batch_size} and shift={shift} cannot be used",
                hint="batch_size is 1 or more, shift 0 or more",
            )
        self.examples = Examples(inputs, targets)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.shift = shift
        self._background = inputs.min().item() if shift else 0.0
        self._epoch = 0
        if len(self) == 0:
            raise DataError(
                f"there is no batch: {len(inputs)} items in batches of {batch_size}",
                hint="give more items, lower batch_size, or leave drop_last out",
            )

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        whole, rest = divmod(len(self.examples.inputs), self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass epoch `epoch`, counted from 0."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Examples]:
        epoch = self._epoch
        self._epoch += 1
        return self._read(_generator(self.seed, epoch))

    def _read(self, generator: torch.Generator) -> Iterator[Examples]:
        inputs, targets = self.examples
        order = torch.arange(len(inputs))
        if self.shuffle:
            order = torch.randperm(len(inputs), generator=generator)
        for items in torch.split(order, self.batch_size)[: len(self)]:
            batch = inputs[items]
            if self.shift:
                batch = _shifted(batch, self.shift, self._background, generator)
            yield Examples(batch, targets[items])


def _generator(seed: int, epoch: int) -> torch.Generator:
    """Return a generator that no other (seed, epoch) gives."""
    (state,) = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def _shifted(images: Tensor, shift: int, background: float, generator: torch.Generator) -> Tensor:
    """(B, C, H, W) -> the same, each image moved by up to `shift` pixels down and right or back."""
    size_B, _, height, width = images.shape
    padded = F.pad(images, (shift, shift, shift, shift), value=background)
    start = torch.randint(2 * shift + 1, (2, size_B, 1), generator=generator)
    row_BH1 = (start[0] + torch.arange(height)).unsqueeze(2)
    column_B1W = (start[1] + torch.arange(width)).unsqueeze(1)
    item_B11 = torch.arange(size_B).reshape(-1, 1, 1)
    shifted_BHWC = padded[item_B11, :, row_BH1, column_B1W]
    # Copied, as a mere view has the strides of channels_last, and with these oneDNN writes past
    # its memory in the backward of a 1x1 convolution of stride 2 that has fewer than 8 channels
    # (github.com/uxlfoundation/oneDNN/issues/6035).
    return shifted_BHWC.movedim(-1, 1).clone(memory_format=torch.contiguous_format)


def set_epoch(data: Iterable[Any], epoch: int) -> None:
    """Tell `data`, or the sampler of a DataLoader, which epoch comes, if it wants to know.

    `Batches` and `torch.utils.data.DistributedSampler` do: they shuffle by it.
    """
    for reader in (data, getattr(data, "sampler", None)):
        tell = getattr(reader, "set_epoch", None)
        if tell is not None:
            tell(epoch)


def checked(data: Iterable[Any], *, device: torch.device) -> Iterator[tuple[Inputs, Any]]:
    """Yield the batches of `data` as (inputs, targets) on `device`.

    A batch that is one tensor, one dict or one dataclass is inputs without targets (None).

    Raises:
        DataError: There is no batch, one is not a pair, or one holds NaN or infinity. Raised when
            the batch is reached.

    Example:
        >>> data = [(torch.ones(2, 3), torch.tensor([0, 1])), (torch.full((2, 3), torch.nan), None)]
        >>> list(checked(data, device=torch.device("cpu")))
        Traceback (most recent call last):
        prunus.errors.DataError: the inputs of batch 2 are not finite: 6 of 6 numbers are NaN or...
    """
    check_data(data)
    number = 0
    for number, batch in enumerate(data, start=1):
        inputs, targets = to_device(_pair(batch, number), device)
        _check_finite("inputs", number, inputs)
        _check_finite("targets", number, targets)
        yield inputs, targets
    if number == 0:
        raise DataError(
            "the data yield no batch",
            why="they are empty, or an iterator that was already read to its end",
            hint="pass a DataLoader or a list with at least one batch (inputs, targets)",
        )


def check_data(data: Any) -> None:
    """Raise a DataError where `data` cannot be read batch by batch; none is read yet.

    Example:
        >>> check_data(torch.ones(8, 3))
        Traceback (most recent call last):
        prunus.errors.DataError: the data are a Tensor, and no batches...
    """
    readable = hasattr(data, "__iter__") or hasattr(data, "__getitem__")
    if isinstance(data, Tensor | np.ndarray | Mapping | str) or not readable:
        raise DataError(
            f"the data are {kind_of(data)}, and no batches",
            why="data are read batch by batch, each (inputs, targets)",
            hint="pass a DataLoader or a list: data=[(inputs, targets)]",
        )


def _pair(batch: Any, number: int) -> tuple[Inputs, Any]:
    match batch:
        case [inputs]:
            return inputs, None
        case [inputs, targets]:
            return inputs, targets
    if not isinstance(batch, Sequence) and next(tensors_in(batch), None) is not None:
        return batch, None
    raise DataError(
        f"batch {number} is a {type(batch).__name__}, not a pair (inputs, targets)",
        hint="let the loader yield (inputs, targets); a model with several inputs takes them as "
        "a tuple or a dict: ((first, second), targets)",
    )


def _check_finite(part: str, number: int, tree: Any) -> None:
    for tensor in tensors_in(tree):
        if not tensor.is_floating_point():
            continue
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise DataError(
                f"the {part} of batch {number} are not finite: {bad} of {tensor.numel()} numbers "
                "are NaN or infinite",
                hint="repair these examples or leave them out of the data",
            )
