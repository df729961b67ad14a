//! GGUF models: tokenizer, chat template, transformer, LoRA, sampling, embedders.
