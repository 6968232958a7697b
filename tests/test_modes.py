"""Modes that are given back."""

import pytest
from models import linear
from torch import nn

from prunus.modes import flagged, mode


class Merging(nn.Sequential):
    """Merges something into its weights when it is put in evaluation mode, as adapters do."""

    def train(self, mode=True):  # noqa: FBT002 - the signature is that of torch
        if not mode:
            self[0].weight.data += 1
        return super().train(mode)


class Frozen(nn.Sequential):
    """Keeps its batch norm in evaluation mode."""

    def train(self, mode=True):  # noqa: FBT002 - the signature is that of torch
        super().train(mode)
        self[1].eval()
        return self


@pytest.mark.parametrize("context", [flagged, mode])
def test_evaluation_does_nothing_but_set_flags(context):
    model = Merging(linear(2, 2), nn.Dropout())
    before = model[0].weight.clone()
    with context(model, training=False):
        assert not any(module.training for module in model.modules())

    assert model[0].weight.equal(before)
    assert all(module.training for module in model.modules())


def test_training_leaves_to_the_model_what_it_freezes():
    model = Frozen(linear(2, 2), nn.BatchNorm1d(2)).eval()
    with mode(model, training=True):
        assert (model.training, model[0].training, model[1].training) == (True, True, False)

    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("training", [True, False])
def test_each_flag_is_given_back_after_an_error(training):
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(ZeroDivisionError), mode(model, training=training):
        _ = 1 // 0

    assert [module.training for module in model.modules()] == [True, True, False]
