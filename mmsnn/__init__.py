"""mmsnn: spiking dense prediction for OpenMMLab.

Importing it is cheap (no PyTorch) and does two things for the frameworks:

- configs may be based on ``mmseg::...`` and ``mmsnn::...``, as they may on
  ``mmdet::...``;
- as soon as mmpretrain is imported, before or after, its model hub knows the
  classification models, so that ``mmpretrain.list_models('espikeformer*')``
  and ``mmpretrain.get_model(name)`` find them.

Example:
    >>> import mmsnn
    >>> from mmpretrain import list_models
    >>> 'espikeformer-10m_sfa4_8xb256-200e_in1k' in list_models()
    True
"""

from pathlib import Path
from types import ModuleType

import mmengine
from mmengine.config.utils import MODULE2PACKAGE
from wrapt import when_imported

from .version import __version__

__all__ = ['__version__']

#: Configs, tools and model index: links in a checkout, files in a wheel.
_ZOO = Path(__file__).parent / '.mim'

# mmengine maps the prefix of `_base_ = ['mmseg::...']` to a distribution
# that the maintained fork does not have, and does not know mmsnn.
MODULE2PACKAGE.update(mmseg='mmseg', mmsnn='mmsnn')


@when_imported('mmpretrain.apis.model')
def _register_models(apis: ModuleType) -> None:
    """Add the classification models to mmpretrain's model hub, once.

    A metafile is registered if image classification is its only task: the
    hub can neither build nor run detectors and segmentors.
    """
    index = mmengine.load(_ZOO / 'model-index.yml')
    for metafile in index['Import']:
        models = mmengine.load(_ZOO / metafile)['Models']
        results = [r for m in models for r in m.get('Results') or ()]
        tasks = {result['Task'] for result in results}
        known = apis.ModelHub.has(models[0]['Name'].lower())
        if tasks == {'Image Classification'} and not known:
            apis.ModelHub.register_model_index(
                _ZOO / metafile, config_prefix=_ZOO)
