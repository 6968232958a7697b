"""A network as a picture."""

import re

import torch
from torch import nn

import prunus
from prunus.picture import picture
from prunus.picture.layers import layers

ROWS = torch.randn(2, 6)


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


class Evil(nn.Module):
    """Its names are markup."""

    def __init__(self):
        super().__init__()
        self.add_module("<script>alert(1)</script>", nn.Linear(6, 8))

    def forward(self, x):
        return next(self.children())(x).relu()


def test_layers_come_in_the_order_in_which_they_run_with_what_stays():
    model = net()
    plan = prunus.prune(model, ROWS, budget=prunus.Budget(units=0.5)).plan
    found = layers(prunus.explain(model, ROWS), plan.counts)
    assert [layer.name for layer in found] == ["0.weight", "2.weight", "4.weight"]
    assert [layer.kept for layer in found] == [6 * 4, 4 * 2, 2 * 3]
    (made,), (read,) = found[1].makes, found[1].reads
    assert (made.size, made.kept, made.state, made.groups) == (5, 2, "free", ("2",))
    assert (read.size, read.kept, read.groups) == (8, 4, ("0",))


def test_every_group_has_a_place_that_links_lead_to():
    page = picture(prunus.explain(net(), ROWS), title="A net")
    assert "<title>A net</title>" in page
    links, places = set(re.findall(r'href="#(\w+)"', page)), set(re.findall(r'id="(\w+)"', page))
    assert links == places
    assert "frozen: model output" in page


def test_joined_parts_are_pieces_of_their_own():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 8), nn.Linear(12, 3)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    found = layers(prunus.explain(Joined(), ROWS), {"a": 1})
    assert [(piece.size, piece.kept) for piece in found[-1].reads] == [(4, 1), (8, 8)]


def test_names_of_the_user_cannot_become_markup():
    page = picture(prunus.explain(Evil(), ROWS), title="<b>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<title>&lt;b&gt;</title>" in page
