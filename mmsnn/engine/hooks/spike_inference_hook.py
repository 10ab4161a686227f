"""Evaluation in spike-train form, with its report, as a hook."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel

from mmsnn.engine.dry_run import why_not_evaluated
from mmsnn.engine.evaluation_report import write_evaluation_files
from mmsnn.engine.hardware_report import (
    Measured,
    make_report,
    write_hardware_files,
)
from mmsnn.engine.pictures import PictureCollector
from mmsnn.engine.provenance import runner_provenance
from mmsnn.engine.spike_evaluation import SpikeEvaluation, floating_type
from mmsnn.engine.whole_batches import (
    WholeBatches,
    deal_results,
    with_whole_batches,
)
from mmsnn.engine.whole_model import whole_model
from mmsnn.hardware import load_chips
from mmsnn.hardware.chips.spec import pricing_chip
from mmsnn.hardware.tables import format_operations
from mmsnn.registry import HOOKS
from mmsnn.trace import OpTrace
from mmsnn.visualization.metrics import compare_metrics, numbers_of


@HOOKS.register_module()
class SpikeInferenceHook(Hook):
    """Validates and tests in spike-train form, and reports what it costs.

    While the validation or test loop runs, the model is a converted copy
    whose neurons fire binary spikes. Its metrics are therefore those of
    spike-driven inference. The hook also evaluates the training form, compares
    the spike counts of every neuron, and estimates the energy. Scalars go to
    the message hub as ``val/spike_*`` or ``test/spike_*``, a report to
    ``WORK_DIR/spike_inference/val/report.html`` (or ``test``).

    What metrics and other hooks write is of the spike-train form. Files of
    metrics in training form lie beside, with ``_training_form`` in their
    names. Metrics may be of any kind: tables and texts are compared, too.

    Several processes find what one process does, to the last bit: each
    evaluates a stretch of the batches of one process, and no sample twice.

    Args:
        form (str): ``'spikes'`` runs the D sub-steps one by one, at about D
            times the time of an evaluation in training form; ``'counts'``
            runs spike counts at once and counts the same, at nearly that
            time. Defaults to ``'spikes'``.
        proof_batches (int): Batches on which the spike count of every neuron
            is compared between training form and spike-train form. Defaults
            to 1.
        proof_dtypes (str | Sequence[str]): Floating-point types of that
            comparison. Defaults to float64 and float32.
        compare_metrics (bool): Evaluate the training form too. Defaults to
            True.
        dtype (str, optional): Floating-point type in which both forms are
            evaluated. In float32 another order of sums can flip a membrane
            that is next to a threshold; ``'float64'`` gives both forms the
            same metrics, at about twice the time. Defaults to None, which
            leaves the type of the model.
        chips (str | Sequence[str]): Names or paths of chip specs, one or
            many. The first that prices operations (``'cmos45'`` if none does)
            gives the energy of the report. With several, or one that has
            cores, a second report in the folder ``hardware`` beside it shows
            cores, energy and time, see docs/hardware.md. Defaults to
            ``'cmos45'``.
        pictures (int): Number of samples that the report shows. Defaults to 6.
        phases (str | Sequence[str]): Loops in which the hook is active.
            Defaults to both, ``'val'`` and ``'test'``.
        dry_run (bool): Before training, try one image of the validation set,
            and warn if an evaluation will fail. It changes nothing of the
            training. Defaults to True.
        out_dir (str, optional): Folder of the report; ``{phase}`` in it
            becomes ``val`` or ``test``. Defaults to None, which means
            ``WORK_DIR/spike_inference/{phase}``.

    Raises:
        ValueError: If an argument is out of range, or there is no such chip
            spec; the message names the key.

    Example:
        >>> custom_hooks = [dict(type='mmsnn.SpikeInferenceHook',
        ...                      form='counts', proof_batches=2)]
    """

    # After the hooks that swap weights (EMA), before the one that logs.
    priority = 55

    def __init__(self,
                 form: str = 'spikes',
                 proof_batches: int = 1,
                 proof_dtypes: str | Sequence[str] = ('float64', 'float32'),
                 compare_metrics: bool = True,
                 dtype: str | None = None,
                 chips: str | Sequence[str] = 'cmos45',
                 pictures: int = 6,
                 phases: str | Sequence[str] = ('val', 'test'),
                 dry_run: bool = True,
                 out_dir: str | Path | None = None) -> None:
        if form not in ('spikes', 'counts'):
            raise ValueError("form must be 'spikes' or 'counts', "
                             f'but is {form!r}')
        if proof_batches < 0 or pictures < 0:
            raise ValueError('proof_batches and pictures must not be negative')
        phases, proof_dtypes = (
            (x, ) if isinstance(x, str) else tuple(x)
            for x in (phases, proof_dtypes))
        for name in proof_dtypes:
            floating_type(name, 'proof_dtypes')
        if dtype is not None:
            floating_type(dtype, 'dtype')
        if not set(phases) <= {'val', 'test'}:
            raise ValueError("phases may hold 'val' and 'test', "
                             f'but is {phases!r}')
        self.form = form
        self.proof_batches = proof_batches
        self.proof_dtypes = proof_dtypes
        self.compare_metrics = compare_metrics
        self.dtype = dtype
        self.chips = load_chips(chips)
        self.pictures = pictures
        self.phases = phases
        self.dry_run = dry_run
        self.out_dir = out_dir
        self._evaluation: SpikeEvaluation | None = None

    def before_train(self, runner) -> None:
        """Warn if an evaluation will fail.

        Args:
            runner (Runner): mmengine's Runner.
        """
        loop = runner.val_loop
        if not (self.dry_run and self.phases
                and hasattr(loop, 'dataloader')):
            return
        model = whole_model(runner)
        if not is_main_process():
            return
        failed = why_not_evaluated(
            model, loop.dataloader, pricing_chip(self.chips),
            self.proof_dtypes if self.proof_batches else (), self.dtype)
        if failed is None:
            runner.logger.info('an image was tried in spike-train form: all '
                               'that it does is counted')
        else:
            runner.logger.warning(
                'evaluation in spike-train form is going to fail, as a try '
                f'with one image did. {type(failed).__name__}: {failed} '
                '(dry_run=False of SpikeInferenceHook does not try)')

    def _before_epoch(self, runner, mode: str = 'train') -> None:
        if mode not in self.phases:
            return
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        if self._evaluation and runner.model is self._evaluation.spiking:
            runner.model = self._wrapped  # the last one was broken off
        self._wrapped = runner.model
        model = whole_model(runner)
        if isinstance(model, BaseTTAModel):
            raise ValueError(
                'SpikeInferenceHook measures single images: leave out --tta, '
                'or the hook (--cfg-options custom_hooks=[] if it is the only '
                'one)')
        for statistic in model.buffers():
            broadcast(statistic)  # each process may have its own
        loop.dataloader = with_whole_batches(loop.dataloader,
                                             f'{mode}_dataloader')
        self._evaluation = SpikeEvaluation(
            model,
            form=self.form,
            proof_batches=self.proof_batches,
            proof_dtypes=self.proof_dtypes,
            evaluator=loop.evaluator if self.compare_metrics else None,
            dtype=self.dtype,
            first_batch=getattr(loop.dataloader.batch_sampler, 'first', 0))
        self._plain = None
        self._samples = PictureCollector(
            self.pictures, getattr(loop.dataloader.dataset, 'metainfo', {}))
        runner.logger.info(
            f'evaluating in spike-train form (form={self.form}, '
            f'{self._evaluation.spiking.folded_norms} norms folded)')
        for path, other in self._evaluation.moved.items():
            runner.logger.info(f'{path} is written in spike-train form, '
                               f'{other} in training form')
        runner.model = self._evaluation.spiking
        if _length(loop.dataloader) == 0:
            self._after_last_iter(loop)  # others wait for it

    def _before_iter(self,
                     runner,
                     batch_idx: int,
                     data_batch=None,
                     mode: str = 'train') -> None:
        if mode in self.phases:
            self._found = self._evaluation.compare(batch_idx, data_batch)

    def _after_iter(self,
                    runner,
                    batch_idx: int,
                    data_batch=None,
                    outputs=None,
                    mode: str = 'train') -> None:
        if mode not in self.phases:
            return
        self._samples.add(data_batch, outputs, self._found)
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        if batch_idx + 1 == _length(loop.dataloader):
            self._after_last_iter(loop)

    def _after_last_iter(self, loop) -> None:
        batches = loop.dataloader.batch_sampler
        if isinstance(batches, WholeBatches):
            for x in (self._evaluation.evaluator, loop.evaluator):
                if x is not None:
                    deal_results(x, batches)
        # Before those of the loop, which write the last word.
        self._plain = self._evaluation.training_metrics(
            len(loop.dataloader.dataset))

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Log and report the validation, and give the Runner its model back.

        Args:
            runner (Runner): mmengine's Runner.
            metrics (dict[str, float], optional): Metrics in spike-train form.
        """
        self._finish(runner, 'val', metrics or {})

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Log and report the test, and give the Runner its model back.

        Args:
            runner (Runner): mmengine's Runner.
            metrics (dict[str, float], optional): Metrics in spike-train form.
        """
        self._finish(runner, 'test', metrics or {})

    def _finish(self, runner, mode: str, metrics: dict) -> None:
        if mode not in self.phases:
            return
        runner.model = self._wrapped
        evaluation, self._evaluation = self._evaluation, None
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        plain = self._plain
        if plain is None:
            plain = evaluation.training_metrics(len(loop.dataloader.dataset))
        energy = evaluation.finish(pricing_chip(self.chips))
        self._samples.gather()
        scalars = {
            f'{mode}/spike_{name}': value
            for name, value in evaluation.scalars(energy).items()
        }
        scalars.update(
            {f'{mode}/training_form_{k}': v
             for k, v in numbers_of(plain).items()})
        for name, value in scalars.items():
            runner.message_hub.update_scalar(name, value)
        if not is_main_process():
            return
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        for report in evaluation.equality:
            runner.logger.info(f'both forms compared: {report}')
        for reason in evaluation.unfolded:
            runner.logger.info(f'norm not folded: {reason}')
        for row in compare_metrics(plain, metrics):
            if not row.is_number:
                runner.logger.info(f'both forms compared: {row}')
        runner.logger.info('\n' + format_operations(energy))
        folder = str(self.out_dir or Path(runner.work_dir) /
                     'spike_inference/{phase}').replace('{phase}', mode)
        path = write_evaluation_files(
            Path(folder), runner, evaluation, energy, plain, metrics,
            self._samples)
        runner.logger.info(f'report: {path}')
        if len(self.chips) > 1 or self.chips[0].has_cores:
            path = self._on_chips(runner, evaluation.trace, metrics,
                                  Path(folder) / 'hardware')
            runner.logger.info(f'report on hardware: {path}')

    def _on_chips(self, runner, trace: OpTrace, metrics: dict,
                  folder: Path) -> Path:
        measured = Measured(trace, trace, metrics=numbers_of(metrics))
        return write_hardware_files(
            folder,
            make_report(runner.cfg, runner_provenance(runner)['checkpoint'],
                        measured, self.chips))


def _length(loader) -> int | None:
    """Number of batches; None where it is not known before."""
    try:
        return len(loader)
    except TypeError:
        return None
