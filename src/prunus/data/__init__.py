"""Data that ship with prunus or are found on the machine, and how prunus reads any data.

`digits` and `fashion_mnist` return a `Dataset`; `Batches` reads it in mini-batches. Everywhere
that prunus takes data, a `torch.utils.data.DataLoader` or a list of batches does as well.
"""

from prunus.data.dataset import Dataset, Examples
from prunus.data.digits import digits
from prunus.data.fashion_mnist import fashion_mnist
from prunus.data.loader import Batches, checked, set_epoch

__all__ = [
    "Batches",
    "Dataset",
    "Examples",
    "checked",
    "digits",
    "fashion_mnist",
    "set_epoch",
]
