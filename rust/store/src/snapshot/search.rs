//! Search by vector over all members: each is asked with its own filter, and the exact scores are merged.
//!
//! The first member is asked by its index. Its hits set what a row of another must reach, so of the small members, which
//! are held in fixed point, only rows are compared exactly that may reach it.

use std::sync::{Arc, PoisonError};

use crate::error::{Error, Result};
use crate::fixed_point::FixedQuery;
use crate::matrix::{Nearest, unit};
use crate::snapshot::scope::Filter;
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
        let mut members = self.inner.members.iter().zip(filters.iter()).enumerate();
        // The first member checks the query, even if there is nothing to compare it with.
        let Some((_, (base, filter))) = members.next() else { return Err(Error::EmptyChain) };
        let allowed = filter.found.bitmap();
        let first = base.segment.nearest(query, if filter.found.is_none() { 0 } else { k }, allowed, approximate)?;
        if members.len() == 0 {
            return Ok(first);
        }
        let unit = unit(query).ok_or(Error::QueryNotFinite)?;
        let mut nearest = Nearest::new(&unit, k);
        first.into_iter().for_each(|hit| nearest.take(hit));
        let mut fixed = None;
        for (at, (member, filter)) in members.filter(|(_, (_, filter))| !filter.found.is_none()) {
            let allowed = filter.found.bitmap();
            let Some(held) = &member.held else {
                let found = member.segment.nearest(query, k, allowed, approximate)?;
                found.into_iter().for_each(|hit| nearest.take(Hit { key: key_of(at, hit.key as u32), ..hit }));
                continue;
            };
            let rows = held.vectors(&member.segment)?;
            let fixed = fixed.get_or_insert_with(|| FixedQuery::new(&unit));
            let mut offer = |row: usize| match nearest.wants(fixed.at_most(rows, row)) {
                true => member.segment.offer(row, key_of(at, row as u32), &mut nearest),
                false => Ok(()),
            };
            match allowed {
                None => (0..rows.len()).try_for_each(offer)?,
                Some(allowed) => allowed.iter().try_for_each(|row| offer(row as usize))?,
            }
        }
        Ok(nearest.finish())
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
