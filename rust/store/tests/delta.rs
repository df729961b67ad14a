//! A delta holds what changed and nothing else, and leads to the state of a fresh build.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use common::{Corpus, document, laws, noise_vectors, passage, synthetic};
use lorekit_cancel::CancelToken;
use lorekit_pack::{Pack, PassageId, SectionKind, WithdrawalKind, decode_withdrawals};
use lorekit_store::{
    BuildReport, Change, DeltaInput, DeltaPlan, Fate, IndexChoice, OpenOptions, Segment, Snapshot, diff, plan_delta,
    write_delta, write_pack,
};

const DIMS: usize = 8;

fn built(corpus: &Corpus, folder: &Path) -> Snapshot {
    let path = folder.join(format!("{}.lorepack", corpus.facts.version));
    corpus.write(&path).unwrap();
    Snapshot::open_pack(&path, &OpenOptions::default()).unwrap()
}

fn plan(parent: &Snapshot, next: &Corpus, revoke: &[&str]) -> lorekit_store::Result<DeltaPlan> {
    let revoke: Vec<String> = revoke.iter().map(ToString::to_string).collect();
    plan_delta(parent, &next.documents, &next.passages, &revoke)
}

/// Writes the delta; what has to be embedded gets the vectors of `next`.
fn delta(parent: &Snapshot, next: &Corpus, plan: &DeltaPlan, path: &Path) -> BuildReport {
    let vectors: Vec<Vec<f32>> = plan.to_embed().into_iter().map(|n| next.vectors[n].clone()).collect();
    let input = DeltaInput {
        parent,
        plan,
        documents: &next.documents,
        passages: &next.passages,
        vectors: &vectors,
        facts: &next.facts,
        index: IndexChoice::Auto,
    };
    write_delta(path, &input, &mut |_| {}, &CancelToken::new()).unwrap()
}

/// The laws of version 2: an article amended, one added, one gone; a law gone and a law new.
fn amended() -> Corpus {
    let mut next = laws(DIMS);
    next.facts.version = 2;
    next.documents[0].valid_from = Some("2025-03-01".into());
    next.documents[1] = document("deposit", "存款保险条例");
    next.passages.truncate(2);
    next.vectors.truncate(2);
    next.passages[1].text = "本法所称的商业银行是指依照本法和公司法设立的企业法人。".into();
    next.passages.push(passage(0, "bank", "第三条", "商业银行可以经营下列业务。", 300));
    next.passages.push(passage(1, "deposit", "第一条", "为了建立和规范存款保险制度，制定本条例。", 10));
    next.vectors.truncate(1);
    next.vectors.extend(noise_vectors(3, DIMS, 99));
    next
}

#[test]
fn a_delta_leads_to_the_state_of_a_fresh_build_and_embeds_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let next = amended();
    let plan = plan(&parent, &next, &[]).unwrap();
    assert_eq!(plan.to_embed(), [1, 2, 3]);
    assert_eq!((plan.count(Fate::Unchanged), plan.count(Fate::Added)), (1, 3));
    let path = folder.path().join("delta.lorepack");
    let report = delta(&parent, &next, &plan, &path);
    let fresh = built(&next, folder.path());
    assert_eq!(report.manifest.state, fresh.manifest().state);
    assert_eq!(report.manifest.parent, Some(parent.manifest().state));
    assert_eq!((report.manifest.counts.documents, report.manifest.counts.passages), (2, 3));
}

#[test]
fn what_leaves_an_amended_document_is_superseded_and_what_leaves_with_its_document_removed() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let plan = plan(&parent, &amended(), &[]).unwrap();
    let path = folder.path().join("delta.lorepack");
    delta(&parent, &amended(), &plan, &path);
    let pack = Pack::open_verified(&path).unwrap();
    let stored = decode_withdrawals(&path, pack.require(SectionKind::Withdrawals).unwrap()).unwrap();
    assert_eq!(stored, plan.withdrawals);
    let kind = |key: u64| {
        let id = parent.passage(key).unwrap().id;
        stored.iter().find(|w| w.passage == id).map(|w| w.kind.clone())
    };
    let superseded = Some(WithdrawalKind::Superseded { valid_to: "2025-02-28".into() });
    assert_eq!(kind(0), None);
    assert_eq!((kind(1), kind(2)), (superseded.clone(), superseded));
    assert_eq!((kind(3), kind(4)), (Some(WithdrawalKind::Removed), Some(WithdrawalKind::Removed)));
}

