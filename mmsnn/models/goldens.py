"""Comparison of the models with golden vectors of the published ones."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmsnn.layers import SDSA3, mean_over_time
from mmsnn.neurons import build_neuron, is_spiking

from .published import (
    FAMILIES,
    PRETRAINING,
    classifier_config,
    convert_state_dict,
    neuron_paths,
    parameter_paths,
)

#: Largest difference over the largest value: of outputs stored as float64,
#: of outputs stored as float32, and of gradient norms.
TOLERANCES = {np.dtype('float64'): 1e-6, np.dtype('float32'): 1e-5}
GRADIENT_TOLERANCE = 1e-6


def is_golden(path: Path) -> bool:
    """Whether a file has its vectors beside it.

    Args:
        path (Path): NAME.json.

    Returns:
        bool: Whether there is a NAME.npz.

    Example:
        >>> is_golden(Path('none.json'))
        False
    """
    return path.with_suffix('.npz').exists()


def check_golden(path: Path,
                 report: Callable[[str], None] = print) -> bool | None:
    """Build the model of one golden and compare all that the golden holds.

    Args:
        path (Path): NAME.json; NAME.npz lies beside it.
        report (Callable): Takes the line of this golden.

    Returns:
        bool | None: Whether it passes; None if the family is not built yet.
    """
    spec = json.loads(path.read_text())
    check = CHECKS.get(spec['family'])
    if check is None:
        report(f'{path.stem}: SKIPPED, the family {spec["family"]} is not '
               'built yet')
        return None
    with np.load(path.with_suffix('.npz')) as arrays:
        try:
            result = check(spec, dict(arrays))
        except ValueError as error:  # a model or state that can't be built
            report(f'{path.stem}: FAIL  {error}')
            return False
    report(f'{path.stem}: {result}')
    return result.passed


class GoldenResult:
    """What the comparison with one golden shows.

    Example:
        >>> result = GoldenResult()
        >>> result.equal('parameters', 3, 4)
        >>> print(result)
        FAIL  [parameters 3 instead of 4]
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.passed = True

    def close(self, name: str, actual: torch.Tensor,
              expected: np.ndarray) -> None:
        """Compare an output; the error is relative to the largest value.

        Args:
            name (str): What is compared.
            actual (Tensor): The model's.
            expected (np.ndarray): The golden's; its type sets the tolerance.
        """
        expected_ = torch.from_numpy(expected).double()
        if actual.shape != expected_.shape:
            self._add(f'{name} has shape {tuple(actual.shape)}, not '
                      f'{tuple(expected_.shape)}', False)
            return
        error = (actual.detach().double() - expected_).abs().max()
        error = (error / expected_.abs().max().clamp_min(1e-300)).item()
        self._add(f'{name} {error:.1e}', error <= TOLERANCES[expected.dtype])

    def counts(self, actual: dict[str, int], expected: dict[str,
                                                            int]) -> None:
        """Compare the sums of spike counts of all neurons as integers.

        Args:
            actual (dict[str, int]): The model's, by path.
            expected (dict[str, int]): The golden's, by path.
        """
        wrong = [k for k in expected if actual.get(k) != expected[k]]
        wrong += [k for k in actual if k not in expected]
        text = f'spike counts: {len(wrong)} of {len(expected)} neurons differ'
        self._add(text + (f' (first: {wrong[0]})' if wrong else ''), not wrong)

    def gradients(self, model: nn.Module, expected: dict[str, float]) -> None:
        """Compare the norms of the gradients of all parameters.

        Args:
            model (nn.Module): It has gradients.
            expected (dict[str, float]): The golden's norms, by parameter.
        """
        actual = {
            k: p.grad.norm().item()
            for k, p in model.named_parameters() if p.grad is not None
        }
        missing = set(expected) - set(actual)
        error = max((abs(actual[k] - v) / max(abs(v), 1e-300)
                     for k, v in expected.items() if k in actual),
                    default=0.)
        self._add(
            f'gradient norms {error:.1e}' +
            (f', {len(missing)} missing' if missing else ''),
            error <= GRADIENT_TOLERANCE and not missing)

    def equal(self, name: str, actual, expected) -> None:
        """Compare exactly.

        Args:
            name (str): What is compared.
            actual (Any): The model's.
            expected (Any): The golden's.
        """
        self._add(
            f'{name} {actual}' +
            ('' if actual == expected else f' instead of {expected}'),
            actual == expected)

    def _add(self, text: str, passed: bool) -> None:
        self.parts.append(text if passed else f'[{text}]')
        self.passed = self.passed and passed

    def __str__(self) -> str:
        return f'{"PASS" if self.passed else "FAIL"}  {", ".join(self.parts)}'


