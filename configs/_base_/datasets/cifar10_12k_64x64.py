# CIFAR-10 (see cifar10_12k.py), enlarged to 64 px: 4 x 4 patches of 16 px. Its
# test set is also the one to validate on.
_base_ = ['cifar10_12k.py']
enlarge = dict(type='Resize', scale=(64, 64))
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'), *_base_.augment, enlarge,
        dict(type='PackInputs')
    ]))
val_dataloader = dict(
    _base_.test_dataloader,
    dataset=dict(
        _base_.test_dataloader.dataset,
        pipeline=[
            dict(type='LoadImageFromFile'), enlarge,
            dict(type='PackInputs')
        ]))
test_dataloader = val_dataloader
val_evaluator = _base_.test_evaluator