#[test]
fn a_correction_of_one_edition_removes_and_does_not_supersede() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let mut next = amended();
    // The same first day as before: the old words never held.
    next.documents[0].valid_from = Some("2024-01-01".into());
    assert_eq!(plan(&parent, &next, &[]).unwrap().withdrawn(), [0, 4, 0]);
    next.documents[0].valid_from = None;
    assert_eq!(plan(&parent, &next, &[]).unwrap().withdrawn(), [0, 4, 0]);
}

#[test]
fn the_same_sources_make_an_empty_delta() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let mut next = laws(DIMS);
    let same = plan(&parent, &next, &[]).unwrap();
    assert!(same.is_empty());
    assert_eq!(same.count(Fate::Unchanged), 5);
    next.facts.version = 2;
    let report = delta(&parent, &next, &same, &folder.path().join("delta.lorepack"));
    assert_eq!(report.manifest.state, parent.manifest().state);
    // A document that changed in its description alone has a row, and no passage has.
    next.documents[1].version = Some("2025".into());
    let described = plan(&parent, &next, &[]).unwrap();
    assert_eq!((described.is_empty(), described.count(Fate::Unchanged)), (false, 5));
    let report = delta(&parent, &next, &described, &folder.path().join("described.lorepack"));
    assert_eq!((report.manifest.counts.documents, report.manifest.counts.passages), (1, 0));
    assert_eq!(report.manifest.state, built(&next, folder.path()).manifest().state);
}

#[test]
fn labels_and_places_are_described_anew_with_the_stored_vector_and_titles_embedded_again() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let mut next = laws(DIMS);
    next.facts.version = 2;
    next.documents[0].labels = vec!["staff".into()];
    next.passages[3].place = "insure#1".into();
    let described = plan(&parent, &next, &[]).unwrap();
    assert_eq!((described.count(Fate::Redescribed), described.to_embed().len()), (4, 0));
    let path = folder.path().join("delta.lorepack");
    let report = delta(&parent, &next, &described, &path);
    assert_eq!(report.manifest.state, built(&next, folder.path()).manifest().state);
    let pack = Pack::open_verified(&path).unwrap();
    let stored = &pack.require(SectionKind::Vectors).unwrap()[8..];
    let of_parent = Pack::open(folder.path().join("1.lorepack")).unwrap();
    assert_eq!(*stored, of_parent.require(SectionKind::Vectors).unwrap()[8..][..4 * 2 * DIMS]);

    next.documents[1].title = "中华人民共和国保险法".into();
    let titled = plan(&parent, &next, &[]).unwrap();
    assert_eq!(titled.to_embed(), [3, 4]);
    assert!(titled.withdrawals.is_empty());
}

#[test]
fn a_renumbered_article_keeps_its_vector() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let mut next = laws(DIMS);
    next.passages[2].article = Some("第八十六条".into());
    let plan = plan(&parent, &next, &[]).unwrap();
    assert_eq!((plan.count(Fate::Added), plan.to_embed().len()), (1, 0));
    assert_eq!(plan.passages[2].vector_from, Some(2));
}

#[test]
fn what_is_revoked_leaves_as_revoked_and_what_stays_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let next = amended();
    let gone = parent.passage(1).unwrap().id.to_string();
    assert_eq!(plan(&parent, &next, &["insure", &gone]).unwrap().withdrawn(), [1, 0, 3]);
    // An id that is not live, such as one superseded before, can be revoked as well.
    let other = PassageId([3; 16]).to_string();
    assert_eq!(plan(&parent, &next, &[&other]).unwrap().withdrawn(), [2, 2, 1]);
    let stays = parent.passage(0).unwrap().id.to_string();
    for refused in [stays.as_str(), "deposit", "nothing of this name"] {
        assert!(plan(&parent, &next, &[refused]).is_err(), "{refused}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_size_follows_the_change() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = synthetic(3000, 64, IndexChoice::Exact);
    let parent = built(&corpus, folder.path());
    let mut next = corpus.clone();
    next.facts.version = 2;
    for n in (0..3000).step_by(300) {
        next.passages[n].text.push_str("，修改。");
    }
    let plan = plan(&parent, &next, &[]).unwrap();
    assert_eq!((plan.to_embed().len(), plan.withdrawals.len()), (10, 10));
    let (one, other) = (folder.path().join("one.lorepack"), folder.path().join("other.lorepack"));
    let report = delta(&parent, &next, &plan, &one);
    delta(&parent, &next, &plan, &other);
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    // Ten rows of 3,000, and the fixed cost of a database and the alignment of four parts.
    assert!(report.file_bytes < 180_000, "{}", report.file_bytes);
    assert_eq!(report.manifest.state, built(&next, folder.path()).manifest().state);
}

#[test]
fn a_delta_of_another_embedder_splitter_name_or_an_older_version_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let parent = built(&laws(DIMS), folder.path());
    let next = amended();
    let plan = plan(&parent, &next, &[]).unwrap();
    let changes: [fn(&mut Corpus); 4] = [
        |next| next.facts.embedder.weights.push('x'),
        |next| next.facts.splitter.max_tokens += 1,
        |next| next.facts.pack_id.push('x'),
        |next| next.facts.version = 1,
    ];
    for (case, change) in changes.into_iter().enumerate() {
        let mut next = next.clone();
        change(&mut next);
        let vectors: Vec<_> = plan.to_embed().into_iter().map(|n| next.vectors[n].clone()).collect();
        let (documents, passages) = (&next.documents, &next.passages);
        let (facts, index) = (&next.facts, IndexChoice::Auto);
        let input = DeltaInput { parent: &parent, plan: &plan, documents, passages, vectors: &vectors, facts, index };
        let path = folder.path().join("refused.lorepack");
        assert!(write_delta(&path, &input, &mut |_| {}, &CancelToken::new()).is_err(), "case {case}");
        assert!(!path.exists());
    }
}

