//! A chain of packs resolved: which row of which member stands for a passage, and which document row describes it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use lorekit_pack::{PackKind, PassageId, WithdrawalKind};

use crate::error::{Error, Result};
use crate::held::{Held, choose};
use crate::row_table::{DocumentFacts, RowTable};
use crate::segment::Segment;

/// One pack of a snapshot.
#[derive(Debug)]
pub(crate) struct Member {
    pub segment: Arc<Segment>,
    /// Rows that are not simply live.
    pub exceptions: HashMap<u32, Status>,
    /// What is held of it in memory, if it is small and not the first.
    pub held: Option<Arc<Held>>,
    /// Documents of this member that a later member describes: their position there.
    described_by: HashMap<u32, (usize, u32)>,
    table: Arc<RowTable>,
}

/// Why a row is not simply live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// A later member has a row of the same passage id.
    Shadowed,
    /// Withdrawn; found only for days up to the last.
    Superseded { last_day: String },
    /// Withdrawn from this generation.
    Removed,
    /// Withdrawn from each generation by the chain itself.
    Revoked,
    /// Live in the chain, but revoked by something else that this installation has seen.
    Hidden,
}

impl Member {
    fn new(segment: Arc<Segment>) -> Result<Self> {
        let table = segment.table()?;
        Ok(Self { segment, exceptions: HashMap::new(), held: None, described_by: HashMap::new(), table })
    }

    pub fn table(&self) -> &RowTable {
        &self.table
    }

    /// The newest description of one of this member's documents.
    pub fn describing<'a>(&'a self, members: &'a [Member], document: u32) -> &'a DocumentFacts {
        match self.described_by.get(&document) {
            Some(&(member, document)) => &members[member].table.documents[document as usize],
            None => &self.table.documents[document as usize],
        }
    }

    /// Where the newest description of one of this member's documents stands; `own` is this member's position.
    pub fn description(&self, own: usize, document: u32) -> (usize, u32) {
        self.described_by.get(&document).copied().unwrap_or((own, document))
    }

    /// Whether a row is live in its chain, revocations from outside of it left aside.
    pub fn in_state(&self, row: u32) -> bool {
        matches!(self.exceptions.get(&row), None | Some(Status::Hidden)) && self.table.profile(row).valid_to.is_none()
    }

    /// Whether a row is live.
    pub fn is_live(&self, row: u32) -> bool {
        !self.exceptions.contains_key(&row) && self.table.profile(row).valid_to.is_none()
    }

    /// The last day of a superseded row.
    pub fn superseded(&self, row: u32) -> Option<&str> {
        match self.exceptions.get(&row) {
            Some(Status::Superseded { last_day }) => Some(last_day),
            Some(_) => None,
            None => self.table.profile(row).valid_to.as_deref(),
        }
    }
}

/// Members of both chains, each resolved in itself, and all that the chains revoke.
pub(crate) fn resolve(
    publisher: Vec<Arc<Segment>>,
    local: Vec<Arc<Segment>>,
    revoked: &BTreeSet<PassageId>,
) -> Result<(Vec<Member>, BTreeSet<PassageId>)> {
    let n_publisher = publisher.len();
    let segments = publisher.into_iter().chain(local);
    let mut members = segments.map(Member::new).collect::<Result<Vec<_>>>()?;
    check(&members, n_publisher)?;
    hold(&mut members);
    let n_members = members.len();
    let mut all_revoked = revoked.clone();
    for chain in [0..n_publisher, n_publisher..n_members] {
        let own = resolve_chain(&mut members, chain.clone())?;
        describe(&mut members, chain.clone());
        // A revocation by the other chain, or by a generation that was left, hides what the chain itself holds live.
        for id in revoked.difference(&own) {
            if let Some((member, row)) = newest(&members, chain.clone(), *id)?
                && !matches!(members[member].exceptions.get(&row), Some(Status::Removed | Status::Revoked))
            {
                let member = &mut members[member];
                // A superseded row is not in the state, so nothing needs to remember that it was there.
                let status = if member.in_state(row) { Status::Hidden } else { Status::Revoked };
                member.exceptions.insert(row, status);
            }
        }
        all_revoked.extend(own);
    }
    Ok((members, all_revoked))
}

/// Says which members are held in memory: small ones that come after the first, which has most of the passages.
fn hold(members: &mut [Member]) {
    let Some((_, later)) = members.split_first_mut() else { return };
    let bytes = |member: &Member| {
        let stats = member.segment.stats();
        let dims = u64::from(member.segment.manifest().embedder.dims);
        stats.text_bytes.saturating_add(stats.passages.saturating_mul(dims * 2))
    };
    let sizes: Vec<u64> = later.iter().map(bytes).collect();
    for (member, held) in later.iter_mut().zip(choose(&sizes)) {
        member.held = held.then(|| member.segment.held());
    }
}

