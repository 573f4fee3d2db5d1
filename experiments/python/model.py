"""The decoder that `step.py` and `decode.py` measure: RMSNorm, RoPE, grouped-query attention, SwiGLU, as in Llama.

Shapes come from the same JSON configuration that the Rust side uses. Weights are random: only time is measured.
"""

import json
import sys

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, width = config["hidden_size"], config["head_dim"]
        self.heads, self.kv_heads, self.width = config["num_heads"], config["num_kv_heads"], width
        bias = config["qkv_bias"]
        self.q_proj = nn.Linear(hidden, self.heads * width, bias=bias)
        self.k_proj = nn.Linear(hidden, self.kv_heads * width, bias=bias)
        self.v_proj = nn.Linear(hidden, self.kv_heads * width, bias=bias)
        self.o_proj = nn.Linear(self.heads * width, hidden, bias=False)

    def forward(self, x, cos, sin, cache, start):
        batch, tokens, _ = x.shape
        split = lambda y, heads: y.view(batch, tokens, heads, self.width).transpose(1, 2)
        query = rotate(split(self.q_proj(x), self.heads), cos, sin)
        key = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        value = split(self.v_proj(x), self.kv_heads)
        if cache is not None:
            keys, values = cache
            keys[:, :, start : start + tokens] = key
            values[:, :, start : start + tokens] = value
            key, value = keys[:, :, : start + tokens], values[:, :, : start + tokens]
        grouped = self.heads != self.kv_heads
        y = F.scaled_dot_product_attention(query, key, value, is_causal=cache is None, enable_gqa=grouped)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, -1))


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, epsilon = config["hidden_size"], config["rms_norm_eps"]
        self.input_layernorm = nn.RMSNorm(hidden, eps=epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(hidden, eps=epsilon)
        self.mlp = Mlp(config)

    def forward(self, x, cos, sin, cache, start):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, start)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, vocab = config["hidden_size"], config["vocab_size"]
        self.config = config
        self.embed_tokens = nn.Embedding(vocab, hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_layers"]))
        self.norm = nn.RMSNorm(hidden, eps=config["rms_norm_eps"])
        self.lm_head = nn.Linear(hidden, vocab, bias=False)
        if config["tied_embeddings"]:
            self.lm_head.weight = self.embed_tokens.weight
        width = config["head_dim"]
        frequencies = config["rope_theta"] ** (-torch.arange(0, width, 2).float() / width)
        angles = torch.outer(torch.arange(config["max_positions"]).float(), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids, caches=None, start=0):
        positions = slice(start, start + ids.shape[1])
        cos, sin = self.cos[positions], self.sin[positions]
        x = self.embed_tokens(ids)
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, caches and caches[index], start)
        return self.lm_head(self.norm(x))

    def caches(self, batch, slots):
        shape = (batch, self.config["num_kv_heads"], slots, self.config["head_dim"])
        return [(torch.zeros(shape), torch.zeros(shape)) for _ in self.layers]


def serve(options, measure):
    """Announces itself, then answers every line on standard input with the seconds of one measurement."""
    print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": measure()}), flush=True)


def options():
    """The options that the Rust side passes as one JSON argument; fixes the number of threads."""
    given = json.loads(sys.argv[1])
    torch.set_num_threads(given["threads"])
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    return given
