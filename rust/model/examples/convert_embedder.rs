//! Converts a sentence-transformers folder to one GGUF file.
//!
//!     cargo run -p lorekit-model --example convert_embedder -- FOLDER OUT.gguf [f32|f16|q8_0]

#![allow(clippy::print_stdout)]

use std::path::Path;

use lorekit_model::embed::{Precision, convert};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: convert_embedder FOLDER OUT.gguf [f32|f16|q8_0]".into());
    };
    let precision = match rest.first().map(String::as_str) {
        None | Some("q8_0") => Precision::Q8_0,
        Some("f16") => Precision::F16,
        Some("f32") => Precision::F32,
        Some(other) => return Err(format!("unknown precision {other}").into()),
    };
    let report = convert(Path::new(folder), Path::new(out), precision, &mut |_, _| {}, &Default::default())?;
    println!("{report:#?}");
    Ok(())
}
