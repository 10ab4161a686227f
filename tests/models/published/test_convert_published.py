"""The converter of published checkpoints, as one calls it."""

import argparse
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import _load_checkpoint_with_prefix

TOOL = (
    Path(__file__).parents[3] / 'tools' / 'model_converters' /
    'convert_published.py')


def convert(monkeypatch, *arguments):
    """Run the tool in this process; its exit status."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    try:
        runpy.run_path(str(TOOL), run_name='__main__')
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_as_a_program(tiny, published_state, tmp_path):
    config, model, images = tiny
    source, target = tmp_path / 'published.pth', tmp_path / 'new' / 'ours.pth'
    torch.save(
        dict(model=published_state, epoch=3,
             args=argparse.Namespace(lr=0.1)), source)
    done = subprocess.run([sys.executable, str(TOOL), source, target],
                          capture_output=True, text=True,
                          cwd=TOOL.parents[2])
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout
    assert [p.name for p in target.parent.iterdir()] == ['ours.pth']
    # The result can be read without running code, and loads strictly.
    meta = torch.load(target, weights_only=True)['meta']
    assert meta['source'] == 'published.pth'
    other = MODELS.build(config).eval()
    load_checkpoint(other, str(target), map_location='cpu', strict=True)
    with torch.no_grad():
        assert torch.equal(other(images), model(images))


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(model=state),
    lambda state: dict(state_dict=state, optimizer={}),
    lambda state: dict(model_ema=state),
    lambda state: {f'module.{k}': v for k, v in state.items()},
    lambda state: dict(
        state_dict={f'module.{k}': v for k, v in state.items()})])
def test_where_the_weights_may_be(wrap, tiny, published_state, tmp_path,
                                  monkeypatch):
    torch.save(wrap(published_state), tmp_path / 'a.pth')
    assert convert(monkeypatch, tmp_path / 'a.pth', tmp_path / 'b.pth') == 0
    found = torch.load(tmp_path / 'b.pth', weights_only=True)['state_dict']
    expected = tiny[1].state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(v, expected[k]) for k, v in found.items())


@pytest.mark.parametrize('family,depths', [
    ('espikeformer_large', (1, 1, 2, 2)),
    ('metaspikeformer', (1, 1, 2, 2, 1))])
def test_other_families(family, depths, tiny_models, publish, tmp_path,
                        monkeypatch):
    _, model, _ = tiny_models(family)
    published = publish(model, depths, family)
    torch.save(dict(model=published), tmp_path / 'a.pth')
    assert convert(monkeypatch, tmp_path / 'a.pth', tmp_path / 'b.pth') == 0
    found = torch.load(tmp_path / 'b.pth', weights_only=True)['state_dict']
    model.load_state_dict(found, strict=True)


def test_pre_training(goldens, tmp_path, monkeypatch, capsys):
    with np.load(goldens / 'masked_pretrain_tiny.npz') as arrays:
        published = {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files
                     if k.startswith('state.')}
    published['pos_embed'] = torch.zeros(1, 64, 196)
    published['mask_token'] = torch.zeros(1, 1, 8)
    published['decoder_embed.weight'] = torch.zeros(8, 64)
    torch.save(dict(model=published), tmp_path / 'a.pth')
    assert convert(monkeypatch, tmp_path / 'a.pth', tmp_path / 'b.pth') == 0
    said = capsys.readouterr().out
    assert 'left out: 1 tensors (pos_embed) of its position embedding' in said
    assert '2 tensors (mask_token, decoder_embed.weight) of its deco' in said
    arch = dict(family='large', embed_dims=[16, 32, 64], depths=[1, 1, 2, 2])
    for kind, options in (('MaskedESpikeFormer', {}), (
            'ESpikeFormer', dict(layer_scale_init_value=1e-6))):
        backbone = MODELS.build(dict(type=f'mmsnn.{kind}', arch=arch,
                                     **options))
        found = _load_checkpoint_with_prefix(
            'backbone.', str(tmp_path / 'b.pth'), map_location='cpu')
        backbone.load_state_dict(found, strict=True)
        assert torch.equal(backbone.stages[3].blocks[1].mlp.expand.conv.bias,
                           published['block3.1.mlp.fc1_conv.bias'])


def test_the_key_can_be_chosen(published_state, tmp_path, monkeypatch):
    mean = {k: v + 1 for k, v in published_state.items()}
    torch.save(
        dict(model=published_state, model_ema=mean), tmp_path / 'a.pth')
    names = tmp_path / 'a.pth', tmp_path / 'b.pth', '--key', 'model_ema'
    assert convert(monkeypatch, *names) == 0
    found = torch.load(tmp_path / 'b.pth', weights_only=True)['state_dict']
    assert torch.equal(found['head.fc.bias'],
                       published_state['head.bias'] + 1)


def test_an_existing_file_is_kept(published_state, tmp_path, monkeypatch,
                                  capsys):
    source, target = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save(published_state, source)
    target.write_text('precious')
    assert convert(monkeypatch, source, target) == 2
    assert target.read_text() == 'precious'
    error = capsys.readouterr().err
    assert 'b.pth exists' in error and '--force' in error
    assert convert(monkeypatch, source, target, '--force') == 0
    assert torch.load(target, weights_only=True)['state_dict']


def test_a_missing_file(tmp_path, monkeypatch, capsys):
    assert convert(monkeypatch, tmp_path / 'a.pth', tmp_path / 'b.pth') == 2
    assert 'a.pth is not a file' in capsys.readouterr().err


class Bomb:
    """Would run code where it is unpickled."""

    def __reduce__(self):
        return print, ('boom', )


def decoder_alone():
    return {'mask_token': torch.zeros(3)}


@pytest.mark.parametrize('content,said', [
    (b'', 'damaged or no checkpoint'),
    (b'some text\n', 'damaged or no checkpoint'),
    (b'PK\x03\x04 half a zip file', 'damaged or no checkpoint'),
    (dict(model=Bomb()), 'run code that came with it: it holds print'),
    ([1, 2], 'no weights .* keys are none'),
    (dict(epoch=3), 'no weights .* keys are epoch'),
    (dict(model=dict(epoch=3)), 'no weights .* keys are model'),
    (dict(model=decoder_alone()), "family '\\w+_large_pretrain', but has no"),
    (dict(layer=torch.zeros(1)), "of the family 'unknown'")])
def test_files_that_can_not_be_converted(content, said, tmp_path, monkeypatch,
                                         capsys):
    source = tmp_path / 'a.pth'
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        torch.save(content, source)
    assert convert(monkeypatch, source, tmp_path / 'b.pth') == 1
    out, error = capsys.readouterr()
    assert 'boom' not in out and 'a.pth' in error
    assert 'Traceback' not in error
    assert re.search(said, error)
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']


def test_a_file_that_was_cut_off(published_state, tmp_path, monkeypatch,
                                 capsys):
    source = tmp_path / 'a.pth'
    torch.save(published_state, source)
    source.write_bytes(source.read_bytes()[:5000])
    assert convert(monkeypatch, source, tmp_path / 'b.pth') == 1
    assert 'is cut off, damaged or no' in capsys.readouterr().err


def test_nothing_half_written_stays(published_state, tmp_path, monkeypatch):
    torch.save(published_state, tmp_path / 'a.pth')

    def full(*args):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OSError, match='disk full'):
        convert(monkeypatch, tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']
