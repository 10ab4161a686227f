"""The hook on a toy classifier."""

import pytest
import torch
from mmengine.config import Config
from PIL import Image


@pytest.fixture
def config(tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 16, 16), generator=generator)
    for number, image in enumerate(images):
        folder = tmp_path / 'data' / ('odd' if number % 2 else 'even')
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).to(
            torch.uint8).numpy()).save(folder / f'{number}.png')
    neuron = dict(type='mmsnn.SFANeuron', max_spikes=3)
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CustomDataset',
            data_root=str(tmp_path / 'data'),
            pipeline=[dict(type='LoadImageFromFile'),
                      dict(type='PackInputs')]))
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(tmp_path / 'work'),
            launcher='none',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(
                    num_classes=2, mean=[127.] * 3, std=[60.] * 3),
                backbone=dict(
                    type='mmsnn.ESpikeFormer',
                    arch=dict(embed_dims=[8, 8, 16, 16],
                              depths=[1, 1, 1, 1, 1]),
                    neuron=neuron),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(
                    type='mmsnn.SpikingModule',
                    neuron=dict(neuron, scale=1.),
                    module=dict(
                        type='mmpretrain.LinearClsHead',
                        num_classes=2,
                        in_channels=16,
                        topk=(1, ),
                        loss=dict(type='CrossEntropyLoss')))),
            train_dataloader=loader,
            val_dataloader=loader,
            test_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1),
            val_cfg=dict(),
            test_cfg=dict(),
            val_evaluator=dict(type='Accuracy', topk=(1, )),
            test_evaluator=dict(type='Accuracy', topk=(1, )),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=.01)),
            custom_hooks=[
                dict(type='mmsnn.SpikeInferenceHook', pictures=2)
            ],
            randomness=dict(seed=0),
            visualizer=dict(
                type='UniversalVisualizer',
                vis_backends=[dict(type='LocalVisBackend')])))
