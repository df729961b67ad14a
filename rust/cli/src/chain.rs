//! A base and its deltas, named on the command line, as one generation.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use lorekit_store::{OpenOptions, Segment, Snapshot};

use crate::error::{CliError, Result};

/// Opens a base and deltas in order, and checks that each delta builds on the state before it.
pub(crate) fn open<P: AsRef<Path>>(packs: &[P]) -> Result<Snapshot> {
    let mut members = Vec::with_capacity(packs.len());
    let mut state = None;
    for path in packs {
        let segment = Segment::open(path, &OpenOptions::default())?;
        let manifest = segment.manifest();
        if manifest.parent != state && manifest.parent.is_some() {
            return Err(CliError::Input {
                path: path.as_ref().into(),
                reason: "is a delta that does not build on the pack before it".into(),
            });
        }
        state = Some(manifest.state);
        members.push(Arc::new(segment));
    }
    let snapshot = Snapshot::assemble(members, Vec::new(), &BTreeSet::new())?;
    if Some(snapshot.state()?) != state {
        let path = packs.last().map(|path| path.as_ref().into()).unwrap_or_default();
        return Err(CliError::Input { path, reason: "says another state than its passages have".into() });
    }
    Ok(snapshot)
}
