//! A publisher with three versions of a body of knowledge, and what a device does with them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_pack::signing::{SigningKey, Trust, sign_pack};
use lorekit_pack::{ContentHash, Pack, PackWriter, SectionKind, StateHash, WithdrawalKind};
use lorekit_store::{ApplyReport, Library, LibraryOptions, NewDocument, NewPassage, Origin, Result, Snapshot};

use super::chain::{DIMS, Knowledge, World, delta, fresh, vector};
use super::{document, passage};

/// A word that only a passage has which the third version revokes.
pub const CANARY: &str = "金丝雀 canary-4c1d";
/// A word that only the app's own document has.
pub const OWN_CANARY: &str = "本机 canary-77aa";

pub struct Shelf {
    pub folder: tempfile::TempDir,
    pub base: PathBuf,
    /// From version 1 to 2, from 2 to 3.
    pub deltas: [PathBuf; 2],
    pub states: [StateHash; 3],
    pub publisher: SigningKey,
}

fn world(version: u32) -> World {
    let mut world = World::new();
    for d in 0..3 {
        let mut passages = Vec::new();
        for i in 0..6 {
            let edition = match i {
                4 if version >= 3 => 3,
                i if i == d + 1 && version >= 2 => 2,
                _ => 1,
            };
            if !(d == 0 && i == 5 && version >= 2) {
                passages.push((format!("第{}条", i + 1), format!("文件{d}第{i}段，版本{edition}。"), vec![]));
            }
        }
        if d == 1 && version < 3 {
            passages.push(("第九条".into(), format!("撤回的内容，{CANARY}。"), vec![]));
        }
        world.insert(format!("d{d}"), Knowledge { labels: vec![], valid_from: Some("2024-01-01".into()), passages });
    }
    world
}

/// Writes a pack again with another manifest, without a signature.
pub fn edit(path: &Path, change: impl FnOnce(&mut lorekit_pack::Manifest)) {
    let pack = Pack::open(path).unwrap();
    let mut manifest = pack.manifest().clone();
    change(&mut manifest);
    let target = path.with_extension("edited");
    let mut writer = PackWriter::create(&target).unwrap();
    for kind in [SectionKind::Passages, SectionKind::Vectors, SectionKind::Withdrawals] {
        if let Some(section) = pack.section(kind) {
            writer.section_from_bytes(kind, section).unwrap();
        }
    }
    writer.finish(manifest).unwrap();
    std::fs::rename(target, path).unwrap();
}

impl Shelf {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let publisher = SigningKey::from_seed(&[5; 32]);
        let worlds = [1, 2, 3].map(world);
        let fresh: Vec<Snapshot> = (0..3).map(|i| fresh(folder.path(), &format!("v{}", i + 1), &worlds[i])).collect();
        let states = [0, 1, 2].map(|i: usize| fresh[i].state().unwrap());
        let base = at("v1");
        sign_pack(&base, &publisher, None).unwrap();
        let deltas = [1, 2].map(|i: usize| {
            let path = at(&format!("delta{i}"));
            let kind = || {
                if i == 1 {
                    WithdrawalKind::Superseded { valid_to: "2025-12-31".into() }
                } else {
                    WithdrawalKind::Revoked
                }
            };
            delta(&path, &fresh[i - 1], (&fresh[i - 1], &fresh[i]), &worlds[i], kind);
            edit(&path, |manifest| {
                manifest.version = i as u64 + 1;
                manifest.state = states[i];
            });
            sign_pack(&path, &publisher, None).unwrap();
            path
        });
        Self { base, deltas, states, publisher, folder }
    }

    pub fn options(&self, folder: &Path) -> LibraryOptions {
        LibraryOptions::new(&self.base, Some(folder.into()), Trust::pinned(vec![self.publisher.verifying_key()]))
    }

    pub fn open(&self, folder: &Path) -> Result<Library> {
        Library::open(self.options(folder))
    }

    /// A new place for a library.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join("libraries").join(name)
    }
}

pub fn apply(library: &Library, delta: &Path) -> Result<ApplyReport> {
    library.apply(delta, &mut |_| {}, &CancelToken::new())
}

/// A document of the app with two passages.
pub fn own(id: &str) -> (NewDocument, Vec<NewPassage>, Vec<Vec<f32>>) {
    let texts = [format!("自己的笔记 {id} {OWN_CANARY}"), format!("第二段 {id}")];
    let passages = texts.iter().enumerate().map(|(i, text)| passage(0, id, &format!("{i}"), text, i as u64 * 100));
    (document(id, "笔记"), passages.collect(), texts.iter().map(|text| vector(text)).collect())
}

pub fn add(library: &Library, id: &str) -> Result<u64> {
    let (document, passages, vectors) = own(id);
    library.add(document, &passages, &vectors, &mut |_| {}, &CancelToken::new())
}

/// All that a snapshot knows, read to the last byte, as one hash: ids, texts, vectors, documents, dates.
pub fn content(snapshot: &Snapshot) -> ContentHash {
    let mut found = Vec::new();
    for origin in [Origin::Publisher, Origin::Local] {
        let mut keys = Vec::new();
        snapshot
            .entries(origin, &mut |entry| {
                keys.push(entry.key);
                Ok(())
            })
            .unwrap();
        snapshot
            .superseded(origin, &mut |entry| {
                keys.push(entry.key);
                Ok(())
            })
            .unwrap();
        for key in keys {
            let passage = snapshot.passage(key).unwrap();
            let vector: Vec<u32> = snapshot.vector(key).unwrap().iter().map(|x| x.to_bits()).collect();
            assert_eq!(vector.len(), DIMS);
            let dates = (passage.valid_from, passage.valid_to);
            found.push(format!("{:?}", (passage.id, passage.text, passage.document, dates, vector)));
        }
    }
    found.sort();
    ContentHash::of(found.join("\n").as_bytes())
}
