"""An environment with a transformers that mmpretrain does not know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A class for each name, but for what transformers 5 has no more.
FAKE = '''
import sys, types
LOST = 'find_pruneable_heads_and_indices'


class Fake(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith('__') or name == LOST:
            raise AttributeError(name)
        kinds = sys.modules['transformers'].__dict__.setdefault('kinds', {})
        if name not in kinds:
            bases = ()
            if name.startswith('AutoModel'):
                bases = (self._BaseAutoModelClass, )
            kinds[name] = type(name, bases, {
                method: staticmethod(lambda *args, **kwargs: None)
                for method in ('register', 'from_pretrained', 'from_config')})
        return kinds[name]


class Finder:

    def find_spec(self, name, path=None, target=None):
        from importlib.machinery import ModuleSpec
        if name.startswith('transformers.') and LOST not in name:
            return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Fake(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Finder())
sys.modules[__name__].__class__ = Fake
'''


def test_models_are_imported_with_transformers_5(tmp_path):
    pytest.importorskip('mmpretrain')
    (tmp_path / 'transformers').mkdir()
    (tmp_path / 'transformers' / '__init__.py').write_text(FAKE)
    info = tmp_path / 'transformers-5.0.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: transformers\nVersion: 5.0.0\n')
    code = '''
import mmsnn.models
from mmpretrain.registry import MODELS
try:
    MODELS.build(dict(type='BlipCaption'))
except ImportError as error:
    print(error)
'''
    done = subprocess.run(
        [sys.executable, '-c', code], text=True, capture_output=True,
        env={**os.environ,
             'PYTHONPATH': f'{tmp_path}:{Path(__file__).parents[1]}'})
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'requires extra multi-modal dependencies' in done.stdout
