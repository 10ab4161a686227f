"""Parts of the benchmark on a GPU, each a function of a ``Bench``."""

from collections.abc import Callable
from importlib import import_module

#: Module of each part, and its share of the time.
PARTS = dict(
    neurons=13,
    training=22,
    inference=11,
    detector=13,
    pretraining=12,
    spikes=8,
    hook=8,
    equality=8,
    processes=10,
)

#: Parts that stand in the module of another.
_MODULES = dict(
    training='classifier', inference='classifier', spikes='classifier',
    detector='dense', equality='dense')


def load_part(name: str) -> Callable:
    """The function of a part; its module is imported now."""
    module = import_module(f'gpu_parts.{_MODULES.get(name, name)}')
    return getattr(module, f'run_{name}')
