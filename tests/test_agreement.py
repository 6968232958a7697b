"""Is the shrunk model the masked model?"""

import copy

import pytest
import torch
from models import Net, linear
from torch import nn

import prunus
from prunus.agreement import agree, agree_in_double, example_batches, outputs_of
from prunus.errors import VerifyError

ONE = torch.tensor([[1.0, -2.0], [3.0, 4.0]])


def batch(*tensors):
    return [list(tensors)]


# -- agree ------------------------------------------------------------------------------------


def test_the_same_outputs():
    agreement = agree(batch(ONE), batch(ONE.clone()))

    assert (agreement.difference, agreement.batches) == (0.0, (2,))
    assert agreement.tolerance == pytest.approx(4e-4)


@pytest.mark.parametrize(
    ("dtype", "relative"),
    [
        (torch.float64, 1e-9),
        (torch.float32, 1e-4),
        (torch.float16, 2e-2),
        (torch.bfloat16, 5e-2),
        (torch.complex64, 1e-4),
    ],
)
def test_rounding_is_forgiven_and_no_more(dtype, relative):
    one = torch.tensor([100.0, -1.0]).to(dtype)
    within, beyond = (one + one[0].abs() * relative * k for k in (0.5, 4))
    assert agree(batch(one), batch(within)).difference > 0

    with pytest.raises(VerifyError, match="differs from the masked one by"):
        agree(batch(one), batch(beyond))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-6, 1e-12, 1e-30])
def test_tiny_outputs_are_compared_as_strictly(dtype, scale):
    one = (ONE * scale).to(dtype)
    assert agree(batch(one), batch(one)).difference == 0

    with pytest.raises(VerifyError, match="differs from the masked one by"):
        agree(batch(one), batch(one * 0.9))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_smallest_floats_may_be_rounded(dtype):
    smallest = torch.tensor([torch.finfo(dtype).tiny * torch.finfo(dtype).eps], dtype=dtype)

    assert agree(batch(smallest), batch(2 * smallest)).difference == float(smallest)


def test_a_difference_names_the_batch_and_what_to_do():
    with pytest.raises(VerifyError, match=r"by 1 where .* 0\.0004, in batch 1") as caught:
        agree([[ONE], [ONE]], [[ONE], [ONE + 1]])
    assert "exclude=" in caught.value.hint


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([ONE[:1]], "returns 1 x 2, the masked one 2 x 2"),
        ([ONE, ONE], "returns 2 x 2, 2 x 2, the masked one 2 x 2"),
        ([], "returns no tensor, the masked one 2 x 2"),
    ],
)
def test_outputs_of_another_form(found, words):
    with pytest.raises(VerifyError, match=words):
        agree(batch(ONE), [found])


def test_whole_numbers_must_be_equal():
    places = torch.tensor([1, 2, 3])
    assert agree(batch(places), batch(places)).difference == 0

    with pytest.raises(VerifyError, match="differs"):
        agree(batch(places), batch(places + torch.tensor([0, 1, 0])))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_must_be_in_the_same_places(value):
    one, other = ONE.clone(), ONE.clone()
    one[0, 1] = other[0, 1] = value
    assert agree(batch(one), batch(other)).difference == 0

    with pytest.raises(VerifyError, match="differs"):
        agree(batch(one), batch(ONE))
    with pytest.raises(VerifyError, match="differs"):
        agree(batch(ONE), batch(other))


def test_infinities_of_other_sign_differ():
    with pytest.raises(VerifyError, match="by inf"):
        agree(batch(torch.tensor([1.0, torch.inf])), batch(torch.tensor([1.0, -torch.inf])))


@pytest.mark.parametrize("tensor", [torch.zeros(0, 3), torch.zeros(3), torch.tensor(2.0)])
def test_empty_zero_and_scalar_outputs(tensor):
    assert agree(batch(tensor), batch(tensor)).difference == 0