def check_classifier(spec: dict,
                     arrays: dict[str, np.ndarray]) -> GoldenResult:
    """Compare a classifier: logits, feature maps, spike counts, gradients.

    Args:
        spec (dict): What NAME.json says.
        arrays (dict[str, np.ndarray]): What NAME.npz holds.

    Returns:
        GoldenResult: What was compared, and whether it passes.

    Raises:
        ValueError: If the model or its state can't be built.
    """
    result = GoldenResult()
    state = _state(arrays)
    model = _build(spec, state, arrays['input'].shape[1])
    images = torch.from_numpy(arrays['input']).double()
    result.equal('parameters', sum(p.numel() for p in model.parameters()),
                 spec['params'])

    with torch.no_grad(), _spike_counts(model) as sums:
        features = model.backbone(images)
        pooled = model.neck(features[-1:])
        logits = model.head(pooled)
        logits = mean_over_time(logits, len(logits) // len(images))
    result.close('logits', logits, arrays['eval_logits'])
    for i, feature in enumerate(features):
        if f'feat{i}' in arrays:
            result.close(f'feat{i}', feature, arrays[f'feat{i}'])
    if 'encoder_out' in arrays:
        tokens = features[-1].flatten(2).unflatten(0, (len(images), -1))
        result.close('encoder_out', tokens.transpose(0, 1),
                     arrays['encoder_out'])
    paths = neuron_paths(spec['spike_count_sum'], spec['family'])
    for name, path in UNREAD.get(spec['family'], {}).items():
        if name in paths and path not in sums:
            neuron = build_neuron(_neuron_config(spec), scale=1.0)
            sums[path] = int(neuron(pooled[-1]).sum().item())
    result.counts(
        dict(sums),
        {path: spec['spike_count_sum'][name]
         for name, path in paths.items()})

    if 'train_logits' in arrays:
        model.train()
        images.requires_grad_()
        logits = model.head(model.neck(model.backbone(images)[-1:]))
        weight = torch.from_numpy(arrays['loss_weight']).double()
        (logits * weight).sum().backward()
        result.close('train logits', logits, arrays['train_logits'])
        result.close('input gradient', images.grad, arrays['grad_input'])
        names = parameter_paths(state, spec['family'])
        result.gradients(
            model, {names[k]: v for k, v in spec['grad_norm'].items()})
    return result


def check_pretraining(spec: dict,
                      arrays: dict[str, np.ndarray]) -> GoldenResult:
    """Compare an encoder of masked pre-training that keeps all tokens.

    Args:
        spec (dict): What NAME.json says.
        arrays (dict[str, np.ndarray]): What NAME.npz holds: latent tokens and
            spike counts.

    Returns:
        GoldenResult: What was compared, and whether it passes.

    Raises:
        ValueError: If the model or its state can't be built.
    """
    result = GoldenResult()
    state, family = _state(arrays), spec['family']
    images = torch.from_numpy(arrays['input']).double()
    patch = spec['patch_size']
    config = PRETRAINING[family].model(
        spec['embed_dims'],
        spec.get('depths') or (1, 1, 2, spec['depth']),
        spec['num_heads'],
        in_channels=images.shape[1],
        neuron=_neuron_config(spec),
        linear_pair=spec['linear_pair'],
        patch_size=patch)
    model = ROOT_MODELS.build(config)
    converted = convert_state_dict(state)
    # A golden says nothing of the decoder.
    converted.update({
        k: v
        for k, v in model.state_dict().items() if k.startswith('neck.')
    })
    _load(model, converted)
    mask = torch.from_numpy(arrays['active_mask']) > 0
    mask = mask.unflatten(1, tuple(n // patch for n in images.shape[2:]))
    with torch.no_grad(), _spike_counts(model) as sums:
        # One by one: images may show different numbers of patches.
        latent = torch.cat([
            model.encode(image, shown)[-1]
            for image, shown in zip(images.split(1), mask.split(1))
        ])
    result.close('latent', latent.flatten(2).transpose(1, 2), arrays['latent'])
    paths = neuron_paths(spec['spike_count_sum'], family)
    result.counts(
        dict(sums),
        {path: spec['spike_count_sum'][name]
         for name, path in paths.items()})
    return result


def _state(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The published state of a golden."""
    return {
        k[len('state.'):]: torch.from_numpy(v)
        for k, v in arrays.items() if k.startswith('state.')
    }


def _load(model: nn.Module, state: dict[str, torch.Tensor]) -> nn.Module:
    """Load strictly; the model in float64 and eval mode.

    Raises:
        ValueError: If the state does not fit.
    """
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(' '.join(str(error).split())) from error
    return model.double().eval()


@contextmanager
def _spike_counts(model: nn.Module) -> Iterator[dict[str, int]]:
    """Sums of the spike counts of all neurons, by path."""
    sums = defaultdict(int)
    handles = [
        module.register_forward_hook(_count_into(sums, name))
        for name, module in model.named_modules() if is_spiking(module)
    ]
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()


#: Neurons of published models whose output nothing reads: without a
#: distillation head, the large family's classifier fires one all the same.
UNREAD = dict(espikeformer_large=dict(lif='head.fc_kd.neuron'))


def _build(spec: dict, state: dict[str, torch.Tensor],
           in_channels: int) -> nn.Module:
    """The classifier of a golden in float64 and eval mode, weights loaded.

    Raises:
        ValueError: If the spec is out of range or the state does not fit.
    """
    options = {}
    if spec['family'] == 'espikeformer_large':
        scaled = any('layer_scale' in key for key in state)
        options = dict(
            linear_pair=spec['linear_pair'],
            distillation_head=spec['distillation_head'],
            layer_scale_init_value=1e-6 if scaled else None)
    config = classifier_config(
        spec['embed_dims'],
        spec.get('depths') or (1, 1, 2, spec['depth']),
        spec['num_heads'],
        spec['num_classes'],
        in_channels=in_channels,
        neuron=_neuron_config(spec),
        family=spec['family'],
        **options)
    stages = len(config['backbone']['arch']['depths'])
    config['backbone']['out_indices'] = tuple(range(1, stages))
    # Feature maps are compared at each time step.
    config['backbone']['mean_over_time'] = False
    return _load(ROOT_MODELS.build(config), convert_state_dict(state))


def _neuron_config(spec: dict) -> dict:
    """Config of the neurons of a golden."""
    keys = dict(
        max_spikes=spec['max_spikes'], timesteps=spec.get('timesteps', 1))
    given = spec.get('neuron')
    if given is None:
        return dict(type='mmsnn.SFANeuron', **keys)
    threshold = given['v_threshold']
    ratio = given['attention_v_threshold'] / threshold
    for name, value, expected in (
        ('type', given['type'], 'LIF'),
        ('v_reset', given['v_reset'], 0),
        ('attention_v_threshold over v_threshold', ratio,
         SDSA3.threshold_ratio)):
        if value != expected:
            raise ValueError(f'neuron: {name} is {value}, but the family '
                             f'{spec["family"]} has {expected}')
    return dict(
        type='mmsnn.LIFNeuron',
        threshold=threshold,
        decay=1 - 1 / given['tau'],
        decay_input=given['decay_input'],
        reset=given['reset'],
        **keys)


def _count_into(sums, name):

    def hook(module, args, output):
        sums[name] += int((output / module.scale).round().sum().item())

    return hook


#: Family -> function(spec, arrays) -> GoldenResult.
CHECKS = {
    **dict.fromkeys(FAMILIES, check_classifier),
    **dict.fromkeys(PRETRAINING, check_pretraining)
}
