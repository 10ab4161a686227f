"""The model zoo: where its folder is, and what its metafiles say."""

from pathlib import Path

import mmengine

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
