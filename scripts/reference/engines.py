"""The two implementations LoreKit's transformer is held against.

* `f32`: the model's original PyTorch code in `transformers`, over the GGUF's weights dequantized to f32. No
  activation is quantized, so this is what the file *means*.
* `llama.cpp`: ggml's own CPU kernels over the quantized file, which round activations to int8 per block.

Both return one row of logits per token. Used by `make_logits.py`, `make_tiny.py`, `kl.py` and the benchmarks.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path

import numpy as np

# Before anything imports tqdm: no progress bars in logs.
os.environ.setdefault("TQDM_DISABLE", "1")


def cache_root() -> Path:
    """`LOREKIT_CACHE`, or the platform's cache folder: the same rule as the Rust side."""
    if env := os.environ.get("LOREKIT_CACHE"):
        return Path(env)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library/Caches/lorekit"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "lorekit"


def model_path(name: str) -> Path:
    """The GGUF file of a model in the cache."""
    return cache_root() / "models" / name / "model.gguf"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def cpu_name() -> str:
    """The CPU's marketing name, or the architecture where the system does not tell."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if found:
            return found.group(1)
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of the named packages; llama.cpp adds ggml's version when it is among them."""
    found = {p: importlib.metadata.version(p) for p in packages}
    if "llama-cpp-python" in found and (ggml := ggml_version()):
        found["ggml"] = ggml
    return found


def ggml_version() -> str | None:
    """ggml's version as it tells it itself."""
    import llama_cpp

    for lib in sorted((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*")):
        try:
            call = ctypes.CDLL(str(lib)).ggml_version
        except (OSError, AttributeError):
            continue
        call.restype = ctypes.c_char_p
        return call().decode()
    return None


class LlamaCpp:
    """A model and a context of llama.cpp, through its C interface: f16 KV cache, flash attention as asked."""

    def __init__(
        self,
        path: Path,
        n_ctx: int = 1152,
        threads: int = 2,
        flash_attention: bool = False,
        kv_f32: bool = False,
        n_batch: int | None = None,
        repack: bool = True,
    ):
        import llama_cpp as lc

        self.lc = lc
        # The callback must outlive the process's last log line, so it hangs on the module.
        lc._quiet = getattr(lc, "_quiet", None) or lc.llama_log_callback(lambda *_: None)
        lc.llama_log_set(lc._quiet, None)
        lc.llama_backend_init()
        params = lc.llama_model_default_params()
        params.n_gpu_layers = 0
        # Whether weights are copied into other layouts where llama.cpp has kernels for them.
        params.use_extra_bufts = repack
        self.model = lc.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        self.vocab = lc.llama_model_get_vocab(self.model)
        self.n_vocab = lc.llama_vocab_n_tokens(self.vocab)
        self.n_ctx = n_ctx
        cp = lc.llama_context_default_params()
        cp.n_ctx, cp.n_batch, cp.n_ubatch = n_ctx, n_batch or n_ctx, min(512, n_ctx)
        cp.n_threads = cp.n_threads_batch = threads
        cp.flash_attn_type = (
            lc.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else lc.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        if kv_f32:
            cp.type_k = cp.type_v = 0  # GGML_TYPE_F32
        self.ctx = lc.llama_init_from_model(self.model, cp)
        if not self.ctx:
            raise RuntimeError(f"llama.cpp cannot make a context of {n_ctx} tokens for {path}")
        self.memory = lc.llama_get_memory(self.ctx)

    def tokenize(self, text: str, add_special: bool = True) -> list[int]:
        """Token ids; `add_special` adds BOS where the file says so. Special tokens in the text are plain text."""
        raw = text.encode()
        n = len(raw) + 8
        ids = (ctypes.c_int32 * n)()
        count = self.lc.llama_tokenize(self.vocab, raw, len(raw), ids, n, add_special, False)
        if count < 0:
            raise RuntimeError("the text has more tokens than bytes")
        return list(ids[:count])

    def clear(self) -> None:
        """Empties the KV cache."""
        self.lc.llama_memory_clear(self.memory, True)

    def truncate(self, length: int) -> None:
        """Drops all positions from `length` on."""
        if not self.lc.llama_memory_seq_rm(self.memory, 0, length, -1):
            raise RuntimeError("llama.cpp cannot drop the end of this cache")

    def last_logits(self) -> float:
        """Touches the logits of the last token that had any, so that their computation is part of a timing."""
        return self.lc.llama_get_logits_ith(self.ctx, -1)[0]

    def best_token(self) -> int:
        """The likeliest token after the last one that had logits."""
        row = self.lc.llama_get_logits_ith(self.ctx, -1)
        return int(np.ctypeslib.as_array(row, shape=(self.n_vocab,)).argmax())

    def feed(self, tokens: list[int], start: int, all_logits: bool) -> None:
        """Decodes `tokens` at positions from `start`, with logits for all of them or only the last."""
        batch = self.lc.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i] = token
                batch.pos[i] = start + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = all_logits or i + 1 == len(tokens)
            code = self.lc.llama_decode(self.ctx, batch)
            if code != 0:
                raise RuntimeError(f"llama_decode failed with {code}")
        finally:
            self.lc.llama_batch_free(batch)

    def logits(self, tokens: list[int]) -> np.ndarray:
        """Logits after each token of a fresh sequence: `[len(tokens), vocab]`, f32."""
        self.clear()
        self.feed(tokens, 0, True)
        rows = self.lc.llama_get_logits(self.ctx)
        return np.ctypeslib.as_array(rows, shape=(len(tokens), self.n_vocab)).copy()

    def set_adapter(self, path: Path, scale: float = 1.0) -> None:
        """Applies one LoRA adapter to all later tokens."""
        adapter = self.lc.llama_adapter_lora_init(self.model, str(path).encode())
        if not adapter:
            raise RuntimeError(f"llama.cpp cannot load the adapter {path}")
        adapters = (self.lc.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(scale)
        if self.lc.llama_set_adapters_lora(self.ctx, adapters, 1, scales) != 0:
            raise RuntimeError(f"llama.cpp cannot apply the adapter {path}")

    def close(self) -> None:
        """Frees context and model."""
        self.lc.llama_free(self.ctx)
        self.lc.llama_model_free(self.model)


class F32:
    """The original PyTorch model over a GGUF's weights, dequantized to f32."""

    def __init__(self, path: Path, threads: int = 2):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
        ).eval()

    def logits(self, tokens: list[int]) -> np.ndarray:
        """Logits after each token of a fresh sequence: `[len(tokens), vocab]`, f32."""
        with self.torch.inference_mode():
            return self.model(self.torch.tensor([tokens])).logits[0].numpy()


def log_softmax(rows: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis, in f64."""
    rows = rows.astype(np.float64)
    top = rows.max(-1, keepdims=True)
    return rows - top - np.log(np.exp(rows - top).sum(-1, keepdims=True))
