"""Writes the checkpoints beside this file: randomly initialised models saved by transformers, and their logits.

    python make_fixture.py        # needs torch, transformers 5, tokenizers, safetensors

`qwen2` has biases, an untied head and grouped queries; `llama` has a tied head and a head width of its own. Each
folder gets config.json, model.safetensors, a byte-pair tokenizer.json and expected.json with token ids and logits.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

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
TEXTS = ["the sum of 12 and 7 is 19", "Größe 3 < 4, naïve?", "sorted: 1 2 3"]


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
    expected = {
        "tokens": ids.tolist(),
        # Every position, every 37th token of the vocabulary: enough to notice any difference, small enough to commit.
        "stride": 37,
        "logits": [[[round(x, 6) for x in row[::37].tolist()] for row in rows] for rows in logits],
        "texts": TEXTS,
        "encoded": [made.encode(text).ids for text in TEXTS],
    }
    (folder / "expected.json").write_text(json.dumps(expected))
    (folder / "generation_config.json").unlink(missing_ok=True)


save("qwen2", Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False, rope_theta=1e6)))
save("llama", LlamaForCausalLM(LlamaConfig(**SIZES, head_dim=16, tie_word_embeddings=True)))
