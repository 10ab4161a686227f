"""Whatever a model returns is compared, or named."""

import collections
import dataclasses
import enum
import fractions
import logging
import threading
import types
from datetime import date
from math import inf, nan

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmsnn.conversion import SpikeTensor
from mmsnn.conversion.comparison import compare_leaves
from mmsnn.conversion.leaves import leaves

DOUBLE = torch.float64


def compare(first, second):
    return compare_leaves(leaves(first), leaves(second))


@dataclasses.dataclass
class Data:
    y: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Slotted:
    __slots__ = ('y', )
    y: torch.Tensor


class Plain:

    def __init__(self, y):
        self.y = y


class Slots:
    __slots__ = ('_y', '__z')

    def __init__(self, y):
        self._y = None
        self.__z = y


class MyList(list):

    def __init__(self, values, y):
        super().__init__(values)
        self.y = y


class Hidden:
    """Its copies know of nothing."""

    def __init__(self, y):
        self.y = y

    def __getstate__(self):
        return {}

    def __eq__(self, other):
        return True

    __hash__ = None


Pair = collections.namedtuple('Pair', ['label', 'y'])
x = torch.tensor([[1., 2.], [4., 3.]], dtype=DOUBLE)

#: Each makes results that hold a tensor (or array) somewhere.
HOLDERS = dict(
    dict=lambda y: dict(a=1, y=y),
    nested=lambda y: [(None, dict(y=[y]))],
    ordered=lambda y: collections.OrderedDict(y=y),
    default=lambda y: collections.defaultdict(list, y=y),
    deque=lambda y: collections.deque([y]),
    chain=lambda y: collections.ChainMap({}, dict(y=y)),
    proxy=lambda y: types.MappingProxyType(dict(y=y)),
    config=lambda y: ConfigDict(y=y),
    user=lambda y: collections.UserList([y]),
    namedtuple=lambda y: Pair(1, y),
    dataclass=Data,
    slotted=Slotted,
    plain=Plain,
    slots=Slots,
    hidden=Hidden,
    namespace=lambda y: types.SimpleNamespace(y=y),
    mylist=lambda y: MyList([1], y),
    nested_objects=lambda y: Plain(Slots(Data(y))),
    exception=lambda y: ValueError('x', y),
    instances=lambda y: InstanceData(bboxes=y),
    metainfo=lambda y: InstanceData(metainfo=dict(y=y)),
    parameter=lambda y: nn.Parameter(y),
    attribute=lambda y: set_attribute(torch.zeros(2), y),
    distribution=lambda y: torch.distributions.Normal(
        y, 1., validate_args=False),
    complex=lambda y: torch.complex(y, torch.zeros_like(y)),
    imaginary=lambda y: torch.complex(torch.zeros_like(y), y),
    sparse=lambda y: y.to_sparse(),
    csr=lambda y: y.to_sparse_csr(),
    csc=lambda y: y.to_sparse_csc(),
    nested_tensor=lambda y: torch.nested.nested_tensor([y[0], y[1, :1]]),
    jagged=lambda y: torch.nested.nested_tensor(
        [y[0], y[1, :1]], layout=torch.jagged),
    numpy=lambda y: y.numpy(),
    objects=lambda y: np.array([None, y.numpy()], dtype=object),
    structured=lambda y: np.array([(1, float(y[1, 0]))],
                                  dtype=[('a', int), ('y', float)]),
    masked=lambda y: np.ma.masked_array(y.numpy(), y.numpy() > 100),
    scalar=lambda y: np.float64(y[1, 0]),
    number=lambda y: y[1, 0].item(),
    complex_number=lambda y: 1j * y[1, 0].item(),
    numbers=lambda y: y.flatten().tolist(),
    set_of_numbers=lambda y: set(y.flatten().tolist()),
    view=lambda y: memoryview(y.numpy()),
    spikes=lambda y: SpikeTensor([y / 2, y / 2], 1., 4, True),
)


def set_attribute(tensor, y):
    tensor.y = y
    return tensor


@pytest.mark.parametrize('make', HOLDERS.values(), ids=HOLDERS)
def test_a_difference_is_found_in_whatever_holds_it(make):
    same = compare(make(x.clone()), make(x.clone()))
    assert (same.error, same.path, same.not_compared) == (0, '', [])
    other = x.clone()
    other[1, 0] *= 1.25
    found = compare(make(x.clone()), make(other))
    assert found.error == pytest.approx(0.25) or found.error == inf
    assert found.path.startswith('results') and not found.not_compared


