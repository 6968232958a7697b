"""`prunus inspect`."""

import json


def groups_of(result):
    assert (result.exit_code, result.stderr) == (0, "")
    return {group["name"]: group for group in json.loads(result.stdout)["groups"]}


def test_groups_are_shown_with_the_reason_why_some_are_frozen(run):
    result = run("inspect", "net:mlp")
    assert result.exit_code == 0
    assert "net:mlp: 8.97 k parameters, 8.83 k MACs" in result.stdout
    assert "2 of 5 groups may lose units" in result.stdout
    assert "frozen: model output" in result.stdout


def test_json_is_the_only_thing_on_standard_output(run):
    result = run("inspect", "net:mlp", "--json")
    groups = groups_of(result)
    figures = json.loads(result.stdout)
    assert figures["parameters"] == 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert figures["macs"] == 64 * 64 + 64 * 64 + 64 * 10
    assert groups["1"]["units"] == 64
    assert groups["1"]["layers"] == ["1", "3"]
    assert groups["1"]["frozen_because"] is None
    assert groups["5"]["frozen_because"] == "model output"


def test_a_function_of_the_user_is_called(run, net):
    groups = groups_of(run("inspect", net, "--json"))
    assert groups["0"]["units"] == 16
    assert groups["0"]["frozen_because"] is None


def test_input_gives_the_shape_of_the_example(run):
    result = run("inspect", "net:mlp", "--input", "1x3x4x4", "--json")
    assert json.loads(result.stdout)["macs"] == 48 * 64 + 64 * 64 + 64 * 10


def test_exclude_freezes_a_layer(run):
    groups = groups_of(run("inspect", "net:mlp", "--exclude", "1", "--json"))
    assert groups["1"]["frozen_because"]
    assert groups["3"]["frozen_because"] is None


def test_include_freezes_the_others(run):
    groups = groups_of(run("inspect", "net:mlp", "--include", "1", "--json"))
    assert groups["1"]["frozen_because"] is None
    assert groups["3"]["frozen_because"]


def test_weights_are_the_units_of_the_other_granularity(run, net):
    groups = groups_of(run("inspect", net, "--granularity", "weight", "--json"))
    assert [group["units"] for group in groups.values()] == [8 * 16, 16 * 8]


def test_a_saved_folder_is_inspected_as_it_is_now(run, saved, net):
    result = run("inspect", saved("units=0.5"), "--dense", net, "--json")
    assert groups_of(result)["0"]["units"] == 8


def test_json_answers_for_every_parameter_and_prices_a_unit(run, net):
    result = run("inspect", net, "--json")
    assert groups_of(result)["0"]["unit_cost"] == {"params": 8 + 1 + 8, "macs": 16}
    assert json.loads(result.stdout)["why"]["0.bias"] == [
        "dim 0: the 16 units of '0' may be removed"
    ]


def test_a_tree_shows_members_costs_and_reasons(run, net):
    shown = run("inspect", net, "--tree").stdout
    assert "0: 16 units, channel" in shown
    assert "a unit costs 17 parameters, 16 MACs" in shown
    assert "1.weight, dim 1" in shown or "2.weight, dim 1" in shown
    assert "frozen: model output" in shown


def test_a_picture_is_written(run, net, tmp_path):
    file = tmp_path / "net.html"
    result = run("inspect", net, "--html", str(file))
    assert result.exit_code == 0
    assert file.read_text().startswith("<!doctype html>")
