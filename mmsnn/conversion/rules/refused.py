"""Ops that are refused on purpose, each with the reason."""


def _all(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


_ALGORITHM = (
    'what it takes depends on the algorithm and on the values; compute it '
    'outside of the model, or write it in sums and products')
_TRAINING = 'it is a step of training; a converted model only infers'
_QUANTISED = (
    'it works on quantised or packed numbers, which have no price of their '
    'own; run the model in floating point')
_LAYOUT = 'it works on sparse or nested tensors; use dense ones'

#: Why an aten op has no rule.
REFUSED: dict[str, str] = {
    **_all(
        _ALGORITHM, """
        _cholesky_solve_helper _compute_linear_combination
        _histogramdd_bin_edges _histogramdd_from_bin_cts
        _histogramdd_from_bin_tensors _linalg_det
        _linalg_eigh _linalg_eigvals _linalg_slogdet _linalg_solve_ex
        _linalg_svd _spsolve cholesky cholesky_inverse cholesky_solve geqrf
        histogram linalg_cholesky_ex linalg_eig linalg_householder_product
        linalg_inv_ex linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq
        linalg_lu linalg_lu_factor_ex linalg_lu_solve linalg_matrix_exp
        linalg_pinv linalg_qr linalg_solve_triangular lu_unpack ormqr
        triangular_solve _sample_dirichlet _standard_gamma multinomial
        """),
    **_all(
        _TRAINING, """
        _ctc_loss _cudnn_ctc_loss _use_cudnn_ctc_loss multi_margin_loss
        multilabel_margin_loss_forward batch_norm_elemt
        batch_norm_gather_stats batch_norm_gather_stats_with_counts
        batch_norm_stats batch_norm_update_stats
        _amp_foreach_non_finite_check_and_unscale _amp_update_scale
        """),
    **_all(
        _QUANTISED, """
        _int_mm _scaled_mm _scaled_grouped_mm _grouped_mm
        _mixed_dtypes_linear _weight_int4pack_mm _weight_int4pack_mm_for_cpu
        _weight_int8pack_mm dequantize int_repr quantize_per_tensor
        quantize_per_channel fake_quantize_per_tensor_affine_cachemask
        fake_quantize_per_channel_affine_cachemask
        _fake_quantize_learnable_per_tensor_affine
        _fake_quantize_learnable_per_channel_affine
        _fused_moving_avg_obs_fq_helper
        """),
    **_all(
        _LAYOUT, """
        _to_sparse _to_dense _sparse_mm _sparse_softmax _sparse_log_softmax
        _sparse_sum _coalesce _nested_tensor_from_mask _nested_from_padded
        _nested_tensor_from_tensor_list
        _sparse_coo_tensor_with_dims_and_tensors
        _jagged_to_padded_dense_forward _padded_dense_to_jagged_forward
        _pack_padded_sequence to_mkldnn
        """),
    **_all(
        'the fast path of attention hides its spikes; '
        'torch.backends.mha.set_fastpath_enabled(False) leaves it out', """
        _native_multi_head_attention _transform_bias_rescale_qkv
        _transformer_encoder_layer_fwd _triton_multi_head_attention
        _triton_scaled_dot_attention
        """),
    **_all(
        'it is private to PyTorch and runs two ops as one, between which '
        'neurons may stand; write both, such as F.relu(torch.addmm(...))',
        '_add_relu _addmm_activation'),
    **_all(
        'it is one of the ways in which PyTorch computes a convolution; write '
        'F.conv2d or the like, which chooses it', """
        _conv_depthwise2d _convolution _nnpack_spatial_convolution
        conv_depthwise3d mkldnn_convolution slow_conv_dilated2d
        slow_conv_dilated3d slow_conv_transpose2d slow_conv_transpose3d
        """),
    **_all(
        'it convolves in a way of its own; use Conv1d with the axes in order',
        'conv_tbc'),
}

#: Why a compiled op of mmcv has no rule.
MMCV_REFUSED: dict[str, str] = {
    **_all(
        _TRAINING, """
        sigmoid_focal_loss_forward softmax_focal_loss_forward
        sync_bn_forward_mean sync_bn_forward_var sync_bn_forward_output
        """),
    **_all(
        'it is for rotated boxes, polygons or text, which no model of mmdet, '
        'mmseg or mmpretrain has', """
        active_rotated_filter_forward bezier_align_forward box_iou_quadri
        box_iou_rotated contour_expand convex_giou convex_iou
        diff_iou_rotated_sort_vertices_forward min_area_polygons nms_quadri
        nms_rotated pixel_group points_in_polygons_forward
        riroi_align_rotated_forward roi_align_rotated_forward
        rotated_feature_align_forward
        """),
    **_all(
        'it is for point clouds, which no model of mmdet, mmseg or '
        'mmpretrain has', """
        assign_score_withk_forward ball_query_forward
        chamfer_distance_forward dynamic_point_to_voxel_forward
        dynamic_voxelize_forward furthest_point_sampling_forward
        furthest_point_sampling_with_dist_forward fused_indice_conv_forward
        gather_points_forward get_indice_pairs_2d_forward
        get_indice_pairs_3d_forward get_indice_pairs_4d_forward
        group_points_forward hard_voxelize_forward indice_conv_forward
        indice_maxpool_forward iou3d_boxes_overlap_bev_forward
        iou3d_nms3d_forward iou3d_nms3d_normal_forward knn_forward
        points_in_boxes_all_forward points_in_boxes_cpu_forward
        points_in_boxes_part_forward roiaware_pool3d_forward
        roipoint_pool3d_forward stack_ball_query_forward
        stack_group_points_forward three_interpolate_forward three_nn_forward
        """),
    **_all(
        'it is of generators, video models or detectors that mmdet, mmseg '
        'and mmpretrain do not have', """
        bias_act border_align_forward correlation_forward filtered_lrelu
        filtered_lrelu_act_ fused_bias_leakyrelu prroi_pool_forward
        tin_shift_forward upfirdn2d
        """),
}
