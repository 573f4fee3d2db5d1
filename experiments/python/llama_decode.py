"""Times greedy decoding in llama.cpp (`llama-cpp-python`, `gguf`), on the weights of a safetensors file.

Usage: llama_decode.py '{"model": {…}, "weights": "FILE", "type": "f32", "threads": 1, "batch": 1, "slots": 256,
"start": 64, "tokens": 64, "check": [1, 2]}', then one line on standard input per run of `tokens` tokens from position
`start` on. Its first line says the logits of the first row behind the tokens of `check`, from position 0 on.
"""

import ctypes
import json
import os
import sys
import tempfile
import time

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

#: Our names of a layer's weights, and GGUF's.
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def interleaved(matrix, heads):
    """Rows of a head in the order in which llama.cpp rotates them: pairs of neighbours, not of halves."""
    rows, width = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def convert(given, path):
    """Writes the GGUF file of a model of the Llama family without biases."""
    model = given["model"]
    weights = load_file(given["weights"])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(model["vocab_size"])
    writer.add_context_length(model["max_positions"])
    writer.add_embedding_length(model["hidden_size"])
    writer.add_block_count(model["num_layers"])
    writer.add_feed_forward_length(model["intermediate_size"])
    writer.add_head_count(model["num_heads"])
    writer.add_head_count_kv(model["num_kv_heads"])
    writer.add_rope_dimension_count(model["head_dim"])
    writer.add_rope_freq_base(model["rope_theta"])
    writer.add_layer_norm_rms_eps(model["rms_norm_eps"])
    writer.add_tokenizer_model("none")

    def add(name, tensor):
        if tensor.ndim == 2 and given["type"] == "bf16":
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor)

    add("token_embd.weight", weights["model.embed_tokens.weight"])
    add("output_norm.weight", weights["model.norm.weight"])
    add("output.weight", weights.get("lm_head.weight", weights["model.embed_tokens.weight"]))
    for layer in range(model["num_layers"]):
        for ours, theirs in NAMES.items():
            tensor = weights[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                heads = model["num_heads"] if theirs == "attn_q" else model["num_kv_heads"]
                tensor = interleaved(tensor, heads)
            add(f"blk.{layer}.{theirs}.weight", np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Decoder:
    """Rows that are continued token by token, each a sequence of its own."""

    def __init__(self, given):
        self.rows, self.vocabulary = given["batch"], given["model"]["vocab_size"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            convert(given, path)
            options = llama_cpp.llama_model_default_params()
            options.use_mmap = False
            self.model = llama_cpp.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            sys.exit("llama.cpp does not load the model")
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = self.rows * given["slots"]
        options.n_seq_max = self.rows
        options.n_batch = options.n_ubatch = max(self.rows, 32)
        options.n_threads = options.n_threads_batch = given["threads"]
        self.context = llama_cpp.llama_init_from_model(self.model, options)
        if not self.context:
            sys.exit("llama.cpp makes no context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(self.rows, 0, 1)

    def step(self, tokens, position):
        """Logits of each row behind one more token."""
        batch = self.batch
        batch.n_tokens = self.rows
        for row, token in enumerate(tokens):
            batch.token[row], batch.pos[row], batch.logits[row] = token, position, 1
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, row
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit("llama.cpp does not decode")
        logits = llama_cpp.llama_get_logits(self.context)
        return np.ctypeslib.as_array(logits, shape=(self.rows, self.vocabulary))

    def forget(self, position):
        """Drops what was kept from `position` on."""
        for row in range(self.rows):
            llama_cpp.llama_memory_seq_rm(self.memory, row, position, -1)


@llama_cpp.llama_log_callback
def silent(level, text, data):
    if level == 4:
        sys.stderr.write(text.decode(errors="replace"))


def main():
    given = json.loads(sys.argv[1])
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    decoder = Decoder(given)
    for position, token in enumerate(given["check"]):
        logits = decoder.step([token] * decoder.rows, position)[0].tolist()
    decoder.forget(0)
    for position in range(given["start"]):
        decoder.step([1] * decoder.rows, position)

    def run():
        decoder.forget(given["start"])
        tokens = [1] * decoder.rows
        start = time.perf_counter()
        for position in range(given["start"], given["start"] + given["tokens"]):
            tokens = decoder.step(tokens, position).argmax(-1).tolist()
        return time.perf_counter() - start

    run()
    print(json.dumps({"version": llama_cpp.__version__, "logits": logits}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": run()}), flush=True)


main()
