//! Search by vector over all members: each is asked with its own filter, and the exact scores are merged.

use std::sync::{Arc, PoisonError};

use crate::error::Result;
use crate::snapshot::scope::{Filter, Rows};
use crate::snapshot::{Scope, Snapshot, key_of};
use crate::types::Hit;

/// Scopes whose filters are kept. A filter costs one bit a row.
const KEPT_FILTERS: usize = 4;

/// What a scope left of each member.
#[derive(Debug)]
pub(crate) struct KeptFilter {
    labels: Vec<String>,
    as_of: Option<String>,
    members: Arc<Vec<Filter>>,
}

impl Snapshot {
    /// The `k` passages nearest to `query` by cosine that the scope allows, best first and ties by key, through the
    /// index of each member that has one. The filter works inside of the search: there are fewer than `k` only if
    /// the scope allows fewer.
    ///
    /// The score is the exact cosine with the stored vector, the same that [`exact`](Self::exact) gives.
    ///
    /// # Errors
    /// [`Error::QueryDimensions`](crate::Error::QueryDimensions),
    /// [`Error::QueryNotFinite`](crate::Error::QueryNotFinite).
    pub fn dense(&self, query: &[f32], k: usize, scope: &Scope<'_>) -> Result<Vec<Hit>> {
        self.nearest(query, k, scope, true)
    }

    /// As [`dense`](Self::dense), by comparing the query with each allowed vector.
    ///
    /// # Errors
    /// As [`dense`](Self::dense).
    pub fn exact(&self, query: &[f32], k: usize, scope: &Scope<'_>) -> Result<Vec<Hit>> {
        self.nearest(query, k, scope, false)
    }

    fn nearest(&self, query: &[f32], k: usize, scope: &Scope<'_>, approximate: bool) -> Result<Vec<Hit>> {
        let filters = self.filters(scope);
        let mut hits = Vec::new();
        for (at, (member, filter)) in self.inner.members.iter().zip(filters.iter()).enumerate() {
            let allowed = match &filter.found {
                Rows::All => None,
                Rows::Some(bitmap) => Some(&**bitmap),
                // The query is checked even if there is nothing to compare it with.
                Rows::None => {
                    member.segment.nearest(query, 0, None, approximate)?;
                    continue;
                }
            };
            let found = member.segment.nearest(query, k, allowed, approximate)?;
            hits.extend(found.into_iter().map(|hit| Hit { key: key_of(at, hit.key as u32), ..hit }));
        }
        keep_best(&mut hits, k);
        Ok(hits)
    }

    /// What a scope leaves of each member; kept for the last few scopes.
    pub(crate) fn filters(&self, scope: &Scope<'_>) -> Arc<Vec<Filter>> {
        let same = |kept: &KeptFilter| kept.labels == scope.labels && kept.as_of.as_deref() == scope.as_of;
        {
            let mut kept = self.inner.filters.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(same)
                && let Some(found) = kept.remove(at)
            {
                let members = Arc::clone(&found.members);
                kept.push_front(found);
                return members;
            }
        }
        // Worked out without the lock: two threads that ask at once do it twice, and nobody waits.
        let members = &self.inner.members;
        let filters = Arc::new(members.iter().map(|member| Filter::of(member, members, scope)).collect::<Vec<_>>());
        let mut kept = self.inner.filters.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT_FILTERS - 1);
        kept.push_front(KeptFilter {
            labels: scope.labels.to_vec(),
            as_of: scope.as_of.map(str::to_owned),
            members: Arc::clone(&filters),
        });
        filters
    }
}

/// Sorts best first, ties by key, and drops all but `k`.
fn keep_best(hits: &mut Vec<Hit>, k: usize) {
    hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    hits.truncate(k);
}
