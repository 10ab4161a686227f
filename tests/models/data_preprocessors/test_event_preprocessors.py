"""Frames of events through the preprocessors of mmpretrain and mmdet."""

import sys

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from mmsnn.models import EventDataPreprocessor, event_det_data_preprocessor


def labelled(n):
    return [DataSample().set_gt_label(i) for i in range(n)]


@pytest.mark.parametrize('kind', [torch.stack, list])
def test_pads_rows_and_columns_only(kind):
    frames = [torch.arange(2 * 3 * 2 * 5 * 7.).view(2, 3, 2, 5, 7)[i]
              for i in range(2)]
    out = EventDataPreprocessor(pad_size_divisor=4)(
        dict(inputs=kind(frames)))['inputs']
    assert out.shape == (2, 3, 2, 8, 8)
    for sample, padded in zip(frames, out):
        assert torch.equal(padded[..., :5, :7], sample)
        assert padded[..., 5:, :].sum() == padded[..., 7:].sum() == 0


def test_three_time_steps_are_not_taken_for_colours():
    # mmpretrain's own swaps the second side if it is 3.
    frames = torch.rand(2, 3, 2, 4, 4)
    out = EventDataPreprocessor()(dict(inputs=frames))['inputs']
    assert torch.equal(out, frames)


def test_cutmix_cuts_the_same_box_out_of_all_time_steps():
    np.random.seed(3)
    prepare = EventDataPreprocessor(
        num_classes=4, batch_augments=dict(augments=[
            dict(type='CutMix', alpha=1.)]))
    frames = torch.arange(4.).view(4, 1, 1, 1, 1).expand(4, 3, 2, 16, 16)
    out = prepare(dict(inputs=frames.clone(), data_samples=labelled(4)),
                  training=True)
    for i, (sample, label) in enumerate(zip(
            out['inputs'], out['data_samples'])):
        assert (sample == sample[:1, :1]).all()
        own = (sample[0, 0] == i).float().mean()
        assert label.gt_score[i] == pytest.approx(float(own))
    assert (out['inputs'] != frames).any()
    # Not outside training.
    out = prepare(dict(inputs=frames.clone(), data_samples=labelled(4)))
    assert torch.equal(out['inputs'], frames)


@pytest.mark.parametrize('inputs, words', [
    (torch.zeros(2, 3, 8, 8), r'\(3, 8, 8\)'),
    ([torch.zeros(4, 2, 8, 8), torch.zeros(2, 2, 8, 8)],
     r'\(2, 2, 8, 8\), \(4, 2, 8, 8\)')])
def test_what_are_no_frames(inputs, words):
    with pytest.raises(ValueError, match='with one T and one C .*' + words):
        EventDataPreprocessor()(dict(inputs=inputs))


class TestDetection:

    @pytest.fixture
    def batch(self):
        structures = pytest.importorskip('mmdet.structures')
        return dict(
            inputs=[torch.ones(5, 2, 40, 30), torch.ones(5, 2, 32, 33)],
            data_samples=[structures.DetDataSample() for _ in range(2)])

    @pytest.mark.parametrize('divisor, shapes, padded', [
        (1, [(40, 30), (32, 33)], (40, 33)),
        (32, [(64, 32), (32, 64)], (64, 64))])
    def test_shapes(self, batch, divisor, shapes, padded):
        prepare = MODELS.build(dict(type='mmsnn.EventDetDataPreprocessor',
                                    pad_size_divisor=divisor))
        out = prepare(batch)
        assert out['inputs'].shape == (2, 5, 2, *padded)
        assert out['inputs'].sum() == 10 * (40 * 30 + 32 * 33)
        assert [s.pad_shape for s in out['data_samples']] == shapes
        assert {s.batch_input_shape for s in out['data_samples']} == {padded}

    def test_why_mmdet_s_own_is_not_enough(self, batch):
        prepare = MODELS.build(dict(type='mmdet.DetDataPreprocessor'))
        out = prepare(batch)
        # Channels and rows instead of rows and columns.
        assert out['data_samples'][0].pad_shape == (2, 40)


def test_detection_without_mmdet(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmdet', None)
    for name in list(sys.modules):  # other tests may have imported them
        if name.startswith('mmdet.') or name.endswith('.event_mmdet'):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match='mmdet'):
        event_det_data_preprocessor()
