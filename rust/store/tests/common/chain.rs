//! Bodies of knowledge that change step by step, as a chain of packs and as one fresh pack.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekit_pack::{Pack, PackWriter, SectionKind, Withdrawal, WithdrawalKind, encode_withdrawals};
use lorekit_store::{
    IndexChoice, NewDocument, OpenOptions, Origin, PackKind, PassageDigest, PassageId, Segment, Snapshot,
};

use super::{Corpus, Noise, document, facts, passage};

pub const DIMS: usize = 24;

/// One document of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    pub labels: Vec<String>,
    pub valid_from: Option<String>,
    /// Article and text and labels of its own.
    pub passages: Vec<(String, String, Vec<String>)>,
}

/// Documents by id.
pub type World = BTreeMap<String, Knowledge>;

pub fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.into()).collect()
}

/// The whole world as one corpus.
pub fn corpus(world: &World) -> Corpus {
    let mut corpus =
        Corpus { documents: vec![], passages: vec![], vectors: vec![], facts: facts(DIMS), index: IndexChoice::Exact };
    for (id, knowledge) in world {
        let at = corpus.documents.len();
        corpus.documents.push(NewDocument {
            labels: knowledge.labels.clone(),
            valid_from: knowledge.valid_from.clone(),
            ..document(id, &format!("文件{id}"))
        });
        for (article, text, own) in &knowledge.passages {
            let mut new = passage(at, id, article, text, 100);
            new.labels.clone_from(own);
            corpus.passages.push(new);
            corpus.vectors.push(vector(text));
        }
    }
    corpus
}

/// A vector that the text alone decides.
pub fn vector(text: &str) -> Vec<f32> {
    let seed = text.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut noise = Noise(seed);
    (0..DIMS).map(|_| noise.unit()).collect()
}

pub fn open(path: &Path) -> Arc<Segment> {
    Arc::new(Segment::open(path, &OpenOptions::default()).unwrap())
}

pub fn fresh(folder: &Path, name: &str, world: &World) -> Snapshot {
    let path = folder.join(name);
    corpus(world).write(&path).unwrap();
    Snapshot::open_pack(path, &OpenOptions::default()).unwrap()
}

pub fn entries(snapshot: &Snapshot) -> BTreeMap<PassageId, PassageDigest> {
    let mut entries = BTreeMap::new();
    snapshot
        .entries(Origin::Publisher, &mut |entry| {
            assert!(entries.insert(entry.id, entry.digest).is_none());
            Ok(())
        })
        .unwrap();
    entries
}

/// Writes what turns `old` into `new`: rows that are new or have another digest, and a withdrawal of the kind that `kind`
/// says for each that is gone. Both are fresh packs.
pub fn delta(
    path: &Path,
    parent: &Snapshot,
    (old, new): (&Snapshot, &Snapshot),
    world: &World,
    mut kind: impl FnMut() -> WithdrawalKind,
) -> PathBuf {
    let (before, after) = (entries(old), entries(new));
    let mut wanted = BTreeSet::new();
    new.entries(Origin::Publisher, &mut |entry| {
        if before.get(&entry.id) != Some(&entry.digest) {
            wanted.insert((entry.key & u64::from(u32::MAX)) as usize);
        }
        Ok(())
    })
    .unwrap();
    let gone = before.keys().filter(|id| !after.contains_key(id));
    let withdrawals: Vec<Withdrawal> = gone.map(|&passage| Withdrawal { passage, kind: kind() }).collect();
    let old_documents = old.documents().unwrap();
    let all = corpus(world);
    let mut part = Corpus { documents: vec![], passages: vec![], vectors: vec![], ..all.clone() };
    for (at, document) in all.documents.iter().enumerate() {
        let rows: Vec<usize> = wanted.iter().copied().filter(|&row| all.passages[row].document == at).collect();
        let same = old_documents.iter().any(|old| {
            old.id == document.id
                && old.valid_from == document.valid_from
                && old.label_groups.iter().flatten().collect::<Vec<_>>() == document.labels.iter().collect::<Vec<_>>()
        });
        if rows.is_empty() && same {
            continue;
        }
        let position = part.documents.len();
        part.documents.push(document.clone());
        for row in rows {
            part.passages.push(lorekit_store::NewPassage { document: position, ..all.passages[row].clone() });
            part.vectors.push(all.vectors[row].clone());
        }
    }
    wrap(path, &part, PackKind::Delta, parent, &withdrawals)
}

/// Writes a corpus as a pack of another kind, with withdrawals; sections without content are left out of a delta.
pub fn wrap(path: &Path, part: &Corpus, kind: PackKind, parent: &Snapshot, withdrawals: &[Withdrawal]) -> PathBuf {
    let scratch = path.with_extension("scratch");
    part.write(&scratch).unwrap();
    let pack = Pack::open(&scratch).unwrap();
    let mut manifest = pack.manifest().clone();
    manifest.kind = kind;
    let is_delta = kind == PackKind::Delta;
    if is_delta {
        manifest.parent = Some(parent.state().unwrap());
    }
    let mut writer = PackWriter::create(path).unwrap();
    if !(is_delta && part.documents.is_empty()) {
        writer.section_from_bytes(SectionKind::Passages, pack.section(SectionKind::Passages).unwrap()).unwrap();
    }
    if !(is_delta && part.passages.is_empty()) {
        writer.section_from_bytes(SectionKind::Vectors, pack.section(SectionKind::Vectors).unwrap()).unwrap();
    }
    if !withdrawals.is_empty() {
        let bytes = encode_withdrawals(path, withdrawals).unwrap();
        writer.section_from_bytes(SectionKind::Withdrawals, &bytes).unwrap();
    }
    writer.finish(manifest).unwrap();
    path.to_path_buf()
}
