"""Models, importable without mmdet or mmseg."""

from .backbones import *  # noqa: F401,F403
from .classifiers import *  # noqa: F401,F403
from .data_preprocessors import *  # noqa: F401,F403
from .dense import *  # noqa: F401,F403
from .heads import *  # noqa: F401,F403
from .selfsup import *  # noqa: F401,F403
