//! Search by words: BM25 over the terms of headings and text, by SQLite's FTS5.

use std::path::Path;

use rusqlite::Connection;

use crate::bitmap::Bitmap;
use crate::error::Result;
use crate::sqlite::database_error;
use crate::terms::query_terms;
use crate::types::{Allow, Hit};

/// Terms of a question beyond these are left out: their number is what a search costs.
const MAX_QUERY_TERMS: usize = 128;

/// A term in a heading or an article's label weighs as much as two in the text.
const SEARCH: &str = "SELECT rowid, bm25(lexical, 2.0, 1.0) AS rank_value FROM lexical WHERE lexical MATCH ?1 \
                      ORDER BY rank_value, rowid";

/// The `k` best of the allowed keys below `keys`.
pub(crate) fn search(
    path: &Path,
    connection: &Connection,
    keys: u64,
    text: &str,
    k: usize,
    allow: Allow<'_>,
) -> Result<Vec<Hit>> {
    let mut terms = query_terms(text);
    terms.truncate(MAX_QUERY_TERMS);
    if terms.is_empty() || k == 0 {
        return Ok(Vec::new());
    }
    let allowed = allow.map(|allow| Bitmap::collect(keys, allow));
    // Terms hold letters, digits and points only. In quotes they are words for FTS5, whatever they spell.
    let query = terms.iter().map(|term| format!("\"{term}\"")).collect::<Vec<_>>().join(" OR ");
    let failed = || database_error(path, "searching words");
    let mut statement = connection.prepare_cached(SEARCH).map_err(failed())?;
    let mut rows = statement.query([query]).map_err(failed())?;
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