/// Whether the members belong together.
fn check(members: &[Member], n_publisher: usize) -> Result<()> {
    let Some(base) = members.first().filter(|_| n_publisher > 0) else { return Err(Error::EmptyChain) };
    let base_manifest = base.segment.manifest();
    for (position, member) in members.iter().enumerate() {
        let manifest = member.segment.manifest();
        let refused = |what, expected: &dyn ToString, found: &dyn ToString| Error::ForeignMember {
            path: member.segment.path().into(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        };
        let is_delta = manifest.kind == PackKind::Delta;
        if position == 0 && is_delta {
            let path = member.segment.path().into();
            return Err(Error::Unsupported { path, feature: "a delta without its base" });
        }
        if position > 0 {
            let expected = if position < n_publisher { PackKind::Delta } else { PackKind::Local };
            if manifest.kind != expected {
                return Err(refused("kind", &name(expected), &name(manifest.kind)));
            }
        }
        if position < n_publisher && manifest.pack_id != base_manifest.pack_id {
            return Err(refused("pack id", &base_manifest.pack_id, &manifest.pack_id));
        }
        if manifest.lexical.version != base_manifest.lexical.version {
            return Err(refused("version of lexical terms", &base_manifest.lexical.version, &manifest.lexical.version));
        }
        let (expected, found) = (&base_manifest.embedder, &manifest.embedder);
        if expected.dims != found.dims {
            return Err(refused("number of dimensions", &expected.dims, &found.dims));
        }
        if expected != found {
            let short = |weights: &str| weights.get(..8).unwrap_or(weights).to_owned();
            return Err(refused("embedder", &short(&expected.weights), &short(&found.weights)));
        }
    }
    Ok(())
}

fn name(kind: PackKind) -> &'static str {
    match kind {
        PackKind::Base => "base",
        PackKind::Delta => "delta",
        PackKind::Local => "local",
    }
}

/// Marks what later members of a chain replace or withdraw in earlier ones. Gives what they revoke.
fn resolve_chain(members: &mut [Member], chain: Range<usize>) -> Result<BTreeSet<PassageId>> {
    let mut later: HashMap<PassageId, (usize, u32)> = HashMap::new();
    let mut revoked = BTreeSet::new();
    for at in chain.clone() {
        let segment = Arc::clone(&members[at].segment);
        for withdrawal in segment.withdrawals()? {
            if withdrawal.kind == WithdrawalKind::Revoked {
                revoked.insert(withdrawal.passage);
            }
            let Some((member, row)) = locate(members, &later, chain.start, at, withdrawal.passage)? else { continue };
            let status = match withdrawal.kind {
                WithdrawalKind::Superseded { valid_to } => Status::Superseded { last_day: valid_to },
                WithdrawalKind::Removed => Status::Removed,
                WithdrawalKind::Revoked => Status::Revoked,
            };
            // What is gone does not come back for earlier days.
            let gone = matches!(members[member].exceptions.get(&row), Some(Status::Removed | Status::Revoked));
            if !(gone && matches!(status, Status::Superseded { .. })) {
                members[member].exceptions.insert(row, status);
            }
        }
        if at == chain.start {
            continue;
        }
        let mut ids = Vec::with_capacity(segment.len() as usize);
        segment.each_row(&mut |row, id, _| {
            ids.push((row, id));
            Ok(())
        })?;
        for (row, id) in ids {
            if let Some((member, row)) = locate(members, &later, chain.start, at, id)? {
                members[member].exceptions.insert(row, Status::Shadowed);
            }
            later.insert(id, (at, row));
        }
    }
    // What is revoked stays revoked, even if a later member brings it again.
    for id in &revoked {
        if let Some((member, row)) = locate(members, &later, chain.start, chain.end, *id)? {
            members[member].exceptions.insert(row, Status::Revoked);
        }
    }
    Ok(revoked)
}

/// The newest row of a passage before the member `at`: of the later members by the map, of the first by its index.
fn locate(
    members: &[Member],
    later: &HashMap<PassageId, (usize, u32)>,
    first: usize,
    at: usize,
    id: PassageId,
) -> Result<Option<(usize, u32)>> {
    if let Some(&place) = later.get(&id) {
        return Ok(Some(place));
    }
    if at == first {
        return Ok(None);
    }
    Ok(members[first].segment.by_id(id)?.map(|row| (first, row as u32)))
}

/// The newest row of a passage in a chain.
pub(crate) fn newest(members: &[Member], chain: Range<usize>, id: PassageId) -> Result<Option<(usize, u32)>> {
    for at in chain.rev() {
        if let Some(row) = members[at].segment.by_id(id)? {
            return Ok(Some((at, row as u32)));
        }
    }
    Ok(None)
}

/// Finds the newest row of each document. Within one member a row describes its own passages: a compacted pack has
/// one row for each edition.
fn describe(members: &mut [Member], chain: Range<usize>) {
    let mut newest: HashMap<String, (usize, u32)> = HashMap::new();
    for at in chain.rev() {
        let member = &mut members[at];
        for (document, facts) in member.table.documents.iter().enumerate() {
            if let Some(&place) = newest.get(&facts.id) {
                member.described_by.insert(document as u32, place);
            }
        }
        if at > 0 {
            let facts = member.table.documents.iter().enumerate();
            for (document, facts) in facts {
                newest.entry(facts.id.clone()).or_insert((at, document as u32));
            }
        }
    }
}
