"""Projections: which neurons of one population reach which of another.

Amounts are means per run of the network. Shapes are those of one run, channels
first.
"""

import math
from dataclasses import dataclass, field

#: ``conv``, ``linear`` and ``matmul`` are synapses. ``relay`` brings spikes to
#: gates, without any weight. ``residual`` hands the membrane potentials of the
#: source on (one addition per neuron); ``real`` is any other op on real values
#: (interpolation, norm, pooling).
PROJECTION_OPS = ('conv', 'linear', 'matmul', 'residual', 'real', 'relay')


def require(valid: bool, message: str) -> None:
    """Check a part of a network.

    Args:
        valid (bool): Whether it is as it must be.
        message (str): Of the error: what is wrong, and what is valid.

    Raises:
        ValueError: With ``message``, unless ``valid``.
    """
    if not valid:
        raise ValueError(message)


@dataclass(frozen=True)
class Geometry:
    """Which inputs each output of a synapse reads.

    A linear layer over tokens is a convolution with a kernel of 1 over
    ``(C, tokens)``. A plain linear layer has no positions at all: its kernel,
    stride, padding and dilation are ``()``.

    Attributes:
        in_shape (tuple[int]): Shape of the input, ``(C_in, *positions)``.
        out_shape (tuple[int]): Shape of the output, ``(C_out, *positions)``.
        kernel (tuple[int]): Size of the kernel. It has a number for each
            position axis, like the next three.
        stride (tuple[int]): Stride, as of the convolution of PyTorch.
        padding (tuple[int]): Padding on both sides.
        dilation (tuple[int]): Distance of kernel elements.
        groups (int): Number of groups of channels.
        transposed (bool): Whether it is a transposed convolution.

    Example:
        >>> Geometry.linear(8, 2, tokens=16)
        Geometry(in_shape=(8, 16), out_shape=(2, 16), kernel=(1,), ...
        >>> Geometry.linear(8, 2).kernel
        ()
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False

    def __post_init__(self):
        axes = len(self.in_shape) - 1
        for name in ('kernel', 'stride', 'padding', 'dilation'):
            value = getattr(self, name)
            require(
                len(value) == axes and all(v >= (name != 'padding')
                                           for v in value),
                f'geometry {name} must have one positive number for each of '
                f'the {axes} position axes of {self.in_shape}, got {value}')
        require(
            len(self.out_shape) == axes + 1
            and all(n > 0 for n in self.in_shape + self.out_shape),
            f'geometry shapes must be positive and of equal length, got '
            f'{self.in_shape} and {self.out_shape}')
        require(
            self.groups > 0 and self.in_shape[0] % self.groups == 0
            and self.out_shape[0] % self.groups == 0,
            f'geometry groups must divide the channels {self.in_shape[0]} '
            f'and {self.out_shape[0]}, got {self.groups}')

    @classmethod
    def linear(cls,
               inputs: int,
               outputs: int,
               tokens: int | None = None) -> 'Geometry':
        """The geometry of a linear layer.

        Args:
            inputs (int): Input features.
            outputs (int): Output features.
            tokens (int, optional): Number of tokens that it is applied to.
                Defaults to None: there is no axis of tokens.

        Returns:
            Geometry: Channels are features, positions are tokens.
        """
        if tokens is None:
            return cls((inputs, ), (outputs, ))
        return cls((inputs, tokens), (outputs, tokens), (1, ), (1, ), (0, ),
                   (1, ))


@dataclass(frozen=True)
class Projection:
    """The connections of one population to another.

    A synapse ends in the first population that fires from its output; norms
    between them are folded. Where a residual stream goes on, the next
    population of the stream gets these membrane potentials by a projection
    ``residual``.

    Attributes:
        name (str): Module path of the synapse.
        source (str): Name of the population that feeds it.
        target (str): Name of the population that it ends in.
        op (str): One of :data:`PROJECTION_OPS`.
        weights (int): Weights that are stored if outputs share them.
        synapses (int): Connections of single neurons, without those into the
            padding. So many weights are stored if outputs do not share them.
        sops (tuple[float]): Mean additions caused by spikes per run: one
            number for each sub-step of the source; or one for all of them,
            which is then divided as the spikes of the source are.
        macs (float): Mean multiply-accumulates on real values per run.
        adds (float): Mean additions of real values per run (residuals).
        geometry (Geometry | None): Which neurons are connected. None: every
            one of the source with every one of the target.
        static (bool): Whether the weights are known before the run.
        reason (str): Where ``static`` is false: why it is.
        operand (str): For a product of two populations: the one that holds
            the other operand, which must be complete before the source
            fires. Empty elsewhere.
        source_offset (int): Input channel of the op that is channel 0 of the
            source; not 0 where the op reads several populations, concatenated.
        target_offset (int): Channel of the target that is output channel 0.
        picks (tuple): Which neurons of the source it reads, where that is not
            all of them in their order: for each axis of the input of
            ``geometry`` the index of the source at each place, -1 where there
            is none; or None for an axis in its order. Where all are connected
            with all, for each axis of the source the indices that are read.
        source_axes (tuple[int]): For each axis of the input of ``geometry``
            the axis of the source that lies along it. Empty: in their order.
        target_axes (tuple[int]): The same for the output of ``geometry`` and
            the axes of the target.
        scattered (bool): Whether it reads neurons that are not given by
            indices along axes. All cores of the source are then taken to
            send to all of the target.
        neurons_read (int | None): How many neurons of the source it reads;
            None: all. It counts where ``picks`` do not say it.
        spikes_read (tuple[float]): Mean spikes of the source that it reads
            per run, in each sub-step of the source, each once. Empty: all.
    """

    name: str
    source: str
    target: str
    op: str
    weights: int = 0
    synapses: int = 0
    sops: tuple[float, ...] = ()
    macs: float = 0.0
    adds: float = 0.0
    geometry: Geometry | None = None
    static: bool = True
    reason: str = ''
    operand: str = ''
    source_offset: int = 0
    target_offset: int = 0
    picks: tuple[tuple[int, ...] | None, ...] = field(default=(), repr=False)
    source_axes: tuple[int, ...] = ()
    target_axes: tuple[int, ...] = ()
    scattered: bool = False
    neurons_read: int | None = None
    spikes_read: tuple[float, ...] = ()

    def __post_init__(self):
        where = f'projection {self.name!r} of {self.source!r}'
        require(self.op in PROJECTION_OPS,
                 f'{where}: op must be one of {", ".join(PROJECTION_OPS)}, '
                 f'got {self.op!r}')
        amounts = (self.weights, self.synapses, *self.sops, self.macs,
                   self.adds, self.source_offset, self.target_offset,
                   self.neurons_read or 0, *self.spikes_read)
        require(all(a >= 0 for a in amounts),
                 f'{where}: amounts must not be negative')
        require(
            self.static or bool(self.reason),
            f'{where}: say in reason why the weights are not static')

    @property
    def total_sops(self) -> float:
        """Mean additions caused by spikes per run."""
        return math.fsum(self.sops)
