"""The hooks of masked pre-training in a real Runner, on a tiny model."""

import copy
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsnn.engine.cli import build_runner
from mmsnn.engine.effective_rank import effective_rank
from mmsnn.engine.hooks.reconstruction_hook import to_pictures

pytest.importorskip('mmpretrain')

RANK = dict(type='mmsnn.EffectiveRankHook', images=4)
PICTURES = dict(type='mmsnn.ReconstructionHook', interval=1, images=2)


@pytest.fixture
def config(tmp_path):
    for number in range(8):
        folder = tmp_path / 'data' / f'{number % 2}'
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{number}.png'), np.random.randint(
            0, 256, (36, 36, 3), np.uint8))
    return Config(dict(
        default_scope='mmpretrain',
        work_dir=str(tmp_path / 'work'),
        launcher='none',
        model=dict(
            type='mmsnn.SpikeSparK',
            data_preprocessor=dict(
                mean=[120., 110., 100.], std=[60., 50., 40.], to_rgb=True),
            backbone=dict(
                type='mmsnn.MaskedESpikeFormer',
                arch=dict(embed_dims=[8, 8, 16, 16], depths=[0, 1, 0, 1, 1],
                          num_heads=2),
                norm_cfg=dict(type='BN', momentum=0.9)),  # eval mode fires
            neck=dict(
                type='mmsnn.PlainDecoder', in_channels=16, embed_dims=8,
                depth=1, num_heads=2)),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(
                type='CustomDataset',
                data_root=str(tmp_path / 'data'),
                with_label=False,
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='RandomCrop', crop_size=32),
                    dict(type='RandomFlip', prob=0.5),
                    dict(type='PackInputs')
                ])),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0),
        visualizer=dict(
            type='UniversalVisualizer',
            vis_backends=[dict(type='LocalVisBackend')])))


def looks(folder):
    """What the hook wrote into the log."""
    log, = folder.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if 'train/effective_rank' in line]


def trained(config, hooks, name):
    config = copy.deepcopy(config)
    config.update(custom_hooks=hooks, work_dir=f'{config.work_dir}/{name}',
                  experiment_name=name)
    runner = build_runner(config)
    runner.train()
    return runner


def test_they_log_and_draw_and_change_nothing(config, tmp_path):
    plain = trained(config, [], 'plain').model
    runner = trained(config, [RANK, PICTURES], 'hooks')
    model = runner.model
    assert model.training
    for key, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key

    folder = tmp_path / 'work' / 'hooks'
    found = looks(folder)
    assert [line['step'] for line in found] == [2, 4]
    # Without blocks, stage 0 (the stem) has no neuron.
    assert set(found[1]) == {'train/effective_rank', 'step', *(
        f'train/firing_rate_stage{i}' for i in range(1, 5))}
    assert all(0 < value <= 1 for key, value in found[1].items()
               if 'rate_stage' in key)

    # The value of the last epoch, with the images taken by hand.
    hook, = [h for h in runner.hooks if type(h).__name__ == RANK['type'][6:]]
    inputs = model.eval().data_preprocessor(hook._batch)['inputs']
    assert inputs.shape == (4, 3, 32, 32)
    mask = model.random_mask(inputs, torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model.encoder_output(inputs, mask)
    assert output.shape == (4 * 2, 16)  # 2 of 2 x 2 patches are visible
    assert found[1]['train/effective_rank'] == pytest.approx(
        effective_rank(output))
    assert effective_rank(output) > 1.5

    pictures = sorted((folder / 'reconstructions').iterdir())
    assert [p.name for p in pictures] == ['epoch_1.png', 'epoch_2.png']
    picture = cv2.imread(str(pictures[1]))
    assert picture.shape[1] > picture.shape[0] and picture.std() > 1


def test_iterations_and_the_output_behind_the_norm(config, tmp_path):
    runner = trained(config, [
        dict(RANK, interval=3, by_epoch=False, images=99, normed=True),
        dict(PICTURES, interval=2, by_epoch=False,
             out_dir=str(tmp_path / 'here'))], 'iters')
    look, = looks(tmp_path / 'work' / 'iters')
    assert look['step'] == 3
    assert look['train/effective_rank'] == runner.message_hub.get_scalar(
        'train/effective_rank').current()
    assert sorted(p.name for p in (tmp_path / 'here').iterdir()) == [
        'iter_2.png', 'iter_4.png']
    hook, = [h for h in runner.hooks if type(h).__name__ == RANK['type'][6:]]
    assert len(hook._batch['inputs']) == 8  # there are no more


@pytest.mark.parametrize('to_rgb', [True, False])
def test_pictures_are_the_images(config, to_rgb):
    from mmengine.registry import MODELS, DefaultScope
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        preprocessor = MODELS.build(dict(
            type='SelfSupDataPreprocessor', mean=[120., 110., 100.],
            std=[60., 50., 40.], to_rgb=to_rgb))
    read = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)  # BGR
    images = preprocessor(dict(inputs=read, data_samples=None))['inputs']
    rgb = read[:, [2, 1, 0]].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(to_pictures(images, preprocessor), rgb)


@pytest.mark.parametrize('key', ['interval', 'images'])
def test_numbers_out_of_range(config, key):
    config.custom_hooks = [dict(RANK, **{key: 0})]
    with pytest.raises(ValueError, match=f'{key} of mmsnn.EffectiveRankHook'):
        build_runner(config)


def test_a_model_without_masks(config):
    runner = build_runner(config)
    from mmsnn.engine.hooks import ReconstructionHook
    runner.model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match='model.type is Linear'):
        ReconstructionHook().before_train(runner)
