//! One pack, open for reading.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lorekit_pack::{
    ChunkCache, IndexKind, Manifest, Pack, PackKind, PackOptions, PassageDigest, PassageId, SealKey, SectionKind,
    Withdrawal, decode_withdrawals,
};

use crate::bitmap::Bitmap;

use crate::error::{Error, Result};
use crate::fixed_point::FixedRows;
use crate::held::Held;
use crate::lexical;
use crate::mapped::{Borrowed, MappedDatabase};
use crate::matrix::Nearest;
use crate::row_table::RowTable;
use crate::rows;
use crate::schema;
use crate::sqlite::database_error;
use crate::terms::LEXICAL_VERSION;
use crate::types::{Allow, Document, Hit, Neighbours, Passage};
use crate::vectors::Vectors;

/// How to open a library.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether to hash each section first. Only a caller that did so before in this installation may leave it out.
    pub verify_hashes: bool,
    /// How many searches may use the graph at once; further ones wait.
    pub search_threads: usize,
    /// The app's key, for files that LoreKit sealed. A plain pack stays plain with it, see [`Segment::is_sealed`].
    pub key: Option<SealKey>,
    /// The publisher's key, for packs whose sections are sealed.
    pub content_key: Option<SealKey>,
    /// The budget for decrypted bytes, shared by all segments that are given the same; none gives each its own.
    pub cache: Option<Arc<ChunkCache>>,
}

impl OpenOptions {
    /// What the pack itself is opened with.
    pub fn pack_options(&self) -> PackOptions {
        PackOptions { key: self.key.clone(), content_key: self.content_key.clone(), cache: self.cache.clone() }
    }
}

impl Default for OpenOptions {
    /// Hashes are verified; eight searches at once; no keys.
    fn default() -> Self {
        Self { verify_hashes: true, search_threads: 8, key: None, content_key: None, cache: None }
    }
}

/// What a library is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Length of the file.
    pub file_bytes: u64,
    /// Length of the database.
    pub text_bytes: u64,
    /// Length of vectors and graph.
    pub vector_bytes: u64,
    /// Documents.
    pub documents: u64,
    /// Passages.
    pub passages: u64,
    /// Tokens of all passages.
    pub tokens: u64,
}

/// One pack, open for reading by any number of threads.
///
/// The file is mapped and must stay as it is while the segment is open; replacing it by a rename is safe.
///
/// A segment answers for its own rows only, live or not: who may see them and whether a later pack withdrew them is
/// known to the [`Snapshot`](crate::Snapshot) that it is a member of. A delta that only withdraws has neither passages
/// nor vectors.
#[derive(Debug)]
pub struct Segment {
    database: Option<MappedDatabase>,
    vectors: Option<Vectors>,
    table: Mutex<Option<Arc<RowTable>>>,
    held: Mutex<Weak<Held>>,
    pack: Arc<Pack>,
}

