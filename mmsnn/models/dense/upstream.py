"""Modules of PyTorch and OpenMMLab that need more than a neuron a layer."""

import mmcv.cnn
import torch
from torch import nn
from torch.nn import functional as F

from mmsnn.layers import mixed_form
from mmsnn.layers.spiking_form import qualified_name

#: Activations that a neuron in front of the next synapse replaces. Gates
#: (sigmoid, tanh) are multiplied with something, so they stay.
REPLACED = (nn.ReLU, nn.ReLU6, nn.RReLU, nn.LeakyReLU, nn.ELU, nn.GELU,
            nn.SiLU, nn.Hardswish, nn.Mish, mmcv.cnn.Swish, mmcv.cnn.HSwish)

#: The same as functions, where a module keeps one.
_REPLACED_FUNCTIONS = (F.relu, F.gelu, torch.relu)

#: Parts whose activation no layer reads: their result is returned, or goes
#: into a product of activations.
_READ_BY_NO_LAYER = {
    'mmdet.models.dense_heads.fsaf_head.FSAFHead': ('relu', ),
    'mmdet.models.dense_heads.solov2_head.MaskFeatModule': ('conv_pred', ),
    'mmdet.models.layers.transformer.utils.DynamicConv': ('activation', ),
    'mmseg.models.decode_heads.apc_head.ACM': ('pooled_redu_conv', ),
    'mmseg.models.decode_heads.da_head.DAHead': ('cam_in_conv', ),
    'mmseg.models.decode_heads.dm_head.DCM': ('input_redu_conv', ),
    'mmseg.models.decode_heads.enc_head.EncModule': ('encoding_project', ),
    'mmseg.models.decode_heads.gc_head.GCHead': ('convs.0', ),
    'mmseg.models.decode_heads.knet_head.KernelUpdator': ('activation', ),
    'mmseg.models.decode_heads.ocr_head.OCRHead': ('bottleneck', ),
    'mmseg.models.decode_heads.psa_head.PSAHead': ('reduce', 'reduce_p'),
    'mmseg.models.utils.self_attention_block.SelfAttentionBlock':
    ('key_project', 'query_project', 'value_project'),
}

#: Activations that are multiplied with something.
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax, mmcv.cnn.HSigmoid)

#: Modules that read weights of a layer for other things than its product:
#: K-Net's kernels start as the weights of its classifier, and are activations
#: from there on; CSRA divides by the norm of the weights.
READS_ON_PURPOSE = {
    'mmpretrain.models.heads.multi_label_csra_head.CSRAModule',
    'mmseg.models.decode_heads.knet_head.IterativeDecodeHead',
}


class Rectifier(nn.Module):
    """A ReLU that stays, since no neuron comes after it.

    Example:
        >>> Rectifier()(torch.tensor([-1., 2.]))
        tensor([0., 2.])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Cut off what is negative, never in place.

        Args:
            x (Tensor): Of any shape.

        Returns:
            Tensor: Same shape.
        """
        return x.relu()


def staying_activations(module: nn.Module) -> list[nn.Module]:
    """Activations within a module whose result no layer reads.

    Args:
        module (nn.Module): Any module.

    Returns:
        list[nn.Module]: Those in front of a gate of an ``nn.Sequential``, and
        those that are known of modules of OpenMMLab.

    Example:
        >>> gate = nn.Sequential(nn.Conv2d(4, 1, 1), nn.ReLU(), nn.Sigmoid())
        >>> staying_activations(gate)
        [ReLU()]
    """
    found = []
    if type(module).forward is nn.Sequential.forward:
        parts = list(module)
        found += [a for a, b in zip(parts, parts[1:]) if isinstance(b, _GATES)]
    for kind in type(module).__mro__:
        for name in _READ_BY_NO_LAYER.get(qualified_name(kind), ()):
            part = module
            for step in name.split('.'):
                part = getattr(part, step, None)
            while isinstance(part, nn.Sequential):
                part = part[-1]
            if isinstance(part, mmcv.cnn.ConvModule):
                part = getattr(part, 'activate', None)
            found.append(part)
    return [a for a in found if isinstance(a, REPLACED)]


def prepare(module: nn.Module, kept: set[object]) -> None:
    """Change what a module would do past the neurons of its layers.

    Args:
        module (nn.Module): A module that is no layer; changed in place.
        kept (set): Modules that stay as they are.
    """
    if isinstance(module, mmcv.cnn.ConvModule):
        _prepare_conv_module(module, kept)
    if isinstance(module, nn.TransformerEncoderLayer):
        module.activation_relu_or_gelu = 0  # switches off the fused kernel
    if isinstance(module, nn.TransformerEncoder):
        module.enable_nested_tensor = module.use_nested_tensor = False
    if isinstance(module,
                  (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        if module.activation in _REPLACED_FUNCTIONS:
            module.activation = nn.Identity()
    if (qualified_name(type(module)) == TaskDecomposition.of
            and module.reduction_conv.conv not in kept):
        module.__class__ = mixed_form(TaskDecomposition, type(module))


def _prepare_conv_module(module: mmcv.cnn.ConvModule,
                         kept: set[object]) -> None:
    # The shortcut calls the convolution's op past its neuron.
    module.turn_on_efficient_conv_bn_eval(False)
    if (module.with_activation and isinstance(module.activate, REPLACED)
            and module.activate not in kept):
        # ``activate`` stays, as an identity: TOOD calls it.
        module.with_activation = False
        if isinstance(module.activate, nn.LeakyReLU):
            module.__class__ = mixed_form(LeakyInitialised, type(module))


class LeakyInitialised:
    """Mixed into a ``ConvModule`` whose LeakyReLU was taken out."""

    def init_weights(self) -> None:
        """Set the weights that stand in front of a LeakyReLU upstream."""
        self.with_activation = True
        try:
            super().init_weights()
        finally:
            self.with_activation = False


class TaskDecomposition:
    """Mixed into TOOD's module of that name.

    Upstream multiplies the weights of a convolution by the attention of each
    layer, and then the features by them. Here the features are multiplied,
    which is the same product, so that the convolution keeps its weights and
    can stand behind a neuron.
    """

    #: Path of the class that it is for.
    of = 'mmdet.models.dense_heads.tood_head.TaskDecomposition'

    def forward(self,
                feat: torch.Tensor,
                avg_feat: torch.Tensor | None = None) -> torch.Tensor:
        """Weigh the layers' features, and reduce them to those of one.

        Args:
            feat (Tensor): Features of all layers, (N, layers * C, H, W).
            avg_feat (Tensor, optional): Their mean over positions. Defaults
                to None: it is computed.

        Returns:
            Tensor: (N, C, H, W).
        """
        if avg_feat is None:
            avg_feat = F.adaptive_avg_pool2d(feat, 1)
        attention = self.layer_attention(avg_feat).unsqueeze(2)
        features = feat.unflatten(1, (self.stacked_convs, -1)) * attention
        return self.reduction_conv(features.flatten(1, 2))
