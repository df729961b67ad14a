//! Search by words in one database, by SQLite's FTS5 over the terms of headings and text.

use std::path::Path;

use rusqlite::Connection;

use crate::bitmap::Bitmap;
use crate::error::Result;
use crate::sqlite::database_error;
use crate::term_counts::{MAX_TERMS, decode};
use crate::terms::query_terms;
use crate::types::{Allow, Hit};

/// A term in a heading or an article's label weighs as much as two in the text.
const SEARCH: &str = "SELECT rowid, bm25(lexical, 2.0, 1.0) AS rank_value FROM lexical WHERE lexical MATCH ?1 \
                      ORDER BY rank_value, rowid";

/// The terms of a question as FTS5 reads them. Terms beyond [`MAX_TERMS`] are left out: their number is what a search
/// costs.
pub(crate) struct Query {
    /// By their numbers.
    pub terms: Vec<String>,
    matching: String,
}

impl Query {
    /// None if the text has no terms.
    pub fn of(text: &str) -> Option<Self> {
        let mut terms = query_terms(text);
        terms.truncate(MAX_TERMS);
        // Terms hold letters, digits and points only. In quotes they are words for FTS5, whatever they spell.
        let quoted: Vec<String> = terms.iter().map(|term| format!("\"{term}\"")).collect();
        (!quoted.is_empty()).then(|| Self { terms, matching: quoted.join(" OR ") })
    }
}

/// Takes a row, and the counts of the question's terms in it by their numbers.
pub(crate) type EachMatch<'a> = &'a mut dyn FnMut(u32, &mut dyn Iterator<Item = (usize, u32)>);

/// Calls `each` with every row, from zero and in order, that has a term of the question, and its counts by the number
/// of the term.
pub(crate) fn each_match(path: &Path, connection: &Connection, query: &Query, each: EachMatch<'_>) -> Result<()> {
    let failed = || database_error(path, "searching words");
    let mut statement = connection
        .prepare_cached("SELECT rowid, lorekit_counts(lexical) FROM lexical WHERE lexical MATCH ?1")
        .map_err(failed())?;
    let mut rows = statement.query([&query.matching]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let number: i64 = row.get(0).map_err(failed())?;
        let counts = row.get_ref(1).and_then(|value| value.as_blob().map_err(Into::into)).map_err(failed())?;
        // A damaged index may name rows that do not exist.
        if let Some(row) = number.checked_sub(1).and_then(|at| u32::try_from(at).ok()) {
            each(row, &mut decode(counts));
        }
    }
    Ok(())
}

/// The `k` best of the allowed keys below `keys`.
pub(crate) fn search(
    path: &Path,
    connection: &Connection,
    keys: u64,
    text: &str,
    k: usize,
    allow: Allow<'_>,
) -> Result<Vec<Hit>> {
    let Some(query) = Query::of(text).filter(|_| k > 0) else { return Ok(Vec::new()) };
    let allowed = allow.map(|allow| Bitmap::collect(keys, allow));
    let failed = || database_error(path, "searching words");
    let mut statement = connection.prepare_cached(SEARCH).map_err(failed())?;
    let mut rows = statement.query([query.matching]).map_err(failed())?;
    let mut hits = Vec::with_capacity(k.min(1024));
    while let Some(row) = rows.next().map_err(failed())? {
        let row_number: i64 = row.get(0).map_err(failed())?;
        let rank: f64 = row.get(1).map_err(failed())?;
        // A damaged index may name rows that do not exist.
        let Some(key) = u64::try_from(row_number).ok().and_then(|n| n.checked_sub(1)).filter(|&key| key < keys) else {
            continue;
        };
        let score = -rank as f32;
        if allowed.as_ref().is_some_and(|allowed| !allowed.contains(key)) || !score.is_finite() {
            continue;
        }
        hits.push(Hit { key, score });
        if hits.len() == k {
            break;
        }
    }
    Ok(hits)
}
