import sys

import pytest
import torch

from prunus.data import digits
from prunus.errors import DataError

pytest.importorskip("sklearn", reason='digits needs scikit-learn: pip install "prunus[train]"')


def test_shapes_and_types():
    data = digits()
    assert data.train.inputs.shape == (898, 1, 8, 8)
    assert data.test.inputs.shape == (899, 1, 8, 8)
    assert data.train.inputs.dtype == torch.float32
    assert data.train.targets.dtype == torch.int64
    assert data.classes == tuple("0123456789")


def test_every_class_is_split_in_half():
    data = digits()
    train, test = (part.targets.bincount() for part in (data.train, data.test))
    assert (train - test).abs().max() <= 1


def test_training_half_is_normalised():
    inputs = digits().train.inputs
    torch.testing.assert_close(inputs.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.std(), torch.tensor(1.0))


def test_no_image_is_in_both_halves_and_none_is_lost():
    from sklearn.datasets import load_digits

    data, pixels = digits(), torch.from_numpy(load_digits().images).float()
    scale = pixels.std() / torch.cat([data.train.inputs, data.test.inputs]).std()
    both = torch.cat([data.train.inputs, data.test.inputs]).flatten(1) * scale
    restored = (both - both.min()).round().sort(dim=0).values
    assert torch.equal(restored, pixels.flatten(1).sort(dim=0).values)


def test_seed_chooses_the_split():
    first, again, other = digits(), digits(0), digits(1)
    assert torch.equal(first.test.targets, again.test.targets)
    assert torch.equal(first.test.inputs, again.test.inputs)
    assert not torch.equal(first.test.targets, other.test.targets)


def test_without_scikit_learn_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r'pip install "prunus\[train\]"'):
        digits()


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    digits(seed=5)
    assert torch.equal(torch.get_rng_state(), before)