#[test]
fn a_copied_vector_has_the_same_bytes_and_the_fresh_build_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = synthetic(200, 96, IndexChoice::Exact);
    let parent = built(&corpus, folder.path());
    let mut copied = corpus.clone();
    copied.vectors = (0..200).map(|key| parent.vector(key).unwrap()).collect();
    let path = folder.path().join("copied.lorepack");
    let report = write_pack(&path, &copied.input(), &mut |_| {}, &CancelToken::new()).unwrap();
    assert_eq!(report.manifest.state, parent.manifest().state);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(folder.path().join("1.lorepack")).unwrap());
}

/// The chain of packs as one generation.
fn chain(paths: &[&Path]) -> Snapshot {
    let open = |path: &&Path| Arc::new(Segment::open(path, &OpenOptions::default()).unwrap());
    Snapshot::assemble(paths.iter().map(open).collect(), Vec::new(), &BTreeSet::new()).unwrap()
}

#[test]
fn a_base_with_its_deltas_knows_what_a_fresh_build_knows() {
    let folder = tempfile::tempdir().unwrap();
    let old = laws(DIMS);
    let base = built(&old, folder.path());
    let first = amended();
    let one = folder.path().join("one.lorepack");
    delta(&base, &first, &plan(&base, &first, &[]).unwrap(), &one);
    let base_path = folder.path().join("1.lorepack");
    let after_one = chain(&[&base_path, &one]);
    assert_eq!(after_one.state().unwrap(), built(&first, folder.path()).state().unwrap());

    // And back again: each word of the first edition returns, as rows of a second delta over the chain.
    let mut second = old.clone();
    second.facts.version = 3;
    let back = plan(&after_one, &second, &["deposit"]).unwrap();
    assert_eq!(back.withdrawn(), [0, 2, 1]);
    let two = folder.path().join("two.lorepack");
    let report = delta(&after_one, &second, &back, &two);
    let after_two = chain(&[&base_path, &one, &two]);
    assert_eq!(report.manifest.parent, Some(after_one.state().unwrap()));
    assert_eq!(after_two.state().unwrap(), report.manifest.state);
    assert_eq!(after_two.state().unwrap(), base.state().unwrap());
    assert!(diff(&base, &after_two).unwrap().is_empty());
}

#[test]
fn a_difference_names_articles_added_amended_and_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let old = built(&laws(DIMS), folder.path());
    let new = built(&amended(), folder.path());
    assert!(diff(&old, &old).unwrap().is_empty());
    let differences = diff(&old, &new).unwrap();
    let documents: Vec<_> = differences.iter().map(|d| (d.id.as_str(), d.change)).collect();
    assert_eq!(documents, [("bank", Change::Amended), ("deposit", Change::Added), ("insure", Change::Withdrawn)]);
    let articles: BTreeSet<_> = differences[0].articles.iter().map(|a| (a.name.as_str(), a.change)).collect();
    let expected = [("第二条", Change::Amended), ("第三条", Change::Added), ("第八十五条", Change::Withdrawn)];
    assert_eq!(articles, expected.into());
    assert!(differences[0].articles.iter().all(|a| a.before != a.after));
    // Back again, what was added is withdrawn.
    let back = diff(&new, &old).unwrap();
    assert_eq!(back.iter().map(|d| d.articles.len()).sum::<usize>(), 6);
}
