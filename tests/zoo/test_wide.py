"""Families of the wide zoo that need torch and transformers alone, by the check of the zoo."""

import pytest
from benchmarks.zoo import own
from benchmarks.zoo.check import check
from benchmarks.zoo.table import handled

FAMILIES = {network.name: network for network in own.networks()}
OF_TRANSFORMERS = (
    "encoder: bert", "encoder: deberta_v2", "decoder: bloom", "decoder: gpt2",
    "decoder: llama", "mixture: mixtral", "state space: mamba", "encoder-decoder: bart",
    "encoder-decoder: t5", "vision: clip", "vision: regnet", "vision: segformer", "vision: swin",
    "vision: vit", "speech: whisper",
)  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_networks_of_torch_alone(name: str) -> None:
    row = check(FAMILIES[name])

    assert handled(row), row
    assert all(one["because"] for one in row["frozen"])


@pytest.mark.filterwarnings("ignore")  # of transformers, about itself
@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_networks_of_transformers(name: str) -> None:
    pytest.importorskip("transformers")
    from benchmarks.zoo import of_transformers

    (network,) = (n for n in of_transformers.networks() if n.name == name)
    row = check(network)

    assert handled(row), row


def test_there_are_many_families() -> None:
    assert len(FAMILIES) + len(OF_TRANSFORMERS) >= 25
