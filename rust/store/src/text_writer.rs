//! Writing the passages database, row by row: documents and passages in order, and their terms.
//!
//! Rows are inserted in order into a scratch database without a journal, the lexical index is merged into one segment,
//! and `VACUUM INTO` writes the result page by page in order into a second scratch file, with nothing left over. Memory
//! is SQLite's page cache, 32 MiB, and the rows of one transaction's index segment, whatever the number of passages.

use std::ops::Range;
use std::path::{Path, PathBuf};

use lorekit_pack::{PackWriter, PassageDigest, PassageId, ScratchFile, SectionKind};
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::schema;
use crate::sqlite::database_error;
use crate::terms::lexical_terms;
use crate::types::Document;

/// A row of `documents`.
pub(crate) struct DocumentRow<'a> {
    pub id: &'a str,
    pub path: &'a str,
    pub title: &'a str,
    pub version: Option<&'a str>,
    pub language: &'a str,
    pub valid_from: Option<&'a str>,
    pub valid_to: Option<&'a str>,
    pub label_groups: &'a [Vec<String>],
    pub source_hash: &'a [u8; 32],
    pub format: &'a str,
}

impl<'a> From<&'a Document> for DocumentRow<'a> {
    fn from(document: &'a Document) -> Self {
        Self {
            id: &document.id,
            path: &document.path,
            title: &document.title,
            version: document.version.as_deref(),
            language: &document.language,
            valid_from: document.valid_from.as_deref(),
            valid_to: document.valid_to.as_deref(),
            label_groups: &document.label_groups,
            source_hash: &document.source_hash,
            format: &document.format,
        }
    }
}

/// A row of `passages`.
pub(crate) struct PassageRow<'a> {
    pub id: PassageId,
    pub digest: PassageDigest,
    /// Position of its document among those written.
    pub document: usize,
    /// Title of its document: one of the things it is found by.
    pub document_title: &'a str,
    pub text: &'a str,
    pub title_path: &'a [String],
    pub article: Option<&'a str>,
    pub place: &'a str,
    pub source: &'a Range<u64>,
    pub page: Option<u32>,
    pub tokens: u32,
    /// Its own dates: only those of a superseded passage differ from its document's.
    pub valid_from: Option<&'a str>,
    pub valid_to: Option<&'a str>,
    pub label_groups: &'a [Vec<String>],
}

/// A finished passages database.
pub(crate) enum Database {
    File(ScratchFile),
    /// Kept for another attempt; not removed with this.
    Kept(PathBuf),
    Memory(Vec<u8>),
}

impl Database {
    /// Appends it to a pack.
    pub fn write(self, writer: &mut PackWriter) -> Result<()> {
        match self {
            Self::File(file) => writer.section_from_file(SectionKind::Passages, file.path())?,
            Self::Kept(path) => writer.section_from_file(SectionKind::Passages, &path)?,
            Self::Memory(bytes) => writer.section_from_bytes(SectionKind::Passages, &bytes)?,
        }
        Ok(())
    }
}

/// A passages database under construction.
pub(crate) struct TextWriter {
    path: PathBuf,
    connection: Connection,
    /// Where the finished database goes, and the draft, which is removed when the writer goes, after the connection.
    /// None: both are in memory.
    files: Option<(ScratchFile, ScratchFile)>,
    documents: i64,
    passages: i64,
}

const INSERT_DOCUMENT: &str = "INSERT INTO documents(id, document_id, path, title, version, language, valid_from, \
    valid_to, labels, source_hash, format) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const INSERT_PASSAGE: &str = "INSERT INTO passages(id, passage_id, document, text, title_path, article, place, \
    source_start, source_end, page, tokens, valid_from, valid_to, labels, terms, digest) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
const INSERT_TERMS: &str = "INSERT INTO lexical(rowid, heading, body) VALUES (?1, ?2, ?3)";

