"""The text of a config that came in a checkpoint is data."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmsnn.checkpoints import CheckpointRefused, read_checkpoint
from mmsnn.checkpoints.config_text import config_of_text, only_read, read_text


def test_what_mmengine_writes_is_read_as_it_would_be_run():
    config = Config(
        dict(
            model=dict(
                type='Net', widths=[1, 2], sizes=((1, 2), (-3, 4.5)),
                flag=None, name="it's \n", **{'a-b': dict(c=[dict(d=1)])}),
            empty=[], nothing=dict(), big=float('1e300'), ratios={1: 'x'}))
    text = config.pretty_text
    assert read_text(text) == Config.fromstring(
        text, '.py')._cfg_dict.to_dict() == config.to_dict()


@pytest.mark.parametrize('code', [
    'import os', 'a = os.getcwd()', 'a = [1 for _ in range(3)]', 'a = b',
    'a = dict(**b)', 'a = dict([])', 'a, b = 1, 2', 'a.b = 1', 'a[0] = 1',
    'def f(): pass', 'a = lambda: 1', 'a = 1 + 1', "a = f'{x}'", 'del a',
    'a: int = 1', 'a = (b := 1)', "_base_ = 'x.py'", 'a = dict(b=print())',
    'if True: a = 1', 'a = b = 1', 'a = -print()', 'a = (', 'a = ' + '(' * 9999
])
def test_code(code):
    with pytest.raises(CheckpointRefused, match='config.s text .* holds'):
        read_text(code)


@pytest.mark.parametrize('text', [
    "model = dict(type='subprocess.run', args=['true'])",
    "model = dict(type='os.system', command='true')",
    "model = dict(type='mmengine.Config.fromstring')",
    "model = dict(type='mmengine.config.Config')",
    "model = dict(type='mmengine.utils.install_package', package='x')",
    "model = dict(layers=[dict(type='torch.hub.load')])",
    "model = dict(type='antigravity')",
    "model = dict(nms=dict(type='__import__(\"os\").getcwd'))",
    "pipeline = [dict(type='Resize', dtype='float32 or exit()')]",
    "custom_imports = dict(imports=['antigravity'])",
    "custom_imports = dict(imports='os')",
    "model = dict(type='BaseModel', init=dict(trust_remote_code=True))"
])
def test_what_would_have_something_foreign_called(text):
    with pytest.raises(CheckpointRefused):
        config_of_text(text)
    with only_read():
        config_of_text(text)


def test_types_that_packages_register():
    assert MODELS.get('mmengine.ToyNothing') is None  # imports nothing
    text = ("model = dict(type='mmengine.ExponentialMovingAverage', "
            "layer=dict(type='Conv2d'), nms=dict(type='soft_nms'))\n"
            "optim_wrapper = dict(type='os.system')")
    assert config_of_text(text) == dict(
        model=dict(
            type='mmengine.ExponentialMovingAverage',
            layer=dict(type='Conv2d'), nms=dict(type='soft_nms')))


def test_texts_that_no_checkpoint_had_are_run():
    text = 'import math\na = math.floor(1.5)'
    assert Config.fromstring(text, '.py').a == 1


def test_a_resumed_config_is_only_read(tmp_path):
    torch.save(dict(meta=dict(config="a = dict(type='os.system')")),
               tmp_path / 'a.pth')
    text = read_checkpoint(tmp_path / 'a.pth')['meta']['config']
    with only_read():
        assert Config.fromstring(text, '.py').a.type == 'os.system'
