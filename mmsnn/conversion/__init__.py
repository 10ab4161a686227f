"""From trained models to spike trains: conversion, proof, op trace."""

from .convert import SpikeTrainModel, to_spike_train
from .counting.real_ops import UnclassifiedOpError
from .depth import Depth, NeuronDepth
from .equality import EqualityCheck, EqualityReport, NeuronEquality
from .fold import fold_norms
from .free_running import FreeRunningRun, run_free_running
from .rates import firing_rates
from .rules.rule import Effect, Rule, amounts
from .rules.table import add_rule
from .spikes.spike_tensor import SpikeTensor
from .watching import Firing, watch_neurons

__all__ = [
    'Depth', 'Effect', 'EqualityCheck', 'EqualityReport', 'Firing',
    'FreeRunningRun', 'NeuronDepth', 'NeuronEquality', 'Rule', 'SpikeTensor',
    'SpikeTrainModel', 'UnclassifiedOpError', 'add_rule', 'amounts',
    'firing_rates', 'fold_norms', 'run_free_running',
    'to_spike_train', 'watch_neurons'
]
