"""The model zoo: where its folder is, and what its metafiles say."""

from pathlib import Path

import mmengine

from .suggest import did_you_mean

_PACKAGE = Path(__file__).resolve().parent
#: Folder of configs, tools and model index: inside the package in a wheel,
#: the root in a checkout.
ZOO = _PACKAGE / '.mim'
if not ZOO.is_dir():
    ZOO = _PACKAGE.parent


def metafiles(zoo: Path = ZOO) -> dict[str, list[dict]]:
    """The models that each metafile of the model index describes.

    Args:
        zoo (Path): Folder of ``model-index.yml``. Defaults to :data:`ZOO`.

    Returns:
        dict[str, list[dict]]: Path of the metafile in ``zoo`` -> its models.

    Example:
        >>> model = metafiles()['configs/espikeformer/metafile.yml'][0]
        >>> model['Name']
        'espikeformer-2.7m_sfa4_8xb256-200e_in1k'
    """
    index = mmengine.load(zoo / 'model-index.yml')['Import']
    return {path: mmengine.load(zoo / path)['Models'] for path in index}


def find_model(name: str, zoo: Path = ZOO) -> dict | None:
    """The model of a name, as upstream's inferencers are given it.

    Args:
        name (str): Its name in a metafile; case does not count.
        zoo (Path): Folder of ``model-index.yml``. Defaults to :data:`ZOO`.

    Returns:
        dict | None: What its metafile says, ``Config`` as a whole path; None
        where no name is like it.

    Raises:
        ValueError: There is none, but one that is nearly so.

    Example:
        >>> found = find_model('espikeformer-5M_sfa4_8xb256-200e_in1k')
        >>> Path(found['Config']).name
        'espikeformer-5m_sfa4_8xb256-200e_in1k.py'
        >>> find_model('espikeformer-6m_sfa4_8xb256-200e_in1k')
        Traceback (most recent call last):
        ValueError: mmsnn has no model 'espikeformer-6m_sfa4_8xb256-200e_in1k'
            (did you mean 'espikeformer-5m_sfa4_8xb256-200e_in1k'?)
        >>> find_model('retinanet_r50_fpn_1x_coco')
    """
    models = {
        model['Name'].lower(): model
        for each in metafiles(zoo).values() for model in each
    }
    model = models.get(name.lower())
    if model is not None:
        return dict(model, Config=str(zoo / model['Config']))
    near = did_you_mean(name, models) if 'spikeformer' in name.lower() else ''
    if near:
        raise ValueError(f'mmsnn has no model {name!r}{near}')
    return None
