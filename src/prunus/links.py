"""Modules that can go, whole: residual blocks and activation functions, and what becomes of others.

Names of modules are those of `model.named_modules()`.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Block:
    """A residual block of a row of them, which can be taken out: it returns what it is given.

    Attributes:
        stack: Name of the nn.ModuleList or nn.Sequential that holds it.
        name: Its own in there.
        ran: Its operators: the first place in `Graph.operators`, and the one behind the last.
    """

    stack: str
    name: str
    ran: tuple[int, int]

    @property
    def path(self) -> str:
        """Name of the module in the model."""
        return f"{self.stack}.{self.name}" if self.stack else self.name


@dataclass(frozen=True)
class Window:
    """How a layer moves over the positions of its input; a linear layer does not: all are empty.

    Attributes:
        kernel: Sizes of the kernel.
        stride: Steps.
        padding: Positions added at each end.
        dilation: Steps inside the kernel.
        groups: Into how many parts the channels fall.
        mode: What the padding holds: "zeros", "reflect", "replicate" or "circular".
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    mode: str = "zeros"

    @property
    def pointwise(self) -> bool:
        """Whether each position is made of the same position of the input, and of no other."""
        return not any(self.padding) and all(n == 1 for n in (*self.kernel, *self.stride))


@dataclass(frozen=True)
class Link:
    """A module without parts that ran, and the one in front of it.

    Attributes:
        module: Its name.
        role: "layer" (linear or convolution), "norm" (batch norm), "activation", "identity" or
            "other".
        ran: Its operators, as in `Block`.
        before: Name of the module whose result it reads and nothing else does; None where there
            is none.
        because: Where `before` is None, why.
        held_because: Why it can be neither changed nor replaced, else None.
        window: Of a layer, where it is regular.
        earlier: Its operators in the runs before the last.
    """

    module: str
    role: str
    ran: tuple[int, int]
    before: str | None = None
    because: str = ""
    held_because: str | None = None
    window: Window | None = None
    earlier: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Line:
    """What an activation function becomes: scale * x + shift, per channel, or bent after that.

    Attributes:
        module: Name of the activation.
        into: Name of the layer in front, which takes the line up.
        dim: The dim of its input along which the channels lie.
        scale: One number a channel.
        shift: One number a channel.
        slope: Where some channels still bend, what numbers below zero are multiplied with after
            that, one a channel: 1 where it is a line. Empty where all are.

    Example:
        >>> Line("act", "fc", -1, (2.0, 3.0), (0.0, 1.0)).apply(torch.ones(1, 2))
        tensor([[2., 4.]])
        >>> Line("act", "fc", -1, (2.0, 3.0), (0.0, 0.0), (1.0, 0.0)).apply(-torch.ones(1, 2))
        tensor([[-2., -0.]])
    """

    module: str
    into: str
    dim: int
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    slope: tuple[float, ...] = ()

    def apply(self, x: Tensor) -> Tensor:
        """Return the mapped tensor, of the shape and dtype of `x`."""
        shape = [1] * x.dim()
        shape[self.dim] = -1
        scale, shift = x.new_tensor(self.scale), x.new_tensor(self.shift)
        straight = x * scale.view(shape) + shift.view(shape)
        if not self.slope:
            return straight
        return straight.where(straight > 0, straight * x.new_tensor(self.slope).view(shape))


@dataclass(frozen=True)
class Fold:
    """Layers in a row that become one, at the place of the first.

    Attributes:
        modules: Their names in the order in which they run, batch norms between them included.
        shapes: Per module the shape of its weight in the dense model.
        inexact_because: Why the one layer differs at the borders; empty where it does not.
    """

    modules: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    inexact_because: str = ""
