"""Puts the model zoo into wheel and sdist, as ``mmsnn/.mim``, for mim.

In a checkout the zoo lies in the root and nowhere else: mim refuses a config
name that it finds twice, so neither copies nor links may lie beside it.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
ZOO = ('configs', 'tools', 'model-index.yml', 'dataset-index.yml')


def copy_zoo(target: Path) -> None:
    """Copy what mim looks for into ``target``, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ZOO:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, target / name,
                ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy2(source, target / name)


class BuildWithZoo(build_py):
    """A build for a wheel; an editable install reads the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copy_zoo(Path(self.build_lib) / 'mmsnn/.mim')


class SdistWithZoo(sdist):
    """A source distribution, for ``mim search --remote`` too."""

    def make_release_tree(self, base_dir: str, files: list) -> None:
        super().make_release_tree(base_dir, files)
        copy_zoo(Path(base_dir) / 'mmsnn/.mim')


setup(cmdclass={'build_py': BuildWithZoo, 'sdist': SdistWithZoo})
