"""Which pruning strategy suits my model? python examples/compare_on_your_model.py

Replace `build` and `loaders` by your own; nothing else has to change. As it stands it compares
three strategies on a LeNet and the digits of scikit-learn, in minutes. Killed, it goes on where it
stopped.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import prunus
from prunus.data import digits
from prunus.networks import lenet
from prunus.study import best
from prunus.study.recommend import recommend
from prunus.study.report import write_report

FOLDER = Path("runs/example")
DENSE_EPOCHS = 10
RECIPE = prunus.Recipe(epochs=4, optimizer="adamw", lr=0.005)


def build() -> nn.Module:
    """Return the dense model, untrained."""
    return lenet()


def loaders() -> tuple[DataLoader, DataLoader]:
    """Return the data to train on, shuffled, and the data to test on, always in the same order."""
    data = digits()
    train = DataLoader(TensorDataset(*data.train), batch_size=32, shuffle=True)
    return train, DataLoader(TensorDataset(*data.test), batch_size=500)


def main() -> None:
    """Train, compare, say what to do, and load the best small model."""
    torch.set_num_threads(1)  # which suits so small a network; leave it out for a large one
    train, test = loaders()
    loss = nn.CrossEntropyLoss()
    inputs, _ = next(iter(test))

    torch.manual_seed(0)
    model = build()  # or load your own weights into it, and leave the next line out
    prunus.fit(model, train, loss=loss, recipe=replace(RECIPE, epochs=DENSE_EPOCHS))

    study = prunus.compare(
        model,
        inputs[:1],
        train=train,
        test=test,
        loss=loss,
        budgets={"channel": [prunus.Budget(macs=0.5), prunus.Budget(macs=0.25)]},
        strategies=["magnitude", "taylor", "group-lasso"],
        recipe=RECIPE,
        dense_epochs=DENSE_EPOCHS,
        margin=0.02,  # two points of accuracy: fixed before looking
        folder=FOLDER,
        progress=lambda done, total, what: print(f"{done}/{total} {what}"),
    )

    for recommendation in recommend(study):
        print(recommendation.headline, *recommendation.reasons, sep="\n  ")
    print("figures:", write_report(study, FOLDER)[0])

    run = best(study)
    small = prunus.load(FOLDER / str(run.folder), model=build())
    print(prunus.verify(model, small, test, margin=0.02))


if __name__ == "__main__":
    main()
