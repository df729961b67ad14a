#!/usr/bin/env python3
"""Writes the reference embeddings that tests/embed_reference.rs compares with.

    python make_embeddings.py --out . --minilm DIR --gemma DIR     # real models, when their folders are there
    python make_embeddings.py --out . --tiny                       # the seeded fixtures tiny_*/ and their vectors

Needs sentence-transformers, torch, sentencepiece, numpy. The vectors are what sentence-transformers gives in float32 on
the CPU for `prompt + text`, stored as little-endian float16, one row per entry of embedding_texts.json
(`<name>.f16`). The models are the unchanged originals; the tiny ones are random with a fixed seed and exist to
exercise code paths: their vectors mean nothing.
"""

import argparse
import json
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent


def texts():
    entries = json.loads((HERE / "embedding_texts.json").read_text(encoding="utf-8"))
    for entry in entries:
        entry["text"] = entry["text"] * entry.get("repeat", 1)
    return entries


def with_prompt(entry, query_prompt, document_prompt):
    """`document_prompt` may hold `{title}`; without it a title stands on a line of its own before the text."""
    if entry["kind"] == "query":
        return query_prompt + entry["text"]
    title = entry.get("title")
    if "{title}" in document_prompt:
        return document_prompt.replace("{title}", title or "none") + entry["text"]
    return document_prompt + (f"{title}\n" if title else "") + entry["text"]


def reference(folder, out, query_prompt="", document_prompt=""):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": torch.float32})
    model.eval()
    rows = []
    for entry in texts():
        # One text at a time: padding must not be able to touch the reference.
        rows.append(model.encode([with_prompt(entry, query_prompt, document_prompt)], prompt="", batch_size=1)[0])
    rows = np.asarray(rows, dtype=np.float32)
    rows.astype("<f2").tofile(out)
    print(f"{out.name}: {rows.shape}, norms {np.linalg.norm(rows, axis=1).min():.6f}..{np.linalg.norm(rows, axis=1).max():.6f}")


def corpus():
    """Sentences to train the tiny vocabularies on: the texts themselves and a few more."""
    more = ["query: passage: title: none | text: task: search result", "水费、电费和燃气费按月缴纳。", "请在三十日内提出申诉。"]
    return [line for entry in texts() for line in entry["text"][:400].split("\n") if line.strip()] + more * 3


def seeded(model, scale):
    """Replaces all weights by seeded noise that keeps activations in a usual range."""
    generator = torch.Generator().manual_seed(20240607)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            # A layer norm's weight stands around one; Gemma's norms are stored as the difference from one.
            around = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(around + noise * (0.1 if parameter.dim() == 1 else scale))
    return model


