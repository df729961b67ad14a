"""Writes tokens-<model>.json: the reference token ids of every string of token_strings.py.

    python make_tokens.py CACHE [MODEL ...]

CACHE is the folder of models (`<CACHE>/<model>/model.gguf`, `<CACHE>/<model>/source/` for those converted from a
sentence-transformers folder). The vocab-* models are `models/ggml-vocab-*.gguf` of the llama.cpp repository.

The reference is the model's original tokenizer, in this order: `tokenizer.json` of its own repository; for models of
which only a GGUF file is at hand, the same library (Hugging Face tokenizers) set up as the model's own
`tokenizer.json` does, over vocabulary and merges of the file; SentencePiece for models published with a
`tokenizer.model`. llama.cpp is the second opinion: where it differs, the script says on which strings.

`plain` is text of which nothing may become a control token; `special` has those strings whose ids differ when control
tokens are recognised.
"""

import json
import pathlib
import sys

import tokenizers
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from token_strings import STRINGS

HERE = pathlib.Path(__file__).parent

# The `Split` patterns of the models' own tokenizer.json.
CASELESS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
QWEN2 = CASELESS + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CASELESS + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def field(reader, key):
    return reader.fields["tokenizer.ggml." + key].contents()


def byte_level(path):
    """The original tokenizer of a byte-level BPE model, over the vocabulary of a GGUF file."""
    reader = GGUFReader(path)
    pre, tokens, types = field(reader, "pre"), field(reader, "tokens"), field(reader, "token_type")
    merges = [tuple(m.split(" ")) for m in field(reader, "merges")]
    vocabulary = {t: i for i, t in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre == "llama-bpe"))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), level])
    elif pre == "llama-bpe":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), level])
    elif pre == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    elif pre == "gpt-2":
        tokenizer.pre_tokenizer = words
    else:
        raise SystemExit(f"{path}: no definition for {pre}")
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 3])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    return tokenizer


def own_json(path, gguf):
    """A model's own tokenizer.json. For plain text, what the GGUF file calls control is no added token."""
    definition = json.loads(path.read_text())
    definition["padding"] = definition["truncation"] = None
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    types = field(GGUFReader(gguf), "token_type") if gguf.exists() else []
    definition["added_tokens"] = [
        t for t in definition["added_tokens"] if t["id"] >= len(types) or types[t["id"]] not in (3, 5)
    ]
    return hugging_face(tokenizer, Tokenizer.from_str(json.dumps(definition)))


def hugging_face(tokenizer, plain=None):
    def encode(text, special):
        chosen = tokenizer if special else plain or tokenizer
        chosen.encode_special_tokens = not special
        return chosen.encode(text, add_special_tokens=False).ids

    return encode, f"tokenizers {tokenizers.__version__}"


def sentence_piece(path):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return lambda text, special: processor.encode(text), f"sentencepiece {sentencepiece.__version__}"


def llama_cpp(path):
    import llama_cpp

    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    encode = lambda text, special: model.tokenize(text.encode(), add_bos=False, special=special)
    return encode, f"llama_cpp {llama_cpp.__version__}"


def reference(cache, name):
    folder = cache / name
    if (folder / "source" / "tokenizer.json").exists():
        return own_json(folder / "source" / "tokenizer.json", folder / "model.gguf")
    if name.startswith("gemma3"):
        # Gemma 3 and EmbeddingGemma have one tokenizer.
        return own_json(cache / "embeddinggemma-300m" / "source" / "tokenizer.json", folder / "model.gguf")
    if name == "vocab-bert-bge":
        # BGE (English) and MiniLM have the vocabulary and the settings of bert-base-uncased.
        return own_json(cache / "minilm-l6-v2" / "source" / "tokenizer.json", folder / "model.gguf")
    path = folder / "model.gguf"
    if field(GGUFReader(path), "model") == "gpt2":
        return hugging_face(byte_level(path))
    return llama_cpp(path)


def shown(text):
    return json.dumps(text if len(text) < 40 else text[:37] + "...", ensure_ascii=True)


def compare(name, mine, other, label):
    differ = [i for i, text in enumerate(STRINGS) if mine(text, False) != other(text, False)]
    print(f"{name}: plain text differs from {label} on {len(differ)} of {len(STRINGS)}")
    for i in differ[:60]:
        print("   ", shown(STRINGS[i]), mine(STRINGS[i], False)[:12], other(STRINGS[i], False)[:12])


def main():
    cache = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:]:
        encode, version = reference(cache, name)
        plain = [encode(text, False) for text in STRINGS]
        special = [encode(text, True) for text in STRINGS]
        out = {
            "model": name,
            "reference": version,
            "plain": plain,
            "special": {str(i): s for i, (p, s) in enumerate(zip(plain, special)) if p != s},
        }
        (HERE / f"tokens-{name}.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
        gguf = cache / name / "model.gguf"
        if gguf.exists() and not version.startswith("llama_cpp"):
            other, label = llama_cpp(gguf)
            compare(name, encode, other, label)
        for source in (cache / name / "source", cache / "embeddinggemma-300m" / "source"):
            if "gemma" in name and (source / "tokenizer.model").exists():
                other, label = sentence_piece(source / "tokenizer.model")
                compare(name, encode, other, label)
                break


if __name__ == "__main__":
    main()
