"""How many images a call is about is told, or asked for."""

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import BaseDataElement
from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train
from mmsnn.neurons import SFANeuron


class Net(nn.Module):
    """A function of arguments, and of a neuron."""

    def __init__(self, function):
        super().__init__()
        self.neuron = SFANeuron()
        self.function = function

    def forward(self, first, second=None, **others):
        given = [x for x in (first, second) if x is not None]
        return self.function(self.neuron, *given, **others)


def images(function, *args, batch=None, form='counts', **kwargs):
    """Images and the shape of an image, as recorded."""
    spiking = to_spike_train(Net(function), form, batch=batch)
    with spiking:
        spiking(*args, **kwargs)
    (shape, number), = spiking.trace.image_shapes.items()
    assert number == spiking.trace.images
    return number, shape


def rand(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('form', ['spikes', 'counts'])
def test_bytes_are_images(form):
    x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    fire = lambda neuron, x: neuron(x / 64)  # noqa: E731
    assert images(fire, x, form=form) == (4, (3, 8, 8))


def test_what_agrees_tells():
    add = lambda neuron, x, y: neuron(x * y.sum())  # noqa: E731
    assert images(add, rand(2, 3, 4, 4), rand(2, 5)) == (2, (3, 4, 4))
    assert images(add, rand(2, 5), rand(2, 3, 4, 4)) == (2, (3, 4, 4))
    # Single numbers hold no images.
    assert images(add, rand(2, 5), torch.tensor(3.)) == (2, (5, ))


def test_a_table_in_front():
    # Which argument the neuron's rows come from: 2 images, not 77.
    add = lambda neuron, table, x: neuron(x) + table.sum()  # noqa: E731
    assert images(add, rand(77, 4), rand(2, 3, 8, 8)) == (2, (3, 8, 8))
    assert images(add, second=rand(2, 3), first=rand(77, 4)) == (2, (3, ))


def test_what_can_not_be_told_is_asked_for():
    lose = lambda neuron, table, x: neuron(  # noqa: E731
        (table.sum() + x.sum())[None])
    given = rand(77, 4), rand(2, 3, 8, 8)
    with pytest.raises(
            ValueError, match=r"'first' has the shape \(77, 4\), 'second' has "
            r"the shape \(2, 3, 8, 8\).*to_spike_train\(model, batch='first'"):
        images(lose, *given)
    assert images(lose, *given, batch='second') == (2, (3, 8, 8))
    with pytest.raises(ValueError, match="batch='x' names no argument of this "
                       'call: it has first, second'):
        images(lose, *given, batch='x')
    with pytest.raises(ValueError, match="batch='second' must name a tensor "
                       'with a row for each image.*a float'):
        images(lambda neuron, x, y: neuron(x), rand(2, 3), 1.,
               batch='second')


def test_lists_of_images_and_lists_of_maps():
    stack = lambda neuron, x: neuron(torch.stack(x))  # noqa: E731
    assert images(stack, [rand(3, 8, 6)] * 2) == (2, (3, 8, 6))
    assert images(stack, [rand(3, 8, 6)]) == (1, (3, 8, 6))
    each = lambda neuron, x: [neuron(v) for v in x]  # noqa: E731
    levels = [rand(4, 8, 8, 8), rand(4, 16, 4, 4)]
    assert images(each, levels) == (4, (8, 8, 8))
    # Two samples of four points, or maps of four images.
    with pytest.raises(ValueError, match="batch='first'.*batch='first.0'"):
        images(each, [rand(4, 8)] * 2)
    assert images(each, [rand(4, 8)] * 2, batch='first.0') == (4, (8, ))
    lines = lambda neuron, x: neuron(torch.cat(x))  # noqa: E731
    with pytest.raises(ValueError, match="'first' may be images, or batches "
                       "of images.*batch='first'.*batch='first.0'"):
        images(lines, [rand(3, 8)] * 2)
    assert images(lines, [rand(3, 8)] * 2, batch='first') == (2, (3, 8))
    assert images(lines, [rand(3, 8)] * 2, batch='first.0') == (3, (8, ))


def test_inside_dictionaries():
    fire = lambda neuron, x: neuron(x['views'][0]) + x['k'].sum()  # noqa: E731
    given = dict(k=rand(9), views=[rand(2, 3)])
    with pytest.raises(ValueError, match="batch='first.views'.*"
                       "batch='first.views.0'"):
        images(fire, given)
    assert images(fire, given, batch='first.views.0') == (2, (3, ))


def test_data_samples_tell():
    fire = lambda neuron, x, data_samples: neuron(x)  # noqa: E731
    samples = [BaseDataElement(), BaseDataElement()]
    assert images(fire, rand(6, 4), data_samples=samples) == (2, (4, ))
    two = lambda neuron, x, data_samples, more: neuron(x)  # noqa: E731
    with pytest.raises(ValueError, match="'data_samples' has 2 data samples, "
                       "'more' has 1 data samples"):
        images(two, rand(6, 4), data_samples=samples, more=samples[:1])


class Preprocessed(Net):
    """Takes what a data preprocessor gives, as OpenMMLab's models do."""

    def __init__(self, function):
        super().__init__(function)
        self.data_preprocessor = BaseDataPreprocessor()

    def forward(self, inputs, table=None, mode='tensor'):
        return self.function(self.neuron, inputs, table)


def test_the_data_preprocessor_tells():
    lose = lambda neuron, x, table: neuron(  # noqa: E731
        (x.sum() + table.sum())[None])
    spiking = to_spike_train(Preprocessed(lose))
    with spiking:
        spiking.test_step(dict(inputs=rand(2, 3), table=rand(77, 4)))
    assert spiking.trace.images == 2 and spiking.image_shape == (3, )


def test_it_is_told_in_each_form():
    lose = lambda neuron, x, y: neuron(  # noqa: E731
        (x.sum() + y.sum())[None])
    model = Net(lose)
    for form in ('spikes', 'counts', 'free_running'):
        with pytest.raises(ValueError, match='number of images'):
            to_spike_train(model, form)(rand(2, 3), rand(3, 3))
    check = EqualityCheck(model, to_spike_train(model, batch='first'))
    check.compare(rand(2, 3), rand(3, 3))
    assert check.report.images == 2 and check.report.equal


class Rearranges(nn.Module):
    """Its first neurons get rows that ``rows`` makes of the input."""

    def __init__(self, rows, timesteps):
        super().__init__()
        self.fire = SFANeuron(timesteps=timesteps)
        self.fc = nn.Linear(3, 2)
        self.rows = rows

    def forward(self, x):
        return self.fc(self.fire(self.rows(x)))


def time_first(x):
    return x.transpose(0, 1).flatten(0, 1)


@pytest.mark.parametrize('form', ['spikes', 'counts'])
@pytest.mark.parametrize('rows, timesteps, shape, given', [
    # 2 is T; rows that a multiple of the images would explain, or a part
    (time_first, 2, (2, 4, 3), 8), (time_first, 4, (4, 2, 3), 8),
    # time folded into the batch
    (lambda x: x, 2, (4, 3), 4),
    # (T, N, ...): 2 is T, and 3 are the images
    (lambda x: x.transpose(0, 1).flatten(0, 1), 2, (2, 3, 3), 6),
    # 3 images of 5 tokens, the tokens first
    (lambda x: x.transpose(0, 1).flatten(0, 1)[:12], 1, (5, 3, 3), 12)])
def test_rows_of_the_first_neurons_that_are_no_images(form, rows, timesteps,
                                                      shape, given):
    model = Rearranges(rows, timesteps).eval()
    with to_spike_train(model, form) as spiking:
        with pytest.raises(ValueError, match=f'fire: .*{shape[0]} images.* '
                           f'{given} rows for {timesteps} time steps'):
            spiking(torch.ones(shape))
    with to_spike_train(model, form, batch='x',
                        input_over_time=True) as spiking:
        assert spiking(torch.ones(shape)).shape[-1] == 2


class Counts(nn.Module):
    """It has a state, and changes it before its first neuron."""

    def __init__(self):
        super().__init__()
        self.neuron, self.calls, self.steps = SFANeuron(), 0, None
        self.register_buffer('seen', torch.zeros(()))

    def forward(self, x, table):
        self.calls += 1
        self.seen += 1
        if self.steps is not None:
            next(self.steps)
        return self.neuron(x) + self.calls + self.seen + torch.rand(1)


@pytest.mark.parametrize('form', ['spikes', 'counts', 'free_running'])
def test_to_look_at_the_first_neuron_changes_nothing(form):
    model = Counts().eval()
    spiking = to_spike_train(model, form)
    for x in rand(3, 2, 3):
        with torch.random.fork_rng():
            expected = model(x, rand(5, 3))
        assert torch.equal(spiking(x, rand(5, 3)), expected)


def test_where_that_can_not_be_put_back_the_batch_is_asked_for():
    model = Counts().eval()
    model.steps = iter(range(9))
    with pytest.raises(ValueError, match="batch='x'"):
        to_spike_train(model)(rand(2, 3), rand(5, 3))
    spiking = to_spike_train(model, batch='x')
    spiking(rand(2, 3), rand(5, 3))
    assert next(spiking.module.steps) == 1


def test_where_an_argument_can_not_be_copied_the_batch_is_asked_for():
    class Reading(nn.Module):

        def __init__(self):
            super().__init__()
            self.neuron = SFANeuron()

        def forward(self, x, table, numbers):
            return self.neuron(x) + next(numbers)

    given = rand(2, 3), rand(5, 3), iter(i for i in range(9))
    with pytest.raises(ValueError, match="batch='x'"):
        to_spike_train(Reading().eval())(*given)
    to_spike_train(Reading().eval(), batch='x')(*given)
    assert next(given[2]) == 1


class FromArrays(nn.Module):

    def __init__(self):
        super().__init__()
        self.fire, self.fc = SFANeuron(), nn.Linear(3, 2)

    def forward(self, x, table=None):
        return self.fc(self.fire(torch.from_numpy(x)))


@pytest.mark.parametrize('more, batch', [
    ((), None), ((np.zeros((7, 2)), ), None), ((np.zeros((7, 2)), ), 'x')])
def test_arrays_have_images_along_their_first_dimension(more, batch):
    with to_spike_train(FromArrays().eval(), batch=batch) as spiking:
        spiking(np.ones((4, 3), 'float32'), *more)
    assert spiking.trace.images == 4


class Sums(nn.Module):
    """A convolution or a linear layer behind neurons; their input is made by
    a function, or by the model itself."""

    def __init__(self, rows=None, timesteps=1, conv=False):
        super().__init__()
        self.fire = SFANeuron(timesteps=timesteps)
        self.out = nn.Conv2d(3, 2, 1) if conv else nn.Linear(3, 2)
        self.rows = rows or (lambda x: x)

    def forward(self, x=None):
        return self.out(self.fire(self.rows(x)))


def counted(model, *args, **told):
    """Images, the shape of one, and additions, of two equal calls: the first
    op by op, the second by the plan."""
    with to_spike_train(model.eval(), 'counts', **told) as spiking:
        for _ in range(2):
            spiking(*args)
    (shape, number), = spiking.trace.image_shapes.items()
    assert number == spiking.trace.images
    assert number % 2 == spiking.trace.total('sops') % 2 == 0
    return number // 2, shape, spiking.trace.total('sops') // 2


ONE = 'may be one image without a batch axis'
NONE = 'no argument is a tensor with rows.*batch=1'
OWN = 'the entries of the argument'
EVENTS = np.ones((5, 3), 'float32')


def stacked(x):
    return torch.stack([torch.from_numpy(v).amax(0) for v in x])


def first_points(x):
    return torch.from_numpy(x[0])


def one_more(x):
    return x[None]


def made(x):
    return torch.ones(2, 3)


# Neurons fire one spike on each 1, and each spike reaches both outputs.
@pytest.mark.parametrize('model, args, told, expected', [
    # rows along the first dimension: 4 x 3 x 2; 4 x 3 x 25 x 2; 4 x 5 x 3 x 2
    (Sums(), (torch.ones(4, 3), ), {}, (4, (3, ), 24)),
    (Sums(conv=True), (torch.ones(4, 3, 5, 5), ), {}, (4, (3, 5, 5), 600)),
    (Sums(), (torch.ones(4, 5, 3), ), {}, (4, (5, 3), 120)),
    (Sums(lambda x: x[:1]), (torch.ones(4, 3), ), {}, (4, (3, ), 6)),
    # one image without a batch axis, in the shapes in which layers take it
    (Sums(conv=True), (torch.ones(3, 5, 5), ), {},
     r'out: its input has the shape \(3, 5, 5\), which ' + ONE),
    (Sums(conv=True), (torch.ones(3, 5, 5), ), dict(batch=1),
     (1, (3, 5, 5), 150)),
    (Sums(), (torch.ones(3), ), {}, "'x' has the shape .*" + ONE),
    (Sums(), (torch.ones(3), ), dict(batch=1), (1, (3, ), 6)),
    (Sums(made), (np.ones((5, 5, 3), 'uint8'), ), {}, ONE),
    # one that the model gives a batch axis itself
    (Sums(one_more, conv=True), (torch.ones(3, 5, 5), ), {},
     r'fire has neurons for one image; .* has the shape \(3, 5, 5\), which '
     + ONE),
    (Sums(one_more, conv=True), (torch.ones(3, 5, 5), ), dict(batch=1),
     (1, (3, 5, 5), 150)),
    (Sums(one_more), (torch.ones(4, 3), ), {}, ONE),
    (Sums(one_more), (torch.ones(4, 3), ), dict(batch='x'), (4, (3, ), 24)),
    # time in front, and time folded into the batch; N = T has one reading
    (Sums(time_first, 2), (torch.ones(2, 2, 3), ), {}, (2, (2, 3), 24)),
    (Sums(time_first, 2), (torch.ones(2, 4, 3), ), dict(batch=4),
     (4, (2, 3), 48)),
    (Sums(time_first, 4), (torch.ones(4, 2, 3), ), dict(batch=2),
     (2, (4, 3), 48)),
    (Sums(timesteps=2), (torch.ones(4, 3), ), dict(batch=2),
     (2, (3, ), 24)),
    # lists of events; each sample makes one row
    (Sums(stacked), ([EVENTS, EVENTS[:4]], ), {}, (2, (5, 3), 12)),
    (Sums(first_points), ([EVENTS], ), {}, OWN),
    (Sums(first_points), ([EVENTS], ), dict(batch='x'), (1, (5, 3), 30)),
    # no tensors
    (Sums(made), (), {}, NONE),
    (Sums(made), (), dict(batch=2), (2, (), 12)),
    (Sums(made), ('image.png', ), {}, NONE),
    (Sums(made), (['1.png', '2.png'], ), {}, NONE + ".*or batch='x'"),
    (Sums(made), (['1.png', '2.png'], ), dict(batch='x'), (2, (), 12)),
    # what is said of a call must be possible
    (Sums(), (torch.ones(4, 3), ), dict(batch=5),
     "batch=5 says.*'x' of shape"),
])
def test_what_is_taken_and_what_is_asked_for(model, args, told, expected):
    if isinstance(expected, tuple):
        assert counted(model, *args, **told) == expected
        return
    with pytest.raises(ValueError, match=expected):
        counted(model, *args, **told)


def test_an_image_at_a_time_is_no_image_without_a_batch_axis():
    model = nn.Conv2d(3, 2, 1)
    fire = lambda neuron, x: torch.stack(  # noqa: E731
        [model(neuron(v)) for v in x])
    assert images(fire, rand(4, 3, 5, 5)) == (4, (3, 5, 5))


@pytest.mark.parametrize('told, error', [
    (dict(batch=True), TypeError), (dict(batch=1.), TypeError),
    (dict(batch=0), ValueError), (dict(input_over_time=1), TypeError)])
def test_what_can_not_be_said(told, error):
    with pytest.raises(error, match=f'{next(iter(told))} must be .* but is'):
        to_spike_train(SFANeuron(), **told)


def test_a_neuron_alone_has_a_row_for_each_image():
    with to_spike_train(SFANeuron()) as spiking:
        spiking(torch.tensor([1., 0., 2.]))
    assert spiking.trace.images == 3 and spiking.trace.total('emitted') == 3


@pytest.mark.parametrize('layer, shape', [
    (nn.Conv1d(4, 2, 1), (4, 5)), (nn.ConvTranspose2d(3, 2, 1), (3, 5, 5)),
    (nn.Conv3d(3, 2, 1), (3, 5, 5, 5)), (nn.MultiheadAttention(4, 2), (5, 4))])
def test_layers_that_take_an_image_without_a_batch_axis(layer, shape):

    def fire(neuron, x):
        attends = isinstance(layer, nn.MultiheadAttention)
        return neuron(layer(x, x, x)[0] if attends else layer(x))

    with pytest.raises(ValueError, match='model.*its input has .*' + ONE):
        images(fire, rand(*shape))
    assert images(fire, rand(*shape), batch=1) == (1, shape)
    assert images(fire, rand(1, *shape))[0] == 1
