//! The tables of the passages database, as they are written and as they must be found.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::database_error;

/// Marks the database as ours: `LORE` in ASCII.
pub(crate) const APPLICATION_ID: i32 = 0x4c4f_5245;
/// Version of the tables.
pub(crate) const SCHEMA_VERSION: i32 = 1;

/// Documents by number; `id` is the document's position plus one. A compacted pack may hold several editions of one
/// document, so `document_id` is not unique.
const DOCUMENTS: &str = "CREATE TABLE documents(\
id INTEGER PRIMARY KEY, document_id TEXT NOT NULL, path TEXT NOT NULL, title TEXT NOT NULL, version TEXT, \
language TEXT NOT NULL, valid_from TEXT, valid_to TEXT, labels TEXT NOT NULL, source_hash BLOB NOT NULL, \
format TEXT NOT NULL) STRICT";

const DOCUMENTS_BY_ID: &str = "CREATE INDEX documents_by_id ON documents(document_id)";

/// Passages by number; `id` is the key plus one, since row numbers begin at one. `valid_from` and `valid_to`
/// are the passage's own, where they differ from its document's.
const PASSAGES: &str = "CREATE TABLE passages(\
id INTEGER PRIMARY KEY, passage_id BLOB NOT NULL UNIQUE, document INTEGER NOT NULL, text TEXT NOT NULL, \
title_path TEXT NOT NULL, article TEXT, place TEXT NOT NULL, source_start INTEGER NOT NULL, \
source_end INTEGER NOT NULL, page INTEGER, tokens INTEGER NOT NULL, valid_from TEXT, valid_to TEXT, \
labels TEXT NOT NULL, terms INTEGER NOT NULL, digest BLOB NOT NULL) STRICT";

/// Terms by passage: made by [`lexical_terms`](crate::lexical_terms), joined by spaces, and cut at spaces again.
const LEXICAL: &str =
    "CREATE VIRTUAL TABLE lexical USING fts5(heading, body, content='', tokenize=\"ascii tokenchars '.'\")";

/// What these statements leave in `sqlite_schema`, by name: type, name, table, statement.
const EXPECTED: [(&str, &str, &str, Option<&str>); 9] = [
    ("table", "documents", "documents", Some(DOCUMENTS)),
    ("index", "documents_by_id", "documents", Some(DOCUMENTS_BY_ID)),
    ("table", "lexical", "lexical", Some(LEXICAL)),
    (
        "table",
        "lexical_config",
        "lexical_config",
        Some("CREATE TABLE 'lexical_config'(k PRIMARY KEY, v) WITHOUT ROWID"),
    ),
    ("table", "lexical_data", "lexical_data", Some("CREATE TABLE 'lexical_data'(id INTEGER PRIMARY KEY, block BLOB)")),
    (
        "table",
        "lexical_docsize",
        "lexical_docsize",
        Some("CREATE TABLE 'lexical_docsize'(id INTEGER PRIMARY KEY, sz BLOB)"),
    ),
    (
        "table",
        "lexical_idx",
        "lexical_idx",
        Some("CREATE TABLE 'lexical_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID"),
    ),
    ("table", "passages", "passages", Some(PASSAGES)),
    ("index", "sqlite_autoindex_passages_1", "passages", None),
];

/// Creates the tables in an empty database.
pub(crate) fn create(path: &Path, connection: &Connection) -> Result<()> {
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; \
             {DOCUMENTS}; {DOCUMENTS_BY_ID}; {PASSAGES}; {LEXICAL};"
        ))
        .map_err(database_error(path, "creating tables"))
}

/// Compares the tables found with those this build writes: no more, no less, to the letter.
pub(crate) fn check(path: &Path, connection: &Connection) -> Result<()> {
    let failed = || database_error(path, "reading the schema");
    let foreign = |difference: String| Error::ForeignSchema { path: path.into(), difference };
    let pragma =
        |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0)).map_err(failed());
    let application = pragma("application_id")?;
    if application != APPLICATION_ID {
        return Err(foreign(format!("application id {application:#x}")));
    }
    let version = pragma("user_version")?;
    if version != SCHEMA_VERSION {
        let what = "the passages database's schema";
        let found = u32::try_from(version).unwrap_or_default();
        return Err(Error::UnsupportedVersion { path: path.into(), what, found, supported: SCHEMA_VERSION as u32 });
    }
    let mut statement = connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name LIMIT 32")
        .map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let mut expected = EXPECTED.iter();
    while let Some(row) = rows.next().map_err(failed())? {
        let text = |column| row.get::<_, Option<String>>(column).map_err(failed());
        let found = (text(0)?, text(1)?, text(2)?, text(3)?);
        let Some(next) = expected.next() else {
            return Err(foreign("an object too many".into()));
        };
        let wanted = (Some(next.0), Some(next.1), Some(next.2), next.3);
        if (found.0.as_deref(), found.1.as_deref(), found.2.as_deref(), found.3.as_deref()) != wanted {
            return Err(foreign(format!("{} {} is missing or another", next.0, next.1)));
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(missing) => Err(foreign(format!("{} {} is missing", missing.0, missing.1))),
    }
}
