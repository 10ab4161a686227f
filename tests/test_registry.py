import mmengine.registry as root
import pytest

import mmsnn.registry
from mmsnn.neurons import SFANeuron
from mmsnn.registry import MODELS

#: Registry, misspelt name, what was meant.
MISSPELT = [
    ('MODELS', 'ESpikeFomer', 'ESpikeFormer'),
    ('MODELS', 'SFANeurn', 'SFANeuron'),
    ('MODELS', 'Spikingmodule', 'SpikingModule'),
    ('DATASETS', 'DigitScene', 'DigitScenes'),
    ('TRANSFORMS', 'LoadEvent', 'LoadEvents'),
    ('HOOKS', 'SpikeInferenceHok', 'SpikeInferenceHook'),
    ('RUNNERS', 'GloRunner', 'GlooRunner'),
    ('STRATEGIES', 'FSDPStrateg', 'FSDPStrategy'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'LayerDecayOptimWrapperConstrutor',
     'LayerDecayOptimWrapperConstructor'),
]


def config_of(registry, kind):
    return {'runner_type' if registry == 'RUNNERS' else 'type': kind}


def test_all_registries_are_tried():
    ours = {name for name, found in vars(mmsnn.registry).items()
            if isinstance(found, root.Registry) and found.scope == 'mmsnn'}
    assert ours == {name for name, _, _ in MISSPELT}


@pytest.mark.parametrize('scope', [None, 'mmpretrain', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('name, misspelt, meant', MISSPELT)
def test_a_misspelt_type(name, misspelt, meant, scope):
    if scope:
        pytest.importorskip(scope)
    registry = getattr(root, name)
    with root.DefaultScope.overwrite_default_scope(scope), \
            pytest.raises(KeyError) as error:
        registry.build(config_of(name, f'mmsnn.{misspelt}'))
    kind = getattr(mmsnn.registry, name).name
    assert error.value.args == (
        f"no {kind} is registered as 'mmsnn.{misspelt}' (did you mean "
        f"'mmsnn.{meant}'?): mmsnn.registry.{name}.names() lists all", )


def test_a_misspelt_type_in_a_registry_of_a_framework():
    registry = pytest.importorskip('mmdet.registry').MODELS
    with pytest.raises(KeyError, match="'mmsnn.SFANeurn' .*'mmsnn.SFANeuron'"):
        registry.build(dict(type='mmsnn.SFANeurn'))


@pytest.mark.parametrize('kind', ['Unheard', 'mmsnn.Unheard'])
def test_nothing_is_near(kind):
    with pytest.raises(KeyError) as error:
        mmsnn.registry.HOOKS.build(dict(type=kind))
    assert error.value.args == (
        "no hook is registered as 'mmsnn.Unheard': mmsnn registers "
        'mmsnn.EffectiveRankHook, mmsnn.ExactResumeHook, '
        'mmsnn.FiniteLossHook, mmsnn.FreezeHook, mmsnn.ReconstructionHook, '
        'mmsnn.SpikeInferenceHook', )


@pytest.mark.parametrize('name', sorted({name for name, _, _ in MISSPELT}))
def test_names_list_all_that_can_be_built(name):
    registry = getattr(mmsnn.registry, name)
    names = registry.names()
    assert {f'mmsnn.{meant}' for other, _, meant in MISSPELT
            if other == name} <= set(names)
    assert names == sorted(names) and all(map(registry.get, names))


def test_whether_a_name_is_registered():
    assert 'SFANeuron' in MODELS and 'mmsnn.SFANeuron' in MODELS
    assert 'SFANeurn' not in MODELS and 'mmsnn.SFANeurn' not in MODELS


def test_classes_by_path():
    for registry in (root.MODELS, MODELS):
        assert registry.get('mmsnn.neurons.SFANeuron') is SFANeuron
        assert registry.get('torch.nn.ReLU').__name__ == 'ReLU'
        assert registry.get('mmsnn.neurons.SFANeurn') is None


def test_a_type_of_others_is_left_to_them():
    assert MODELS.get('ReLU').__name__ == 'ReLU'
    with pytest.raises(KeyError, match='^.nowhere.Net is not in the'):
        MODELS.build(dict(type='nowhere.Net'))


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg', 'mmsnn'])
def test_asking_is_no_error_and_upstream_answers_for_its_own(scope):
    ROOT = root.MODELS
    with root.DefaultScope.overwrite_default_scope(scope):
        assert 'mmsnn.Nope' not in ROOT and 'mmsnn.Nope' not in MODELS
        assert 'mmsnn.SFANeuron' in ROOT
        with pytest.raises(KeyError) as error:
            ROOT.build(dict(type='ReLUU'))
        assert 'mmsnn registers' not in str(error.value)
