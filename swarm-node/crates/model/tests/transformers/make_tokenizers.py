"""Writes `tokenizers/`: tokenizers of every kind, trained on a few lines, and what transformers makes of texts and ids.

    python make_tokenizers.py        # needs transformers 5, tokenizers

A folder has tokenizer.json, what lies beside it in a model's folder (tokenizer_config.json, config.json) and
expected.json: for each text its ids as a prompt (`tokenizer(text)`) and without special tokens, and for lists of ids
their text (`decode(ids, skip_special_tokens=True)`). `PreTrainedTokenizerFast` is asked, which does what
tokenizer.json says; the classes of some models replace parts of the file by their own. The trainer of `bert` breaks ties
at random, so that folder comes out with other ids each time.
"""

import json
import random
import shutil
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "tokenizers"
LINES = [
    "The sum of 12 and 7 is 19. Answer: 19",
    "How many apples are 26 and 79? They're 105, aren't they?",
    "Größe 3 < 4, naïve? Straße, déjà vu!",
    "def f(x):\n    return x + 1\n",
    "sorted: 1 2 3 / reversed: 3 2 1",
]
TEXTS = LINES + [
    "",
    " ",
    "  two  spaces and\ttab ",
    "\n\nnew lines\n",
    "emoji 👩‍🚀 and 漢字, кириллица",
    "don't stop , I 'm here !",
    "<s>begin</s> <|end|>x<|im_start|>user\nhi<|im_end|>",
    "a [SEP] b <pad> c<extra> <tool> d",
    "long " * 20,
]
CHAT = [{"role": "user", "content": "What is 7 and 12?"}, {"role": "assistant", "content": "19"}]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def special(text, **settings):
    return AddedToken(text, special=True, normalized=False, **settings)


def byte_level(specials, size=300):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(LINES * 4, trainer)
    return made


def prefix(made, *tokens, end=()):
    """Makes the post-processor put `tokens` before a text and `end` behind it."""
    ids = [(token, made.token_to_id(token)) for token in (*tokens, *end)]
    single = " ".join([*tokens, "$A", *end])
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)


def llama2():
    """Byte-pair encoding of SentencePiece with byte fallback, as Llama 2 and Mistral have it."""
    symbols = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    plain = Tokenizer(models.BPE())
    plain.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    plain.train_from_iterator(
        LINES[:2] * 4, trainers.BpeTrainer(vocab_size=80, special_tokens=symbols[:3], show_progress=False)
    )
    trained = json.loads(plain.to_str())["model"]
    vocab = {symbol: index for index, symbol in enumerate(symbols)}
    for piece, _ in sorted(trained["vocab"].items(), key=lambda item: item[1]):
        vocab.setdefault(piece, len(vocab))
    merges = [tuple(merge) for merge in trained["merges"]]
    made = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = plain.normalizer
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    prefix(made, "<s>")
    return made


def llama3():
    """Byte-level pieces cut by a regular expression, as Llama 3 and Qwen2 have it."""
    made = byte_level(["<|begin|>", "<|end|>", "<|pad|>"])
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    template = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return made


def unigram(end):
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(LINES * 4, trainer)
    if end:
        prefix(made, end=["</s>"])
    return made


