//! The vectors section, open for searching: a graph where there is one, and always the exact scan.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use lorekit_pack::{IndexKind, Pack, SectionKind};

use crate::bitmap::Bitmap;
use crate::error::{Error, Result};
use crate::fixed_point::FixedRows;
use crate::graph::check_graph;
use crate::mapped::MappedGraph;
use crate::matrix::{Matrix, Nearest, unit};
use crate::sealed_vectors::SealedVectors;
use crate::types::Hit;

/// A filter that leaves fewer than one key in this many, or this few, is answered by a scan of what it leaves: the graph
/// would walk far to find so few. (10,000 x 768, one in ten allowed: graph 1.3 ms and up, scan 0.5 ms.)
const SCAN_BELOW_ONE_IN: usize = 20;
const SCAN_UP_TO: usize = 1_000;

/// A filter that leaves at least this share, as one that only takes away what deltas replaced, is put on the candidates
/// of a search without it. Asking the filter at each step of the walk costs a quarter as much again. Where what
/// is left out stands together, so that too few candidates stay, the walk is done again with the filter.
const MOST_ALLOWED: (usize, usize) = (3, 4);

/// The vectors of a pack.
#[derive(Debug)]
pub(crate) struct Vectors {
    graph: Option<MappedGraph>,
    /// Set for a sealed pack, which nothing is mapped of.
    sealed: Option<SealedVectors>,
    permits: Permits,
    pack: Arc<Pack>,
    rows: usize,
    dims: usize,
    expansion: usize,
}

impl Vectors {
    /// Checks the section whole and lets usearch map it if it has a graph.
    pub fn open(pack: Arc<Pack>, threads: usize) -> Result<Self> {
        let manifest = pack.manifest();
        let path = pack.path();
        let damaged =
            |what, expected: String, found: String| Error::DamagedIndex { path: path.into(), what, expected, found };
        let rows = usize::try_from(manifest.counts.passages)
            .map_err(|_| Error::Unsupported { path: path.into(), feature: "so many passages" })?;
        let dims = manifest.embedder.dims as usize;
        let expansion = (manifest.index.expansion_search as usize).max(1);
        if pack.is_sealed() {
            let sealed = Some(SealedVectors::open(&pack, rows, dims, manifest.index.kind == IndexKind::Exact)?);
            return Ok(Self { graph: None, sealed, permits: Permits::new(threads), rows, dims, expansion, pack });
        }
        let (matrix, rest) = Matrix::split(path, pack.require(SectionKind::Vectors)?, rows, dims)?;
        if let Some(row) = matrix.first_not_finite() {
            return Err(damaged("a vector", "finite numbers".into(), format!("another in row {row}")));
        }
        let graph = match manifest.index.kind {
            IndexKind::Exact if rest.is_empty() => None,
            IndexKind::Exact => {
                return Err(damaged("the rest of the section", "nothing".into(), format!("{} bytes", rest.len())));
            }
            IndexKind::Hnsw => {
                let checked = check_graph(path, rest, rows, dims, manifest.index.connectivity)?;
                Some(MappedGraph::open(Arc::clone(&pack), &checked, expansion, threads)?)
            }
        };
        Ok(Self { graph, sealed: None, permits: Permits::new(threads), rows, dims, expansion, pack })
    }

    /// The `k` nearest of the allowed keys, through the graph if there is one and `approximate` is set.
    pub fn search(&self, query: &[f32], k: usize, allowed: Option<&Bitmap>, approximate: bool) -> Result<Vec<Hit>> {
        if query.len() != self.dims {
            return Err(Error::QueryDimensions { expected: self.dims, found: query.len() });
        }
        let query = unit(query).ok_or(Error::QueryNotFinite)?;
        let n_allowed = allowed.map_or(self.rows, Bitmap::len);
        let k = k.min(n_allowed);
        if k == 0 {
            return Ok(Vec::new());
        }
        if let Some(sealed) = &self.sealed {
            return sealed.nearest(&query, k, allowed);
        }
        let matrix = self.matrix()?;
        let few = allowed.is_some() && n_allowed <= SCAN_UP_TO.max(self.rows / SCAN_BELOW_ONE_IN);
        if let Some(graph) = self.graph.as_ref().filter(|_| approximate && !few) {
            // Within the expansion further candidates cost nothing, and rescoring them makes up for the rounding of
            // the query to f16.
            let wanted = k.saturating_add(16).min(self.expansion).max(k).min(n_allowed);
            let _permit = self.permits.take();
            if let Some(allowed) = allowed.filter(|_| n_allowed * MOST_ALLOWED.1 >= self.rows * MOST_ALLOWED.0) {
                // All that the walk has met in any case, or as many more as are likely to be left out.
                let count = self.expansion.max(wanted.saturating_mul(self.rows) / n_allowed);
                let mut candidates = graph.search(&query, count.min(self.rows), None)?;
                candidates.retain(|&key| allowed.contains(key));
                if candidates.len() >= k + (wanted - k) / 4 {
                    candidates.truncate(wanted);
                    return Ok(matrix.nearest(&query, k, candidates.into_iter()));
                }
            }
            let candidates = graph.search(&query, wanted, allowed)?;
            let hits = matrix.nearest(&query, k, candidates.into_iter());
            if hits.len() == k {
                return Ok(hits);
            }
        }
        let keys = 0..self.rows as u64;
        Ok(match allowed {
            None => matrix.nearest(&query, k, keys),
            Some(allowed) => matrix.nearest(&query, k, allowed.iter()),
        })
    }

    /// All rows in fixed point.
    pub fn fixed_rows(&self) -> Result<FixedRows> {
        let mut fixed = FixedRows::new(self.rows, self.dims);
        match &self.sealed {
            Some(sealed) => sealed.each_row(&mut |row| fixed.push(row))?,
            None => {
                let matrix = self.matrix()?;
                (0..self.rows).filter_map(|row| matrix.row(row)).for_each(|row| fixed.push(row));
            }
        }
        Ok(fixed)
    }

    /// Offers a row to a search that goes over several packs, under another key.
    pub fn offer(&self, row: usize, key: u64, nearest: &mut Nearest<'_>) -> Result<()> {
        match &self.sealed {
            Some(sealed) => sealed.offer(row, key, nearest),
            None => {
                self.matrix()?.row(row).into_iter().for_each(|row| nearest.offer(key, row));
                Ok(())
            }
        }
    }

    /// A stored vector.
    pub fn vector(&self, key: u64) -> Result<Vec<f32>> {
        let row = usize::try_from(key).ok();
        let missing = Error::NoSuchPassage { key, passages: self.rows as u64 };
        let row = row.unwrap_or(usize::MAX);
        let found = match &self.sealed {
            Some(sealed) => sealed.vector(row)?,
            None => self.matrix()?.widened(row),
        };
        found.ok_or(missing)
    }

    fn matrix(&self) -> Result<Matrix<'_>> {
        let section = self.pack.require(SectionKind::Vectors)?;
        Ok(Matrix::split(self.pack.path(), section, self.rows, self.dims)?.0)
    }
}

/// A counting semaphore: usearch refuses more searches at once than it has threads reserved.
#[derive(Debug)]
struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

impl Permits {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), returned: Condvar::new() }
    }

    fn take(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
