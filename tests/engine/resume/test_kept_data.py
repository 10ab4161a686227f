import numpy as np
from mmengine.dataset import BaseDataset, Compose

from mmsnn.engine.resume.kept_data import KeptData


class Cached:

    def __init__(self):
        self.images = []
        self.sizes = (3, 4)

    def __call__(self, results):
        self.images = [*self.images, results][-2:]
        return results


class Own:

    def __init__(self):
        self.generator = np.random.default_rng(0)


class Plain:

    def __init__(self):
        self.calls = 0
        self.names = ['a']

    def __call__(self, results):
        self.calls += 1
        return results


def dataset(*transforms):
    made = BaseDataset(lazy_init=True, pipeline=[])
    made.pipeline = Compose([])
    made.pipeline.transforms = list(transforms)
    return made


def test_caches_and_generators_in_nested_transforms_are_found():
    cached, plain = Cached(), Plain()
    whole = type('Whole', (), {})()
    whole.dataset = type('Both', (), dict(
        datasets=[dataset(plain), dataset(Compose([cached]), Own())]))()
    kept = KeptData(whole)
    assert kept.found() == ['Own.generator']
    plain({})
    assert kept.found() == ['Own.generator']
    cached({})
    assert kept.found() == ['Cached.images', 'Own.generator']
