//! Vectors of other packs, by the whole embedding input of their passages.

use std::collections::HashMap;
use std::path::PathBuf;

use lorekit_pack::EmbedderInfo;
use lorekit_store::{EmbeddingKey, OpenOptions, Parent, Snapshot, embedded_title};

use crate::error::{CliError, Result};

/// All vectors of these packs, which must be of this embedder.
pub(crate) fn vectors(packs: &[PathBuf], embedder: &EmbedderInfo) -> Result<HashMap<EmbeddingKey, Vec<f32>>> {
    let mut known = HashMap::new();
    for path in packs {
        let pack = Snapshot::open_pack(path, &OpenOptions::default())?;
        if pack.manifest().embedder != *embedder {
            return Err(CliError::Input {
                path: path.clone(),
                reason: "has vectors of another embedder: they cannot be reused".into(),
            });
        }
        for key in pack.live_keys()? {
            let passage = pack.passage(key)?;
            let title = embedded_title(&passage.document.title, &passage.title_path);
            known.insert(EmbeddingKey::of(&title, &passage.text), pack.vector(key)?);
        }
    }
    Ok(known)
}
