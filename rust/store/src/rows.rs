//! Rows of the passages database as documents and passages.

use std::path::Path;

use lorekit_pack::{PassageDigest, PassageId};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::{Error, Result};
use crate::sqlite::database_error;
use crate::types::{Document, Neighbours, Origin, Passage};

const DOCUMENT_COLUMNS: &str =
    "document_id, path, title, version, language, valid_from, valid_to, labels, source_hash, format";

/// The passage with this key, and its document.
pub(crate) fn passage(path: &Path, connection: &Connection, key: u64) -> Result<Passage> {
    let failed = || database_error(path, "reading a passage");
    let mut statement = connection
        .prepare_cached(
            "SELECT passage_id, document, text, title_path, article, place, source_start, source_end, page, tokens, \
             labels, valid_from, valid_to FROM passages WHERE id = ?1",
        )
        .map_err(failed())?;
    let mut rows = statement.query([row_number(key)]).map_err(failed())?;
    let row = rows.next().and_then(|row| row.ok_or(rusqlite::Error::QueryReturnedNoRows)).map_err(failed())?;
    let number = |column: usize| -> Result<u64> {
        let value: i64 = row.get(column).map_err(failed())?;
        u64::try_from(value).map_err(|_| inconsistent(path, "a number of a passage", "at least 0", &value))
    };
    let (start, end) = (number(6)?, number(7)?);
    if start > end {
        return Err(inconsistent(path, "a source range", "start before end", &format!("{start}..{end}")));
    }
    let document = document(path, connection, row.get(1).map_err(failed())?)?;
    let valid_from: Option<String> = row.get(11).map_err(failed())?;
    let valid_to: Option<String> = row.get(12).map_err(failed())?;
    Ok(Passage {
        key,
        origin: Origin::Publisher,
        id: PassageId(row.get(0).map_err(failed())?),
        valid_from: valid_from.or_else(|| document.valid_from.clone()),
        valid_to: valid_to.or_else(|| document.valid_to.clone()),
        document,
        text: row.get(2).map_err(failed())?,
        title_path: json(path, "a title path", &row.get::<_, String>(3).map_err(failed())?)?,
        article: row.get(4).map_err(failed())?,
        place: row.get(5).map_err(failed())?,
        source: start..end,
        page: row.get(8).map_err(failed())?,
        tokens: row.get(9).map_err(failed())?,
        label_groups: json(path, "the labels of a passage", &row.get::<_, String>(10).map_err(failed())?)?,
    })
}

/// The document in this row, which counts from one.
pub(crate) fn document(path: &Path, connection: &Connection, number: i64) -> Result<Document> {
    let failed = || database_error(path, "reading a document");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {DOCUMENT_COLUMNS} FROM documents WHERE id = ?1"))
        .map_err(failed())?;
    let mut rows = statement.query([number]).map_err(failed())?;
    let row = rows.next().and_then(|row| row.ok_or(rusqlite::Error::QueryReturnedNoRows)).map_err(failed())?;
    read_document(path, row)
}

/// All documents in order.
pub(crate) fn documents(path: &Path, connection: &Connection) -> Result<Vec<Document>> {
    let failed = || database_error(path, "reading documents");
    let mut statement =
        connection.prepare_cached(&format!("SELECT {DOCUMENT_COLUMNS} FROM documents ORDER BY id")).map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let mut documents = Vec::new();
    while let Some(row) = rows.next().map_err(failed())? {
        documents.push(read_document(path, row)?);
    }
    Ok(documents)
}

fn read_document(path: &Path, row: &Row<'_>) -> Result<Document> {
    let failed = || database_error(path, "reading a document");
    Ok(Document {
        id: row.get(0).map_err(failed())?,
        path: row.get(1).map_err(failed())?,
        title: row.get(2).map_err(failed())?,
        version: row.get(3).map_err(failed())?,
        language: row.get(4).map_err(failed())?,
        valid_from: row.get(5).map_err(failed())?,
        valid_to: row.get(6).map_err(failed())?,
        label_groups: json(path, "the labels of a document", &row.get::<_, String>(7).map_err(failed())?)?,
        source_hash: row.get(8).map_err(failed())?,
        format: row.get(9).map_err(failed())?,
    })
}

/// Calls `each` with row, id and digest of all passages in order, rows counting from zero.
pub(crate) fn each(
    path: &Path,
    connection: &Connection,
    each: &mut dyn FnMut(u32, PassageId, PassageDigest) -> Result<()>,
) -> Result<()> {
    let failed = || database_error(path, "reading passages");
    let mut statement =
        connection.prepare_cached("SELECT id, passage_id, digest FROM passages ORDER BY id").map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let number: i64 = row.get(0).map_err(failed())?;
        let position = number.checked_sub(1).and_then(|at| u32::try_from(at).ok());
        let position = position.ok_or_else(|| inconsistent(path, "the number of a passage", "1 to 2^32", &number))?;
        each(position, PassageId(row.get(1).map_err(failed())?), PassageDigest(row.get(2).map_err(failed())?))?;
    }
    Ok(())
}

/// The key of the passage with this id.
pub(crate) fn key_of(path: &Path, connection: &Connection, id: PassageId) -> Result<Option<u64>> {
    let failed = || database_error(path, "looking for a passage");
    let mut statement = connection.prepare_cached("SELECT id FROM passages WHERE passage_id = ?1").map_err(failed())?;
    let number: Option<i64> = statement.query_row([id.0], |row| row.get(0)).optional().map_err(failed())?;
    number
        .map(|number| {
            let key = u64::try_from(number).ok().and_then(|number| number.checked_sub(1));
            key.ok_or_else(|| inconsistent(path, "the number of a passage", "at least 1", &number))
        })
        .transpose()
}

/// The keys next to this one that belong to the same document; there are `keys` in all.
pub(crate) fn neighbours(path: &Path, connection: &Connection, key: u64, keys: u64) -> Result<Neighbours> {
    let failed = || database_error(path, "reading a passage");
    let mut statement = connection.prepare_cached("SELECT document FROM passages WHERE id = ?1").map_err(failed())?;
    let mut document_of =
        |key: u64| -> Result<i64> { statement.query_row([row_number(key)], |row| row.get(0)).map_err(failed()) };
    let own = document_of(key)?;
    let mut same = |other: Option<u64>| -> Result<Option<u64>> {
        match other.filter(|&other| other < keys) {
            Some(other) if document_of(other)? == own => Ok(Some(other)),
            _ => Ok(None),
        }
    };
    Ok(Neighbours { previous: same(key.checked_sub(1))?, next: same(key.checked_add(1))? })
}

/// Keys count from zero, rows from one. Keys are below 2^32.
fn row_number(key: u64) -> i64 {
    key as i64 + 1
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| inconsistent(path, what, "a JSON list", &"another text"))
}

fn inconsistent(path: &Path, what: &'static str, expected: &str, found: &dyn ToString) -> Error {
    Error::Inconsistent { path: path.into(), what, expected: expected.into(), found: found.to_string() }
}
