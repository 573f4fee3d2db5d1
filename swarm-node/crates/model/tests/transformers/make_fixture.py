"""Writes the checkpoints beside this file: randomly initialised models saved by transformers, and their logits.

    python make_fixture.py        # needs torch, transformers 5, tokenizers, safetensors

`qwen2` has biases, an untied head and grouped queries; `llama` has a tied head and a head width of its own. `qwen3` has
norms of queries and keys, a head width of its own and YaRN; `mistral` a sliding window; `smollm2` the settings of
SmolLM2; `llama32` those of Llama 3.2. Each folder gets config.json, model.safetensors, a byte-pair tokenizer.json and
expected.json with token ids, their logits and a greedy continuation.

`rope.json` holds rows of position tables of every variant of RoPE, as the rotary embedding of a Llama makes them.
"""

import copy
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = Path(__file__).parent
SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    vocab_size=300,
    bos_token_id=None,
    eos_token_id=0,
    pad_token_id=1,
)
SMALL = {**SIZES, "hidden_size": 16, "intermediate_size": 24}
TEXTS = ["the sum of 12 and 7 is 19", "Größe 3 < 4, naïve?", "sorted: 1 2 3"]
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, low_freq_factor=1.0, high_freq_factor=4.0)


def tokenizer():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZES["vocab_size"],
        special_tokens=["<|end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(TEXTS * 4, trainer)
    return made


def save(name, model):
    torch.manual_seed(7)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for key, parameter in model.named_parameters():
        if "norm" in key:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    folder = HERE / name
    model.eval().save_pretrained(folder)
    made = tokenizer()
    made.save(str(folder / "tokenizer.json"), pretty=False)
    ids = torch.randint(0, SIZES["vocab_size"], (2, 23))
    with torch.no_grad():
        logits = model(ids).logits
        greedy = model.generate(ids, do_sample=False, max_new_tokens=16, eos_token_id=None, pad_token_id=1)
    expected = {
        "tokens": ids.tolist(),
        # Every position, every 37th token of the vocabulary: enough to notice any difference, small enough to commit.
        "stride": 37,
        "logits": [[[round(x, 6) for x in row[::37].tolist()] for row in rows] for rows in logits],
        "greedy": greedy[:, ids.shape[1] :].tolist(),
        "texts": TEXTS,
        "encoded": [made.encode(text).ids for text in TEXTS],
    }
    (folder / "expected.json").write_text(json.dumps(expected))
    (folder / "generation_config.json").unlink(missing_ok=True)


def rope(name, **keys):
    """Rows of the tables, from the config.json that `keys` stand in."""
    keys = dict(
        model_type="llama",
        vocab_size=99,
        hidden_size=64,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=2048,
        **keys,
    )
    # transformers completes the objects in place.
    embedding = LlamaRotaryEmbedding(LlamaConfig.from_dict(copy.deepcopy(keys)))
    positions = [0, 1, 2, 5, 17, 100, 777, 2047]
    with torch.no_grad():
        cos, sin = embedding(torch.zeros(1), torch.tensor([positions]))
    # 9 decimals are a quarter of the last bit of a number near 1. Both halves of a row are equal.
    rows = lambda table: [[round(x, 9) for x in row[: len(row) // 2].tolist()] for row in table[0]]
    return dict(name=name, config=keys, positions=positions, cos=rows(cos), sin=rows(sin))


save("qwen2", Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False, rope_theta=1e6)))
save("llama", LlamaForCausalLM(LlamaConfig(**SIZES, head_dim=16, tie_word_embeddings=True)))
yarn = dict(rope_type="yarn", rope_theta=1e6, factor=4.0, original_max_position_embeddings=32)
save(
    "qwen3",
    Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=12, tie_word_embeddings=True, rope_parameters=yarn)),
)
save("mistral", MistralForCausalLM(MistralConfig(**SMALL, sliding_window=48, rms_norm_eps=1e-5)))
save(
    "smollm2",
    LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=True, rope_theta=1e5, rms_norm_eps=1e-5)),
)
llama32 = {**LLAMA3, "factor": 32.0, "original_max_position_embeddings": 16}
save(
    "llama32",
    LlamaForCausalLM(
        LlamaConfig(**SMALL, head_dim=16, tie_word_embeddings=True, rope_parameters=llama32, rms_norm_eps=1e-5)
    ),
)

yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=512)
(HERE / "rope.json").write_text(
    json.dumps(
        [
            rope("default"),
            rope("theta", rope_theta=1e6),
            rope("theta inside rope_scaling", rope_scaling=dict(rope_type="default", rope_theta=2e5)),
            rope("theta inside and outside", rope_theta=3.0, rope_parameters=dict(rope_theta=2e5)),
            rope("linear", rope_scaling=dict(rope_type="linear", factor=2.5)),
            rope("linear, older key", rope_parameters=dict(type="linear", factor=2.0, rope_theta=10000.0)),
            rope("both objects", rope_scaling=dict(type="linear", factor=2.0), rope_parameters=dict(rope_theta=7e5)),
            rope("dynamic", rope_scaling=dict(type="dynamic", factor=4.0)),
            rope("llama3", rope_parameters={**LLAMA3, "factor": 8.0, "original_max_position_embeddings": 256}),
            rope("llama3, original outside", rope_parameters={**LLAMA3, "factor": 8.0}, original_max_position_embeddings=512),
            rope("llama3, no original", rope_parameters={**LLAMA3, "factor": 8.0}),
            rope("yarn", rope_parameters=yarn),
            rope("yarn, no original", rope_scaling=dict(type="yarn", factor=4.0), rope_theta=1e6),
            rope("yarn, settings", rope_parameters={**yarn, "beta_fast": 16, "beta_slow": 2.0, "truncate": False}),
            rope("yarn, zero settings", rope_parameters={**yarn, "beta_fast": 0, "mscale": 0.0, "mscale_all_dim": 1.0}),
            rope("yarn, attention factor", rope_parameters={**yarn, "attention_factor": 0.75}),
            rope("yarn, mscale", rope_parameters={**yarn, "mscale": 1.0, "mscale_all_dim": 0.5}),
            rope("yarn, no factor", rope_parameters={**yarn, "factor": None}),
            rope("yarn, narrow ramp", rope_parameters={**yarn, "beta_fast": 1.0, "beta_slow": 1.0, "truncate": False}),
            rope("yarn, few positions", rope_parameters={**yarn, "original_max_position_embeddings": 16}),
        ]
    )
    + "\n"
)