def write_modules(folder, width, pooling, dense=(), prompts=None, max_tokens=128):
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    kinds += [(f"{index + 2}_Dense", "Dense") for index in range(len(dense))]
    kinds.append((f"{len(kinds)}_Normalize", "Normalize"))
    write = lambda path, value: (path.parent.mkdir(exist_ok=True), path.write_text(json.dumps(value, indent=1) + "\n"))
    write(folder / "modules.json", [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ])
    write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
    })
    write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    write(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    from safetensors.torch import save_file
    for index, weight in enumerate(dense):
        module = folder / f"{index + 2}_Dense"
        write(module / "config.json", {
            "in_features": weight.shape[1], "out_features": weight.shape[0], "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        })
        save_file({"linear.weight": weight}, module / "model.safetensors")


def keep_only(folder, names):
    for path in folder.iterdir():
        if path.is_file() and path.name not in names:
            path.unlink()


KEPT = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.txt"}


def tiny_bert(folder):
    """WordPiece, first-token pooling (the form of bge), weights in float16."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(corpus(), vocab_size=500, min_frequency=1)
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer.save_model(temporary)
        BertTokenizerFast(vocab_file=f"{temporary}/vocab.txt", do_lower_case=True).save_pretrained(folder)
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=64, max_position_embeddings=128)
    seeded(BertModel(config, add_pooling_layer=False), 0.2).to(torch.float16).save_pretrained(folder)
    keep_only(folder, KEPT)
    write_modules(folder, 32, "cls")


def tiny_xlmr(folder):
    """The form of multilingual e5: Unigram with a normalization map, positions from padding_idx + 1, bfloat16."""
    import sentencepiece
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer, XLMRobertaTokenizerFast

    with tempfile.TemporaryDirectory() as temporary:
        rules = Path(temporary) / "rules.tsv"
        pairs = [(0xFF21 + i, 0x41 + i) for i in range(26)] + [(0xFF10 + i, 0x30 + i) for i in range(10)]
        pairs += [(0x3000, 0x20), (0x09, 0x20), (0x0A, 0x20), (0xBD, 0x31)]
        rules.write_text("".join(f"{a:X}\t{b:X}\n" for a, b in pairs))
        prefix = f"{temporary}/sentencepiece.bpe"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()), model_prefix=prefix, vocab_size=440, model_type="unigram",
            character_coverage=0.995, normalization_rule_tsv=str(rules), num_threads=1)
        slow = XLMRobertaTokenizer(vocab_file=f"{prefix}.model")
        slow.save_pretrained(temporary)
        fast = XLMRobertaTokenizerFast.from_pretrained(temporary)
    fast.save_pretrained(folder)
    config = XLMRobertaConfig(vocab_size=len(fast), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                              intermediate_size=64, max_position_embeddings=130, type_vocab_size=1,
                              pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
    seeded(XLMRobertaModel(config, add_pooling_layer=False), 0.2).to(torch.bfloat16).save_pretrained(folder)
    keep_only(folder, KEPT)
    write_modules(folder, 32, "mean", prompts={"query": "query: ", "document": "passage: "})


def tiny_gemma(folder):
    """The form of EmbeddingGemma with a window of 4 positions on either side and two dense layers."""
    import sentencepiece
    from transformers import Gemma3TextConfig, Gemma3TextModel, GemmaTokenizer, GemmaTokenizerFast

    with tempfile.TemporaryDirectory() as temporary:
        prefix = f"{temporary}/tokenizer"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()), model_prefix=prefix, vocab_size=800, model_type="bpe", byte_fallback=True,
            character_coverage=0.99, normalization_rule_name="identity", add_dummy_prefix=False,
            remove_extra_whitespaces=False, split_digits=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, num_threads=1)
        slow = GemmaTokenizer(vocab_file=f"{prefix}.model", add_eos_token=True)
        slow.save_pretrained(temporary)
        fast = GemmaTokenizerFast.from_pretrained(temporary, add_eos_token=True)
        fast.save_pretrained(folder)
        shutil.copy(f"{prefix}.model", folder / "tokenizer.model")
    config = Gemma3TextConfig(vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=3,
                              num_attention_heads=2, num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16,
                              max_position_embeddings=256, sliding_window=8, use_bidirectional_attention=True,
                              layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    model = seeded(Gemma3TextModel(config), 0.15).to(torch.float16)
    model.save_pretrained(folder)
    # The configuration class has already turned the window into the form it computes with; files hold the whole width.
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    saved["sliding_window"] = 8
    path.write_text(json.dumps(saved, indent=1) + "\n")
    keep_only(folder, KEPT)
    generator = torch.Generator().manual_seed(7)
    dense = [torch.randn(64, 32, generator=generator) * 0.2, torch.randn(32, 64, generator=generator) * 0.2]
    prompts = {"query": "task: search result | query: ", "document": "title: none | text: "}
    write_modules(folder, 32, "mean", dense=dense, prompts=prompts, max_tokens=200)


def tiny(out):
    for build, prompts in [(tiny_bert, ()), (tiny_xlmr, ("query: ", "passage: ")),
                           (tiny_gemma, ("task: search result | query: ", "title: {title} | text: "))]:
        folder = out / build.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        build(folder)
        reference(folder, out / f"{build.__name__}.f16", *prompts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--gemma", type=Path)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    if args.tiny:
        tiny(args.out)
    if args.minilm:
        reference(args.minilm, args.out / "minilm-l6-v2.f16")
    if args.gemma:
        reference(args.gemma, args.out / "embeddinggemma-300m.f16",
                  "task: search result | query: ", "title: {title} | text: ")


if __name__ == "__main__":
    main()