impl Segment {
    /// Opens a pack: verifies hashes, compares the schema, walks the graph.
    ///
    /// Costs one read of the file (10,000 passages of 768 dimensions: about 50 MB, some tens of milliseconds) and
    /// half a megabyte of heap; everything else stays in the map.
    ///
    /// # Errors
    /// Whatever is wrong with it, by name. Bytes that were made to do harm, with hashes that match, still give an error
    /// or a library whose searches end in errors or wrong hits, never a crash.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        let pack = Pack::open_with(path, &options.pack_options())?;
        if options.verify_hashes {
            pack.verify()?;
        }
        Self::from_pack(Arc::new(pack), options)
    }

    /// Opens a pack that is mapped already, such as a part of a larger file. Hashes are not verified again.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_pack(pack: Arc<Pack>, options: &OpenOptions) -> Result<Self> {
        let manifest = pack.manifest();
        let path = pack.path();
        if manifest.lexical.version != LEXICAL_VERSION {
            let (found, supported) = (manifest.lexical.version, LEXICAL_VERSION);
            return Err(Error::UnsupportedVersion { path: path.into(), what: "lexical terms", found, supported });
        }
        // Only a delta may lack what it has nothing for.
        let is_delta = manifest.kind == PackKind::Delta;
        let counts = manifest.counts;
        let no_passages = is_delta && counts.passages == 0 && manifest.section(SectionKind::Vectors).is_none();
        let no_documents = no_passages && counts.documents == 0 && manifest.section(SectionKind::Passages).is_none();
        let database = match no_documents {
            true => None,
            false => {
                let database = MappedDatabase::open(Arc::clone(&pack))?;
                schema::check(path, &*database.connection()?)?;
                check_counts(path, &database, manifest)?;
                Some(database)
            }
        };
        let vectors = match no_passages {
            true => None,
            false => Some(Vectors::open(Arc::clone(&pack), options.search_threads.max(1))?),
        };
        Ok(Self { database, vectors, table: Mutex::new(None), held: Mutex::default(), pack })
    }

    /// Where the pack lies.
    pub fn path(&self) -> &Path {
        self.pack.path()
    }

    /// The pack around this segment.
    pub fn pack(&self) -> &Arc<Pack> {
        &self.pack
    }

    /// What the pack withdraws from those before it in its chain, by id; nothing if it has no such section.
    ///
    /// # Errors
    /// A damaged section.
    pub fn withdrawals(&self) -> Result<Vec<Withdrawal>> {
        match self.manifest().section(SectionKind::Withdrawals) {
            None => Ok(Vec::new()),
            Some(_) => Ok(decode_withdrawals(self.path(), &self.pack.read_section(SectionKind::Withdrawals)?)?),
        }
    }

    /// Whether text and vectors are encrypted in the file. The scan then stands in for the graph of a sealed pack.
    pub fn is_sealed(&self) -> bool {
        self.pack.is_sealed()
    }

    /// The pack's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.pack.manifest()
    }

    /// Number of passages; keys are `0..len`.
    pub fn len(&self) -> u64 {
        self.manifest().counts.passages
    }

    /// Whether there are no passages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `k` passages nearest to `query` by cosine, best first and ties by key, through the index.
    ///
    /// The score is the exact cosine with the stored vector, the same that [`exact`](Self::exact) gives. `allow` is asked
    /// about each key before the search; when it leaves few, they are scanned instead.
    ///
    /// # Errors
    /// [`Error::QueryDimensions`], [`Error::QueryNotFinite`].
    pub fn dense(&self, query: &[f32], k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        self.nearest(query, k, self.collect(allow).as_ref(), true)
    }

    /// As [`dense`](Self::dense), by comparing the query with each vector.
    ///
    /// # Errors
    /// As [`dense`](Self::dense).
    pub fn exact(&self, query: &[f32], k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        self.nearest(query, k, self.collect(allow).as_ref(), false)
    }

    /// The `k` passages that match any word of `text` best by BM25, best first and ties by key.
    ///
    /// # Errors
    /// A damaged database. No text is an error: it is taken as words, never as a query language.
    pub fn lexical(&self, text: &str, k: usize) -> Result<Vec<Hit>> {
        self.lexical_allowed(text, k, None)
    }

    /// [`lexical`](Self::lexical) among the allowed keys.
    ///
    /// # Errors
    /// As [`lexical`](Self::lexical).
    pub fn lexical_allowed(&self, text: &str, k: usize, allow: Allow<'_>) -> Result<Vec<Hit>> {
        let Some(connection) = self.connection()? else { return Ok(Vec::new()) };
        lexical::search(self.pack.path(), &connection, self.len(), text, k, allow)
    }

    /// The passage with this key, and its document. Costs two look-ups.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`], or a damaged database.
    pub fn passage(&self, key: u64) -> Result<Passage> {
        self.check_key(key)?;
        let connection = self.connection()?.ok_or_else(|| self.missing(key))?;
        rows::passage(self.pack.path(), &connection, key)
    }

    /// The key of the passage with this id, if it is in the library.
    ///
    /// # Errors
    /// A damaged database.
    pub fn by_id(&self, id: PassageId) -> Result<Option<u64>> {
        let Some(connection) = self.connection()? else { return Ok(None) };
        let key = rows::key_of(self.pack.path(), &connection, id)?;
        key.map(|key| self.check_key(key).map(|()| key)).transpose()
    }

    /// The stored vector of a passage, of length one up to the rounding of f16.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`].
    pub fn vector(&self, key: u64) -> Result<Vec<f32>> {
        self.check_key(key)?;
        self.vectors.as_ref().ok_or_else(|| self.missing(key))?.vector(key)
    }

    /// The passages before and after this one in its document.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`], or a damaged database.
    pub fn neighbours(&self, key: u64) -> Result<Neighbours> {
        self.check_key(key)?;
        let connection = self.connection()?.ok_or_else(|| self.missing(key))?;
        rows::neighbours(self.pack.path(), &connection, key, self.len())
    }

    /// All documents, in the order of the build.
    ///
    /// # Errors
    /// A damaged database.
    pub fn documents(&self) -> Result<Vec<Document>> {
        let Some(connection) = self.connection()? else { return Ok(Vec::new()) };
        rows::documents(self.pack.path(), &connection)
    }

    /// What the library is made of.
    pub fn stats(&self) -> Stats {
        let manifest = self.manifest();
        let length = |kind| manifest.section(kind).map_or(0, |entry| entry.length);
        Stats {
            file_bytes: self.pack.file_bytes(),
            text_bytes: length(SectionKind::Passages),
            vector_bytes: length(SectionKind::Vectors),
            documents: manifest.counts.documents,
            passages: manifest.counts.passages,
            tokens: manifest.counts.tokens,
        }
    }

    /// The `k` rows nearest to `query` among the allowed ones, all if there is no set of them.
    pub(crate) fn nearest(
        &self,
        query: &[f32],
        k: usize,
        allowed: Option<&Bitmap>,
        approximate: bool,
    ) -> Result<Vec<Hit>> {
        let approximate = approximate && self.manifest().index.kind == IndexKind::Hnsw;
        match &self.vectors {
            Some(vectors) => vectors.search(query, k, allowed, approximate),
            None => Ok(Vec::new()),
        }
    }

    /// A document by its position, from zero.
    pub(crate) fn document(&self, position: u32) -> Result<Document> {
        let connection = self.connection()?.ok_or_else(|| self.missing(0))?;
        rows::document(self.pack.path(), &connection, i64::from(position) + 1)
    }

    /// Calls `each` with row, id and digest of all passages, in order.
    pub(crate) fn each_row(&self, each: &mut dyn FnMut(u32, PassageId, PassageDigest) -> Result<()>) -> Result<()> {
        match self.connection()? {
            Some(connection) => rows::each(self.pack.path(), &connection, each),
            None => Ok(()),
        }
    }

    /// Calls `each` with every row that has a term of the question, and its counts by the number of the term.
    pub(crate) fn each_match(&self, query: &lexical::Query, each: lexical::EachMatch<'_>) -> Result<()> {
        match self.connection()? {
            Some(connection) => lexical::each_match(self.pack.path(), &connection, query, each),
            None => Ok(()),
        }
    }

    /// What searches must know of each row; read on the first call, by one scan of the passages.
    pub(crate) fn table(&self) -> Result<Arc<RowTable>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = &*table {
            return Ok(Arc::clone(table));
        }
        let read = match self.connection()? {
            Some(connection) => RowTable::read(self.pack.path(), &connection)?,
            None => RowTable::default(),
        };
        Ok(Arc::clone(table.insert(Arc::new(read))))
    }

    /// What is held of this pack in memory: by all snapshots together, until the last of them is dropped.
    pub(crate) fn held(&self) -> Arc<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Held::default());
            *held = Arc::downgrade(&new);
            new
        })
    }

    /// All vectors in fixed point.
    pub(crate) fn fixed_rows(&self) -> Result<FixedRows> {
        match &self.vectors {
            Some(vectors) => vectors.fixed_rows(),
            None => Ok(FixedRows::new(0, 0)),
        }
    }

    /// Offers a row to a search that goes over several packs, under another key.
    pub(crate) fn offer(&self, row: usize, key: u64, nearest: &mut Nearest<'_>) -> Result<()> {
        match &self.vectors {
            Some(vectors) => vectors.offer(row, key, nearest),
            None => Ok(()),
        }
    }

    /// A connection to the passages, unless there are none.
    pub(crate) fn connection(&self) -> Result<Option<Borrowed<'_>>> {
        self.database.as_ref().map(MappedDatabase::connection).transpose()
    }

    fn collect(&self, allow: Allow<'_>) -> Option<Bitmap> {
        allow.map(|allow| Bitmap::collect(self.len(), allow))
    }

    fn missing(&self, key: u64) -> Error {
        Error::NoSuchPassage { key, passages: self.len() }
    }

    fn check_key(&self, key: u64) -> Result<()> {
        if key < self.len() { Ok(()) } else { Err(self.missing(key)) }
    }
}

/// Whether the database has as many rows as the manifest says, numbered without a gap.
fn check_counts(path: &Path, database: &MappedDatabase, manifest: &Manifest) -> Result<()> {
    let connection = database.connection()?;
    let tables = [
        ("documents", "the number of documents", manifest.counts.documents),
        ("passages", "the number of passages", manifest.counts.passages),
    ];
    for (table, what, expected) in tables {
        // The count goes over the index of ids, which is a fraction of the table.
        let statement = format!("SELECT count(*), coalesce(min(id), 1), coalesce(max(id), 0) FROM {table}");
        let (count, first, last) = connection
            .query_row(&statement, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
            .map_err(database_error(path, "counting rows"))?;
        if u64::try_from(count) != Ok(expected) || first != 1 || last != count {
            let found = format!("{count}, numbered {first} to {last}");
            return Err(Error::Inconsistent { path: path.into(), what, expected: expected.to_string(), found });
        }
    }
    Ok(())
}
