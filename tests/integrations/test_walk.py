"""The README's one-liner on models of transformers as they come, in train mode, with their dropout: what is found, and
that all books balance. An update of the library that hides a symmetry shows here."""

import pytest
import torch
import transformers

import nld
from nld.monitor import findings

transformers.logging.set_verbosity_error()

VOCABULARY = 24
STACK = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "max_position_embeddings": 16}
GROUPED = {**STACK, **HEADS, "num_key_value_heads": 1, "head_dim": 8}
ENDS = {"pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2}
IMAGES = {"num_channels": 3, "num_labels": 4}


def tokens(length=12):
    """None is token 0, which some of the models hold for padding."""
    return torch.randint(1, VOCABULARY, (4, length))


def text():
    words = tokens()
    return {"input_ids": words, "labels": words}


def pairs():
    return {"input_ids": tokens(), "labels": tokens(9)}


def images():
    return {"pixel_values": torch.randn(8, 3, 16, 16), "labels": torch.randint(4, (8,))}


MODELS = {
    "GPT2LMHeadModel": (
        {"vocab_size": VOCABULARY, "n_positions": 12, "n_embd": 16, "n_layer": 2, "n_head": 2, **ENDS},
        text,
        {"rescale", "translation", "general_linear"},
    ),
    "LlamaForCausalLM": (
        {**GROUPED, **ENDS},
        text,
        {"scale", "rescale", "translation", "general_linear", "rotation"},
    ),
    "Qwen3ForCausalLM": ({**GROUPED, **ENDS}, text, {"scale", "rescale", "translation", "general_linear"}),
    "Gemma3ForCausalLM": (
        {**GROUPED, **ENDS, "query_pre_attn_scalar": 8, "sliding_window": 16},
        text,
        {"scale", "rescale", "general_linear"},
    ),
    "MixtralForCausalLM": (
        {**GROUPED, **ENDS, "num_local_experts": 3, "num_experts_per_tok": 2},
        text,
        {"scale", "rescale", "translation", "general_linear", "rotation"},
    ),
    "Mamba2ForCausalLM": (
        {"vocab_size": VOCABULARY, "hidden_size": 8, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 4,
         "state_size": 4, "n_groups": 2, "chunk_size": 6, **ENDS},
        text,
        {"scale", "rescale", "translation"},
    ),
    "BertForMaskedLM": (
        {**STACK, **HEADS},
        text,
        {"rescale", "translation", "general_linear"},
    ),
    "T5ForConditionalGeneration": (
        {"vocab_size": VOCABULARY, "d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 2, "num_heads": 2,
         "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
        pairs,
        {"rescale", "translation", "general_linear"},
    ),
    "ViTForImageClassification": (
        {**STACK, **HEADS, **IMAGES, "image_size": 16, "patch_size": 8},
        images,
        {"scale", "rescale", "translation", "general_linear"},
    ),
    "ResNetForImageClassification": (
        {**IMAGES, "embedding_size": 6, "hidden_sizes": [6, 8], "depths": [1, 2], "layer_type": "basic"},
        images,
        {"scale", "rescale", "translation"},
    ),
}  # fmt: skip
NOT_ANALYSED: dict[str, set[str]] = {}  # of each model, the operations that are named as not followed


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_has_is_found_and_its_books_balance(name):
    config, batch, kinds = MODELS[name]
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    model = kind(kind.config_class(**config)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    symmetries = nld.find_symmetries(model, batch())
    assert {str(block.kind) for block in symmetries} == kinds
    assert {note.split(" ")[0] for note in symmetries.not_analysed} == NOT_ANALYSED.get(name, set())
    with nld.Monitor(model, optimizer, symmetries) as monitor:
        for _ in range(20):
            optimizer.zero_grad()
            model(**batch()).loss.backward()
            optimizer.step()
    record = monitor.record()
    assert record.attrs["output"].startswith("output.loss")
    assert "gradient_precision" not in record.attrs
    assert record.sizes["step"] == 20
    books = [finding for finding in findings(record) if finding.topic == "books"]
    assert books
    assert [finding.text for finding in books if not finding.good] == []
