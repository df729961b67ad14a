//! Snapshots in the cache folder, for the next start of the app.
//!
//! A file holds one node of the prefix tree. Its name is a hash of all its keys and values depend on (model, compute
//! path and its version, adapters, every token before it, so template and format too) and of the scope it was made in.
//! Nothing in the folder is trusted: what is damaged, cut off or strange is removed and computed anew.
//!
//! Layout, little-endian: `LKPS`, version, length of the head, length of the body (u64), head, BLAKE3 of everything so
//! far, body. The head says what has to be known without reading the body: name, scope, state of the library,
//! passages. The body is the snapshot, which carries its own checksum. Head and body are sealed, each by itself.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lorekit_model::KvSnapshot;
use lorekit_store::PassageId;

use crate::SnapshotCipher;

const MAGIC: [u8; 4] = *b"LKPS";
const VERSION: u32 = 1;
/// Magic, version, two lengths.
const FIXED: usize = 4 + 4 + 4 + 8;
/// A head of more bytes is damaged: it names thousands of passages.
const LONGEST_HEAD: usize = 1 << 16;

/// The folder in the app's cache folder.
const FOLDER: &str = "prefixes";

/// Removes what any engine kept in this cache folder.
pub(crate) fn remove_all(cache_folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(cache_folder.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of a snapshot's file.
pub(crate) type Key = [u8; 32];

/// What is known of a file without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: Key,
    scope: [u8; 32],
    state: [u8; 32],
    passages: Vec<PassageId>,
    bytes: u64,
    used: SystemTime,
}

/// The folder, within a number of bytes; what was not used for longest goes first.
pub(crate) struct SnapshotFolder {
    folder: PathBuf,
    budget: u64,
    cipher: Option<Arc<dyn SnapshotCipher>>,
    entries: Vec<Entry>,
}

impl SnapshotFolder {
    /// Opens the folder, or makes it; removes files that are no snapshots, and those for which `is_live` denies a
    /// passage unless they were written in this very `state` of the library. Reads the head of each file.
    pub(crate) fn open(
        cache_folder: &Path,
        budget: u64,
        cipher: Option<Arc<dyn SnapshotCipher>>,
        state: [u8; 32],
        is_live: &dyn Fn(&PassageId) -> bool,
    ) -> io::Result<Self> {
        // A folder of its own: whatever else the app keeps beside it is not ours to judge.
        let folder = cache_folder.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let mut this = Self { folder, budget, cipher, entries: Vec::new() };
        for file in fs::read_dir(&this.folder)?.flatten() {
            if !file.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            match this.read_head(&file.path()) {
                Some(entry) if entry.state == state || entry.passages.iter().all(is_live) => this.entries.push(entry),
                _ => drop(fs::remove_file(file.path())),
            }
        }
        this.shrink(budget);
        Ok(this)
    }

    /// Removes what is there, and seals with `cipher` from now on.
    pub(crate) fn seal_with(&mut self, cipher: Arc<dyn SnapshotCipher>) {
        self.clear();
        self.cipher = Some(cipher);
    }

    /// The file's name for a snapshot of this key, seen in this scope; a snapshot without passages has no scope.
    pub(crate) fn key(prefix_key: [u8; 32], scope: &[u8], n_passages: usize) -> Key {
        let scope = if n_passages == 0 { [0; 32] } else { hash(scope) };
        hash(&[&prefix_key[..], &scope].concat())
    }

    /// Whether there is a file of this name.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.entries.iter().any(|entry| entry.key == *key)
    }

    /// Reads a snapshot with its passages; a damaged file is removed.
    pub(crate) fn load(&mut self, key: &Key, scope: &[u8]) -> Option<(KvSnapshot, Vec<PassageId>)> {
        let n = self.entries.iter().position(|entry| entry.key == *key)?;
        let entry = &self.entries[n];
        // The name tells scopes apart already; the head is sealed with its own copy.
        if !entry.passages.is_empty() && entry.scope != hash(scope) {
            return None;
        }
        let path = self.path(key);
        match self.read_body(&path, entry) {
            Some(snapshot) => {
                let entry = &mut self.entries[n];
                entry.used = SystemTime::now();
                // The order of use outlives the process as the file's time; without it the file only ages sooner.
                let _ = File::options().write(true).open(&path).and_then(|file| file.set_modified(entry.used));
                Some((snapshot, entry.passages.clone()))
            }
            None => {
                self.remove_at(n);
                None
            }
        }
    }

    /// Writes a snapshot, unless it is there: to a temporary file, flushed, then renamed.
    pub(crate) fn save(
        &mut self,
        key: Key,
        scope: &[u8],
        state: [u8; 32],
        passages: &[PassageId],
        snapshot: &KvSnapshot,
    ) -> io::Result<()> {
        if self.contains(&key) {
            return Ok(());
        }
        let mut head = [key, hash(scope), state].concat();
        passages.iter().for_each(|id| head.extend_from_slice(&id.0));
        let head = self.seal(&key, 0, head)?;
        let body = self.seal(&key, 1, snapshot.to_bytes())?;
        let mut front = Vec::with_capacity(FIXED + head.len() + 32);
        front.extend(MAGIC);
        front.extend(VERSION.to_le_bytes());
        front.extend((head.len() as u32).to_le_bytes());
        front.extend((body.len() as u64).to_le_bytes());
        front.extend(head);
        front.extend(hash(&front));
        let bytes = (front.len() + body.len()) as u64;
        if bytes > self.budget {
            return Ok(());
        }
        self.shrink(self.budget - bytes);
        let temporary = self.folder.join(format!("{}.tmp", hex(&key)));
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(&front)?;
            file.write_all(&body)?;
            file.sync_all()?;
            fs::rename(&temporary, self.path(&key))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        let (scope, passages, used) = (hash(scope), passages.to_vec(), SystemTime::now());
        self.entries.push(Entry { key, scope, state, passages, bytes, used });
        Ok(())
    }

    /// Removes every file that shows a passage for which `gone` is true.
    pub(crate) fn remove(&mut self, gone: &dyn Fn(&PassageId) -> bool) {
        for n in (0..self.entries.len()).rev() {
            if self.entries[n].passages.iter().any(gone) {
                self.remove_at(n);
            }
        }
    }

    /// Removes every file.
    pub(crate) fn clear(&mut self) {
        self.shrink(0);
    }

    fn shrink(&mut self, budget: u64) {
        let mut bytes: u64 = self.entries.iter().map(|entry| entry.bytes).sum();
        self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        while bytes > budget
            && let Some(last) = self.entries.len().checked_sub(1)
        {
            bytes -= self.entries[last].bytes;
            self.remove_at(last);
        }
    }

    fn remove_at(&mut self, n: usize) {
        let entry = self.entries.remove(n);
        if let Err(error) = fs::remove_file(self.path(&entry.key)) {
            log::warn!("a snapshot could not be removed: {error}");
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.kv", hex(key)))
    }

    fn seal(&self, key: &Key, part: u8, plain: Vec<u8>) -> io::Result<Vec<u8>> {
        match &self.cipher {
            Some(cipher) => cipher.seal(&context(key, part), &plain).ok_or_else(|| io::Error::other("sealing failed")),
            None => Ok(plain),
        }
    }

    fn unseal(&self, key: &Key, part: u8, sealed: Vec<u8>) -> Option<Vec<u8>> {
        match &self.cipher {
            Some(cipher) => cipher.open(&context(key, part), &sealed),
            None => Some(sealed),
        }
    }

    fn read_head(&self, path: &Path) -> Option<Entry> {
        let mut file = File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let mut front = vec![0; FIXED];
        file.read_exact(&mut front).ok()?;
        let head_len = u32::from_le_bytes(front[8..12].try_into().ok()?) as usize;
        let body_len = u64::from_le_bytes(front[12..20].try_into().ok()?);
        let sound = front[..4] == MAGIC && front[4..8] == VERSION.to_le_bytes() && head_len <= LONGEST_HEAD;
        let expected = body_len.checked_add((FIXED + head_len + 32) as u64);
        if !sound || expected != Some(metadata.len()) {
            return None;
        }
        front.resize(FIXED + head_len, 0);
        file.read_exact(&mut front[FIXED..]).ok()?;
        let mut checksum = [0; 32];
        file.read_exact(&mut checksum).ok()?;
        if hash(&front) != checksum {
            return None;
        }
        let key = unhex(path.file_name()?.to_str()?.strip_suffix(".kv")?)?;
        let head = self.unseal(&key, 0, front.split_off(FIXED))?;
        let (hashes, ids) = head.split_at_checked(3 * 32)?;
        let [named, scope, state] = hashes.as_chunks::<32>().0 else { return None };
        let (ids, []) = ids.as_chunks::<16>() else { return None };
        (*named == key).then(|| Entry {
            key,
            scope: *scope,
            state: *state,
            passages: ids.iter().map(|id| PassageId(*id)).collect(),
            bytes: metadata.len(),
            used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    }

    fn read_body(&self, path: &Path, expected: &Entry) -> Option<KvSnapshot> {
        if fs::metadata(path).ok()?.len() != expected.bytes {
            return None;
        }
        let mut bytes = fs::read(path).ok()?;
        let head_len = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize;
        let body = FIXED.checked_add(head_len)?.checked_add(32).filter(|at| *at <= bytes.len())?;
        let body = self.unseal(&expected.key, 1, bytes.split_off(body))?;
        KvSnapshot::from_bytes(&body).ok()
    }
}

fn context(key: &Key, part: u8) -> Vec<u8> {
    let mut context = key.to_vec();
    context.push(part);
    context
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(name: &str) -> Option<Key> {
    let (pairs, []) = name.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| (byte as char).to_digit(16);
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some((digit(*a)? * 16 + digit(*b)?) as u8)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
#[path = "snapshot_folder_tests.rs"]
mod tests;
