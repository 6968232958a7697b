"""Small networks of many families, each pruned to half, proved, trained, saved and loaded."""

import pytest
import torch
from models import Net
from torch import nn
from torch.nn import functional as F

import prunus

IMAGES, TOKENS, NODES = (2, 3, 16, 16), (2, 6, 16), (2, 5, 8)
FAMILIES = {}


def family(shape, **parts):
    """Register a network: what it is made of, and its forward."""

    def register(forward):
        FAMILIES[forward.__name__] = (shape, forward, parts)
        return forward

    return register


def conv(inputs, outputs, size=3, **options):
    options.setdefault("padding", size // 2)
    return lambda: nn.Conv2d(inputs, outputs, size, **options)


def dense(inputs, outputs):
    return lambda: nn.Linear(inputs, outputs)


@family(IMAGES, a=conv(3, 8), b=conv(3, 8, 1), c=conv(3, 8, 5), d=conv(24, 8), e=dense(8, 4))
def inception(net, x):
    x = torch.cat([net.a(x), net.b(x), net.c(x)], 1).relu()
    return net.e(net.d(x).relu().mean((2, 3)))


@family(IMAGES, a=conv(3, 16), down=dense(16, 8), up=dense(8, 16), b=conv(16, 4))
def squeeze_excite(net, x):
    x = net.a(x).relu()
    gate = net.up(net.down(x.mean((2, 3))).relu()).sigmoid()
    return net.b(x * gate[:, :, None, None])


@family(
    IMAGES, a=conv(3, 8), b=conv(8, 16, stride=2), up=lambda: nn.ConvTranspose2d(16, 8, 2, 2),
    c=conv(16, 4),
)  # fmt: skip
def u_net(net, x):
    skip = net.a(x).relu()
    return net.c(torch.cat([net.up(net.b(skip).relu()), skip], 1))


@family(
    IMAGES, stem=conv(3, 8, 2, stride=2, padding=0), wide=conv(8, 8, 7, groups=8),
    norm=lambda: nn.LayerNorm(8), one=dense(8, 32), two=dense(32, 8), head=dense(8, 4),
)  # fmt: skip
def convnext(net, x):
    x = net.stem(x)
    y = net.norm(net.wide(x).permute(0, 2, 3, 1))
    x = x + net.two(F.gelu(net.one(y))).permute(0, 3, 1, 2)
    return net.head(x.mean((2, 3)))


@family(IMAGES, a=conv(3, 16), b=conv(16, 16, groups=16), c=conv(16, 24, 1), d=dense(24, 4))
def mobilenet(net, x):
    x = F.hardswish(net.a(x))
    return net.d(net.c(net.b(x)).relu().mean((2, 3)))


@family(IMAGES, a=conv(3, 16, stride=4), b=conv(8, 8), c=conv(24, 12))
def yolo(net, x):
    one, other = F.silu(net.a(x)).chunk(2, 1)
    x = torch.cat([one, other, other + F.silu(net.b(other))], 1)
    batch, _, height, width = x.shape
    return net.c(x).view(batch, 3, 4, height, width).permute(0, 1, 3, 4, 2)


@family((2, 16), a=dense(16, 32), up=lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1), b=conv(8, 3))
def generator(net, x):
    return net.b(F.leaky_relu(net.up(net.a(x).view(-1, 8, 2, 2)), 0.2)).tanh()


@family(TOKENS, tokens=dense(6, 12), back=dense(12, 6), one=dense(16, 24), two=dense(24, 16))
def mixer(net, x):
    x = x + net.back(F.gelu(net.tokens(x.transpose(1, 2)))).transpose(1, 2)
    return x + net.two(F.gelu(net.one(x)))


@family(
    TOKENS, q=dense(16, 32), k=dense(16, 16), v=dense(16, 16), o=dense(32, 16),
    gate=dense(16, 24), up=dense(16, 24), down=dense(24, 16), norm=lambda: nn.RMSNorm(16),
)  # fmt: skip
def llama(net, x):
    y = net.norm(x)
    batch, length, _ = y.shape
    q = net.q(y).view(batch, length, 8, 4).transpose(1, 2)
    k, v = (f(y).view(batch, length, 4, 4).transpose(1, 2) for f in (net.k, net.v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    x = x + net.o(y.transpose(1, 2).reshape(batch, length, -1))
    return x + net.down(F.silu(net.gate(x)) * net.up(x))


@family(TOKENS, one=lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
def transformer_encoder(net, x):
    return net.one(x)


@family(NODES, a=dense(8, 16), b=dense(16, 4))
def gcn(net, x):
    near = torch.softmax(x @ x.transpose(1, 2), -1)
    return near @ net.b((near @ net.a(x)).relu())


@family(NODES, a=dense(8, 16), b=dense(16, 24), c=dense(24, 4))
def pointnet(net, x):
    return net.c(net.b(net.a(x).relu()).amax(1))


@family(NODES, a=dense(8, 16), b=dense(16, 6), c=dense(6, 16), d=dense(16, 8))
def autoencoder(net, x):
    return net.d(net.c(net.b(net.a(x).relu())).relu())


@family(NODES, a=dense(8, 16), b=dense(16, 8))
def siamese(net, x):
    one, other = (net.b(net.a(part).relu()) for part in (x, x.flip(1)))
    return F.cosine_similarity(one, other, dim=-1)


@family(
    (2, 4, 20), a=lambda: nn.Conv1d(4, 8, 2, dilation=2), b=lambda: nn.Conv1d(4, 8, 2, dilation=2),
    c=lambda: nn.Conv1d(8, 4, 1),
)  # fmt: skip
def wavenet(net, x):
    return x[..., 2:] + net.c(net.a(x).tanh() * net.b(x).sigmoid())


@family(NODES, router=dense(8, 2), a=dense(8, 16), b=dense(16, 8), c=dense(8, 16), d=dense(16, 8))
def soft_mixture(net, x):
    weights = net.router(x).softmax(-1)
    experts = torch.stack([net.b(net.a(x).relu()), net.d(net.c(x).relu())], -1)
    return (experts * weights.unsqueeze(-2)).sum(-1)


def build(name):
    shape, forward, parts = FAMILIES[name]
    return Net(forward, {key: make() for key, make in parts.items()}).eval(), torch.randn(shape)


@pytest.mark.parametrize("name", FAMILIES)
def test_half_of_the_units_go_and_all_still_works(name, tmp_path):
    model, inputs = build(name)
    pruned = prunus.prune(model, inputs, budget=prunus.Budget(units=0.5))

    assert pruned.report.agreement is not None
    for batch in (1, 2):
        small, dense_ = pruned.model(inputs[:batch]), pruned.masked()(inputs[:batch])
        torch.testing.assert_close(small, dense_)
    assert pruned.report.after.params < 0.8 * pruned.report.before.params
    prunus.save(pruned, tmp_path / "small")
    back = prunus.load(tmp_path / "small", model=build(name)[0]).eval()
    torch.testing.assert_close(back(inputs), pruned.model(inputs))
    optimizer = torch.optim.SGD(back.parameters(), lr=0.1)
    back(inputs).square().mean().backward()
    optimizer.step()
    assert torch.isfinite(back(inputs)).all()
