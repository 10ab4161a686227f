"""The config's key ``compile``: what is compiled, when, and what is left."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch import nn
from torch._dynamo.testing import CompileCounter

from mmsnn.conversion import to_spike_train
from mmsnn.engine.cli import build_runner
from mmsnn.engine.compiling import compile_parts
from mmsnn.layers import SpikeConv2d
from mmsnn.neurons import SFANeuron


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@MODELS.register_module()
class CompiledTestModel(BaseModel):
    """A spiking backbone, and a loss that no compiler understands."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3),
            SpikeConv2d(3, 1, 1, neuron=dict(type='mmsnn.SFANeuron')))

    def forward(self, inputs, mode='tensor'):
        out = self.backbone(inputs)
        if mode != 'loss':
            return [out.mean()] if mode == 'predict' else out
        if out.square().mean().item() < 0:
            raise ValueError
        return dict(loss=(out - 1).square().mean())


@DATASETS.register_module()
class CompiledTestData(torch.utils.data.Dataset):

    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.rand(2, 4, 4, generator=generator))


def weights(tmp_path, **keys):
    """Train for two iterations; the checkpoint's weights, and the Runner."""
    runner = build_runner(Config(dict(dict(
        default_scope='mmengine', launcher='none', env_cfg=dict(),
        model=dict(type='CompiledTestModel'), work_dir=str(tmp_path),
        randomness=dict(seed=0), experiment_name=tmp_path.name,
        train_dataloader=dict(
            batch_size=2, num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='CompiledTestData'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=2))), **keys)))
    runner.train()
    found = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    return found, runner


def test_a_run(tmp_path):
    """The same checkpoint, by the same names, with averages too."""
    found = []
    for name, compile in (('a', False), ('b', dict(backend='aot_eager'))):
        checkpoint, runner = weights(
            tmp_path / name, compile=compile,
            custom_hooks=[dict(type='EMAHook', momentum=0.5)])
        compiled = runner.model.backbone._compiled_call_impl is not None
        assert compiled is bool(compile)
        found.append(checkpoint)
    for key in ('state_dict', 'ema_state_dict'):
        one, other = (checkpoint[key] for checkpoint in found)
        assert list(one) == list(other)
        for name, value in one.items():
            torch.testing.assert_close(other[name], value)
    CompiledTestModel().load_state_dict(found[1]['state_dict'])


def test_a_flexible_runner(tmp_path):
    found, runner = weights(
        tmp_path, compile=dict(backend='aot_eager'),
        runner_type='FlexibleRunner')
    assert runner.model.backbone._compiled_call_impl is not None
    assert list(found['state_dict']) == list(CompiledTestModel().state_dict())


def test_under_autocast():
    torch.manual_seed(0)
    model, image = CompiledTestModel(), torch.rand(2, 2, 4, 4)
    other = copy.deepcopy(model)
    compile_parts(model, dict(backend='aot_eager', fullgraph=True))
    found = []
    for net in model, other:
        with torch.autocast('cpu', torch.bfloat16):
            out = net(image)
        out.float().square().sum().backward()
        found.append([out.detach(), *(p.grad for p in net.parameters())])
    assert found[0][0].dtype == torch.bfloat16
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_only_training_is_compiled():
    model, counter = CompiledTestModel(), CompileCounter()
    assert compile_parts(model, dict(backend=counter, fullgraph=True)) == [
        'backbone']
    image = torch.rand(2, 2, 4, 4)
    with torch.no_grad():
        model.eval()(image)
        model.train()(image)
    assert counter.frame_count == 0
    model(image)
    model(image)
    assert counter.frame_count == 1
    seen = []
    model.backbone[2].neuron.register_forward_hook(
        lambda *args: seen.append(1))
    with torch.no_grad():
        model.eval()(image)
    assert seen == [1]


def test_copies_and_conversion_are_not_compiled():
    model, counter = CompiledTestModel(), CompileCounter()
    compile_parts(model, dict(backend=counter))
    image = torch.rand(2, 2, 4, 4)
    copied = copy.deepcopy(model)
    copied.train()(image)
    assert counter.frame_count == 0
    spiking = to_spike_train(model.eval())
    with torch.no_grad():
        torch.testing.assert_close(spiking(image), model(image))
    assert counter.frame_count == 0


def test_parts_are_named():
    model, counter = nn.Module(), CompileCounter()
    model.inner = nn.ModuleDict(dict(neuron=SFANeuron()))
    assert compile_parts(model, dict(backend=counter,
                                     target='inner.neuron')) == [
        'inner.neuron']
    model.inner['neuron'](torch.ones(2))
    assert counter.frame_count == 1


@pytest.mark.parametrize('cfg', [None, False, dict(disable=True)])
def test_nothing(cfg):
    model = CompiledTestModel()
    assert compile_parts(model, cfg) == []
    assert model.backbone._compiled_call_impl is None


@pytest.mark.parametrize('cfg, error, message', [
    ('inductor', TypeError, "must be True, False or a dict .* but is 'ind"),
    (dict(modes='default'), TypeError, "no key 'modes' .did you mean 'mode'"),
    (dict(target=3), TypeError, 'compile.target must be a name'),
    (dict(target='bakbone'), ValueError,
     "no module 'bakbone' .did you mean 'backbone'"),
    (dict(target='train_step'), ValueError, "no module 'train_step'"),
    (dict(mode='fastest'), ValueError,
     "compile = {'mode': 'fastest'}: .*should be one of.* max-autotune"),
    (dict(mode='default', options=dict(debug=True)), ValueError,
     'compile = {.*}: Either mode or options'),
    (dict(options=['debug']), ValueError, r"compile = .*\['debug'\]"),
    (dict(options={'epilog_fusion': True}), ValueError,
     "^compile.options has no key 'epilog_fusion' .did you mean "
     "'epilogue_fusion'..: .{,70}$"),
    (dict(backend='inductr'), ValueError,
     "compile.backend is 'inductr' .did you mean 'inductor'..: there are "
     'cudagraphs, inductor')])
def test_what_can_not_be(cfg, error, message):
    with pytest.raises(error, match=message):
        compile_parts(CompiledTestModel(), cfg)


def test_what_has_to_be_left_out():
    with pytest.raises(ValueError, match='Linear has neither: name its parts'):
        compile_parts(nn.Linear(1, 1), True)
    model = CompiledTestModel()
    model.backbone[0].with_cp = True
    with pytest.raises(ValueError, match=r'model.backbone.0.with_cp = True'):
        compile_parts(model, True)


def test_a_masked_backbone_is_refused():
    from mmsnn.models import MaskedESpikeFormer
    model = nn.Module()
    model.backbone = MaskedESpikeFormer(
        dict(embed_dims=[4, 8, 8, 8], depths=[1, 1, 1, 1, 1], num_heads=2))
    with pytest.raises(ValueError, match='model.backbone, a MaskedESpikeForm'
                       'er, since .* values of the mask: leave it out'):
        compile_parts(model, True)
