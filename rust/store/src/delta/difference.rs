//! The difference of two editions, article by article, for people.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lorekit_pack::PassageId;

use crate::delta::Parent;
use crate::error::Result;
use crate::types::{Document, Passage};

/// What happened to an article or a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The new edition has it and the old one has not.
    Added,
    /// Both have it, in different words, or described otherwise.
    Amended,
    /// The old edition has it and the new one has not.
    Withdrawn,
}

/// One article that changed, or one section where there are no articles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleChange {
    /// Its place: document id, `#`, and article number or heading.
    pub place: String,
    /// What people call it: its label, else its innermost heading.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// Its text in the old edition; empty if it was added.
    pub before: String,
    /// Its text in the new edition; empty if it was withdrawn.
    pub after: String,
}

/// One document in which something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentDiff {
    /// Stable name.
    pub id: String,
    /// Title, in the new edition where there is one.
    pub title: String,
    /// Language, BCP 47.
    pub language: String,
    /// What happened to the document as a whole.
    pub change: Change,
    /// First day the new edition holds.
    pub valid_from: Option<String>,
    /// Whether the document's own description (title, edition, dates, labels) changed.
    pub redescribed: bool,
    /// Articles that changed: first in the order of the new edition, then those withdrawn in the old one's.
    pub articles: Vec<ArticleChange>,
}

/// What the live passages of an edition say of one place.
#[derive(Default)]
struct Place {
    name: String,
    ids: Vec<PassageId>,
    labels: BTreeSet<Vec<Vec<String>>>,
    texts: Vec<String>,
}

struct Edition {
    document: Document,
    order: Vec<String>,
    places: HashMap<String, Place>,
}

/// Compares what two parents hold live, document by document in the order of their ids; documents without a change are
/// left out. Vectors are not compared. Reads each live row of both once and holds all texts meanwhile.
///
/// # Errors
/// A damaged parent.
pub fn diff(old: &dyn Parent, new: &dyn Parent) -> Result<Vec<DocumentDiff>> {
    let (mut old, new) = (read(old)?, read(new)?);
    let mut differences = Vec::new();
    for (id, next) in new {
        let before = old.remove(&id);
        let change = if before.is_some() { Change::Amended } else { Change::Added };
        let redescribed = before.as_ref().is_some_and(|before| !same_description(&before.document, &next.document));
        let articles = articles(before, Some(&next));
        if change == Change::Added || redescribed || !articles.is_empty() {
            differences.push(document_diff(&next.document, change, redescribed, articles));
        }
    }
    for gone in old.into_values() {
        let document = gone.document.clone();
        differences.push(document_diff(&document, Change::Withdrawn, false, articles(Some(gone), None)));
    }
    differences.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(differences)
}

fn document_diff(document: &Document, change: Change, redescribed: bool, articles: Vec<ArticleChange>) -> DocumentDiff {
    DocumentDiff {
        id: document.id.clone(),
        title: document.title.clone(),
        language: document.language.clone(),
        change,
        valid_from: document.valid_from.clone(),
        redescribed,
        articles,
    }
}

/// The path and the hash of a source file are not what a document says of itself.
fn same_description(old: &Document, new: &Document) -> bool {
    let of = |d: &Document| (d.title.clone(), d.version.clone(), d.valid_from.clone(), d.valid_to.clone());
    of(old) == of(new) && old.label_groups == new.label_groups
}

fn articles(old: Option<Edition>, new: Option<&Edition>) -> Vec<ArticleChange> {
    let mut changes = Vec::new();
    let nothing = Place::default();
    let text = |place: &Place| place.texts.join("\n");
    for name in new.iter().flat_map(|edition| &edition.order) {
        let after = new.and_then(|edition| edition.places.get(name)).unwrap_or(&nothing);
        let before = old.as_ref().and_then(|edition| edition.places.get(name)).unwrap_or(&nothing);
        if before.ids == after.ids && before.labels == after.labels {
            continue;
        }
        changes.push(ArticleChange {
            place: name.clone(),
            name: after.name.clone(),
            change: if before.ids.is_empty() { Change::Added } else { Change::Amended },
            before: text(before),
            after: text(after),
        });
    }
    for (order, places) in old.iter().map(|edition| (&edition.order, &edition.places)) {
        for name in order.iter().filter(|name| new.is_none_or(|edition| !edition.places.contains_key(*name))) {
            let before = &places[name];
            changes.push(ArticleChange {
                place: name.clone(),
                name: before.name.clone(),
                change: Change::Withdrawn,
                before: text(before),
                after: String::new(),
            });
        }
    }
    changes
}

fn read(parent: &dyn Parent) -> Result<BTreeMap<String, Edition>> {
    let mut editions: BTreeMap<String, Edition> = BTreeMap::new();
    let mut passages =
        parent.live_keys()?.into_iter().map(|key| parent.passage(key)).collect::<Result<Vec<Passage>>>()?;
    // Rows of a chain stand in the order of its packs; in a source file they stand by their first byte.
    passages.sort_by(|a, b| (&a.document.id, a.source.start).cmp(&(&b.document.id, b.source.start)));
    for passage in passages {
        let document = passage.document;
        let edition = editions.entry(document.id.clone()).or_insert_with(|| Edition {
            document,
            order: Vec::new(),
            places: HashMap::new(),
        });
        let place = edition.places.entry(passage.place.clone()).or_insert_with(|| {
            edition.order.push(passage.place.clone());
            let name = passage.article.clone().or_else(|| passage.title_path.last().cloned()).unwrap_or_default();
            Place { name, ..Place::default() }
        });
        place.ids.push(passage.id);
        place.labels.insert(passage.label_groups);
        place.texts.push(passage.text);
    }
    // Passages of one place may come from several packs with ranges of several editions of the file.
    for place in editions.values_mut().flat_map(|edition| edition.places.values_mut()) {
        place.ids.sort();
    }
    Ok(editions)
}
