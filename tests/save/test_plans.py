import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunus.errors import SaveError
from prunus.extents import Leaf, Product, Sum
from prunus.records import Kept, Plan, SizeAttribute
from prunus.save import load_plan, plan_from_json, plan_to_json, save_plan
from prunus.save.plans import from_ranges, to_ranges

words = st.text(max_size=6)
masks = st.lists(st.booleans(), min_size=1, max_size=60).map(torch.tensor)


@st.composite
def plans(draw):
    """Plans whose tensors are made of their groups in every way."""
    kept = {f"axis{i}": Kept.of(mask) for i, mask in enumerate(draw(st.lists(masks, max_size=4)))}
    named = [Leaf(group.size, name) for name, group in kept.items()]
    leaf = st.sampled_from([*named, Leaf(1), Leaf(7), Leaf(5, "whole")])
    extent = st.recursive(
        leaf,
        lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
            lambda parts: st.sampled_from([Product(tuple(parts)), Sum(tuple(parts))])
        ),
        max_leaves=6,
    )
    tensors = draw(st.dictionaries(words, st.lists(extent, max_size=4).map(tuple), max_size=4))
    attribute = st.builds(SizeAttribute, words, words, extent)
    return Plan(
        granularity=draw(st.sampled_from(["channel", "head"])),
        kept=kept,
        tensors=tensors,
        attributes=tuple(draw(st.lists(attribute, max_size=3))),
        provenance=draw(st.dictionaries(words, st.integers() | words, max_size=3)),
    )


def same(one, other):
    assert one.kept.keys() == other.kept.keys()
    for name, kept in one.kept.items():
        assert torch.equal(kept.mask(), other.kept[name].mask())
    assert (one.granularity, one.tensors) == (other.granularity, other.tensors)
    assert (one.attributes, one.provenance) == (other.attributes, other.provenance)
    return True


@given(plan=plans())
def test_round_trip(plan):
    assert same(plan_from_json(plan_to_json(plan)), plan)


def test_a_file(tmp_path, plan):
    save_plan(plan, tmp_path / "plan.json")

    assert same(load_plan(tmp_path / "plan.json"), plan)
    assert '"conv": {"size": 8, "kept": "0,2-3,6"}' in (tmp_path / "plan.json").read_text()


def test_masks_of_single_weights_come_back_bit_by_bit(tmp_path):
    mask = torch.rand(100_003) < 0.1
    plan = Plan("weight", {"fc.weight": Kept.of(mask)}, {})
    path = tmp_path / "plan.json"

    save_plan(plan, path)

    assert torch.equal(load_plan(path).kept["fc.weight"].mask(), mask)
    assert path.stat().st_size < 100_003 / 8, "deflated, 90 % zeros take less than a bit each"


@given(mask=masks)
def test_ranges_round_trip(mask):
    assert torch.equal(from_ranges(to_ranges(mask), size=mask.numel()), mask)


def test_ranges_by_hand():
    mask = torch.zeros(20, dtype=torch.bool)
    mask[[0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 19]] = True

    assert to_ranges(mask) == "0-3,5,8-13,19"
    assert to_ranges(mask & False) == ""


@pytest.mark.parametrize("text", ["a", "1,", "1-", "-1", "1 ,2", "1--2", "٣", "0x1", "1" * 10_000])
def test_text_that_is_no_ranges(text):
    with pytest.raises(SaveError, match="not ranges of units"):
        from_ranges(text, size=10)


@pytest.mark.parametrize("text", ["10", "0-10", "3,2", "2,2", "1-3,3", "5-4"])
def test_ranges_out_of_order(text):
    with pytest.raises(SaveError, match="not in ascending order below 10"):
        from_ranges(text, size=10)


def changed(data, path, value):
    data = copy.deepcopy(data)
    *parents, last = path
    place = data
    for key in parents:
        place = place[key]
    place[last] = value
    return data


BROKEN = [
    (("granularity",), 3, "'granularity' is missing or is no str"),
    (("kept",), [], "'kept' is missing or is no dict"),
    (("kept", "conv"), "0-3", "'size' is missing"),
    (("kept", "conv", "size"), 0, "a group has 0 units"),
    (("kept", "conv", "size"), 9, "'conv' has 9 units and 8 units"),
    (("kept", "conv", "size"), True, "'size' is missing or is no int"),
    (("kept", "conv", "size"), 10**6, "'bits' is missing"),
    (("kept", "conv", "kept"), [0, 2], "'kept' is missing or is no str"),
    (("tensors",), None, "'tensors' is missing"),
    (("tensors", "conv.weight"), {}, "'tensors.conv.weight' is missing or is no list"),
    (("tensors", "conv.weight", 0), {"axis": "conv"}, "not an extent"),
    (("tensors", "conv.weight", 1), True, "a size is True"),
    (("tensors", "conv.weight", 1), -3, "a size is -3"),
    (("tensors", "conv.weight", 1), {"axis": "conv", "size": 7}, "'conv' has 8 units and 7"),
    (("attributes",), {}, "'attributes' is missing or is no list"),
    (("attributes", 0), "width", "'module' is missing"),
    (("attributes", 0, "attribute"), None, "'attribute' is missing"),
    (("attributes", 0, "extent"), "8", "not an extent"),
    (("provenance",), [], "'provenance' is missing or is no dict"),
]


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_every_field_is_checked(path, value, message, plan):
    with pytest.raises(SaveError, match=message):
        plan_from_json(changed(plan_to_json(plan), path, value))


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ("****", "bits of a group cannot be read"),
        ("AAAA", "bits of a group cannot be read"),
        ("eJwDAAAAAAE=", "are not 1000 bytes"),
    ],
)
def test_bits_that_are_no_bits(bits, message):
    data = plan_to_json(Plan("weight", {"w": Kept.of(torch.ones(8000, dtype=torch.bool))}, {}))

    with pytest.raises(SaveError, match=message):
        plan_from_json(changed(data, ("kept", "w", "bits"), bits))


def test_bits_that_deflate_to_more_than_the_group_has():
    data = plan_to_json(Plan("weight", {"w": Kept.of(torch.ones(80_000, dtype=torch.bool))}, {}))

    with pytest.raises(SaveError, match="of 79000 units are not 9875 bytes"):
        plan_from_json(changed(data, ("kept", "w", "size"), 79_000))


def test_an_extent_nested_without_end(plan):
    deep = 3
    for _ in range(5000):
        deep = {"sum": [deep]}
    data = plan_to_json(plan)
    data["tensors"]["conv.weight"][1] = deep

    with pytest.raises(SaveError, match="what a dim is made of cannot be read"):
        plan_from_json(data)


def test_a_model_is_no_plan(folder):
    with pytest.raises(SaveError, match="is not a prunus plan"):
        load_plan(folder / "manifest.json")


def test_a_missing_file(tmp_path):
    with pytest.raises(SaveError, match=r"plan.json' could not be read\n  why:  No such file"):
        load_plan(tmp_path / "plan.json")
