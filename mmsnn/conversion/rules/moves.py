"""Ops that move, make or look up data: no arithmetic is charged for them."""

from math import frexp

import torch

from .rule import Call, Effect, rules


def _keeps_values(call: Call, largest: float) -> bool:
    """Whether a type holds counts times the scale as they are, but for the
    last place of float32."""
    spikes, dtype = call['self'], call['dtype']
    if dtype is None:
        return True
    if not dtype.is_floating_point:
        return False
    eps = torch.finfo(dtype).eps
    exact = frexp(spikes.scale)[0] == 0.5 and spikes.max_spikes * eps <= 2
    return exact or eps <= torch.finfo(torch.float32).eps


#: Each element comes from one of the first argument, and none is there twice
#: unless others are left out.
_PERMUTATIONS = rules(
    """
    _reshape_alias _reshape_copy _unsafe_view alias alias_copy channel_shuffle
    clone contiguous detach detach_copy expand expand_copy flip lift
    lift_fresh lift_fresh_copy movedim narrow narrow_copy
    native_channel_shuffle numpy_T permute permute_copy pixel_shuffle
    pixel_unshuffle positive reshape roll rot90 select select_copy slice
    slice_copy squeeze squeeze_copy swapaxes swapdims t t_copy transpose
    transpose_copy unsqueeze unsqueeze_copy view view_copy _pin_memory
    pin_memory
    """,
    effect=Effect.MOVED,
    permutes=True)

#: An element may be there several times, or not at all; zeros may be added.
_MOVES = rules(
    """
    _unsafe_index as_strided as_strided_copy diag_embed diagonal
    diagonal_copy gather im2col index index_select masked_select max_unpool2d
    max_unpool3d
    reflection_pad1d reflection_pad2d reflection_pad3d repeat
    repeat_interleave replication_pad1d replication_pad2d replication_pad3d
    split split_copy split_with_sizes split_with_sizes_copy take
    to_padded_tensor tril triu unbind unbind_copy unfold unfold_copy
    unsafe_split unsafe_split_with_sizes upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d
    """,
    effect=Effect.MOVED)
_MOVES.update(
    rules('constant_pad_nd', effect=Effect.MOVED, data=('self', 'value')),
    **rules('_unsafe_masked_index', effect=Effect.MOVED,
            data=('self', 'fill')),
    **rules('embedding', effect=Effect.MOVED, data=('weight', )),
    **rules('_to_copy', effect=Effect.MOVED, permutes=True,
            when=_keeps_values))

#: Elements of several arguments.
_MERGES = {
    **rules('_chunk_cat _stack block_diag cat stack',
            effect=Effect.MOVED, data=('tensors', )),
    **rules('where', effect=Effect.MOVED, data=('self', 'other')),
    **rules('index_fill masked_fill scatter.value',
            effect=Effect.MOVED, data=('self', 'value')),
    **rules('index_copy masked_scatter', effect=Effect.MOVED,
            data=('self', 'source')),
    **rules('as_strided_scatter diagonal_scatter scatter select_scatter '
            'slice_scatter', effect=Effect.MOVED, data=('self', 'src')),
    # What was there before is written over.
    **rules('copy', effect=Effect.MOVED, data=('src', )),
    **rules('fill', effect=Effect.MOVED, data=('value', )),
    **rules('zero', effect=Effect.MOVED, data=())
}

#: Ops of which no value of a tensor among their arguments reaches the result.
_FACTORIES = rules(
    """
    _efficientzerotensor arange bartlett_window blackman_window empty
    empty_like empty_permuted empty_strided eye fft_fftfreq fft_rfftfreq full
    full_like hamming_window hann_window kaiser_window linspace logspace
    new_empty new_empty_strided new_full new_ones new_zeros ones ones_like
    range scalar_tensor tril_indices triu_indices zeros zeros_like
    """,
    effect=Effect.MADE)

#: Numbers that are drawn; what they come from is not charged.
_DRAWN = rules(
    """
    cauchy exponential geometric log_normal normal rand rand_like randint
    randint_like randn randn_like random randperm uniform
    """,
    effect=Effect.MADE)

#: Ops on values that move or look up, but no spikes.
_LOOK_UPS = rules(
    """
    _assert_async _assert_scalar _assert_tensor_metadata
    _functional_assert_async _has_same_storage_numel _linalg_check_errors
    _local_scalar_dense _print _resize_output bernoulli binomial
    complex conj _conj _conj_copy imag is_same_size is_set_to item poisson
    real record_stream rename resize resize_as resize_as_sparse set
    sym_constrain_range sym_constrain_range_for_size sym_numel sym_size
    sym_storage_offset sym_stride view.dtype view_copy.dtype view_as_complex
    view_as_complex_copy view_as_real view_as_real_copy _fused_sdp_choice
    _debug_has_internal_overlap is_pinned _fw_primal _nnz dense_dim
    """)

RULES = {
    **_PERMUTATIONS,
    **_MOVES,
    **_MERGES,
    **_FACTORIES,
    **_DRAWN,
    **_LOOK_UPS
}

#: Makers of tensors whose values nothing has set yet.
UNSET = {
    'empty', 'empty_like', 'empty_permuted', 'empty_strided', 'new_empty',
    'new_empty_strided'
}
