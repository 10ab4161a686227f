"""Pictures of labels that the dataset has no names for."""

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmsnn.engine.pictures import PictureCollector

IMAGE = torch.zeros(3, 8, 8, dtype=torch.uint8)


def label(number):
    return torch.tensor([number])


def segmented(truth, predicted):
    maps = [PixelData(data=torch.full((1, 8, 8), x))
            for x in (truth, predicted)]
    return BaseDataElement(gt_sem_seg=maps[0], pred_sem_seg=maps[1])


def detected(*labels):
    found = InstanceData(
        bboxes=torch.tensor([[0., 0, 4, 4]] * len(labels)),
        labels=torch.tensor(labels), scores=torch.ones(len(labels)))
    return BaseDataElement(
        pred_instances=found, metainfo=dict(ori_shape=(8, 8)))


def collected(sample, metainfo):
    collector = PictureCollector(1, metainfo)
    collector.add(dict(inputs=[IMAGE]), [sample], [sample])
    (name, figure, _), = collector.pictures()
    assert name == 'predictions.png'
    return collector, figure


@pytest.mark.parametrize('metainfo', [{}, dict(classes=None),
                                      dict(classes=('cat', 'dog'))])
def test_classes_without_a_name(metainfo):
    sample = BaseDataElement(gt_label=label(1), pred_label=label(4))
    _, figure = collected(sample, metainfo)
    first = metainfo.get('classes') and 'dog' or 'class 1'
    assert figure.axes[0].get_title().splitlines() == [
        first, 'training form: class 4', 'spike-train form: class 4']


@pytest.mark.parametrize('palette', [None, 'random', [(9, 9, 9)]])
def test_objects_without_a_name(palette):
    metainfo = dict(classes=('cat', ), palette=palette)
    _, figure = collected(detected(0, 3), metainfo)
    assert [t.get_text() for t in figure.axes[2].texts] == [
        'cat 1.00', 'class 3 1.00']


def test_pixels_without_a_name():
    metainfo = dict(classes=('wall', 'sky'), palette=[(1, 1, 1), (2, 2, 2)])
    collector, figure = collected(segmented(3, 2), metainfo)
    assert (collector.samples[0].truth == 255).all()  # ignored
    texts = [text.get_text() for legend in figure.legends
             for text in legend.get_texts()]
    assert texts[:3] == ['wall', 'sky', 'class 2']
    # Without any name, annotations are no less known than predictions.
    collector, _ = collected(segmented(3, 2), {})
    assert (collector.samples[0].truth == 3).all()
    collected(segmented(255, 0), {})


def test_images_with_many_labels_are_left_out():
    collector = PictureCollector(1, dict(classes=('a', 'b')))
    many = BaseDataElement(gt_label=torch.tensor([0, 1]), pred_label=label(0))
    none = BaseDataElement(gt_label=label(0), pred_label=torch.tensor([]))
    for sample in (many, none):
        collector.add(dict(inputs=[IMAGE]), [sample], None)
    assert collector.pictures() == []
