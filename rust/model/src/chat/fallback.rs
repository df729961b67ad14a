//! Templates for models whose file has none, chosen by the control tokens that their vocabulary has.

use crate::gguf::Gguf;

/// A control token, and the template of the models that have it.
const BY_TOKEN: [(&str, &str); 4] = [
    ("<|im_start|>", include_str!("fallback/chatml.jinja")),
    ("<|start_header_id|>", include_str!("fallback/llama3.jinja")),
    ("<start_of_turn>", include_str!("fallback/gemma.jinja")),
    ("[gMASK]", include_str!("fallback/glm4.jinja")),
];

/// The template for the file's vocabulary.
pub(super) fn template(gguf: &Gguf) -> Option<&'static str> {
    let tokens = gguf.array("tokenizer.ggml.tokens")?;
    let mut best = None;
    for token in tokens.iter_str() {
        if let Some(at) = BY_TOKEN.iter().position(|(text, _)| *text == token) {
            best = Some(best.map_or(at, |b: usize| b.min(at)));
        }
    }
    best.map(|at| BY_TOKEN[at].1)
}
