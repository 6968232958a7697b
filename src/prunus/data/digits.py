"""Handwritten digits, 8 x 8 pixels, which come with scikit-learn: no download.

The optical recognition data of Alpaydin and Kaynak (UCI, 1998): 1,797 images.
"""

import numpy as np
import torch

from prunus.data.dataset import Dataset, Examples
from prunus.errors import DataError


def digits(seed: int = 0) -> Dataset:
    """Return the digits: 898 images to train on, 899 to test on.

    The test half is as large as the training half, so that small differences can be told. The
    split is stratified: the halves of a class differ by one image at most. Pixels are shifted and
    scaled to mean 0 and standard deviation 1 over the training half.

    Args:
        seed: Of the split.

    Raises:
        DataError: scikit-learn is not installed.

    Example:
        >>> data = digits()
        >>> data.train.inputs.shape, data.test.inputs.shape
        (torch.Size([898, 1, 8, 8]), torch.Size([899, 1, 8, 8]))
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "the digits come with scikit-learn, which is not installed",
            hint='pip install "prunus[train]"',
        ) from error
    bunch = load_digits()
    images = torch.from_numpy(bunch.images.astype(np.float32)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    train, test = _halves(labels, seed)
    images = (images - images[train].mean()) / images[train].std()
    return Dataset(
        name="digits",
        train=Examples(images[train], labels[train]),
        test=Examples(images[test], labels[test]),
        classes=tuple(str(name) for name in bunch.target_names),
    )


def _halves(labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the items of two halves: shuffle, sort by class, and deal to the two in turn."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[torch.argsort(labels[order], stable=True)]
    return order[1::2].sort().values, order[::2].sort().values
