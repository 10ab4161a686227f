"""Spikes as tensors, and the forms that a neuron takes.

In: neurons in training form, membrane potentials. Out: spikes, as a tensor
type on which synapses add and everything else sees values.
"""
