import torch

from mmsnn.hardware.operations.traffic import memory_traffic
from mmsnn.layers import SpikeConv2d
from mmsnn.trace import OpRecord, OpTrace

NEURON = dict(type='mmsnn.SFANeuron', max_spikes=2)


def test_traffic(record):
    conv = SpikeConv2d(1, 5, 3, padding=1, neuron=NEURON)
    trace = record(conv, torch.tensor([[[[2., 1., 0., 0.]]]]))
    neuron, synapse = memory_traffic(trace)
    assert neuron.state_reads == neuron.state_writes == 4 * 2
    assert neuron.state_bytes == 16 and neuron.messages == 0
    assert synapse.messages == 3
    assert synapse.weight_reads == synapse.state_writes == 35
    assert synapse.touched == 25
    assert synapse.weight_bytes == 4 * (45 + 5)


def test_attention_holds_accumulators():
    product = OpRecord(
        'a', 'matmul', 'bmm', spiking=True, static=False, sops=10,
        in_spikes=2, accumulators=64, accumulator_max=100)
    found, = memory_traffic(OpTrace([product], 1))
    assert found.accumulator_bits == 8 and found.state_bytes == 64
    assert found.weight_reads == 0
    assert found.state_reads == found.activation_reads == 10
