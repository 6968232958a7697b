"""The file of a user: a network and its data."""

# Eight hidden units pass one input each to the output of the same number; eight do nothing.
NET = """
import torch
from torch import nn


def build():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    with torch.no_grad():
        model[0].weight.copy_(torch.cat([torch.eye(8), 1e-4 * torch.ones(8, 8)]))
        model[2].weight.copy_(torch.cat([torch.eye(8), 1e-4 * torch.ones(8, 8)], dim=1))
        model[0].bias.zero_()
        model[2].bias.zero_()
    return model, torch.randn(1, 8)


def batches(items):
    targets = torch.arange(items) % 8
    return list(zip(torch.eye(8)[targets].split(64), targets.split(64)))


def loaders():
    return batches(512), batches(512)


def few():
    return batches(64)
"""
