import pytest
import torch
from torch import nn

from prunus.criteria import Synflow
from prunus.errors import CriterionError
from prunus.networks import resnet
from prunus.signals import collect, synaptic_flow
from prunus.trace import trace
from prunus.units import groups


def chain(*, depth: int = 3, width: int = 5) -> nn.Sequential:
    """Layers in series, without biases."""
    layers = [nn.Linear(4, width, bias=False)]
    for _ in range(depth - 2):
        layers += [nn.ReLU(), nn.Linear(width, width, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, 3, bias=False))


def flow(model, *, rounds=1, granularity="weight", inputs=None) -> dict[str, torch.Tensor]:
    inputs = torch.randn(2, 4) if inputs is None else inputs
    found = groups(trace(model, inputs), granularity)
    free = {name: group for name, group in found.items() if group.frozen_because is None}
    return collect(model, free, [Synflow(rounds=rounds)], inputs=inputs).values[
        synaptic_flow(rounds=rounds)
    ]


def test_by_hand():
    """One path of 2 * 3, one of 4 * 1: shares 0.6 and 0.4 in both layers, whatever the signs."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    model[0].weight.data = torch.tensor([[2.0], [-4.0]])
    model[2].weight.data = torch.tensor([[-3.0, 1.0]])
    for share in flow(model, inputs=torch.randn(7, 1)).values():
        torch.testing.assert_close(share, torch.tensor([0.6, 0.4]))


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_every_layer_carries_the_whole_flow(granularity):
    """The conservation law of the paper."""
    for name, share in flow(chain(depth=5), granularity=granularity).items():
        torch.testing.assert_close(share.sum(), torch.tensor(1.0), msg=name)
        assert (share > 0).all()


def test_every_neuron_passes_on_what_it_gets():
    first, second, _ = flow(chain()).values()
    torch.testing.assert_close(first.view(5, 4).sum(dim=1), second.view(5, 5).sum(dim=0))


def test_equals_autograd_in_one_layer():
    model = chain().double()
    positive = [layer.weight.detach().abs().requires_grad_() for layer in model[::2]]
    output = torch.ones(1, 4, dtype=torch.float64)
    for weight in positive:
        output = output @ weight.T
    gradients = torch.autograd.grad(output.sum(), positive)
    for share, weight, gradient in zip(flow(model).values(), positive, gradients, strict=True):
        expected = weight * gradient / output.sum()
        torch.testing.assert_close(share, expected.detach().flatten().float())


@pytest.mark.parametrize("norm", [
    nn.BatchNorm1d(5), nn.LayerNorm(5), nn.GroupNorm(1, 5), nn.RMSNorm(5),
    nn.BatchNorm1d(5, affine=False), nn.BatchNorm1d(5, track_running_stats=False),
])  # fmt: skip
def test_norms_pass_the_flow_on(norm):
    model = chain()
    model.insert(1, norm)
    if getattr(norm, "running_mean", None) is not None:
        norm.running_mean.uniform_(5, 9)
    found = flow(model)
    assert all(torch.isclose(share.sum(), torch.tensor(1.0)) for share in found.values())


def test_a_batch_norm_scales_the_flow():
    model = chain()
    model.insert(1, nn.BatchNorm1d(5, eps=0))
    model[1].weight.data = torch.tensor([1.0, -2.0, 3.0, 4.0, 0.0])
    model[1].running_var.copy_(torch.tensor([1.0, 4.0, 9.0, 16.0, 1.0]))
    scaled = flow(model)["0.weight"]
    plain = flow(nn.Sequential(model[0], *model[2:]))["0.weight"].view(5, 4)
    plain[4] = 0
    torch.testing.assert_close(scaled, (plain / plain.sum()).flatten())


def test_deep_networks_do_not_overflow():
    """150 layers of width 50: the flow is some 1e300, beyond float32."""
    model = chain(depth=150, width=50)
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=2.5)
    for share in flow(model).values():
        assert share.isfinite().all()
        torch.testing.assert_close(share.sum(), torch.tensor(1.0))


@pytest.mark.parametrize(("std", "words"), [(1e9, "it is inf"), (0, "it is 0")])
def test_a_flow_that_cannot_be_shared_out(std, words):
    model = chain(depth=50)
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=std)
    with pytest.raises(CriterionError, match="flow of round 1 cannot be shared out") as caught:
        flow(model)
    assert caught.value.why.startswith(words)


def test_the_model_must_be_reached():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    found = groups(trace(model, torch.randn(1, 4)), "channel")
    model.forward = lambda inputs: inputs * 2
    with pytest.raises(CriterionError, match="flow") as caught:
        collect(model, {"0": found["0"]}, [Synflow()], inputs=torch.randn(1, 4))
    assert "do not depend on any parameter" in caught.value.why


def test_a_float64_model_is_copied_too():
    model = chain().double()
    model.insert(1, nn.BatchNorm1d(5).double())
    model[1].running_mean.fill_(2)
    flow(model, inputs=torch.randn(2, 4).double())
    assert model[1].running_mean.tolist() == [2] * 5


def test_inputs_are_asked_for():
    model = chain()
    with pytest.raises(CriterionError, match="needs inputs, but none was given"):
        collect(model, groups(trace(model, torch.randn(1, 4)), "weight"), [Synflow()])


def survivors(scores: dict[str, torch.Tensor], left: int) -> list[int]:
    """Return how many weights of each layer are among the `left` highest of all."""
    best = torch.cat(list(scores.values())).sort(descending=True, stable=True).indices[:left]
    layer = torch.cat([torch.full((len(s),), i) for i, s in enumerate(scores.values())])
    return torch.bincount(layer[best], minlength=len(scores)).tolist()


@pytest.mark.parametrize("width", [30, 60])
def test_rounds_never_empty_a_layer(width):
    """Down to one weight a layer, which magnitude and a single round do not reach."""
    model = chain(depth=6, width=width)
    with torch.no_grad():
        model[4].weight *= 0.1  # scales mean nothing to the function of a ReLU network
    weights = {name: tensor.detach().abs().flatten() for name, tensor in model.named_parameters()}
    for left in (6, 20, 100):
        assert min(survivors(flow(model, rounds=100), left)) >= 1
        assert min(survivors(weights, left)) == 0
    assert min(survivors(flow(model, rounds=1), 6)) == 0


def test_one_path_is_left_at_the_end():
    model = chain(depth=4, width=8)
    found = flow(model, rounds=100)
    places = [share.argmax().item() for share in found.values()]
    outputs = [place // n for place, n in zip(places, (4, 8, 8, 8), strict=True)]
    inputs = [place % n for place, n in zip(places, (4, 8, 8, 8), strict=True)]
    assert outputs[:-1] == inputs[1:]


def test_rounds_rank_by_when_units_go():
    """After one round the order below the first threshold is that of a single round."""
    model = chain(width=12)
    once, often = (torch.cat(list(flow(model, rounds=n).values())) for n in (1, 100))
    first = often.argsort(stable=True)[:5]
    assert set(first.tolist()) == set(once.argsort(stable=True)[:5].tolist())
    assert (often.max() == 1).item()


def test_channels_in_rounds():
    found = flow(resnet(), rounds=20, granularity="channel", inputs=torch.randn(2, 1, 8, 8))
    assert all(share.isfinite().all() and share.max() > 0 for share in found.values())


def test_progress_counts_rounds():
    model, inputs, told = chain(), torch.randn(1, 4), []
    found = groups(trace(model, inputs), "weight")
    collect(
        model, found, [Synflow(rounds=3)], inputs=inputs,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_few_rounds_cannot_cut_the_network_through():
    """Without care, half of the units of a narrow and a wide layer are all of the narrow one."""
    model = nn.Sequential(
        nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 200, bias=False), nn.ReLU(),
        nn.Linear(200, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False),
    )  # fmt: skip
    for rounds in (2, 3, 5):
        found = flow(model, rounds=rounds, granularity="channel")
        assert all((share > 0).all() for share in found.values())


def test_weights_that_no_longer_meet_ask_for_more_rounds():
    with pytest.raises(CriterionError, match="synaptic flow of round 2 cannot") as caught:
        flow(chain(depth=8, width=60), rounds=2)
    assert caught.value.hint.startswith("take less away in each round, with more rounds")
