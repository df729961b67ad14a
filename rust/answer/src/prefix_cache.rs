//! Prompts share beginnings: what was computed for them is kept in memory, and used again by the next question.
//!
//! A radix tree over token ids. A node is one part of a prompt (the fixed prefix, then passage by passage) with the
//! keys and values of its tokens; they hold behind the very tokens of the nodes above it, so a path is the exact
//! beginning of a prompt. Where a prompt leaves a node in its middle, the node serves up to there.

use lorekit_model::{AdapterSet, KvSnapshot, Session};
use lorekit_store::PassageId;

use crate::{Result, convert};

/// A part of a prompt: where it ends, and the passage it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) end: usize,
    pub(crate) passage: Option<PassageId>,
}

/// Whose prompt it is: adapters change keys and values, and the scope is what the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) adapters: [u8; 32],
    pub(crate) scope: Vec<u8>,
}

impl Owner {
    pub(crate) fn new(adapters: Option<&AdapterSet>, scope: &[u8]) -> Self {
        Self { adapters: adapters.map(AdapterSet::id).unwrap_or_default(), scope: scope.to_vec() }
    }
}

/// One part with its keys and values.
pub(crate) struct Node {
    id: u64,
    parent: Option<u64>,
    owner: Owner,
    /// Of this part and of all above it.
    pub(crate) passages: Vec<PassageId>,
    pub(crate) snapshot: KvSnapshot,
    /// Whether it was found again after the request that made it.
    pub(crate) is_hot: bool,
    /// Whether a file holds it.
    pub(crate) is_saved: bool,
    used: u64,
}

impl Node {
    fn bytes(&self) -> usize {
        self.snapshot.data_bytes() + 4 * self.snapshot.tokens().len()
    }

    /// A part without a passage is the app's own text, which every caller may share.
    fn is_open_to(&self, owner: &Owner) -> bool {
        self.owner.adapters == owner.adapters && (self.passages.is_empty() || self.owner.scope == owner.scope)
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// The tree, within a number of bytes; what was not used for longest goes first.
pub(crate) struct PrefixCache {
    nodes: Vec<Node>,
    budget: usize,
    clock: u64,
    next_id: u64,
}

impl PrefixCache {
    pub(crate) fn new(budget: usize) -> Self {
        Self { nodes: Vec::new(), budget, clock: 0, next_id: 0 }
    }

    /// Bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.iter().map(Node::bytes).sum()
    }

    /// Nodes that no file holds yet, parents before children.
    pub(crate) fn unsaved(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.sort_by_key(|node| node.snapshot.range().start);
        self.nodes.iter_mut().filter(|node| !node.is_saved)
    }

    /// The nodes that `tokens` begin with, and how many tokens that is; the last one may agree in part only.
    fn path(&self, owner: &Owner, tokens: &[u32]) -> (Vec<usize>, usize) {
        let (mut path, mut at) = (Vec::new(), 0);
        let mut parent = None;
        loop {
            let best = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| node.parent == parent && node.snapshot.range().start == at)
                .filter(|(_, node)| node.is_open_to(owner))
                .map(|(n, node)| (common(node.snapshot.tokens(), tokens), n))
                .max();
            let Some((agree, n)) = best.filter(|(agree, _)| *agree > at) else { return (path, at) };
            path.push(n);
            at = agree;
            if at < self.nodes[n].snapshot.tokens().len() {
                return (path, at);
            }
            parent = Some(self.nodes[n].id);
        }
    }

    /// How many tokens at the beginning are here.
    pub(crate) fn covered(&self, owner: &Owner, tokens: &[u32]) -> usize {
        self.path(owner, tokens).1
    }

    /// Brings the session to the longest beginning of `tokens` that it holds or that is here; gives its length.
    pub(crate) fn restore(&mut self, session: &mut Session, owner: &Owner, tokens: &[u32]) -> Result<usize> {
        let mut at = common(session.tokens(), tokens);
        let (path, covered) = self.path(owner, tokens);
        self.clock += 1;
        for n in path {
            let node = &mut self.nodes[n];
            (node.used, node.is_hot) = (self.clock, true);
            if at < node.snapshot.range().end && at < covered {
                session.truncate(at);
                session.restore(&node.snapshot).map_err(convert::model)?;
                at = covered.min(node.snapshot.range().end);
            }
        }
        session.truncate(at);
        Ok(at)
    }

    /// Keeps the parts of a prompt that the session has computed. `parts` end ascending.
    pub(crate) fn keep(&mut self, session: &Session, owner: &Owner, prompt: &[u32], parts: &[Part]) -> Result<()> {
        let computed = common(session.tokens(), prompt);
        let per_token = session.cache_bytes() / session.capacity().max(1) + 4;
        self.clock += 1;
        let (mut parent, mut start) = (None, 0);
        let mut passages: Vec<PassageId> = Vec::new();
        for part in parts.iter().filter(|part| part.end <= computed) {
            passages.extend(part.passage);
            if part.end <= start {
                continue;
            }
            let known = self.nodes.iter_mut().find(|node| {
                node.parent == parent && node.is_open_to(owner) && node.snapshot.tokens() == &prompt[..part.end]
            });
            let id = match known {
                Some(node) => {
                    node.used = self.clock;
                    node.id
                }
                None if part.end * per_token > self.budget => break,
                None => {
                    let snapshot = session.snapshot(start..part.end).map_err(convert::model)?;
                    self.add(snapshot, owner.clone(), passages.clone(), parent, false)
                }
            };
            (parent, start) = (Some(id), part.end);
        }
        self.shrink(self.budget);
        Ok(())
    }

    /// Takes a snapshot that was read from a file; false when what it stands behind is not here.
    pub(crate) fn insert(&mut self, snapshot: KvSnapshot, owner: &Owner, passages: Vec<PassageId>) -> bool {
        let start = snapshot.range().start;
        let (path, at) = self.path(owner, &snapshot.tokens()[..start]);
        let whole = path.last().is_none_or(|n| self.nodes[*n].snapshot.tokens().len() == start);
        if at != start || !whole {
            return false;
        }
        let parent = path.last().map(|n| self.nodes[*n].id);
        self.clock += 1;
        self.add(snapshot, owner.clone(), passages, parent, true);
        true
    }

    fn add(
        &mut self,
        snapshot: KvSnapshot,
        owner: Owner,
        passages: Vec<PassageId>,
        parent: Option<u64>,
        is_saved: bool,
    ) -> u64 {
        let (id, used) = (self.next_id, self.clock);
        self.next_id += 1;
        self.nodes.push(Node { id, parent, owner, passages, snapshot, is_hot: false, is_saved, used });
        id
    }

    /// Drops what was not used for longest, children before parents, until no more than `budget` bytes are left.
    pub(crate) fn shrink(&mut self, budget: usize) {
        let mut bytes = self.bytes();
        while bytes > budget {
            let is_leaf = |node: &Node| !self.nodes.iter().any(|other| other.parent == Some(node.id));
            let oldest = self.nodes.iter().enumerate().filter(|(_, node)| is_leaf(node)).min_by_key(|(_, n)| n.used);
            let Some((n, _)) = oldest else { return };
            bytes -= self.nodes.swap_remove(n).bytes();
        }
    }

    /// Drops every node that shows a passage for which `gone` is true; those below it show it too.
    pub(crate) fn remove(&mut self, gone: &dyn Fn(&PassageId) -> bool) {
        self.nodes.retain(|node| !node.passages.iter().any(gone));
    }
}

/// Tokens that two texts have in common from their beginning.
pub(crate) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
#[path = "prefix_cache_tests.rs"]
mod tests;
