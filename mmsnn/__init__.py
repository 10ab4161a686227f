"""mmsnn: spiking dense prediction for OpenMMLab.

Importing it is cheap (no PyTorch) and does four things for the frameworks:

- configs may be based on ``mmseg::...`` and ``mmsnn::...``, as they may on
  ``mmdet::...``;
- checkpoints are data for them: reading one runs nothing that came in it
  (:mod:`mmsnn.checkpoints`), and saving one leaves a whole file;
- images, label maps and annotations that can not be trained on are named by
  their file (:mod:`mmsnn.data_files`);
- as soon as mmpretrain is imported, before or after, its model hub knows the
  classification models, so that ``mmpretrain.list_models('espikeformer*')``
  and ``mmpretrain.get_model(name)`` find them; and the inferencers of mmdet
  and mmseg know detectors and segmentors by name.

Example:
    >>> import mmsnn
    >>> from mmpretrain import list_models
    >>> 'espikeformer-10m_sfa4_8xb256-200e_in1k' in list_models()
    True
"""

from types import ModuleType
from typing import NoReturn

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from wrapt import when_imported

from .data_files import check_when_imported
from .version import __version__
from .zoo import ZOO, find_model, metafiles

__all__ = ['__version__', 'ZOO']

# mmengine maps the prefix of `_base_ = ['mmseg::...']` to a distribution,
# with a name that the maintained fork does not have.
MODULE2PACKAGE['mmseg'] = 'mmseg'
# So that inferencers list our models: `DetInferencer.list_models('mmsnn')`.
MODULE2PACKAGE['mmsnn'] = 'mmsnn_suite'
#: In front of a model's name, in the place of weights that are not published.
_UNPUBLISHED = 'mmsnn://'
_config_of_others = Config._get_cfg_path


def _get_cfg_path(path: str, filename: str) -> tuple[str, str | None]:
    """Path of a base config, and the scope in which its types are looked up.

    For ``mmsnn::`` no scope is forced: our configs, like any plugin's, name
    types of the framework that their ``default_scope`` states.
    """
    package, _, name = path.partition('::')
    if package == 'mmsnn':
        return str(ZOO / 'configs' / name), None
    return _config_of_others(path, filename)


# mmengine has no entry point for this: it only knows the packages that it
# lists, and looks for their configs where a checkout does not have them.
Config._get_cfg_path = staticmethod(_get_cfg_path)


def _weights(model: dict) -> str:
    """Where the weights of a model of the zoo are, by its metafile."""
    return model.get('Weights') or _UNPUBLISHED + model['Name']


@when_imported('mmengine.runner.checkpoint')
def _refuse_random_weights(checkpoint: ModuleType) -> None:
    """Let what loads weights by a model's name say that there are none:
    upstream would go on with random ones."""

    def load(path: str, map_location=None) -> NoReturn:
        name = path[len(_UNPUBLISHED):]
        raise FileNotFoundError(
            f'no weights of {name} are published with mmsnn: train its '
            f'config, {find_model(name)["Config"]}, and give the checkpoint '
            "as weights='PATH' (in mmpretrain pretrained='PATH'; "
            'pretrained=False takes random weights)')

    checkpoint.CheckpointLoader.register_scheme(
        _UNPUBLISHED, load, force=True)


@when_imported('mmengine.runner.checkpoint')
def _checkpoints_are_data(checkpoint: ModuleType) -> None:
    """Let reading a checkpoint run nothing that came in it."""
    from .checkpoints.install import install_loading
    install_loading(checkpoint)


@when_imported('mmengine.hooks.checkpoint_hook')
def _checkpoints_are_whole(hooks: ModuleType) -> None:
    """Let saving leave a whole file, the new one or the old one."""
    from .checkpoints.saving import install
    install(hooks)


@when_imported('mmengine.runner.runner')
def _runner_names_keys(runner: ModuleType) -> None:
    from .checkpoints.install import install_running
    install_running(runner.Runner)


@when_imported('mmengine.runner._flexible_runner')
def _flexible_runner_names_keys(runner: ModuleType) -> None:
    from .checkpoints.install import install_running
    install_running(runner.FlexibleRunner)


check_when_imported()


@when_imported('mmpretrain.utils.dependency')
def _leave_out_newer_transformers(dependency: ModuleType) -> None:
    """mmpretrain's models of images and text need transformers below 5, and
    with a newer one it can not be imported at all: then they are left out, as
    they are without transformers."""
    if dependency.satisfy_requirement('transformers>=5'):
        dependency.WITH_MULTIMODAL = False


@when_imported('mmpretrain.apis.model')
def _register_models(apis: ModuleType) -> None:
    """Add the classification models to mmpretrain's model hub, once.

    A metafile is registered if image classification is its only task: the
    hub can neither build nor run detectors and segmentors.
    """
    for metafile, models in metafiles().items():
        results = [r for m in models for r in m.get('Results') or ()]
        tasks = {result['Task'] for result in results}
        known = apis.ModelHub.has(models[0]['Name'].lower())
        if tasks == {'Image Classification'} and not known:
            apis.ModelHub.register_model_index(
                ZOO / metafile, config_prefix=ZOO)
            for model in models:
                entry = apis.ModelHub._models_dict[model['Name'].lower()]
                entry.weights = _weights(model)


@when_imported('mmengine.infer.infer')
def _find_models_by_name(infer: ModuleType) -> None:
    """Let ``DetInferencer`` and ``MMSegInferencer`` find our models, once.

    mmengine looks for names in the package of the framework, and has no
    means to add others.
    """
    upstream = infer.BaseInferencer._load_model_from_metafile
    if hasattr(upstream, 'of_mmsnn'):
        return

    def load(self, model: str) -> tuple[Config, str | None]:
        found = find_model(model)
        if found is None:
            return upstream(self, model)
        config = Config.fromfile(found['Config'])
        if config.default_scope != self.scope:
            raise ValueError(
                f'{found["Name"]} is a model of {config.default_scope}, but '
                f'{type(self).__name__} is for those of {self.scope}')
        return config, _weights(found)

    load.of_mmsnn = True
    infer.BaseInferencer._load_model_from_metafile = load
