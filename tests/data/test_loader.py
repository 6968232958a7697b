import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from prunus.data import Batches, Examples, checked, set_epoch
from prunus.errors import DataError

CPU = torch.device("cpu")


def numbered(items: int = 10, size: int = 1) -> Examples:
    inputs = torch.arange(items * size * size, dtype=torch.float32).reshape(items, 1, size, size)
    return Examples(inputs, torch.arange(items))


def order(batches) -> list[int]:
    return [item for _, targets in batches for item in targets.tolist()]


# -- Batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_sizes_and_length(drop_last, sizes):
    batches = Batches(numbered(), batch_size=4, drop_last=drop_last)
    assert [len(targets) for _, targets in batches] == sizes
    assert len(batches) == len(sizes)


def test_unshuffled_order_is_that_of_the_examples():
    assert order(Batches(numbered(), batch_size=3)) == list(range(10))


def test_inputs_go_with_their_targets():
    for inputs, targets in Batches(numbered(), batch_size=3, shuffle=True):
        assert torch.equal(inputs.flatten(), targets.float())


def test_every_epoch_shuffles_all_items_anew():
    batches = Batches(numbered(), batch_size=3, shuffle=True)
    first, second = order(batches), order(batches)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(10))


def test_two_loaders_of_one_seed_agree_epoch_by_epoch():
    one, two = (Batches(numbered(), batch_size=3, shuffle=True, seed=7) for _ in range(2))
    assert [order(one), order(one)] == [order(two), order(two)]


def test_set_epoch_goes_back_whatever_was_read_between():
    batches = Batches(numbered(), batch_size=3, shuffle=True)
    first = order(batches)
    order(batches)
    batches.set_epoch(0)
    assert order(batches) == first


def test_seeds_and_epochs_do_not_meet():
    orders = {
        tuple(order(batches))
        for seed in range(5)
        for batches in [Batches(numbered(), batch_size=10, shuffle=True, seed=seed)]
        for _ in range(5)
    }
    assert len(orders) == 25


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    order(Batches(numbered(), batch_size=3, shuffle=True, shift=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shift_moves_the_image_and_fills_in_background():
    dot = torch.full((200, 1, 5, 5), -0.5)
    dot[:, :, 2, 2] = 1.0
    batches = Batches(Examples(dot, torch.zeros(200)), batch_size=200, shift=2)
    ((images, _),) = batches
    where = {tuple(place) for place in (images == 1.0).nonzero()[:, 2:].tolist()}
    assert where == {(row, column) for row in range(5) for column in range(5)}
    assert ((images == 1.0).sum((1, 2, 3)) == 1).all()
    assert images.min() == -0.5


def test_shifted_images_lie_in_memory_like_others():
    ((images, _),) = Batches(numbered(4, size=3), batch_size=4, shift=1)
    assert images.is_contiguous()


def test_shifts_change_from_epoch_to_epoch():
    batches = Batches(numbered(20, size=3), batch_size=20, shift=1)
    ((first, _),), ((second, _),) = batches, batches
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size=0 and shift=0 cannot be used"),
        ({"batch_size": 2, "shift": -1}, "shift=-1 cannot be used"),
        ({"batch_size": 11, "drop_last": True}, "10 items in batches of 11"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(DataError, match=words):
        Batches(numbered(), **settings)


def test_inputs_and_targets_of_different_number():
    with pytest.raises(DataError, match="3 inputs but 2 targets"):
        Batches(Examples(torch.zeros(3, 1), torch.zeros(2)), batch_size=1)


# -- set_epoch --------------------------------------------------------------------------------


def test_set_epoch_reaches_the_sampler_of_a_data_loader():
    data = TensorDataset(*numbered())
    sampler = DistributedSampler(data, num_replicas=2, rank=0, seed=0)
    loader = DataLoader(data, batch_size=2, sampler=sampler)
    orders = []
    for epoch in (0, 1, 0):
        set_epoch(loader, epoch)
        orders.append(order(loader))
    assert orders[0] == orders[2] != orders[1]


def test_set_epoch_leaves_others_alone():
    set_epoch([numbered()], 3)
    set_epoch(DataLoader(TensorDataset(*numbered())), 3)


# -- checked ----------------------------------------------------------------------------------

X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("batch", "pair"),
    [
        ((X, 1), (X, 1)),
        ([X, 1], (X, 1)),
        ((X, None), (X, None)),
        ([X], (X, None)),
        (X, (X, None)),
        ({"a": X}, ({"a": X}, None)),
        (((X, X), 1), ((X, X), 1)),
    ],
)
def test_forms_of_a_batch(batch, pair):
    assert list(checked([batch], device=CPU)) == [pair]


def test_batches_go_to_the_device():
    whole = torch.ones(2, dtype=torch.int64)  # of a meta tensor only whole numbers are finite
    data = [((whole, {"mask": whole}), whole)]
    ((inputs, targets),) = checked(data, device=torch.device("meta"))
    assert {inputs[0].device.type, inputs[1]["mask"].device.type, targets.device.type} == {"meta"}


@pytest.mark.parametrize("batch", [(X, X, X), "text", None, ()])
def test_a_batch_that_is_no_pair(batch):
    with pytest.raises(DataError, match=r"batch 2 is a \w+, not a pair"):
        list(checked([(X, X), batch], device=CPU))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["inputs", "targets"])
def test_numbers_that_are_not_finite(part, value):
    bad = torch.tensor([0.0, value, 1.0])
    batch = (bad, X) if part == "inputs" else (X, bad)
    with pytest.raises(DataError, match=f"the {part} of batch 1 are not finite: 1 of 3 numbers"):
        list(checked([batch], device=CPU))


def test_one_bad_tensor_of_a_dict_is_enough():
    inputs = {"image": X, "scale": torch.tensor([torch.nan])}
    with pytest.raises(DataError, match="the inputs of batch 1 are not finite"):
        list(checked([(inputs, 0)], device=CPU))


def test_no_batch_at_all():
    with pytest.raises(DataError, match="the data yield no batch"):
        list(checked([], device=CPU))
