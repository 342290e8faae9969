"""What is known of PyTorch's operations by name: the families that the searches treat alike."""

# Operations whose outputs are entries of their inputs, moved.
MOVES = {
    "_reshape_alias", "_unsafe_view", "channel_shuffle", "chunk", "constant_pad_nd_none", "diagonal", "expand",
    "expand_copy", "flip", "movedim", "narrow", "permute", "permute_copy", "pixel_shuffle", "pixel_unshuffle",
    "reflection_pad1d", "reflection_pad2d", "repeat", "replication_pad1d", "replication_pad2d", "reshape", "roll",
    "rot90", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "transpose_copy", "unbind",
    "unfold", "unsafe_split", "unsafe_split_with_sizes", "unsqueeze", "view", "view_copy", "cat", "stack",
    "native_channel_shuffle",
}  # fmt: skip
# Operations that return their input.
COPIES = {"_to_copy", "alias", "clone", "contiguous", "detach", "lift_fresh", "lift_fresh_copy", "positive", "to"}
# Operations that fill a tensor with one number, and the argument that holds it.
FILLS = {"full": "fill_value", "full_like": "fill_value", "new_full": "fill_value", "scalar_tensor": "s"}
LOWEST = -1e4  # scores this low are masked out: their exponential is zero beside any other one
# Operations that read only the shape of their input.
CREATIONS = {"empty_like", "full_like", "new_empty", "new_full", "new_ones", "ones_like", "rand_like", "randn_like"}
ZEROS = {"new_zeros", "zeros", "zeros_like"}

# How an activation that scales is passed on.
HOMOGENEOUS = {"_prelu_kernel", "abs", "leaky_relu", "neg", "relu", "rrelu", "tril", "triu"}
SMOOTH = {
    "_log_softmax", "_safe_softmax", "_softmax", "_thnn_fused_gru_cell", "_thnn_fused_lstm_cell", "acos",
    "argmax", "argmin", "asin", "atan", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu",
    "clamp", "cos", "cosh", "cumprod", "elu", "eq", "erf", "exp", "expm1", "floor", "ge", "gelu", "gt",
    "hardsigmoid", "hardswish", "hardtanh", "huber_loss", "isnan", "le", "log", "log10", "log1p", "log2",
    "log_sigmoid_forward", "logsumexp", "lt", "mish", "mkldnn_rnn_layer", "mse_loss", "ne",
    "nll_loss2d_forward", "nll_loss_forward", "prod", "relu6", "round", "selu", "sigmoid", "sign", "silu",
    "sin", "sinh", "smooth_l1_loss", "softplus", "tan", "tanh",
}  # fmt: skip
COMPARISONS = {"eq", "ge", "gt", "le", "lt", "ne"}
POOLS = {
    "_adaptive_avg_pool2d": 2, "_adaptive_avg_pool3d": 3, "adaptive_avg_pool1d": 1, "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3, "avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3, "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3, "upsample_bilinear2d": 2, "upsample_nearest2d": 2, "upsample_bicubic2d": 2,
    "_upsample_bilinear2d_aa": 2, "upsample_linear1d": 1, "upsample_nearest1d": 1, "constant_pad_nd": 0, "im2col": 2,
}  # fmt: skip
REDUCTIONS = {"amax", "amin", "cumsum", "linalg_vector_norm", "max", "mean", "min", "norm", "sort", "std", "sum",
              "topk", "var", "var_mean"}  # fmt: skip
NORMS = {"_batch_norm_with_update", "_native_batch_norm_legit", "cudnn_batch_norm", "native_batch_norm",
         "native_group_norm", "native_layer_norm"}  # fmt: skip

CONTRACTIONS = {"mm", "addmm", "bmm", "baddbmm"}
SOFTMAX = {"_log_softmax", "_safe_softmax", "_softmax"}
KEEPS_MEAN = "layer_norm_without_gain"  # stands for a layer normalization where its gain is left out of a tape
MEANS = {"mean", "sum"}
MAXIMA = {"amax", "amin"}
SPREADS = {"std", "var"}


def hides(value) -> bool:
    """Whether a number written over scores only masks them out."""
    return isinstance(value, (int, float)) and (value <= LOWEST or value == float("inf"))
