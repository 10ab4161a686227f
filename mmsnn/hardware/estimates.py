"""What a network costs on chips: :func:`estimate`, and its result."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmsnn.files import dump_json, whole_file
from mmsnn.suggest import did_you_mean
from mmsnn.trace import OpTrace

from .chips.figures import MissingFigureError
from .chips.spec import Chip, load_chips
from .network.from_trace import network_from_trace
from .network.populations import Network
from .on_chip.estimate import check_options, estimate_on_chip
from .on_chip.results import ChipEstimate
from .operations.estimate import estimate_operations
from .operations.memory import check_memory
from .operations.results import EnergyResult, OperationsEstimate
from .plots.on_chip import chip_pictures
from .plots.operations import operation_pictures
from .plots.style import Picture
from .tables import (
    format_chip,
    format_operations,
    write_chips_csv,
    write_operations_csv,
)


@dataclass(frozen=True)
class Estimate:
    """What a network costs on one or several chips; made by :func:`estimate`.

    ``print(result)`` shows tables and, at the end, what they come to (also
    in :attr:`verdicts`), :meth:`plot` makes pictures, :meth:`save`
    writes everything into a folder. ``result['loihi']`` is the part of one
    chip. ``result['spiking_fp32']`` is one energy, where a single spec prices
    operations; with several, name the chip first:
    ``result['cmos45']['spiking_fp32']``.

    Attributes:
        operations (tuple[OperationsEstimate]): Energy by operation, one for
            each spec that prices operations.
        on_chip (tuple[ChipEstimate]): Energy, time and fit on cores, one for
            each spec with cores and each of its timings.
        failed (dict[str, str]): Name of a spec -> why a part is missing. Empty
            unless :func:`estimate` was called with ``missing='report'``.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> fc = OpRecord('fc', 'linear', 'mm', spiking=True, dense_ops=100,
        ...               sops=20, in_spikes=2, in_elements=10, max_spikes=4)
        >>> result = estimate(OpTrace([fc], images=1), 'cmos45')
        >>> print(result)
        Energy on 45 nm CMOS arithmetic (cmos45), mJ per image, mean of 1 ...
        >>> print(result.verdicts[0])  # 20 additions, 100 products of 4.6 pJ
        Verdict on cmos45, FP32 weights: the spiking form costs 0.0391 x the
        float twin: wins
        >>> [name for name, figure, caption in result.plot()]
        ['energy_totals.png', 'energy_by_layer.png']
        >>> import tempfile
        >>> sorted(path.suffix for path in result.save(tempfile.mkdtemp()))
        ['.csv', '.json', '.png', '.png']
    """

    operations: tuple[OperationsEstimate, ...] = ()
    on_chip: tuple[ChipEstimate, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def chips(self) -> tuple[str, ...]:
        """Names of the chip specs; those that only failed come last."""
        return tuple(dict.fromkeys(
            [e.chip for e in (*self.operations, *self.on_chip)] +
            list(self.failed)))

    def __contains__(self, key: str) -> bool:
        return key in self.chips or any(key in e for e in self.operations)

    def __iter__(self) -> Iterator[str]:
        return iter(self.chips)

    def __getitem__(self, key: str) -> 'Estimate | EnergyResult':
        """The part of one chip, by its name; or a result by its key.

        Args:
            key (str): One of :attr:`chips`, or a key of
                :class:`~.operations.results.EnergyResult` such as
                ``spiking_fp32``.

        Returns:
            Estimate | EnergyResult: An estimate of the one chip, or the
            result.

        Raises:
            KeyError: If there is no such chip or result, or if several specs
                have that result.
        """
        if key in self.chips:
            return Estimate(
                tuple(e for e in self.operations if e.chip == key),
                tuple(e for e in self.on_chip if e.chip == key),
                {k: v for k, v in self.failed.items() if k == key})
        found = [e for e in self.operations if key in (*e.keys, *e.missing)]
        if len(found) == 1 and len(self.operations) == 1:
            return found[0][key]
        if found:
            raise KeyError(f'{key!r} of several chips: take one first, '
                           f'estimate[{found[0].chip!r}][{key!r}]; have '
                           f'{", ".join(e.chip for e in found)}')
        valid = dict.fromkeys(
            [*self.chips, *(k for e in self.operations for k in e.keys)])
        why = ''.join(f'; {k}: {v}' for k, v in self.failed.items())
        raise KeyError(
            f'no chip and no result {key!r}{did_you_mean(key, valid)}: have '
            f'{", ".join(valid)}{why}')

    def __str__(self) -> str:
        parts = [*map(format_operations, self.operations),
                 *map(format_chip, self.on_chip),
                 *(f'{chip}: not measured: {why}'
                   for chip, why in self.failed.items())]
        if self.verdicts:
            parts.append('\n'.join(self.verdicts))
        return '\n\n'.join(parts)

    @property
    def verdicts(self) -> list[str]:
        """What it comes to, a line for each comparison with a twin and for
        each chip with cores; the last lines that ``print`` shows."""
        lines = []
        for e in self.operations:
            for c in e.comparisons:
                why = '' if c.mean_rate else ' (no spike reached a synapse)'
                lines.append(
                    f'{e.chip}, {c.precision.upper()} weights: the spiking '
                    f'form costs {c.ratio:.3g} x the '
                    f'{e[c.twin].title.split(",")[0]}: {c.verdict}{why}')
        for e in self.on_chip:
            lines.append(f'{e.chip}, {e.timing} {e.mode}: the network '
                         f'{"fits" if e.fits else "does NOT fit"}')
        lines += [f'{chip}: not measured' for chip in self.failed]
        return [f'Verdict on {line}' for line in lines]

    def plot(self) -> list[Picture]:
        """Pictures of all parts.

        Returns:
            list[tuple[str, Figure, str]]: Name of a PNG file, matplotlib
            figure, and caption of each picture.
        """
        return self.plot_operations() + chip_pictures(self.on_chip)

    def plot_operations(self) -> list[Picture]:
        """Pictures of :attr:`operations`.

        Returns:
            list[tuple[str, Figure, str]]: As :meth:`plot` gives them.
        """
        pictures = []
        for i, e in enumerate(self.operations):
            for name, figure, caption in operation_pictures(e):
                if i:  # names and captions of all but the first say the chip
                    name = f'{e.chip}_{name}'
                    caption = f'{e.title}: {caption}'
                pictures.append((name, figure, caption))
        return pictures

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``estimate.json`` (everything), ``ops_CHIP.csv`` (a line for
        each op), ``chips.csv`` (a line for each layer and cause on cores) and
        the pictures. Each file is written whole or not at all.

        Args:
            folder (str | Path): Where to write; it is made if it is missing.

        Returns:
            list[Path]: The files that were written.
        """
        folder = Path(folder)
        written = [folder / 'estimate.json', *self.write_tables(folder)]
        dump_json(written[0], self.to_dict())
        for name, figure, _ in self.plot():
            with whole_file(folder / name) as part:
                figure.savefig(part, dpi=120)
            written.append(folder / name)
        return written

    def write_tables(self, folder: Path) -> list[Path]:
        """Write the CSV files of :meth:`save`, and nothing else.

        Args:
            folder (Path): Where to write; it is made if it is missing.

        Returns:
            list[Path]: The files that were written.
        """
        written = []
        for e in self.operations:
            written.append(folder / f'ops_{e.chip}.csv')
            write_operations_csv(written[-1], e)
        if self.on_chip:
            written.append(folder / 'chips.csv')
            write_chips_csv(written[-1], self.on_chip)
        return written

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers, ready for JSON."""
        return dict(
            estimates=[e.to_dict() for e in self.operations],
            chips=[e.to_dict() for e in self.on_chip],
            failed=dict(self.failed))


def estimate(trace: OpTrace | Network,
             chips: str | Path | Chip | Iterable[str | Path | Chip] = 'cmos45',
             *,
             network: OpTrace | Network | None = None,
             memory: str | None = None,
             weights: str = 'shared',
             timing: str | None = None,
             mode: str = 'lossless',
             weight_bits: int = 8,
             missing: str = 'raise') -> Estimate:
    """Estimate the energy per image of a network on chips; on chips with
    cores also its time, and whether it fits.

    What an estimate holds depends on what the chip spec says:

    - A spec that prices operations gives the energy of the spiking form and
      of its twins, by operation (``estimate_operations``).
    - A spec with cores gives energy and time of the network that is mapped to
      these cores (``estimate_on_chip``).
    - A spec that has both gives both.

    Energies are in mJ per image, times in ms, prices in specs in pJ.

    Args:
        trace (OpTrace | Network): The op trace that a converted model
            recorded; or a network that is described by hand, for chips with
            cores only.
        chips (str | Path | Chip | Iterable): Names (:func:`list_chips`) or
            paths of chip specs, or specs; one or many. Defaults to
            ``'cmos45'``.
        network (OpTrace | Network, optional): What is mapped to cores, where
            that is not ``trace``: a mapping needs images of one size, while
            energy by operation is a mean over images of any size. Defaults
            to None, which maps ``trace``.
        memory (str, optional): The memory that holds weights and membranes,
            for specs that price operations and know what an access costs:
            ``sram_8kb``, ``sram_32kb``, ``sram_1mb`` or ``flat``. Defaults to
            None: the smallest that holds all of them.
        weights (str): How a core stores the weights of a convolution:
            ``shared`` (each once in a core) or ``unrolled`` (one for every
            synapse). Defaults to ``'shared'``.
        timing (str, optional): ``synchronous`` (cores wait for each other
            after every sub-step) or ``asynchronous``. Defaults to None: each
            that a chip supports.
        mode (str): ``lossless``, or ``free_running`` (asynchronous only).
            Defaults to ``'lossless'``.
        weight_bits (int): Bits of a weight that a core stores. Defaults to 8.
        missing (str): What happens where a figure is needed that a spec does
            not know. ``raise`` stops at the first; ``report`` goes on, and
            lists in ``failed`` and in ``missing`` of the parts what can not
            be known. Defaults to ``'raise'``.

    Returns:
        Estimate: It can be printed, plotted and saved.

    Raises:
        TypeError: If ``trace`` or ``network`` is something else.
        ValueError: If there is no such chip, an option is not valid, or the
            trace can't be estimated (no image, no spikes).
        MissingFigureError: If a figure that is needed is absent or null, and
            ``missing='raise'``.

    Example:
        >>> from mmsnn.trace import OpRecord
        >>> fc = OpRecord('fc', 'linear', 'linear', spiking=True,
        ...               dense_ops=10**9, sops=2 * 10**8, in_spikes=20,
        ...               in_elements=100, max_spikes=4)
        >>> trace = OpTrace([fc], images=1)
        >>> result = estimate(trace)  # 2 * 10**8 additions of 0.9 pJ
        >>> round(result['spiking_fp32'].energy_mj, 6)
        0.18
        >>> result = estimate(trace, ['cmos45', 'cmos45_memory'])
        >>> print(result['cmos45_memory']['spiking_fp32'].energy_mj, 'mJ')
        3.18 to 6.18 mJ
        >>> estimate(trace, 'loihy')
        Traceback (most recent call last):
        ...
        ValueError: unknown chip 'loihy' (did you mean 'loihi'?): give one ...
    """
    for name, value in (('trace', trace), ('network', network)):
        if not isinstance(value, (OpTrace, Network, type(None))) or (
                trace is None):
            raise TypeError(
                f'{name} must be an OpTrace or a Network, got '
                f'{type(value).__name__}; a converted model has it as '
                'model.trace, a file is read by OpTrace.load')
    specs = load_chips(chips)
    options = dict(weights=weights, timing=timing, mode=mode,
                   weight_bits=weight_bits, missing=missing)
    check_options(**options)
    check_memory(memory)
    network = trace if network is None else network
    operations: list[OperationsEstimate] = []
    on_chip: list[ChipEstimate] = []
    failed: dict[str, str] = {}
    for chip in specs:
        by_operation = chip.prices_operations and isinstance(trace, OpTrace)
        if not by_operation and not chip.has_cores:
            with _noting(failed, chip, missing):
                raise MissingFigureError(_nothing(chip))
        if by_operation:
            with _noting(failed, chip, missing):
                operations.append(estimate_operations(trace, chip, memory))
        if chip.has_cores:
            with _noting(failed, chip, missing):
                if not isinstance(network, Network):
                    network = network_from_trace(network)
                on_chip += estimate_on_chip(network, chip, **options)
    return Estimate(tuple(operations), tuple(on_chip), failed)


@contextmanager
def _noting(failed: dict[str, str], chip: Chip,
            missing: str) -> Iterator[None]:
    """Note why a part of an estimate failed, or let the error through."""
    try:
        yield
    except ValueError as error:
        if missing == 'raise':
            if isinstance(error, MissingFigureError):
                raise MissingFigureError(
                    f"{error}, or go on without it: estimate(..., "
                    "missing='report') in place of 'raise'") from error
            raise
        before = failed.get(chip.name)
        failed[chip.name] = f'{before}; {error}' if before else str(error)


def _nothing(chip: Chip) -> str:
    """Why a spec gives no estimate."""
    if chip.prices_operations:
        return (f'chip spec {chip.path} describes no cores (no limits.cores): '
                'it prices operations, which needs an op trace and not a '
                'network; give the trace, or choose a chip with cores')
    return (f'chip spec {chip.path} has neither costs of operations (sections '
            'fp32, int8) nor cores (limits.cores): nothing can be estimated '
            'from it')
