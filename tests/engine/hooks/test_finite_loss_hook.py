"""A loss that is not finite ends the training and says where it began."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from processes import run_in_processes
from torch import nn

from mmsnn.engine.cli import build_runner
from mmsnn.engine.not_finite import InfiniteMembranes
from mmsnn.layers import SpikeLinear
from mmsnn.neurons import SFANeuron


@MODELS.register_module()
class FiniteLossModel(BaseModel):
    """A root of what is behind dropout, so random numbers decide whether
    it is finite."""

    def __init__(self, threshold=-1., where='root'):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.root = Root(threshold if where == 'root' else -1)
        self.head = nn.Linear(4, 1)
        self.where, self.threshold = where, threshold

    def forward(self, inputs, mode='tensor'):
        x = self.norm(self.linear(torch.stack(list(inputs))))
        loss = self.head(self.root(self.drop(x))).mean()
        if self.where == 'loss':
            loss = loss / 0
        return dict(loss_cls=loss, loss_other=loss.detach() * 0 + 1)


class Root(nn.Module):
    """Not finite where more zeros than a threshold come in."""

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def forward(self, x):
        if 0 <= self.threshold < int((x == 0).sum()):
            return x / 0
        return x


def train(tmp_path, model=None, data=None, **options):
    data = torch.ones(8, 4) if data is None else data
    cfg = Config(dict(
        default_scope='mmengine',
        model=dict(dict(type='FiniteLossModel'), **(model or {})),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=2, num_workers=0, dataset=dict(
                type='FiniteLossData'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        randomness=dict(seed=1),
        **dict(dict(launcher='none'), **options)))
    FiniteLossData.data = data
    return build_runner(cfg)


@DATASETS.register_module()
class FiniteLossData(torch.utils.data.Dataset):

    data = None

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return dict(inputs=self.data[index])


def test_stops_before_the_step_and_names_the_layer(tmp_path):
    # Of 8 values; the draw decides which iteration it is.
    runner = train(tmp_path, dict(threshold=5))
    before = {}

    class Watched(torch.optim.SGD):

        def step(self, *args, **kwargs):
            result = super().step(*args, **kwargs)
            before.update({k: v.clone() for k, v
                           in runner.model.named_parameters()})
            return result

    runner.optim_wrapper = dict(optimizer=dict(type=Watched, lr=0.1))
    with pytest.raises(FloatingPointError) as found:
        runner.train()
    assert str(found.value) == (
        f'iteration {runner.iter + 1}: the loss is not finite; the first '
        'layer whose output is not finite is root (loss_cls, '
        "loss_other); default_hooks.finite_loss.action='warn' goes on all "
        'the same')
    assert runner.iter > 0 and before
    for name, value in runner.model.named_parameters():
        assert torch.equal(value, before[name])
        assert value.isfinite().all()


def test_the_images_and_the_loss_itself(tmp_path):
    data = torch.ones(8, 4)
    data[5] = float('nan')
    runner = train(tmp_path, data=data)
    with pytest.raises(FloatingPointError,
                       match='iteration 3: .*images are not finite already'):
        runner.train()
    runner = train(tmp_path, dict(where='loss'))
    with pytest.raises(FloatingPointError,
                       match='iteration 1: .*all layers are finite, so it is '
                       'the computation of loss_cls'):
        runner.train()


def test_weights_that_are_not_finite_are_named(tmp_path):
    runner = train(tmp_path)
    runner.model.linear.bias.data[0] = float('inf')
    with pytest.raises(FloatingPointError,
                       match='is linear, as its weights linear.bias are not'):
        runner.train()


def test_warns_and_goes_on(tmp_path, capsys):
    data = torch.ones(8, 4)
    data[5] = float('nan')
    runner = train(
        tmp_path, data=data,
        default_hooks=dict(finite_loss=dict(action='warn')))
    runner.train()
    assert runner.iter == 8
    logged = capsys.readouterr().out
    assert logged.count('iteration 3: the loss is not finite; the images'
                        ) == 1
    assert 'iteration 4: the loss is not finite\n' in logged


def test_the_second_run_leaves_no_trace(tmp_path):
    """With one more look the run goes on as without."""
    states = []
    for hook in (dict(action='warn'), None):
        runner = train(
            tmp_path, dict(threshold=5),
            default_hooks=dict(finite_loss=hook))
        # What is not finite has no gradient here.
        runner.model.head.requires_grad_(False)
        runner.model.linear.requires_grad_(False)
        runner.model.norm.requires_grad_(False)
        runner.model.extra = nn.Parameter(torch.ones(1))
        forward = runner.model.forward
        runner.model.forward = lambda *args, **kwargs: {
            k: v.detach() + runner.model.extra.sum()
            for k, v in forward(*args, **kwargs).items()}
        runner.train()
        states.append([runner.model.norm.running_mean.clone(),
                       runner.model.norm.num_batches_tracked.clone(),
                       torch.rand(3)])
    for first, second in zip(*states):
        assert torch.equal(first, second)


def test_a_second_run_that_fails_leaves_no_trace(tmp_path, capsys):
    runner = train(
        tmp_path, dict(where='loss'),
        default_hooks=dict(finite_loss=dict(action='warn')))
    forward = runner.model.forward

    def fails_again(*args, **kwargs):
        losses = forward(*args, **kwargs)
        if not torch.is_grad_enabled():
            raise KeyError('again')
        return losses

    runner.model.forward = fails_again
    runner.train()
    assert "a second run of the batch failed: 'again'" in (
        capsys.readouterr().out)
    assert runner.model.norm.num_batches_tracked == runner.iter == 8


def test_action_is_checked(tmp_path):
    with pytest.raises(ValueError, match="'stop' or 'warn', but is 'ignore'"):
        train(tmp_path, default_hooks=dict(finite_loss=dict(action='ignore')))


@MODELS.register_module()
class OverflowModel(BaseModel):
    """Its first neuron gets 4 x 300 x 60 = 72,000 from the iteration on that
    is ``since``, which float16 does not hold."""

    def __init__(self, since=0, dtype='float16'):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.neuron = SFANeuron()
        self.second = SpikeLinear(4, 4, neuron=dict(type='mmsnn.SFANeuron'))
        nn.init.constant_(self.first.weight, 300.)
        nn.init.constant_(self.second.weight, 1e5)
        self.first.requires_grad_(False)
        self.second.requires_grad_(False)
        self.head = nn.Linear(4, 1)
        self.since, self.dtype, self.runs = since, dtype, 0

    def forward(self, inputs, mode='tensor'):
        x = torch.stack(list(inputs))
        x = x * (60 if self.runs >= self.since else 1)
        self.runs += torch.is_grad_enabled()
        with torch.autocast('cpu', getattr(torch, self.dtype)):
            x = self.neuron(self.first(x))
        x = self.second(x.float())
        return dict(loss=self.head(x / 1e5).mean())


@pytest.mark.parametrize('interval', [1, 3])
def test_membranes_beyond_float16(tmp_path, interval):
    runner = train(
        tmp_path, dict(type='OverflowModel', since=4),
        default_hooks=dict(finite_loss=dict(membrane_interval=interval)))
    before = runner.model.head.weight.clone()
    with pytest.raises(FloatingPointError) as found:
        runner.train()
    # From the fifth iteration on; of each three the first is looked at.
    assert runner.iter == {1: 4, 3: 6}[interval]
    assert str(found.value) == (
        f'iteration {runner.iter + 1}: membrane potentials of neuron are '
        'infinite in float16, which bfloat16 and float32 would hold; the '
        'first layer whose output is not finite is first; '
        "default_hooks.finite_loss.action='warn' goes on all the same")
    assert not torch.equal(runner.model.head.weight, before)
    assert not any(m._forward_pre_hooks for m in runner.model.modules())


@pytest.mark.parametrize('dtype,interval', [('bfloat16', 1),
                                            ('float16', 0)])
def test_membranes_that_are_not_looked_at(tmp_path, dtype, interval):
    runner = train(
        tmp_path, dict(type='OverflowModel', dtype=dtype),
        default_hooks=dict(finite_loss=dict(membrane_interval=interval)))
    runner.train()
    assert runner.iter == 8


def test_membranes_with_a_warning(tmp_path, capsys):
    runner = train(
        tmp_path, dict(type='OverflowModel', since=4),
        default_hooks=dict(finite_loss=dict(
            action='warn', membrane_interval=5)))
    runner.train()
    logged = capsys.readouterr().out
    assert runner.iter == 8
    assert logged.count('membrane potentials of neuron are infinite') == 1
    assert 'iteration 6: membrane potentials' in logged


def test_membrane_interval_is_checked(tmp_path):
    with pytest.raises(ValueError, match='membrane_interval must be a number '
                       'of iterations, or 0 for never, but is -1'):
        train(tmp_path, default_hooks=dict(
            finite_loss=dict(membrane_interval=-1)))


def test_paths_of_infinite_membranes():
    # As a synapse has it, in half precision, of either sign.
    model = nn.ModuleDict(dict(
        a=SpikeLinear(2, 2, bias=False, neuron=dict(type='mmsnn.LIFNeuron')),
        b=SFANeuron(), c=SFANeuron())).half()
    nn.init.constant_(model.a.weight, 65504.)
    x = torch.tensor([[5., 5.]]).half()
    with InfiniteMembranes(model) as found, torch.no_grad():
        x = model.a(x)  # 2 x 65504
        model.b(membrane=-x)
        model.c(x.float())
    assert found.paths() == ['b'] and found.any()
    with InfiniteMembranes(model) as found, torch.no_grad():
        model.a(torch.zeros(1, 2).half())
    assert found.paths() == [] and not found.any()


def _stopped_in_processes(folder):
    """Of one process alone the images are not finite."""
    data = torch.ones(8, 4)
    data[5] = float('nan')  # the third sample of the second process
    runner = train(folder, data=data, launcher='pytorch')
    before = runner.model.module.head.bias.clone()
    with pytest.raises(FloatingPointError) as found:
        runner.train()
    after = runner.model.module.head.bias
    return (str(found.value), runner.iter, bool(after.isfinite()),
            bool(after != before))


def test_all_processes_stop(tmp_path):
    first, second = run_in_processes(tmp_path, _stopped_in_processes, tmp_path)
    assert first == second
    message, iteration, finite, trained = first
    assert 'iteration 2: the loss is not finite in process 1; the images' in (
        message)
    assert iteration == 1 and finite and trained
