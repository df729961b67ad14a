//! From some bytes to a whole hostile file, and what a device does with it. Nothing in here knows where the bytes come from,
//! so that the same cases run under the fuzzer and, for the corpus that is kept, in the tests of `store`.
//!
//! Large sections are not made of the bytes but changed by them: see `patch`. An error is a fine outcome of a case; a panic, a
//! crash, or a promise that is not kept is a find.

mod assemble;
mod device;
mod open;
mod patch;
mod sealed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekit_pack::signing::{SigningKey, Trust};
use lorekit_pack::{Manifest, Pack, SectionKind};
use lorekit_seal::SealKey;
use lorekit_store::{OpenOptions, Segment};

use crate::common::shelf::Shelf;
use device::Device;

/// What can be fuzzed: header and section table, manifest, signature area, each kind of section, a sealed container, a delta
/// that is applied to a library, the library's record.
pub const PARTS: [&str; 10] =
    ["header", "manifest", "signatures", "passages", "vectors", "withdrawals", "notices", "sealed", "delta", "record"];

/// One part, with what its cases are made from.
pub struct Harness {
    part: &'static str,
    _folder: tempfile::TempDir,
    /// Where the file of a case is written.
    path: PathBuf,
    /// The golden base.
    base: Parts,
    /// The golden delta.
    delta: Parts,
    /// The golden base, open.
    base_segment: Arc<Segment>,
    /// The golden base in a sealed container.
    container: Vec<u8>,
    /// A library for the parts `delta` and `record`.
    device: Option<Device>,
}

/// A pack, taken apart.
struct Parts {
    manifest: Manifest,
    sections: Vec<(SectionKind, Vec<u8>)>,
}

impl Parts {
    fn of(path: &Path) -> Self {
        let pack = Pack::open_verified(path).unwrap();
        let section = |kind| Some((kind, pack.section(kind)?.to_vec()));
        Self { manifest: pack.manifest().clone(), sections: SectionKind::ALL.into_iter().filter_map(section).collect() }
    }

    /// The sections with one of them changed.
    fn with(&self, kind: SectionKind, change: impl FnOnce(&mut Vec<u8>)) -> Vec<(SectionKind, Vec<u8>)> {
        let mut sections = self.sections.clone();
        if let Some((_, bytes)) = sections.iter_mut().find(|(other, _)| *other == kind) {
            change(bytes);
        }
        sections
    }
}

/// The key that signs each case after its mutation, and the one that is believed.
fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn trust() -> Trust {
    Trust::pinned(vec![key().verifying_key()])
}

fn seal_key() -> SealKey {
    SealKey::new([3; 32])
}

impl Harness {
    /// What a part needs; none for an unknown part. `TMPDIR` in memory makes cases much cheaper.
    pub fn new(part: &str) -> Option<Self> {
        let part = PARTS.into_iter().find(|name| *name == part)?;
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pack/tests/data/v1");
        let base = Parts::of(&golden.join("base.lorepack"));
        let plain = assemble::signed(&base.manifest, &base.sections);
        Some(Self {
            part,
            path: folder.path().join("case.lorepack"),
            delta: Parts::of(&golden.join("delta.lorepack")),
            base_segment: Arc::new(Segment::open(golden.join("base.lorepack"), &OpenOptions::default()).unwrap()),
            container: sealed::seal(&plain),
            device: matches!(part, "delta" | "record").then(|| Device::new(folder.path(), Shelf::new())),
            base,
            _folder: folder,
        })
    }

    /// Runs one case.
    pub fn run(&mut self, data: &[u8]) {
        let file = match self.part {
            "header" => assemble::with_header(&assemble::signed(&self.base.manifest, &self.base.sections), data),
            "manifest" => assemble::with_manifest(data, &self.base.sections),
            "signatures" => {
                let plain = assemble::signed(&self.base.manifest, &self.base.sections);
                let case = assemble::with_signatures(&plain, data);
                return self.write(&case).map_or((), |path| open::signatures(path, &plain));
            }
            "passages" => self.base_with(SectionKind::Passages, data),
            "vectors" => self.base_with(SectionKind::Vectors, data),
            "withdrawals" | "notices" => {
                let kind = if self.part == "withdrawals" { SectionKind::Withdrawals } else { SectionKind::Notices };
                let sections = self.delta.with(kind, |bytes| *bytes = data.to_vec());
                let case = assemble::signed(&self.delta.manifest, &sections);
                return self.write(&case).map_or((), |path| open::delta(path, &self.base_segment));
            }
            "sealed" => {
                let case = sealed::case(&self.container, &self.base, data);
                return self.write(&case).map_or((), sealed::open);
            }
            "delta" => return self.device.as_mut().unwrap().delta(data),
            _ => return self.device.as_mut().unwrap().record(data),
        };
        if let Some(path) = self.write(&file) {
            open::pack(path, self.part != "header", &OpenOptions::default());
        }
    }

    /// Inputs that make a sound file.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let section = |parts: &Parts, kind| parts.sections.iter().find(|(other, _)| *other == kind).unwrap().1.clone();
        match self.part {
            "header" => vec![assemble::header_of(&assemble::signed(&self.base.manifest, &self.base.sections))],
            "manifest" => vec![assemble::manifest_of(&self.base.manifest, &self.base.sections)],
            "signatures" => assemble::signature_seeds(
                &assemble::signed(&self.base.manifest, &self.base.sections),
                &self.base.manifest,
            ),
            "withdrawals" => vec![section(&self.delta, SectionKind::Withdrawals)],
            "notices" => vec![section(&self.delta, SectionKind::Notices)],
            "passages" | "vectors" => vec![Vec::new()],
            "sealed" => (0..4).map(|mode| vec![mode]).collect(),
            "delta" => self.device.as_ref().unwrap().delta_seeds(),
            _ => self.device.as_ref().unwrap().record_seeds(),
        }
    }

    fn base_with(&self, kind: SectionKind, data: &[u8]) -> Vec<u8> {
        let sections = self.base.with(kind, |bytes| patch::apply(bytes, data));
        assemble::signed(&self.base.manifest, &sections)
    }

    /// Writes the file of a case. The one before may still be mapped, so it is another file.
    fn write(&self, bytes: &[u8]) -> Option<&Path> {
        let _ = fs::remove_file(&self.path);
        fs::write(&self.path, bytes).unwrap();
        Some(&self.path)
    }
}
