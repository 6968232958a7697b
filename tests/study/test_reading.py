"""Data as a run reads them: the same for a seed, whatever was read before."""

import random

import numpy as np
import tiny
import torch
from torch.utils.data import DataLoader, TensorDataset

from prunus.data import Batches
from prunus.study.reading import Calibration, Seeded, seeded


def labels(data: Seeded | Calibration) -> list[list[int]]:
    return [targets.tolist() for _, targets in data]


def order(data: Batches, *, seed: int, epoch: int, skip: int = 0) -> list[list[int]]:
    reading = Seeded(data, seed=seed, epoch=skip)
    reading.set_epoch(epoch)
    return labels(reading)


def test_an_epoch_of_a_seed_is_the_same_whatever_was_read_before() -> None:
    data = tiny.train()
    first = order(data, seed=1, epoch=2)
    list(data)

    assert order(data, seed=1, epoch=2) == first
    assert order(data, seed=1, epoch=0, skip=2) == first


def test_seeds_and_epochs_differ() -> None:
    places = [(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    found = [order(tiny.train(), seed=seed, epoch=epoch) for seed, epoch in places]

    assert all(found.count(one) == 1 for one in found)


def test_it_is_as_long_as_its_data() -> None:
    assert len(Seeded(tiny.train(), seed=0)) == 6


def test_calibration_is_the_start_of_the_first_epoch_every_time() -> None:
    data = tiny.train()
    calibration = Calibration(Seeded(data, seed=3), batches=2)

    first = labels(calibration)

    assert first == order(data, seed=3, epoch=0)[:2]
    assert labels(calibration) == first
    assert len(labels(Calibration(Seeded(data, seed=3), batches=None))) == 6


def test_a_data_loader_goes_by_the_random_state() -> None:
    numbers = torch.arange(50)
    loader = DataLoader(TensorDataset(numbers, numbers), batch_size=50, shuffle=True)
    found = []
    for seed in (0, 1, 0):
        with seeded(seed):
            found.append(labels(Seeded(loader, seed=seed)))

    assert found[0] == found[2] != found[1]


def draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()


def test_all_random_states_are_given_back() -> None:
    expected = [draw(), draw()]
    for generator_seed in (torch.manual_seed, np.random.seed, random.seed):
        generator_seed(0)
    first = draw()
    with seeded(5):
        inside = draw()
    second = draw()

    assert [first, second] == expected
    with seeded(5):
        assert draw() == inside
