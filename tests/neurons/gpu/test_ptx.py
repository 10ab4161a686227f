"""What the kernels become for an NVIDIA GPU: made without one."""

import re
from pathlib import Path

import pytest
import torch
from oracles.edge_numbers import DTYPES

from mmsnn.neurons import LIFNeuron, SFANeuron, SpikingNeuron
from mmsnn.neurons.gpu import counting, sfa, temporal

triton = pytest.importorskip('triton')
PTXAS = Path(triton.__file__).parent / 'backends/nvidia/bin/ptxas'

pytestmark = pytest.mark.skipif(
    not PTXAS.exists(), reason='this Triton has no ptxas')


def firing(u):
    sfa.fire(u, 4, 0.25, threshold=0.7, offset=0.)


def training(u):
    leaf = u.detach().requires_grad_()
    sfa.fire_in_training(leaf, 4, 0.25, 0.5, 0.5, 127)[0].backward(u)


def bytes_of_spikes(u):
    sfa.unpack(sfa.pack(u, 0.25, 127), u, 0.25, 127)


def trains(u):
    sfa.fire_train(u, 4, 0.5)


def counts(u):
    reach = torch.ones(u.shape[2:], dtype=torch.float64)
    counting.fire_and_count(u, 4, 0.25, reach, False)


def bytes_over_time(u):
    through_time(SFANeuron(timesteps=2, decay=0.5, threshold=0.7), u)


def inputs_over_time(u):
    through_time(LIFNeuron(timesteps=2, threshold=0.7, learn_decay=True), u)


def arctan(u):
    if u.dtype is torch.float32:
        through_time(SpikingNeuron(surrogate='arctan', reset='hard',
                                   detach_reset=False), u)


def through_time(neuron, u):
    steps, wide = neuron.timesteps, torch.promote_types(u.dtype, torch.float32)
    state = u[::steps].to(wide).requires_grad_()
    leaf = u.detach().requires_grad_()
    out, left = temporal.fire_over_time(neuron, leaf, state, steps)
    torch.autograd.backward([out, left], [u, state])


@pytest.fixture
def ptx(monkeypatch, tmp_path):
    """Of each kernel that a function launches: its name, and what it is
    compiled to, stage by stage."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))

    def typed(value):
        if isinstance(value, torch.Tensor):
            name = str(value.dtype).removeprefix('torch.')
            return '*' + dict(
                float32='fp32', float64='fp64', float16='fp16',
                bfloat16='bf16', uint8='u8', int64='i64')[name]
        if value is None or value == 1:
            return 'constexpr'
        return 'i32' if value < 2**31 else 'i64'

    def compiled(function, u, capability):
        found = []

        def launch(kernel, programs, *arguments, num_warps=8, **constants):
            assert programs
            names = kernel.arg_names
            values = dict(zip(names, arguments)) | constants
            assert list(values) and set(values) == set(names)
            types = {
                name: 'constexpr' if name in constants else typed(values[name])
                for name in names
            }
            source = ASTSource(
                kernel, types, {
                    name: values[name]
                    for name in names if types[name] == 'constexpr'
                }, {(i, ): [['tt.divisibility', 16]]
                    for i, name in enumerate(names)
                    if types[name] != 'constexpr'})
            built = triton.compile(
                source, target=GPUTarget('cuda', capability, 32),
                options=dict(num_warps=num_warps, enable_fp_fusion=False))
            assert built.asm['cubin']
            found.append((kernel.__name__, built.asm))

        with monkeypatch.context() as patch:
            for module in (counting, sfa, temporal):
                patch.setattr(module, 'launch', launch)
            patch.setattr(sfa, 'usable', lambda tensor: True)
            function(u)
        return found

    return compiled


@pytest.mark.parametrize('capability', [80, 90])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('function', [
    firing, training, bytes_of_spikes, trains, counts, bytes_over_time,
    inputs_over_time, arctan
], ids=lambda f: f.__name__)
def test_they_compile_and_round_as_pytorch_does(ptx, function, dtype,
                                                capability):
    u = torch.zeros(4, 16, 16, 64, dtype=dtype)
    found = ptx(function, u, capability)
    for name, asm in found:
        text = asm['ptx']
        # Products are rounded before they are added, quotients to nearest.
        assert not re.search(r'fma\.rn\.f|mad\.f|approx|\.full', text), name
        # Subnormal numbers are kept. Those of which the floor is taken are
        # none, and surrogates are documented to be 0 there.
        flushed = set(re.findall(r'\S*\.ftz\S*', text))
        assert flushed <= {'cvt.rmi.ftz.f32.f32', 'div.rn.ftz.f32'}, name
        if 'recompute' not in name:
            assert 'div.rn.ftz.f32' not in flushed, name
        # 16 bytes are read at once.
        wide = 'v2.b64' if dtype is torch.float64 else 'v4.b32'
        assert name == 'unpack_kernel' or f'ld.global.{wide}' in text, name


@pytest.mark.parametrize('function', [
    bytes_over_time, inputs_over_time, counts
], ids=lambda f: f.__name__)
def test_no_offset_is_a_product_of_32_bits(ptx, function, monkeypatch):
    monkeypatch.setattr('mmsnn.neurons.gpu.device._LONG', 1)
    for shape in ((4, 16, 16, 64), (4, 3, 5, 7), (4, 1, 1, 1)):
        u = torch.zeros(shape, dtype=torch.bfloat16)
        for name, asm in ptx(function, u, 90):
            products = re.findall(r'arith\.muli.*i32', asm['ttir'])
            assert not products, name


def test_potentials_in_memory_are_read_behind_a_barrier(ptx):
    """What is computed again is stored by threads that read it back: each its
    own, and not before all have stored."""
    u = torch.zeros(4, 16, 16, 64)
    text, = (asm['ptx'] for name, asm in ptx(inputs_over_time, u, 90)
             if 'recompute' in name)
    stored = {
        place: at.start() for at in re.finditer(
            r'st\.global\S* \[ (%rd\d+) \+ 0 \]', text)
        for place in at.groups()
    }
    again = [at for at in re.finditer(
        r'ld\.global\S* \{[^}]*\}, \[ (%rd\d+) \+ 0 \]', text)
        if at[1] in stored]
    assert len(again) == 1
    assert 'bar.sync' in text[stored[again[0][1]]:again[0].start()]