# -- running ----------------------------------------------------------------------------------


def test_outputs_are_all_tensors_in_order():
    model = Net(lambda net, x: {"b": [x + 1, 3], "a": (x, None)}, {})
    (outputs,) = outputs_of(model, [ONE])

    assert [tensor.tolist() for tensor in outputs] == [(ONE + 1).tolist(), ONE.tolist()]


def test_random_models_run_alike_and_leave_the_state_alone():
    model = Net(lambda net, x: x + torch.rand(2), {})
    state = torch.get_rng_state()
    (one,), (other,) = outputs_of(model, [ONE, ONE])

    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_run_changes_neither_flags_nor_inputs_nor_buffers():
    def forward(net, x):
        net.count += 1
        net.calls = 1
        return net.norm(x.add_(1))

    model = Net(forward, {"norm": nn.BatchNorm1d(2), "count": nn.Buffer(torch.zeros(()))}).train()
    inputs = ONE.clone()
    outputs_of(model, [inputs])

    assert torch.equal(inputs, ONE)
    assert model.training
    assert model.norm.training
    assert (model.count, hasattr(model, "calls")) == (0, False)
    assert model.norm.num_batches_tracked == 0


def test_a_second_batch_is_twice_as_large():
    batches = example_batches(linear(2, 3), ONE)

    assert [inputs.shape[0] for inputs in batches] == [2, 4]
    assert torch.equal(batches[1][2:], ONE.flip(0))


@pytest.mark.parametrize("inputs", [(ONE, ONE), {"x": ONE, "y": ONE}])
def test_every_input_grows(inputs):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    _, twice = example_batches(Two(), inputs)
    assert {tensor.shape for tensor in torch.utils._pytree.tree_leaves(twice)} == {(4, 2)}


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.a(x).view(2, 3),
        lambda net, x: net.a(x) + torch.zeros(2, 3),
        lambda net, x: 1 // 0 if len(x) != 2 else x,
    ],
)
def test_a_model_for_one_size_of_batch(forward):
    inputs = [ONE]
    assert len(example_batches(Net(forward, {"a": linear(2, 3)}), *inputs)) == 1


def test_inputs_that_have_no_common_first_dim():
    model = Net(lambda net, x, y: x, {})

    assert len(example_batches(model, (ONE, torch.ones(3)))) == 1


class Noise(nn.Module):
    """Returns what is left where all cancels out: another last bit, another output."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 96), nn.Linear(96, 8)

    def forward(self, x):
        y = self.b(self.a(x).relu())
        return y, (y - y.round(decimals=4)) * 1e4


def test_rounding_is_told_from_a_wrong_cut_in_double_precision():
    """What float32 cannot tell, float64 can; a wrong cut it does not let pass."""
    model, rows = Noise(), torch.randn(16, 64)
    with pytest.raises(VerifyError):
        prunus.prune(copy.deepcopy(model), rows, budget=prunus.Budget(units=0.5), in_place=True)
    result = prunus.prune(model, rows, budget=prunus.Budget(units=0.5))
    assert "masked in float64 == shrunk in float64: largest difference" in str(result.report)
    wrong = copy.deepcopy(result.model)
    wrong.b.bias.data += 1e-3
    with pytest.raises(VerifyError):
        agree_in_double(model, wrong, result.plan, [rows])


def test_nothing_finite_is_no_agreement():
    outputs = [[torch.full((2, 3), torch.nan)]]
    with pytest.raises(VerifyError, match="nothing that the masked model returns is a finite"):
        agree(outputs, outputs)


def test_empty_outputs_are_said_to_be_empty():
    agreement = agree([[torch.empty(0, 4)]], [[torch.empty(0, 4)]])
    assert str(agreement).endswith("return empty tensors only: nothing could be compared")
    assert not agree([[torch.empty(0), torch.ones(1)]], [[torch.empty(0), torch.ones(1)]]).empty
