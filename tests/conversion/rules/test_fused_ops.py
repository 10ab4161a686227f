"""Ops that run several as one, which would hide what spikes do in them."""

import pytest
import torch
from torch import nn

from mmsnn.conversion import UnclassifiedOpError, to_spike_train
from mmsnn.neurons import SFANeuron

# On spikes of 1 x 4 x 6.
FUSED = {
    '_addmm_activation': (lambda m, s: torch._addmm_activation(
        m.bias, s[0], m.w), 'write both'),
    '_native_multi_head_attention': (
        lambda m, s: torch._native_multi_head_attention(
            s, s, s, 6, 2, *m.projections, None, False),
        'set_fastpath_enabled'),
    '_transformer_encoder_layer_fwd': (
        lambda m, s: torch._transformer_encoder_layer_fwd(
            s, 6, 2, *m.projections, False, False, 1e-5,
            m.bias, m.bias, m.bias, m.bias, m.w, m.bias, m.w, m.bias),
        'set_fastpath_enabled'),
    '_convolution': (lambda m, s: torch._convolution(
        s, m.w[:, :4, None], None, [1], [0], [1], False, [0], 1, False, False,
        False), 'write F.conv2d'),
}


class Net(nn.Module):

    def __init__(self, run):
        super().__init__()
        self.neuron, self.run = SFANeuron(2), run
        self.w, self.bias = (nn.Parameter(torch.randn(*shape))
                             for shape in ((6, 6), (6, )))
        self.projections = nn.ParameterList(
            torch.randn(*shape) for shape in (
                (18, 6), (18, ), (6, 6), (6, )))

    def forward(self, x):
        return self.run(self, self.neuron(x))


@pytest.mark.parametrize('name', FUSED)
def test_what_hides_spikes_is_refused_and_says_what_to_write(name):
    run, says = FUSED[name]
    torch.manual_seed(0)
    with to_spike_train(Net(run).eval(), 'counts') as spiking, pytest.raises(
            UnclassifiedOpError, match=f'{name}.*on purpose.*{says}'):
        spiking(torch.rand(1, 4, 6))


@pytest.mark.parametrize('kind', [
    lambda: nn.MultiheadAttention(6, 2, batch_first=True),
    lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)])
def test_layers_of_pytorch_leave_their_fast_path_out(kind):
    """It is left out while ops are recorded: products on spikes are seen."""
    torch.manual_seed(0)
    net = Net(lambda m, s: m.layer(s, s, s) if isinstance(
        m.layer, nn.MultiheadAttention) else m.layer(s)).eval()
    net.layer = kind().eval()
    with to_spike_train(net, 'counts') as spiking:
        spiking(torch.rand(1, 4, 6))
    first = next(r for r in spiking.trace if r.kind == 'linear')
    assert first.spiking and first.weights == 18 * 6
    assert first.sops == 18 * first.in_spikes > 0
