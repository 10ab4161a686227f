"""The hook in a real Runner, on a toy classifier."""

import json

import pytest
import torch
from mmengine.registry import HOOKS

from mmsnn.engine.cli import build_runner
from mmsnn.engine.spike_evaluation import SpikeEvaluation


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_both_loops_report(config, form, tmp_path):
    # In float32, another order of sums could flip a prediction.
    config.custom_hooks[0].update(form=form, dtype='float64')
    runner = build_runner(config)
    runner.train()
    trained = runner.model
    metrics = runner.test()
    assert runner.model is trained
    assert not any('Spike' in type(m).__name__ and 'Tensor' in type(m).__name__
                   for m in trained.modules())
    for phase in ('val', 'test'):
        folder = tmp_path / 'work' / 'spike_inference' / phase
        assert {'report.html', 'predictions.png', 'energy.json', 'energy.csv',
                'trace.json'} <= {p.name for p in folder.iterdir()}
        assert json.loads((folder / 'trace.json').read_text())['images'] == 12
        hub = runner.message_hub
        scalars = {
            k: hub.get_scalar(f'{phase}/spike_{k}').current()
            for k in ('energy_mj', 'gsops', 'gmacs', 'differences_float64')
        }
        assert scalars['differences_float64'] == 0
        assert scalars['energy_mj'] > 0 and scalars['gsops'] > 0
        # 16x16 -> 8x8, 4 channels, 7x7x3: the first convolution is real.
        assert scalars['gmacs'] * 1e9 >= 8 * 8 * 4 * 49 * 3
    same = hub.get_scalar('test/training_form_accuracy/top1').current()
    assert metrics['accuracy/top1'] == same


def test_after_an_evaluation_that_was_broken_off(config, monkeypatch):
    config.custom_hooks[0].update(form='counts', proof_batches=0)
    runner = build_runner(config)
    model = runner.model
    evaluator = runner.test_loop.evaluator
    process = evaluator.process
    monkeypatch.setattr(
        evaluator, 'process', lambda **kwargs: [][0])  # no disk space, say
    with pytest.raises(IndexError):
        runner.test()
    monkeypatch.setattr(evaluator, 'process', process)
    assert 'accuracy/top1' in runner.test()
    assert runner.model is model


def test_report_on_hardware(config, tmp_path):
    config.custom_hooks[0].update(
        form='counts', phases=('test', ), chips=['cmos45', 'loihi_sanafe'])
    runner = build_runner(config)
    metrics = runner.test()
    folder = tmp_path / 'work' / 'spike_inference' / 'test'
    found = json.loads((folder / 'hardware' / 'hardware.json').read_text())
    assert found['images'] == 12 and not found['failed']
    assert found['metrics'] == {
        'accuracy/top1': pytest.approx(metrics['accuracy/top1'])}
    # The same energies as those of the evaluation, and cores beside.
    energy = json.loads((folder / 'energy.json').read_text())
    assert found['estimates'] == [energy]
    assert found['chips'][0]['cores'] > 0
    assert (folder / 'hardware' / 'report.html').exists()


def test_metrics_in_float64(config):
    runner = build_runner(config)
    model = runner.model.eval()
    evaluation = SpikeEvaluation(
        model, 'counts', proof_batches=0, dtype='float64',
        evaluator=runner.build_evaluator(config.test_evaluator))
    batch = next(iter(runner.build_dataloader(config.val_dataloader)))
    expected = evaluation.compare(0, batch)
    found = evaluation.spiking.test_step(batch)
    assert next(model.parameters()).dtype == torch.float32
    for one, other in zip(expected, found):
        assert one.pred_score.dtype == torch.float64
        torch.testing.assert_close(
            other.pred_score, one.pred_score, rtol=1e-12, atol=0)


def test_a_broken_conversion_is_reported(config, monkeypatch):
    runner = build_runner(config)
    model = runner.model.eval()
    from mmsnn.conversion.spikes import spike_tensor
    right = spike_tensor.SYNAPSES[torch.ops.aten.convolution]

    def biased(func, x, weight, bias, *args):
        out = right(func, x, weight, bias, *args)
        if bias is not None:
            out = out + 2 * bias.reshape(-1, 1, 1)  # once per sub-step
        return out

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, .2, .6)
    evaluation = SpikeEvaluation(model)
    monkeypatch.setitem(spike_tensor.SYNAPSES, torch.ops.aten.convolution,
                        biased)
    batch = next(iter(runner.build_dataloader(config.val_dataloader)))
    evaluation.compare(0, batch)
    assert not evaluation.equality[0].equal
    assert evaluation.equality[0].total_differences > 0


@pytest.mark.parametrize('wrong, named', [
    (dict(form='binary'), 'form'),
    (dict(proof_batches=-1), 'proof_batches'),
    (dict(phases=('train', )), 'phases'),
    (dict(chips=['lohii']), 'lohii'),
    (dict(chips='cmos54'), r"unknown chip 'cmos54' \(did you mean 'cmos45'"),
    (dict(chips=[]), 'chips must name at least one'),
])
def test_wrong_arguments_name_the_key(wrong, named):
    with pytest.raises(ValueError, match=named):
        HOOKS.build(dict(type='mmsnn.SpikeInferenceHook', **wrong))


@pytest.mark.parametrize('kind, key, near', [
    ('SpikeInferenceHook', 'proof_batch', 'proof_batches'),
    ('FreezeHook', 'beginn', 'begin'),
    ('EffectiveRankHook', 'image', 'images'),
    ('ReconstructionHook', 'out_dirs', 'out_dir')])
def test_an_unknown_key_names_the_nearest(kind, key, near):
    match = f"mmsnn.{kind} has no key '{key}' \\(did you mean '{near}'"
    with pytest.raises(TypeError, match=match):
        HOOKS.build({'type': f'mmsnn.{kind}', key: 1})


def test_wrong_proof_dtype(config):
    model = build_runner(config).model
    for key, value in (('proof_dtypes', ('float65', )), ('dtype', 'int64')):
        with pytest.raises(ValueError, match=key):
            SpikeEvaluation(model, **{key: value})
