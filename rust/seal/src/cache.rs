//! Decrypted chunks, kept up to a number of bytes and overwritten with zeros when they go.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// A decrypted chunk. Zeros take its place in memory when the last reader lets go.
pub(crate) type Chunk = Arc<Zeroizing<Vec<u8>>>;

/// A budget in bytes for decrypted chunks, shared by all files that are opened with it; the chunk that was read longest
/// ago makes room (least recently used).
///
/// Chunks that readers hold at the moment, one for each, come on top.
pub struct ChunkCache {
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    chunks: HashMap<(u64, u64), (Chunk, u64)>,
    by_age: BTreeMap<u64, (u64, u64)>,
    used: usize,
    clock: u64,
    files: u64,
}

impl ChunkCache {
    /// What a library that says nothing gets: 8 MiB.
    pub const DEFAULT_BUDGET: usize = 8 << 20;

    /// A cache of at most `budget` bytes; 0 keeps nothing.
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { budget, inner: Mutex::default() })
    }

    /// The most bytes it keeps.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes kept now.
    pub fn used(&self) -> usize {
        self.inner().used
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while this is locked could only be a failed allocation; the maps stay consistent enough to be read.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a file that no other file of this cache has.
    pub(crate) fn new_file(&self) -> u64 {
        let mut inner = self.inner();
        inner.files += 1;
        inner.files
    }

    pub(crate) fn get(&self, file: u64, index: u64) -> Option<Chunk> {
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        let (chunk, age) = inner.chunks.get_mut(&(file, index))?;
        let chunk = Arc::clone(chunk);
        let before = std::mem::replace(age, now);
        inner.by_age.remove(&before);
        inner.by_age.insert(now, (file, index));
        Some(chunk)
    }

    pub(crate) fn put(&self, file: u64, index: u64, chunk: &Chunk) {
        if chunk.len() > self.budget {
            return;
        }
        let mut gone = Vec::new();
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        if let Some((old, age)) = inner.chunks.insert((file, index), (Arc::clone(chunk), now)) {
            inner.used -= old.len();
            inner.by_age.remove(&age);
            gone.push(old);
        }
        inner.by_age.insert(now, (file, index));
        inner.used += chunk.len();
        while inner.used > self.budget {
            let Some((_, oldest)) = inner.by_age.pop_first() else { break };
            if let Some((old, _)) = inner.chunks.remove(&oldest) {
                inner.used -= old.len();
                gone.push(old);
            }
        }
        // Zeros are written when `gone` is dropped, behind the lock.
        drop(inner);
    }

    pub(crate) fn forget_file(&self, file: u64) {
        let mut inner = self.inner();
        let keys: Vec<_> = inner.chunks.keys().filter(|key| key.0 == file).copied().collect();
        for key in keys {
            if let Some((chunk, age)) = inner.chunks.remove(&key) {
                inner.used -= chunk.len();
                inner.by_age.remove(&age);
            }
        }
    }
}

impl fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkCache").field("budget", &self.budget).field("used", &self.used()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(length: usize) -> Chunk {
        Arc::new(Zeroizing::new(vec![1; length]))
    }

    #[test]
    fn the_budget_holds_and_what_was_read_longest_ago_goes_first() {
        let cache = ChunkCache::new(30);
        for index in 0..3 {
            cache.put(1, index, &chunk(10));
        }
        assert!(cache.get(1, 0).is_some());
        cache.put(2, 0, &chunk(10));
        assert_eq!(cache.used(), 30);
        assert!(cache.get(1, 1).is_none(), "the oldest");
        assert!(cache.get(1, 0).is_some() && cache.get(1, 2).is_some() && cache.get(2, 0).is_some());
        cache.put(1, 0, &chunk(5));
        assert_eq!(cache.used(), 25);
        cache.put(3, 0, &chunk(31));
        assert!(cache.get(3, 0).is_none(), "larger than all of it");
        cache.forget_file(1);
        assert_eq!(cache.used(), 10);
    }
}
