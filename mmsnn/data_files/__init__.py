"""What data files of any OpenMMLab data set must be to be trained on.

Upstream's data sets and loading transforms end in errors that name no file,
train on the grey half of an image that was cut off, or shift labels. As soon
as one of their modules is imported, its loaders check what they read, and
refuse it in one sentence with the file's name. What is whole is read as
before. Nothing here imports them, or PyTorch.
"""

from importlib import import_module

from wrapt import when_imported

#: Module of a framework -> our module and its function that adds the checks.
_CHECKS = {
    'mmcv.transforms.loading': ('loading', 'check_loading'),
    'mmdet.datasets.transforms.loading': ('loading', 'check_loading'),
    'mmseg.datasets.transforms.loading': ('loading', 'check_loading'),
    'mmdet.datasets.api_wrappers.coco_api': ('coco', 'check_coco'),
    'mmengine.dataset.base_dataset': ('data_sets', 'check_data_sets'),
    'mmdet.datasets.base_det_dataset': ('data_sets', 'check_data_sets'),
}


def check_when_imported() -> None:
    """Let upstream's loaders check files, once they are imported."""
    for name, (ours, function) in _CHECKS.items():

        def check(module, ours=ours, function=function):
            getattr(import_module(f'{__name__}.{ours}'), function)(module)

        when_imported(name)(check)