def gemma():
    """Unigram pieces with byte fallback over text in which spaces are replaced, never added."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab = [("<pad>", 0.0), ("<eos>", 0.0), ("<bos>", 0.0), ("<unk>", 0.0)] + [(byte, -20.0) for byte in bytes_]
    pieces = "▁ t h e s u m o f a n d 1 2 7 9 ▁the ▁and ▁apples sum er on 19 12 w r i".split()
    vocab += [(piece, -1.0 - 0.1 * index) for index, piece in enumerate(pieces)]
    made = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([special(token) for token in ("<pad>", "<eos>", "<bos>", "<unk>")])
    prefix(made, "<bos>")
    return made


def bert():
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    trainer = trainers.WordPieceTrainer(
        vocab_size=150, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    made.train_from_iterator(LINES * 4, trainer)
    prefix(made, "[CLS]", end=["[SEP]"])
    return made


def words():
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        LINES, trainers.WordLevelTrainer(special_tokens=["<unk>", "<end>"], show_progress=False)
    )
    return made


def added():
    made = byte_level(["<|end|>", "<pad>"])
    made.add_tokens([AddedToken("<tool>", lstrip=True), AddedToken("apples", single_word=True, normalized=True)])
    made.add_special_tokens([special("<extra>", rstrip=True), special("<s>")])
    prefix(made, "<s>")
    return made


def truncating():
    made = byte_level(["<|end|>", "<pad>"])
    prefix(made, "<|end|>")
    made.enable_truncation(max_length=8, stride=2)
    return made


def padding():
    made = byte_level(["<|end|>", "<pad>"])
    made.enable_padding(length=40, pad_id=1, pad_token="<pad>", direction="left")
    made.enable_truncation(max_length=12, direction="left")
    return made


def save(name, made, end, pad=None, beside=None, chat=False):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"), pretty=False)
    if beside:
        (folder / "tokenizer_config.json").write_text(json.dumps(beside) + "\n")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    end_id = tokenizer.convert_tokens_to_ids(end)
    config = {"eos_token_id": end_id, "vocab_size": len(tokenizer)}
    if pad is not None:
        config["pad_token_id"] = tokenizer.convert_tokens_to_ids(pad)
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    texts = list(TEXTS)
    if chat:
        texts.append(tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True))
        texts.append(tokenizer.apply_chat_template(CHAT, tokenize=False))
    rows = []
    for text in texts:
        plain = tokenizer(text, add_special_tokens=False).input_ids
        rows.append(dict(text=text, prompt=tokenizer(text).input_ids, plain=plain))
    # A completion is read up to its end, so ids that are decoded hold none. Special ids, padding included, are among
    # them at random.
    random.seed(5)
    ids = [[x for x in row["prompt"] if x != end_id] for row in rows]
    ids += [random.choices([x for x in range(len(tokenizer)) if x != end_id], k=24) for _ in range(6)]
    decoded = [dict(ids=x, text=tokenizer.decode(x, skip_special_tokens=True)) for x in ids]
    (folder / "expected.json").write_text(json.dumps(dict(texts=rows, decoded=decoded)) + "\n")
    print(name, len(tokenizer), rows[0]["prompt"][:6])


save("byte_level", byte_level(["<|end|>"]), "<|end|>")
save("llama3", llama3(), "<|end|>", pad="<|pad|>")
save("llama2", llama2(), "</s>", pad="<unk>", beside=dict(add_bos_token=False, bos_token="<s>", eos_token="</s>"))
save("unigram", unigram(end=False), "</s>", pad="<pad>")
save("unigram_end", unigram(end=True), "</s>", pad="<pad>", beside=dict(clean_up_tokenization_spaces=True))
save("gemma", gemma(), "<eos>", pad="<pad>")
save("bert", bert(), "[SEP]", pad="[PAD]", beside=dict(clean_up_tokenization_spaces=True))
save("words", words(), "<end>")
save("added", added(), "<|end|>", pad="<pad>")
save("truncating", truncating(), "<|end|>", pad="<pad>", beside=dict(clean_up_tokenization_spaces=True))
save("padding", padding(), "<|end|>", pad="<pad>")
save("pad_digit", byte_level(["<|end|>"]), "<|end|>", pad="7")
save(
    "chat",
    byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
    "<|im_end|>",
    pad="<|endoftext|>",
    beside=dict(chat_template=CHATML, add_bos_token=False, eos_token="<|im_end|>", pad_token="<|endoftext|>"),
    chat=True,
)
# Special tokens that only tokenizer_config.json names: in the vocabulary, not among the added tokens, or in neither.
save(
    "named",
    byte_level(["<|end|>"]),
    "<|end|>",
    beside=dict(
        eos_token="<|end|>",
        bos_token="<s>",
        unk_token={"__type": "AddedToken", "content": "apples", "lstrip": True, "normalized": False, "special": True},
        extra_special_tokens=["sum", "<extra>"],
        added_tokens_decoder={
            "0": {"content": "<|end|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
            "301": {"content": "<tool>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": False},
        },
    ),
)
