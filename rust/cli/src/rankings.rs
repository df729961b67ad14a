//! Whether two editions rank alike: the check that a chain of deltas searches as a fresh build does.

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_model::embed::{Embedder, EmbedderOptions};
use lorekit_store::{Hit, PassageId, Scope, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::resolve;
use crate::ui::Progress;

/// How deep rankings are compared.
const DEPTH: usize = 10;
/// Hits beyond the depth that are asked for, so that equal scores at its end can be told from different hits.
const BEYOND: usize = 50;
/// Scores this near, relative to the larger, are equal: the sum of the same terms in another order.
const EQUAL: f32 = 1e-5;

#[derive(Deserialize)]
struct Question {
    query: String,
}

/// Asks each question of both, by words, by exact cosine and through the index, and counts how often they agree.
pub(crate) fn compare(old: &Snapshot, new: &Snapshot, questions: &Path, cancel: &CancelToken) -> Result<Value> {
    let queries = read(questions)?;
    let info = &new.manifest().embedder;
    if *info != old.manifest().embedder {
        return Err(CliError::Usage("the two have vectors of different embedders".into()));
    }
    let file = resolve::model(resolve::embedder_for(info)?, false, cancel)?;
    let options = EmbedderOptions {
        threads: resolve::threads(0),
        dims: Some(info.dims as usize),
        side_folder: Some(resolve::side_folder()),
        ..EmbedderOptions::default()
    };
    let embedder = Embedder::open(&file, &options)?;
    let scope = Scope::default();
    let (mut lexical, mut exact, mut overlap) = (0, 0, 0.0);
    let mut found_places = Vec::with_capacity(queries.len());
    let mut progress = Progress::new("asking", queries.len() as u64);
    for (n, query) in queries.iter().enumerate() {
        let vector = embedder.embed_query(query, cancel)?;
        let k = DEPTH + BEYOND;
        let by_words = (named(old, old.lexical(query, k, &scope)?)?, named(new, new.lexical(query, k, &scope)?)?);
        lexical += usize::from(alike(&by_words.0, &by_words.1));
        let by_scan = (named(old, old.exact(&vector, k, &scope)?)?, named(new, new.exact(&vector, k, &scope)?)?);
        exact += usize::from(alike(&by_scan.0, &by_scan.1));
        let by_index = named(old, old.dense(&vector, DEPTH, &scope)?)?;
        let best: Vec<PassageId> = by_scan.1.iter().take(DEPTH).map(|hit| hit.0).collect();
        let found = by_index.iter().filter(|hit| best.contains(&hit.0)).count();
        overlap += if best.is_empty() { 1.0 } else { found as f64 / best.len() as f64 };
        let places = [places(old, &by_index)?, places(new, &named(new, new.dense(&vector, DEPTH, &scope)?)?)?];
        found_places.push(json!({ "query": query, "old": places[0], "new": places[1] }));
        progress.set(n as u64 + 1);
    }
    progress.finish();
    Ok(json!({
        "questions": queries.len(),
        "same_lexical_ranking": lexical,
        "same_exact_top_10": exact,
        "found": found_places,
        "overlap_at_10_through_the_index": if queries.is_empty() { 1.0 } else { overlap / queries.len() as f64 },
    }))
}

fn read(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    let parse = |(n, line): (usize, &str)| {
        let question: Question = serde_json::from_str(line)
            .map_err(|error| CliError::Input { path: path.into(), reason: format!("line {}: {error}", n + 1) })?;
        Ok(question.query)
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// Hits by the names of their passages, since keys are those of one snapshot only.
fn named(snapshot: &Snapshot, hits: Vec<Hit>) -> Result<Vec<(PassageId, f32)>> {
    hits.into_iter().map(|hit| Ok((snapshot.passage(hit.key)?.id, hit.score))).collect()
}

/// Places of these hits, best first.
fn places(snapshot: &Snapshot, hits: &[(PassageId, f32)]) -> Result<Vec<String>> {
    let mut places = Vec::with_capacity(hits.len());
    for (id, _) in hits {
        if let Some(key) = snapshot.by_id(*id)? {
            places.push(snapshot.passage(key)?.place);
        }
    }
    Ok(places)
}

/// Whether both lists begin with the same hits, each with the same score; only hits of equal scores may change places.
fn alike(one: &[(PassageId, f32)], other: &[(PassageId, f32)]) -> bool {
    let near = |a: f32, b: f32| (a - b).abs() <= EQUAL * a.abs().max(b.abs()).max(1e-3);
    let depth = DEPTH.min(one.len().max(other.len()));
    one.len() >= depth
        && other.len() >= depth
        && one[..depth].iter().zip(&other[..depth]).all(|(a, b)| near(a.1, b.1))
        && one[..depth].iter().all(|(id, score)| other.iter().any(|(same, its)| same == id && near(*score, *its)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hits_of_equal_scores_may_change_places() {
        let hits = |list: &[(u8, f32)]| list.iter().map(|(id, s)| (PassageId([*id; 16]), *s)).collect::<Vec<_>>();
        let base = hits(&[(1, 3.0), (2, 2.0), (3, 2.0)]);
        assert!(alike(&base, &hits(&[(1, 3.0), (3, 2.0), (2, 2.0)])));
        assert!(!alike(&base, &hits(&[(2, 3.0), (1, 2.0), (3, 2.0)])));
        assert!(!alike(&base, &hits(&[(1, 3.0), (2, 2.0)])));
        assert!(!alike(&base, &hits(&[(1, 3.0), (2, 2.0), (4, 2.0)])));
    }
}
