"""Lets a run that was stopped go on as if it had not been."""

from contextlib import AbstractContextManager

import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmsnn.checkpoints.reading import origin_of
from mmsnn.checkpoints.trust import going_on_from
from mmsnn.conversion.upstream.random_numbers import RandomNumbers
from mmsnn.engine.not_finite import wrappers_of
from mmsnn.engine.resume import LoaderPlace, ResumableLoader
from mmsnn.engine.resume.buckets import has_two_orders, settle_buckets
from mmsnn.engine.resume.run_state import (
    attributes,
    buffers,
    check_first_step,
    gradients,
    hook_states,
    random_numbers,
    set_buffers,
    set_gradients,
    set_hook_states,
    states_before_checkpoints,
)
from mmsnn.registry import HOOKS

_KEY = 'exact_resume'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Makes a run that is resumed the same, bit for bit, as one that was
    never stopped.

    mmengine's checkpoints hold weights, optimiser, schedule and logs. This
    hook adds, under ``exact_resume``, what else decides how a run goes on:
    the random states of each process and of each worker of its data loader,
    the place in the data, gradients that are accumulated, buffers that differ
    between processes, the counts of ``EarlyStoppingHook`` and the
    ``state_dict`` of hooks that have one. All are tensors, numbers and texts.
    It changes nothing of a run that is not resumed.

    A validation that was due when the checkpoint was written is done first.
    What can't be restored is named in a warning, a state that is damaged in
    an error. mmsnn's tools use the hook without being asked; see
    docs/trust.md.

    Example:
        >>> custom_hooks = [dict(type='mmsnn.ExactResumeHook')]
    """

    # Behind all others: they may draw random numbers.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._found: dict | None = None
        self._gathered: list | None = None
        self._inside: RandomNumbers | None = None
        self._unsettled = False
        self._stage = ''
        self._file = 'the checkpoint'

    def before_run(self, runner) -> None:
        """Let checkpoints of the run hold more."""
        states_before_checkpoints(runner.hooks)
        save = runner.save_checkpoint

        # The main process alone calls before_save_checkpoint, but all call
        # this.
        def save_checkpoint(*args, **kwargs):
            if kwargs.get('save_optimizer', True) and self._stage:
                self._gathered = all_gather_object(self._state(runner))
            try:
                return save(*args, **kwargs)
            finally:
                self._gathered = None

        runner.save_checkpoint = save_checkpoint

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep what the checkpoint holds until the run goes on."""
        self._file = origin_of(checkpoint.get('state_dict', {})).file
        with going_on_from(f'the state of {self._file}'):
            logged = checkpoint.get('message_hub', {}).get('runtime_info', {})
            then = checkpoint.get('param_schedulers')
            self._found = dict(
                checkpoint.get(_KEY, {}),
                logged={k: logged[k] for k in ('epoch', 'iter')
                        if k in logged},
                lacks=[
                    key for key in ('optimizer', 'param_schedulers')
                    if key not in checkpoint
                ],
                averaged='ema_state_dict' in checkpoint,
                # Before the present ones take over what the file has.
                other_schedule=then is not None
                and attributes(then) != attributes(runner.param_schedulers))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the states of all processes."""
        if self._gathered is None:
            return
        first = self._gathered[0]
        for state in self._gathered[1:]:
            state['buffers'] = {
                name: value
                for name, value in state['buffers'].items()
                if not torch.equal(value, first['buffers'][name])
            }
        first['buffers'] = {}  # the state_dict has them
        if self._stage == 'validation':
            # FlexibleRunner counts an iteration or epoch that is over again.
            checkpoint['meta'].update(epoch=runner.epoch, iter=runner.iter)
        checkpoint[_KEY] = dict(
            self._settings(runner), stage=self._stage,
            processes=self._gathered, hooks=hook_states(runner.hooks))

    def before_train(self, runner) -> None:
        """Go on, if the run is resumed."""
        loader = runner.train_dataloader
        self._loader = (ResumableLoader.adopt(loader)
                        if isinstance(loader, DataLoader) else None)
        found, self._found = self._found, None
        if found is None or runner.iter == 0:
            return
        same = found.get('world_size') == get_world_size()
        with self._restoring():
            reasons = self._reasons(runner, found)
        if reasons:
            runner.logger.warning(
                f'resumed at iteration {runner.iter}, but not exactly: ' +
                '; '.join(reasons))
        if same:
            with self._restoring():
                self._restore(runner, found)
            if found['loop'] == _kind(runner.train_loop):
                self._validate(runner, found['stage'])
            if (found['stage'] == 'iteration'
                    or _kind(runner.train_loop) == 'iterations'):
                self._inside = RandomNumbers()
            self._unsettled = has_two_orders(runner.model)
        for wrapper in wrappers_of(runner.optim_wrapper):
            check_first_step(wrapper.optimizer, self._file)

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Note that an iteration is going on."""
        self._stage = 'iteration'
        if self._unsettled:
            self._unsettled = False
            settle_buckets(runner.model, data_batch, runner.optim_wrapper)

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        """Note that it is over."""
        self._stage = 'epoch'

    def before_val(self, runner) -> None:
        """Note that a validation is going on."""
        if self._stage:
            self._stage = 'validation'

    def after_train_epoch(self, runner) -> None:
        """An epoch that was resumed inside is over."""
        vars(runner.train_loop).pop('run_iter', None)

    def _settings(self, runner) -> dict:
        return dict(
            world_size=get_world_size(),
            device=get_device(),
            torch=str(torch.__version__),
            loop=_kind(runner.train_loop))

    def _state(self, runner) -> dict:
        place = None
        if not self._no_place():
            place = self._loader.place().state_dict()
        return dict(
            random=RandomNumbers().state_dict(), place=place,
            gradients=gradients(runner.model), buffers=buffers(runner))

    def _reasons(self, runner, found: dict) -> list[str]:
        """Why the run can't go on exactly."""
        reasons = [f'the checkpoint holds no {x}' for x in found['lacks']
                   if x != 'param_schedulers' or runner.param_schedulers]
        averaged = any(isinstance(hook, EMAHook) for hook in runner.hooks)
        if averaged != found['averaged']:
            reasons.append(
                'the checkpoint holds no averaged weights' if averaged else
                'the weights of the checkpoint are averages of an EMAHook, '
                'which is not there')
        if found['other_schedule']:
            reasons.append('param_scheduler is another')
        if 'processes' not in found:
            return [*reasons, 'the checkpoint holds no random states (it was '
                    'written without mmsnn.ExactResumeHook)']
        for key, now in self._settings(runner).items():
            if found.get(key) != now:
                reasons.append(f'{key} was {found.get(key)} and is {now}')
        if not self._settings(runner)['loop']:
            reasons.append(f'{type(runner.train_loop).__name__} is neither '
                           'EpochBasedTrainLoop nor IterBasedTrainLoop')
        if get_device() not in ('cpu', 'cuda'):
            reasons.append(f'random states of {get_device()} are not known')
        if found['world_size'] != get_world_size():
            return reasons
        place = found['processes'][get_rank()]['place']
        if place is None or self._no_place():
            reasons.append(self._no_place() or 'the checkpoint holds no place '
                           'in the data')
            return reasons
        for key, now in self._loader.settings().items():
            if place['settings'][key] != now:
                reasons.append(f'train_dataloader: {key} was '
                               f'{place["settings"][key]} and is {now}')
        if place['kept']:
            reasons.append(f'{", ".join(place["kept"])} held data of earlier '
                           'samples, or random numbers of its own')
        return reasons

    def _restore(self, runner, found: dict) -> None:
        loop = runner.train_loop
        state = found['processes'][get_rank()]
        set_gradients(runner.model, state['gradients'])
        set_buffers(runner, state['buffers'])
        set_hook_states(runner.hooks, found['hooks'])
        for key, value in found['logged'].items():
            runner.message_hub.update_info(key, value)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                hook.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if found['loop'] == _kind(loop):
            if self._same_samples(state['place']):
                self._go_on(loop, LoaderPlace(**state['place']),
                            found['stage'])
            random_numbers(state['random']).restore()

    def before_train_epoch(self, runner) -> None:
        """What hooks draw here was drawn before the checkpoint already."""
        if self._inside is not None:
            self._inside.restore()
            self._inside = None

    def _restoring(self) -> AbstractContextManager[None]:
        """Say of which file a state is that can't be restored."""
        return going_on_from(f'{_KEY} in {self._file}')

    def _no_place(self) -> str:
        """Why there is no place in the data; else ''."""
        if self._loader is None:
            return "train_dataloader is no DataLoader of PyTorch's"
        return self._loader.unknown()

    def _same_samples(self, place: dict | None) -> bool:
        """Whether the place means the same samples here."""
        if place is None or self._no_place():
            return False
        now = self._loader.settings()
        return all(place['settings'][key] == now[key]
                   for key in ('samples', 'batch_size', 'sampler'))

    def _go_on(self, loop, place: LoaderPlace, stage: str) -> None:
        if _kind(loop) == 'iterations':
            self._loader.go_on(place, inside=True)
            batches = loop.dataloader_iterator
            batches._epoch = place.passes - 1
            batches.skip_iter = lambda number: None  # the loader has done it
            loop.fast_forward_on_resume = False
            return
        inside = stage == 'iteration'
        self._loader.go_on(place, inside)
        if inside:
            run_iter = loop.run_iter
            loop.run_iter = lambda index, batch: run_iter(
                index + place.taken, batch)

    def _validate(self, runner, stage: str) -> None:
        """Do the validation that comes before the next iteration."""
        loop = runner.train_loop
        iterations = _kind(loop) == 'iterations'
        loop._decide_current_val_interval()
        done, end = ((loop.iter, loop.max_iters) if iterations else
                     (loop.epoch, loop.max_epochs))
        if (stage == ('iteration' if iterations else 'epoch')
                and runner.val_loop is not None and done >= loop.val_begin
                and (done % loop.val_interval == 0 or done == end)):
            runner.logger.info('the validation that was due at the '
                               'checkpoint is done first')
            self._stage = 'validation'
            runner.val_loop.run()


def _kind(loop) -> str:
    if isinstance(loop, IterBasedTrainLoop):
        return 'iterations'
    return 'epochs' if isinstance(loop, EpochBasedTrainLoop) else ''
