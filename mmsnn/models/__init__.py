"""Models, importable without mmdet or mmseg."""

from .backbones import *  # noqa: F401,F403
from .dense import *  # noqa: F401,F403
