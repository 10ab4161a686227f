"""Upstream's inferencers with our configs, in a process in which nothing has
imported mmsnn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmsnn.engine.image_inference import image_batch, load_model
from mmsnn.zoo import ZOO, find_model

SCRIPT = '''
import json
import sys

image = sys.argv[1]
found = {}

from mmpretrain import ImageClassificationInferencer
inferencer = ImageClassificationInferencer(
    'mmpretrain_config.py', pretrained='mmpretrain.pth', device='cpu')
assert 'mmsnn.models.backbones' in sys.modules, 'by type alone'
result, = inferencer(image)
found['class'] = result['pred_class']
found['score'] = result['pred_score']

from mmdet.apis import DetInferencer, inference_detector, init_detector
inferencer = DetInferencer(
    'mmdet_config.py', 'mmdet.pth', device='cpu', show_progress=False)
result = inferencer(image, return_vis=True, pred_score_thr=0.)
found['instances'] = result['predictions'][0]
found['drawn_boxes'] = result['visualization'][0].shape
found['det_meta'] = inferencer.model.dataset_meta
model = init_detector('mmdet_config.py', 'mmdet.pth', device='cpu')
sample = inference_detector(model, image)
found['boxes'] = sample.pred_instances.bboxes.tolist()

from mmseg.apis import MMSegInferencer, inference_model, init_model
inferencer = MMSegInferencer(
    'mmseg_config.py', 'mmseg.pth', device='cpu', show_progress=False)
result = inferencer(image, return_vis=True)
found['classes'] = result['predictions'].tolist()
found['drawn_classes'] = result['visualization'].shape
found['seg_meta'] = inferencer.visualizer.dataset_meta
model = init_model('mmseg_config.py', 'mmseg.pth', device='cpu')
found['again'] = inference_model(model, image).pred_sem_seg.data[0].tolist()

with open('found.json', 'w') as file:
    json.dump(found, file)
'''
DIGITS = list('0123456789')


def prediction(config, checkpoint, image):
    """What the model predicts in training form, by its test pipeline."""
    config = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = load_model(config, checkpoint)
        with torch.no_grad():
            return model.test_step(image_batch(config, image))[0]


def test_inferencers(trained, image, tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    palette = [[10 * k, 9, 8] for k in range(11)]
    paths = dict(
        mmpretrain=trained('mmpretrain', dataset_meta=dict(classes=DIGITS)),
        mmdet=trained('mmdet', dataset_meta=dict(classes=DIGITS)),
        mmseg=trained(
            'mmseg', dataset_meta=dict(
                classes=['background', *DIGITS], palette=palette)))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, image], cwd=tmp_path, text=True,
        env=dict(os.environ, PYTHONPATH=str(root), OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
    found = json.loads((tmp_path / 'found.json').read_text())

    expected = prediction(*paths['mmpretrain'], image)
    assert found['class'] == DIGITS[expected.pred_label.item()]
    assert found['score'] == pytest.approx(expected.pred_score.max().item())

    expected = prediction(*paths['mmdet'], image).pred_instances
    assert len(expected) == 3
    for name in ('labels', 'scores', 'bboxes'):
        np.testing.assert_allclose(
            found['instances'][name], expected[name].numpy(), rtol=1e-4)
    np.testing.assert_allclose(
        found['boxes'], expected.bboxes.numpy(), rtol=1e-4)
    assert found['det_meta']['classes'] == DIGITS
    # The palette is the config's; no scenes were generated for it.
    assert found['det_meta']['palette'][0] == [230, 25, 75]
    assert not (tmp_path / 'data').exists()

    expected = prediction(*paths['mmseg'], image).pred_sem_seg.data[0]
    assert found['classes'] == found['again'] == expected.tolist()
    assert found['seg_meta']['palette'] == palette
    assert found['drawn_boxes'] == found['drawn_classes'] == [40, 64, 3]


DETECTOR = 'fcos_espikeformer-tiny_fpn_gn-head_sfa4_1xb16-4000i_digits-64x64'
SEGMENTOR = 'espikeformer-tiny_semantic-fpn_sfa4_1xb8-2400i_digits-64x64'


@pytest.mark.parametrize('package, kind, name', [
    ('mmdet', 'DetInferencer', DETECTOR),
    ('mmseg', 'MMSegInferencer', SEGMENTOR)])
def test_a_model_by_name(package, kind, name, image, tmp_path, monkeypatch):
    apis = pytest.importorskip(f'{package}.apis')
    monkeypatch.chdir(tmp_path)
    path = find_model(name)['Config']
    config = Config.fromfile(path)
    assert path == str(ZOO / path) and config.default_scope == package
    with DefaultScope.overwrite_default_scope(package):
        model = MODELS.build(config.model)
    classes = ['background'] * (package == 'mmseg') + DIGITS
    torch.save(
        dict(meta=dict(dataset_meta=dict(classes=classes)),
             state_dict=model.state_dict()), 'weights.pth')
    inferencer = getattr(apis, kind)(
        name.upper(), 'weights.pth', device='cpu', show_progress=False)
    assert inferencer.cfg.filename == path
    result = inferencer(str(image))['predictions']
    expected = prediction(path, 'weights.pth', image)
    if package == 'mmseg':
        assert np.array_equal(result, expected.pred_sem_seg.data[0])
    else:
        expected = expected.pred_instances
        np.testing.assert_allclose(
            result[0]['bboxes'], expected.bboxes.numpy(), rtol=1e-4)
    assert name in getattr(apis, kind).list_models('mmsnn', name)
    with pytest.raises(
            FileNotFoundError, match=f'^no weights of {name} are published '
            f"with mmsnn: train its config, {path}, .* weights='PATH'"):
        getattr(apis, kind)(name, device='cpu')
    other = dict(mmdet=SEGMENTOR, mmseg=DETECTOR)[package]
    with pytest.raises(ValueError, match=f'is for those of {package}'):
        getattr(apis, kind)(other, device='cpu')
    with pytest.raises(ValueError, match=f"did you mean '{DETECTOR}'"):
        getattr(apis, kind)(DETECTOR[:-1], device='cpu')
    with pytest.raises(ValueError, match='Cannot find model: resnet-1'):
        getattr(apis, kind)('resnet-1', device='cpu')


def test_a_classifier_by_name(tmp_path):
    from mmpretrain import ImageClassificationInferencer, get_model
    name = 'espikeformer-tiny_sfa4_1xb64-20e_digits-32x32'
    for ask in (lambda: ImageClassificationInferencer(name),
                lambda: get_model(name, pretrained=True)):
        with pytest.raises(FileNotFoundError,
                           match=f"^no weights of {name} .*pretrained='PATH'"):
            ask()
    model = get_model(name)  # asks for none
    weights = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=model.state_dict()), weights)
    loaded = ImageClassificationInferencer(name, weights).model.state_dict()
    assert all(torch.equal(loaded[k].cpu(), v)
               for k, v in model.state_dict().items())
