//! One generation of a library: a chain of packs as one body of passages.
//!
//! `chain` resolves which row stands for a passage, `scope` says which rows a caller may find, `search` asks each member
//! by vector and merges, `words` by words, `reading` gives out passages, documents, entries and the state.

mod chain;
mod reading;
mod scope;
mod search;
mod words;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use lorekit_pack::{Manifest, PassageId, StateHash};

pub(crate) use reading::digest_of;
pub use reading::{Entry, SupersededEntry};
pub use scope::Scope;

use crate::error::Result;
use crate::segment::{OpenOptions, Segment};
use crate::snapshot::chain::{Member, resolve};
use crate::snapshot::search::KeptFilter;

/// One generation of a library, for reading and searching by any number of threads.
///
/// It never changes: an update makes another snapshot, and whoever holds this one goes on with what it knew. Cloning
/// costs one count; the files of its members stay open until the last clone is dropped.
///
/// Its members are the publisher's chain, a base and its deltas in order, and then the local chain, the packs of the
/// device's own documents. In each chain the newest row of a passage id stands for the passage, unless it is
/// withdrawn. The key of a passage is `member << 32 | row`: it holds within this snapshot only.
#[derive(Clone, Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    members: Vec<Member>,
    n_publisher: usize,
    n_live: u64,
    revoked: BTreeSet<PassageId>,
    state: OnceLock<StateHash>,
    /// What the last scopes left, newest first.
    filters: Mutex<VecDeque<KeptFilter>>,
}

impl Snapshot {
    /// Joins open packs into a generation. The first of `publisher` is a base, all others are deltas, in order; `local`
    /// are packs of the device's own documents. `revoked` are passages that this installation saw revoked by whatever
    /// generation: they are hidden here, even if this chain still holds them live.
    ///
    /// Whether a delta fits the state before it is not checked here: that costs a read of all rows and is asked once,
    /// when it arrives; compare its `parent` with [`state`](Self::state) of the snapshot before it.
    ///
    /// Costs one scan of each pack's rows the first time it is a member of a snapshot, and a look-up in the base for
    /// each passage that a later member holds or withdraws.
    ///
    /// # Errors
    /// [`Error::EmptyChain`](crate::Error::EmptyChain) without a base;
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a delta in its place;
    /// [`Error::ForeignMember`](crate::Error::ForeignMember) for a pack of another kind, name, embedder or version of
    /// lexical terms; a damaged pack.
    pub fn assemble(
        publisher: Vec<Arc<Segment>>,
        local: Vec<Arc<Segment>>,
        revoked: &BTreeSet<PassageId>,
    ) -> Result<Self> {
        let n_publisher = publisher.len();
        let (members, revoked) = resolve(publisher, local, revoked)?;
        let rows = |member: &Member| 0..member.table().of_row.len() as u32;
        let n_live = members.iter().map(|m| rows(m).filter(|&row| m.is_live(row)).count() as u64).sum();
        let inner = Inner { members, n_publisher, n_live, revoked, state: OnceLock::new(), filters: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A generation of one pack: a base, or a pack of local documents looked at by itself.
    ///
    /// # Errors
    /// As [`Segment::open`] and [`assemble`](Self::assemble).
    pub fn open_pack(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        Self::assemble(vec![Arc::new(Segment::open(path, options)?)], Vec::new(), &BTreeSet::new())
    }

    /// The packs, publisher's first, in the order of [`assemble`](Self::assemble).
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<Segment>> {
        self.inner.members.iter().map(|member| &member.segment)
    }

    /// How many of the [`members`](Self::members) are the publisher's.
    pub fn publisher_members(&self) -> usize {
        self.inner.n_publisher
    }

    /// The manifest of the newest pack of the publisher's chain. Its counts are of that file; see [`len`](Self::len).
    pub fn manifest(&self) -> &Manifest {
        self.inner.members[self.inner.n_publisher - 1].segment.manifest()
    }

    /// The manifest of the publisher's base.
    pub fn base_manifest(&self) -> &Manifest {
        self.inner.members[0].segment.manifest()
    }

    /// How many passages are live, in both chains.
    pub fn len(&self) -> u64 {
        self.inner.n_live
    }

    /// Whether no passage is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a passage was revoked, by a member or by what [`assemble`](Self::assemble) was told.
    pub fn is_revoked(&self, id: PassageId) -> bool {
        self.inner.revoked.contains(&id)
    }

    /// All revoked passages, ascending; what a lasting record must hold.
    pub fn revoked(&self) -> &BTreeSet<PassageId> {
        &self.inner.revoked
    }

    /// What tells this generation from others in a cache: a hash over the states that its packs declare and over what
    /// is revoked. Two generations of one state may have two. Costs microseconds.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lorekit generation v1");
        for segment in self.members() {
            hasher.update(&segment.manifest().state.0);
        }
        for id in self.revoked() {
            hasher.update(&id.0);
        }
        *hasher.finalize().as_bytes()
    }

    /// Whether both are one and the same generation in memory.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

/// A row of a member as a key.
fn key_of(member: usize, row: u32) -> u64 {
    (member as u64) << 32 | u64::from(row)
}
