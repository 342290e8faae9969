"""Tiny random instances of architectures that people train, from the library ``transformers`` (an optional extra)."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nld.errors import InvalidInput

VOCABULARY = 11
MANY = 37  # words, where the first layer sees nothing else: so many that its weights matter all the same
_STACK = {"vocab_size": VOCABULARY, "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2}
_HEADS = {"num_attention_heads": 2, "max_position_embeddings": 16}
_GROUPED = {**_STACK, **_HEADS, "num_key_value_heads": 1, "head_dim": 4}
_ENDS = {"pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2}  # no row of the embedding is held at zero
_DRY = {"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
_IMAGES = {"image_size": 8, "patch_size": 4, "num_channels": 2}


@dataclass(frozen=True)
class Architecture:
    """A model of ``transformers``: its class there, the sizes of its configuration, and inputs for it.

    Args:
        model: the class of the model; its configuration's class is the model's ``config_class``.
        config: what differs from the defaults of the configuration.
        inputs: draws a batch, as keyword arguments.
    """

    name: str
    model: str
    config: dict[str, Any]
    inputs: Callable[[], dict[str, torch.Tensor]]

    def build(self) -> nn.Module:
        """The model at random parameters, in train mode, without dropout.

        Raises:
            ValueError: ``transformers`` is not installed.
        """
        try:
            transformers = importlib.import_module("transformers")
        except ImportError:
            raise InvalidInput(
                "expected the library transformers, got none; install the extra: pip install 'nld[transformers]'"
            ) from None
        kind = getattr(transformers, self.model)
        return kind(kind.config_class(**self.config)).train()


def _tokens() -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(VOCABULARY, (4, 7))}


def _many_tokens() -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(MANY, (8, 7))}


def _pairs() -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(VOCABULARY, (4, 7)), "decoder_input_ids": torch.randint(VOCABULARY, (4, 5))}


def _segments() -> dict[str, torch.Tensor]:
    return {**_tokens(), "token_type_ids": torch.randint(2, (4, 7))}


def _images() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(24, 2, 8, 8)}


def _larger_images() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(24, 2, 16, 16)}


ARCHITECTURES = [
    Architecture(
        "GPT-2",
        "GPT2LMHeadModel",
        {"vocab_size": VOCABULARY, "n_positions": 7, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_inner": 6,
         "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, **_ENDS},
        _tokens,
    ),
    Architecture(
        "GPT-NeoX",
        "GPTNeoXForCausalLM",
        {**_STACK, **_HEADS, "vocab_size": MANY, "attention_dropout": 0.0, "hidden_dropout": 0.0,
         "classifier_dropout": 0.0, **_ENDS},
        _many_tokens,
    ),
    Architecture(
        "Phi",
        "PhiForCausalLM",
        {**_STACK, **_HEADS, "vocab_size": MANY, "attention_dropout": 0.0, **_ENDS},
        _many_tokens,
    ),
    Architecture("Llama", "LlamaForCausalLM", {**_GROUPED, **_ENDS}, _tokens),
    Architecture("Qwen 3", "Qwen3ForCausalLM", {**_GROUPED, **_ENDS}, _tokens),
    Architecture(
        "Gemma 3",
        "Gemma3ForCausalLM",
        {**_GROUPED, "query_pre_attn_scalar": 4, "sliding_window": 16, **_ENDS},
        _tokens,
    ),
    Architecture("OLMo 2", "Olmo2ForCausalLM", {**_GROUPED, **_ENDS}, _tokens),
    Architecture(
        "Mixtral",
        "MixtralForCausalLM",
        {**_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2, "experts_implementation": "eager",
         **_ENDS},
        _tokens,
    ),
    Architecture(
        "Mamba 2",
        "Mamba2ForCausalLM",
        {"vocab_size": VOCABULARY, "hidden_size": 8, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 4,
         "state_size": 3, "n_groups": 2, "chunk_size": 4, "conv_kernel": 3, **_ENDS},
        _tokens,
    ),
    Architecture(
        "BERT",
        "BertForMaskedLM",
        {**_STACK, **_HEADS, **_DRY, **_ENDS, "max_position_embeddings": 7},
        _segments,
    ),
    Architecture(
        "ALBERT",
        "AlbertForMaskedLM",
        {**_STACK, **_HEADS, **_DRY, **_ENDS, "embedding_size": 8, "max_position_embeddings": 7,
         "classifier_dropout_prob": 0.0},
        _segments,
    ),
    Architecture(
        "T5",
        "T5ForConditionalGeneration",
        {"vocab_size": VOCABULARY, "d_model": 8, "d_kv": 4, "d_ff": 6, "num_layers": 1, "num_decoder_layers": 1,
         "num_heads": 2, "dropout_rate": 0.0, "relative_attention_num_buckets": 4,
         "relative_attention_max_distance": 6, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
        _pairs,
    ),
    Architecture("ViT", "ViTForImageClassification", {**_STACK, **_HEADS, **_DRY, **_IMAGES}, _images),
    Architecture(
        "DINOv2",
        "Dinov2ForImageClassification",
        {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 1, **_DRY, **_IMAGES},
        _images,
    ),
    Architecture(
        "ResNet",
        "ResNetForImageClassification",
        {"num_channels": 2, "embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 2], "layer_type": "basic",
         "num_labels": 5},
        _larger_images,
    ),
]  # fmt: skip