impl TextWriter {
    /// Creates the scratch files beside `path`, the pack that the database is for.
    pub fn create(path: &Path) -> Result<Self> {
        let (draft, _) = ScratchFile::beside(path)?;
        let (finished, _) = ScratchFile::beside(path)?;
        let connection = Connection::open(draft.path()).map_err(database_error(path, "creating the database"))?;
        Self::start(path, connection, Some((finished, draft)))
    }

    /// A database in memory, for a pack that is sealed: nothing of it is on the disk in clear.
    pub fn in_memory(path: &Path) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(database_error(path, "creating the database"))?;
        Self::start(path, connection, None)
    }

    fn start(path: &Path, connection: Connection, files: Option<(ScratchFile, ScratchFile)>) -> Result<Self> {
        let failed = || database_error(path, "creating the database");
        connection
            .execute_batch(
                "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                 PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON; PRAGMA cache_size = -32768; \
                 PRAGMA temp_store = MEMORY;",
            )
            .map_err(failed())?;
        schema::create(path, &connection)?;
        connection.execute_batch("BEGIN").map_err(failed())?;
        Ok(Self { path: path.into(), connection, files, documents: 0, passages: 0 })
    }

    /// Appends a document.
    pub fn document(&mut self, row: &DocumentRow<'_>) -> Result<()> {
        self.documents += 1;
        let values = params![
            self.documents,
            row.id,
            row.path,
            row.title,
            row.version,
            row.language,
            row.valid_from,
            row.valid_to,
            json(row.label_groups),
            row.source_hash,
            row.format,
        ];
        self.insert(INSERT_DOCUMENT, values)
    }

    /// Appends a passage and its terms.
    pub fn passage(&mut self, row: &PassageRow<'_>) -> Result<()> {
        self.passages += 1;
        let heading = lexical_terms(&heading(row.document_title, row.title_path, row.article));
        let body = lexical_terms(row.text);
        let values = params![
            self.passages,
            row.id.0,
            row.document as i64 + 1,
            row.text,
            json(row.title_path),
            row.article,
            row.place,
            row.source.start as i64,
            row.source.end as i64,
            row.page,
            row.tokens,
            row.valid_from,
            row.valid_to,
            json(row.label_groups),
            (heading.len() + body.len()) as i64,
            row.digest.0,
        ];
        self.insert(INSERT_PASSAGE, values)?;
        self.insert(INSERT_TERMS, params![self.passages, heading.join(" "), body.join(" ")])
    }

    fn insert(&self, statement: &str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
        let inserted = self.connection.prepare_cached(statement).and_then(|mut statement| statement.execute(values));
        inserted.map(drop).map_err(database_error(&self.path, "writing passages"))
    }

    /// Completes the database.
    pub fn finish(self) -> Result<Database> {
        let Self { path, mut connection, files, .. } = self;
        connection
            .execute_batch("INSERT INTO lexical(lexical) VALUES ('optimize'); COMMIT")
            .map_err(database_error(&path, "writing passages"))?;
        let Some((finished, _draft)) = files else {
            let failed = || database_error(&path, "compacting the database");
            connection.execute_batch("VACUUM").map_err(failed())?;
            return Ok(Database::Memory(connection.serialize("main").map_err(failed())?.to_vec()));
        };
        let target = finished.path().to_str().ok_or_else(|| Error::InvalidInput {
            what: "path",
            index: 0,
            reason: "SQLite writes to paths in UTF-8 only".into(),
        })?;
        connection.execute("VACUUM INTO ?1", [target]).map_err(database_error(&path, "compacting the database"))?;
        connection.flush_prepared_statement_cache();
        connection.close().map_err(|(_, error)| database_error(&path, "closing the database")(error))?;
        Ok(Database::File(finished))
    }
}

/// What a passage is found by besides its text: the document's title, the headings, the article's label, each on a line.
///
/// A heading that only repeats the title is left out, so that it does not count twice.
pub(crate) fn heading(document_title: &str, title_path: &[String], article: Option<&str>) -> String {
    let mut lines = vec![document_title];
    for line in title_path.iter().map(String::as_str).chain(article) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("lists of texts are valid JSON")
}
