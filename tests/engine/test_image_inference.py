"""One image in spike-train form, with a config of each framework."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsnn.conversion import to_spike_train
from mmsnn.engine.image_inference import (
    image_batch,
    infer_image,
    load_model,
    write_picture,
)
from mmsnn.hardware.operations.estimate import estimate_operations

CLASSES = tuple('0123456789')


def pixels(path):
    return cv2.imread(str(path))[..., ::-1].astype(int)


def enlarged(image):
    """As drawn: the shorter edge of 40 pixels has become one of 320."""
    return image.repeat(8, 0).repeat(8, 1)


def test_classification(trained, image):
    config, checkpoint = trained('mmpretrain')
    result = infer_image(image, config, checkpoint, repeats=1)
    assert result.prediction.pred_score.shape == (10, )
    # Neuron layers: 3 in a separable convolution, 2 in a channel mixer, 3
    # after each other in attention, 1 before each downsampling convolution
    # but the stem's, 1 in the head. D = 4.
    layers = 5 + (1 + 5) * 2 + (1 + 3 + 3 + 2) * 2 + 1
    assert result.latency.depth == (4 * layers, layers)
    assert result.latency.training_ms > 0 and result.latency.spiking_ms > 0
    # The energies are those of this image and no other, in either form.
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = load_model(cfg, checkpoint)
        with to_spike_train(model, 'counts') as spiking:
            spiking.test_step(image_batch(cfg, image))
    assert model.dataset_meta['classes'] == CLASSES
    expected = estimate_operations(spiking.trace)
    energy, = result.estimate.operations
    assert energy.images == 1
    for key in ('spiking_fp32', 'float_twin_fp32', 'quantised_twin_int8'):
        assert energy[key].energy_mj == expected[key].energy_mj > 0
    text = '\n'.join(sum(result.rows().values(), []))
    for key in ('spiking_fp32', 'float_twin_fp32', 'quantised_twin_int8'):
        assert f'{energy[key].energy_mj:.4g} mJ' in text
    assert f'{4 * layers} sub-steps: on the longest path {layers} ' in text
    assert result.drawn.shape == (320, 512, 3)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_segmentation(trained, image, form):
    pytest.importorskip('mmseg')
    config, checkpoint = trained(
        'mmseg', dataset_meta=dict(
            classes=('background', *CLASSES),
            palette=[[20 * k, 0, 255 - 20 * k] for k in range(11)]))
    result = infer_image(image, config, checkpoint, form, repeats=1)
    classes = result.prediction.pred_sem_seg.data[0].numpy()
    assert classes.shape == (40, 64)
    # Drawn with the palette of the checkpoint, half and half.
    colours = np.stack([20 * classes, 0 * classes, 255 - 20 * classes], -1)
    drawn = enlarged(pixels(image) * 0.5 + colours * 0.5)
    plain = np.abs(result.drawn - drawn).max(-1) < 1.5
    assert plain.mean() > 0.5  # the rest is names of classes


def test_detection_and_picture(trained, image, tmp_path):
    pytest.importorskip('mmdet')
    config, checkpoint = trained(
        'mmdet', dataset_meta=dict(CLASSES=CLASSES, palette=[[9, 9, 9]] * 10))
    config = Config.fromfile(config)
    result = infer_image(image, config, checkpoint, score_thr=0., repeats=1)
    assert len(result.prediction.pred_instances) == 3
    hidden = infer_image(image, config, checkpoint, score_thr=1.1, repeats=1)
    assert hidden.drawn.shape == (320, 512, 3)
    assert np.abs(hidden.drawn - enlarged(pixels(image))).mean() < 5
    for box in 8 * result.prediction.pred_instances.bboxes:
        x1, y1, _, y2 = box.int().tolist()  # left edge, in the palette's grey
        at = (y1 + y2) // 2, x1 + 1
        edge = 0.8 * 9 + 0.2 * hidden.drawn[at]
        np.testing.assert_allclose(result.drawn[at], edge, atol=2)
    write_picture(result, tmp_path / 'out' / 'picture.png')
    picture = cv2.imread(str(tmp_path / 'out' / 'picture.png'))
    assert picture.shape[1] == 15 * 120
    assert not (tmp_path / 'data').exists()  # no scenes were generated


def test_images_that_can_not_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.png'):
        infer_image(tmp_path / 'none.png', Config(), 'none.pth')
    for content in (b'', b'no image'):
        (tmp_path / 'text.png').write_bytes(content)
        with pytest.raises(ValueError, match='text.png is no image'):
            infer_image(tmp_path / 'text.png', Config(), 'none.pth')


def test_a_config_of_an_unknown_scope(image):
    with pytest.raises(ValueError, match="default_scope.*got 'mmpose'"):
        infer_image(image, Config(dict(default_scope='mmpose')), 'none.pth')


def test_weights_of_another_model(trained, image):
    config, checkpoint = trained('mmpretrain')
    saved = torch.load(checkpoint)
    weights = saved['state_dict']
    weights['head.layer.weight'] = weights.pop('head.fc.weight')
    weights['head.fc.bias'] = weights['head.fc.bias'][:7]
    torch.save(saved, checkpoint)
    with pytest.raises(ValueError) as error:
        infer_image(image, config, checkpoint)
    for named in ('mmpretrain.pth', 'mmpretrain_config.py',
                  'are not in it: head.fc.weight (did you mean '
                  "'head.layer.weight'?)", '1 of its 201 are not in',
                  'head.fc.bias is (7) in it and (10) here'):
        assert named in str(error.value)
    for content in ('no weights', ''):
        checkpoint.write_text(content)
        with pytest.raises(
                ValueError, match='mmpretrain.pth is cut off, damaged or no'):
            infer_image(image, config, checkpoint)
    with pytest.raises(FileNotFoundError, match='none.pth'):
        infer_image(image, config, 'none.pth')
