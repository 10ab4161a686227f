"""Files that would run something if they were read as Python objects."""

import collections
import os

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

import mmsnn  # noqa: F401  takes the place of mmengine's loading


class Reduced:
    """Pickled as a call that writes a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary), )


class Built:
    """Pickled as an ordered dict of which the state is such a call."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return collections.OrderedDict, (), dict(a=Reduced(self.canary))


HOSTILE = {
    'reduce': lambda saved, canary: saved.update(more=Reduced(canary)),
    'build': lambda saved, canary: saved.update(more=Built(canary)),
    'in optimiser state': lambda saved, canary: saved.update(
        optimizer=dict(state={0: dict(step=[Reduced(canary)])})),
    'in meta': lambda saved, canary: saved['meta'].update(
        dataset_meta=dict(classes=(Reduced(canary), ))),
    'in a history': lambda saved, canary: saved.update(
        message_hub=dict(log_scalars=dict(loss=history(canary)))),
    'in an object array': lambda saved, canary: saved.update(
        more=np.array([Reduced(canary)], object)),
}


def history(canary):
    buffer = HistoryBuffer([1.], [1])
    buffer._log_history = Reduced(canary)
    return buffer


@pytest.fixture
def canary(tmp_path):
    """A path that exists as soon as something was run."""
    return tmp_path / 'canary'


@pytest.fixture(params=HOSTILE)
def hostile(request, canary):
    """Makes a saved checkpoint one that would run something; returns the
    path, and has proved that reading it as PyTorch can does so."""

    def change(path):
        saved = torch.load(path, weights_only=False)
        saved.setdefault('meta', {})
        HOSTILE[request.param](saved, canary)
        torch.save(saved, path)
        torch.load(path, weights_only=False)
        canary.rmdir()
        return path

    return change


