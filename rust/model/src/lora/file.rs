//! Adapters in the GGUF form of llama.cpp (`src/llama-adapter.cpp`, `convert_lora_to_gguf.py`).

use std::collections::BTreeMap;

use super::{Adapter, AdapterPart};
use crate::causal::LanguageModel;
use crate::causal::weights::LinearTensor;
use crate::{Error, Gguf, Result, Tensor};

/// Checks an adapter file and takes its parts.
pub(super) fn read(gguf: &Gguf, model: &LanguageModel) -> Result<Adapter> {
    let mismatch = |reason: String| Error::AdapterMismatch { path: gguf.path().to_owned(), reason };
    let expect = |key: &str, wanted: &str| match gguf.str(key) {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(gguf.unsupported(format!("{key} of an adapter"), found)),
        None => Err(mismatch(format!("it has no {key}"))),
    };
    expect("general.type", "adapter")?;
    expect("adapter.type", "lora")?;
    let base = model.description().architecture.name();
    if gguf.architecture() != base {
        return Err(mismatch(format!("it was made for architecture {:?}, the model is {base}", gguf.architecture())));
    }
    if gguf.get("adapter.alora.invocation_tokens").is_some() {
        return Err(gguf.unsupported("adapter", "activated LoRA (adapter.alora.invocation_tokens)"));
    }
    let alpha = gguf.f32("adapter.lora.alpha").unwrap_or(0.0);

    let mut found: BTreeMap<&str, (Option<Tensor<'_>>, Option<Tensor<'_>>)> = BTreeMap::new();
    for info in gguf.tensors() {
        let tensor = gguf.require_tensor(&info.name)?;
        if let Some(base) = info.name.strip_suffix(".lora_a") {
            found.entry(base).or_default().0 = Some(tensor);
        } else if let Some(base) = info.name.strip_suffix(".lora_b") {
            found.entry(base).or_default().1 = Some(tensor);
        } else {
            return Err(mismatch(format!("tensor {} is no part of a low-rank pair", info.name)));
        }
    }
    if found.is_empty() {
        return Err(mismatch("it adapts nothing".to_owned()));
    }
    let mut parts = Vec::with_capacity(found.len());
    for (base, pair) in found {
        let (Some(a), Some(b)) = pair else {
            return Err(mismatch(format!("tensor {base} has only one of A and B")));
        };
        let (rank, of_b) = (a.info.rows(), b.info.cols());
        if rank != of_b {
            return Err(mismatch(format!("tensor {base} has rank {rank} in A and {of_b} in B")));
        }
        // Shapes are compared before anything is expanded, so that a small file cannot ask for much memory.
        let target = model.weights().index_of(base).map(|index| &model.weights().tensors[index]);
        if let Some(LinearTensor { rows, cols, .. }) = target
            && (a.info.cols() != *cols || b.info.rows() != *rows)
        {
            let (its_rows, its_cols) = (b.info.rows(), a.info.cols());
            return Err(mismatch(format!(
                "tensor {base} is ({rows}, {cols}), the adapter's is ({its_rows}, {its_cols})"
            )));
        }
        parts.push(AdapterPart { base: base.to_owned(), rank, a: a.to_f32(), b: b.to_f32() });
    }
    Adapter::check(gguf.path().to_owned(), gguf.fingerprint(), alpha, parts, model)
}
