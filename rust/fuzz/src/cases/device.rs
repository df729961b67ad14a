//! A library in a folder, hostile deltas that are applied to it, and hostile records that it is opened with.

use std::fs;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_pack::{ContentHash, Manifest, SectionKind, StateHash};
use lorekit_store::{ApplyReport, Error, Library, LibraryOptions, Refusal, Result};

use super::{Parts, assemble, open, patch, trust};
use crate::common::shelf::Shelf;

const RECORD: &str = "CURRENT";

/// A publisher's packs, signed by the key of the cases, and a place for a library.
pub struct Device {
    _shelf: Shelf,
    base: PathBuf,
    /// From version 1 to 2: passages, vectors, withdrawals.
    delta: Parts,
    folder: PathBuf,
    case: PathBuf,
    /// Open between cases while nothing was applied to it.
    library: Option<Library>,
    /// The record of a library with the delta applied.
    record: Vec<u8>,
    /// The files of that library.
    files: Vec<(String, Vec<u8>)>,
}

impl Device {
    /// A device in `scratch`.
    pub fn new(scratch: &Path, shelf: Shelf) -> Self {
        let (base, folder, case) = (scratch.join("base"), scratch.join("library"), scratch.join("delta"));
        let parts = Parts::of(&shelf.base);
        fs::write(&base, assemble::signed(&parts.manifest, &parts.sections)).unwrap();
        let delta = Parts::of(&shelf.deltas[0]);
        let empty = (Vec::new(), Vec::new());
        let mut device =
            Self { _shelf: shelf, base, delta, folder, case, library: None, record: empty.0, files: empty.1 };
        fs::write(&device.case, assemble::signed(&device.delta.manifest, &device.delta.sections)).unwrap();
        let library = device.open().unwrap();
        apply(&library, &device.case).unwrap();
        drop(library);
        for entry in fs::read_dir(&device.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = fs::read(&path).unwrap();
            match name.as_str() {
                RECORD => device.record = bytes[bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1..].to_vec(),
                "LOCK" => {}
                _ => device.files.push((name, bytes)),
            }
        }
        fs::remove_dir_all(&device.folder).unwrap();
        device
    }

    fn open(&self) -> Result<Library> {
        Library::open(LibraryOptions::new(&self.base, Some(self.folder.clone()), trust()))
    }

    pub fn delta_seeds(&self) -> Vec<Vec<u8>> {
        let withdrawals = self.delta.sections.iter().find(|(kind, _)| *kind == SectionKind::Withdrawals).unwrap();
        let manifest = assemble::manifest_of(&self.delta.manifest, &self.delta.sections);
        let seed = |mode: u8, bytes: &[u8]| [&[mode], bytes].concat();
        vec![seed(0, &manifest), seed(1, &withdrawals.1), seed(2, &[]), seed(3, &[])]
    }

    pub fn record_seeds(&self) -> Vec<Vec<u8>> {
        vec![self.record.clone()]
    }

    /// Applies a delta of which the first byte says what was changed: manifest, withdrawals, passages or vectors. If only the
    /// state is not the promised one, the delta is signed again with the state that it has.
    pub fn delta(&mut self, data: &[u8]) {
        let (mode, rest) = data.split_first().unwrap_or((&0, &[]));
        let (mut manifest, mut sections) = (self.delta.manifest.clone(), self.delta.sections.clone());
        let file = match mode % 4 {
            0 => {
                // What is to be applied in the end keeps what was changed, where it can be read at all.
                manifest = serde_json::from_slice::<Manifest>(rest).unwrap_or(manifest);
                assemble::with_manifest(rest, &sections)
            }
            mode => {
                let kind =
                    [SectionKind::Withdrawals, SectionKind::Passages, SectionKind::Vectors][usize::from(mode) - 1];
                sections = self.delta.with(kind, |bytes| match kind {
                    SectionKind::Withdrawals => *bytes = rest.to_vec(),
                    _ => patch::apply(bytes, rest),
                });
                assemble::signed(&manifest, &sections)
            }
        };
        fs::write(&self.case, file).unwrap();
        let library = self.library.take().unwrap_or_else(|| {
            let _ = fs::remove_dir_all(&self.folder);
            self.open().unwrap()
        });
        let before = library.state().unwrap();
        let mut applied = apply(&library, &self.case);
        if let Err(Error::Refused { refusal: Refusal::OtherState { found, .. }, .. }) = &applied {
            manifest.state = *found;
            fs::write(&self.case, assemble::signed(&manifest, &sections)).unwrap();
            applied = apply(&library, &self.case);
        }
        match applied {
            Err(_) => {
                assert_eq!(library.state().unwrap(), before, "a delta that was refused changed something");
                let left = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
                let left: Vec<_> = left.filter(|name| name != RECORD && name != "LOCK").collect();
                assert!(left.is_empty(), "a delta that was refused left {left:?}");
                self.library = Some(library);
            }
            Ok(report) if !report.applied => self.library = Some(library),
            Ok(report) => {
                assert_eq!(library.state().unwrap().state, report.state);
                self.live_with(library, before.state, report.state);
            }
        }
    }

    /// What was applied is searched, undone, applied again and compacted; after each the library opens again.
    fn live_with(&self, library: Library, before: StateHash, after: StateHash) {
        open::snapshot_reads(&library.snapshot());
        library.verify().unwrap();
        drop(library);
        let library = self.open().unwrap();
        assert_eq!(library.state().unwrap().state, after, "another state after opening again");
        assert_eq!(library.rollback().unwrap().state, before);
        assert_eq!(apply(&library, &self.case).unwrap().state, after);
        // A row that cannot be read keeps the library from being compacted, and nothing else.
        let compacted = library.compact(&mut |_| {}, &CancelToken::new());
        drop(library);
        let library = self.open().unwrap();
        assert_eq!(library.state().unwrap().state, after, "compacted: {compacted:?}");
        open::snapshot_reads(&library.snapshot());
    }

    /// Opens a library whose record says this, and changes it.
    pub fn record(&mut self, data: &[u8]) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).unwrap();
        for (name, bytes) in &self.files {
            fs::write(self.folder.join(name), bytes).unwrap();
        }
        let mut record = format!("lorekit-library 1 {}\n", ContentHash::of(data)).into_bytes();
        record.extend(data);
        fs::write(self.folder.join(RECORD), record).unwrap();
        let Ok(library) = self.open() else { return };
        open::snapshot_reads(&library.snapshot());
        let _ = (library.state(), library.verify());
        let _ = apply(&library, &self.case);
        let _ = library.rollback();
        let _ = library.compact(&mut |_| {}, &CancelToken::new());
        drop(library);
        let _ = self.open().map(|library| open::snapshot_reads(&library.snapshot()));
    }
}

fn apply(library: &Library, delta: &Path) -> Result<ApplyReport> {
    library.apply(delta, &mut |_| {}, &CancelToken::new())
}