def test_masks_and_boxes_of_mmdet():
    structures = pytest.importorskip('mmdet.structures')
    masks = pytest.importorskip('mmdet.structures.mask')
    boxes = pytest.importorskip('mmdet.structures.bbox')

    def make(change=0):
        bits = np.zeros((1, 4, 4), np.uint8)
        bits[0, 1, 1] = change == 1
        polygon = np.array([0., 0., 1., 0., 1., 1. + (change == 2)])
        sample = structures.DetDataSample(
            metainfo=dict(ori_shape=(4, 4 + (change == 3)), img_path='a'))
        sample.pred_instances = InstanceData(
            boxes=boxes.HorizontalBoxes(
                torch.tensor([[0., 0., 1., 1. + (change == 4)]])),
            masks=masks.BitmapMasks(bits, 4, 4),
            polygons=masks.PolygonMasks([[polygon]], 4, 4 + (change == 5)))
        return [sample]

    assert compare(make(), make()) == compare([], [])
    paths = [compare(make(), make(change)).path for change in range(1, 6)]
    for path, part in zip(paths, ('masks.masks', 'polygons.masks[0][0]',
                                  'ori_shape', 'boxes.tensor', 'polygons')):
        assert path.startswith('results[0].') and part in path


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize('first,second', [
    ('a', 'b'), (1, 2), (1, True), (1, 1.), (None, 0), (b'a', b'b'),
    ([1], (1, )), ([1], [1, 2]), ([1], []), (dict(a=1), dict(b=1)),
    (dict(a=1), dict(a=1, b=2)), ({1: 'a'}, {'1': 'a'}), ({1}, {2}),
    ({'a'}, {'a', 'b'}),
    ({(1, frozenset('a'))}, {(1, frozenset('b'))}),
    (Colour.RED, Colour.BLUE), (int, float),
    (torch.float32, torch.float64), (range(3), range(4)),
    (torch.Size([1]), torch.Size([2])), (torch.ones(2), torch.ones(3)),
    (torch.ones(1), torch.ones(1, dtype=DOUBLE)),
    (torch.ones(1), torch.ones(1, 1)), (torch.ones(1), np.ones(1)),
    (Data(1), Plain(1)), (Plain(1), Plain(2)),
    (fractions.Fraction(1, 3), fractions.Fraction(1, 4)),
    (date(2020, 1, 1), date(2020, 1, 2)), (torch.tensor(2), torch.tensor(3)),
    (torch.tensor([True]), torch.tensor([False])),
    (np.array(['a']), np.array(['b'])),
    (np.array(['2020'], 'M8[D]'), np.array(['2021'], 'M8[D]')),
    (InstanceData(a=[1]), InstanceData(b=[1])),
    (InstanceData(metainfo=dict(a=1)), InstanceData(metainfo=dict(a=2))),
    (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
     torch.quantize_per_tensor(torch.ones(2), 0.2, 0, torch.qint8)),
    (1., nan), (torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse()),
    (Pair(1, 2), Pair(1, 3)), (Pair(1, 2), (1, 2)), ('1', 1)])
def test_what_is_no_tensor_is_equal_or_not(first, second):
    for value in (first, second):
        assert compare(value, value).error == 0
        assert not compare(value, value).not_compared
    found = compare([0, first], [0, second])
    assert found.error > 1e-9 and found.path.startswith('results')


@pytest.mark.parametrize('value,kind', [
    (iter([1]), 'list_iterator'), ((i for i in 'a'), 'generator'),
    (lambda: 1, 'function'), (print, 'builtin_function_or_method'),
    (nn.Linear(1, 1), 'Linear'), (logging.getLogger('a'), 'Logger'),
    (np, 'module'), (threading.Lock(), 'lock'), (object(), 'object'),
    (torch.ones(2, device='meta'), 'Tensor without values'),
    ({torch.ones(1)}, 'set of objects'),
    ({Plain(1): 1}, 'key of Plain')])
def test_what_can_not_be_compared_is_named(value, kind):
    for make in (lambda v: dict(y=[v]), lambda v: dict(y=[Plain(v)])):
        found = compare(make(value), make(value))
        name, = found.not_compared
        assert name.startswith("results['y'][0]") and f'({kind}' in name
        assert found.error == 0


def test_each_is_named_once():
    found = compare([iter(''), print], [iter(''), print])
    assert found.not_compared == [
        f'results[0] ({type(iter("")).__name__})',
        'results[1] (builtin_function_or_method)'
    ]


def test_the_order_of_keys_is_no_difference():
    assert compare(dict(a=1, b=x), dict(b=x, a=1)).error == 0


def test_cycles():
    def make(y):
        results = dict(y=[y])
        results['y'].append(results)
        return results

    assert compare(make(x), make(x)).error == 0
    assert compare(make(x), make(2 * x)).error == 1
    deep = []
    for _ in range(10000):
        deep = [deep]
    assert 'nested too deeply' in compare(deep, deep).not_compared[0]


def test_shared_parts_are_no_cycle():
    shared = [x]
    assert compare([shared, shared], [[x], [x.clone()]]).error == 0


def test_what_is_written_into_meanwhile_is_noticed():
    results = dict(y=x.clone())
    first = leaves(results)
    results['y'] = 2 * x  # another tensor: the first is still there
    assert compare_leaves(first, leaves(results)).error == 1
    first = leaves(results)
    results['y'] += 1
    name, = compare_leaves(first, leaves(results)).not_compared
    assert name.startswith("results['y'] (the spike-train form has written")
    array = dict(y=np.ones(2))
    first = leaves(array)
    array['y'] *= 2
    assert compare_leaves(first, leaves(array)).error == 1
    values = [1, 2.5]
    first = leaves(values)
    values[1] = 5.
    assert compare_leaves(first, leaves(values)).error == 1


def test_inference_tensors():
    with torch.inference_mode():
        results = torch.ones(2, dtype=DOUBLE)
        first = leaves(results)
        results += 1
        found = compare_leaves(first, leaves(results))
    assert (found.error, found.not_compared) == (1, [])
