//! A chain of packs is the body of passages that a fresh pack of the same content is.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use common::chain::{DIMS, Knowledge, World, corpus, delta, entries, fresh, labels, open, vector, wrap};
use common::{Noise, facts, synthetic};
use lorekit_pack::{Withdrawal, WithdrawalKind};
use lorekit_store::{Error, Hit, IndexChoice, Origin, PackKind, PassageId, Scope, Segment, Snapshot, is_label};
use proptest::prelude::*;

const QUESTION: &str = "银行的资本充足率 n3 n7 第三条";

fn article(number: usize, text: &str) -> (String, String, Vec<String>) {
    (format!("第{number}条"), text.into(), Vec::new())
}

fn law(texts: &[&str]) -> Knowledge {
    let passages = texts.iter().enumerate().map(|(at, text)| article(at + 1, text)).collect();
    Knowledge { labels: vec![], valid_from: Some("2024-01-01".into()), passages }
}

/// Hits by passage id, so that two ways of storing the same passages can be compared.
fn by_id(snapshot: &Snapshot, hits: &[Hit]) -> BTreeMap<PassageId, f32> {
    hits.iter().map(|hit| (snapshot.passage(hit.key).unwrap().id, hit.score)).collect()
}

fn found(snapshot: &Snapshot, scope: &Scope<'_>) -> BTreeSet<String> {
    let lexical = snapshot.lexical("银行 资本", 100, scope).unwrap();
    let exact = snapshot.exact(&vector("?"), 100, scope).unwrap();
    let dense = snapshot.dense(&vector("?"), 100, scope).unwrap();
    let texts = |hits: Vec<Hit>| -> BTreeSet<String> {
        hits.iter().map(|hit| snapshot.passage(hit.key).unwrap().text).collect()
    };
    let all = texts(exact);
    assert_eq!(texts(dense), all);
    assert!(texts(lexical).is_subset(&all));
    all
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.into()).collect()
}

fn today() -> Scope<'static> {
    Scope::default()
}

fn on(day: &'static str) -> Scope<'static> {
    Scope { labels: &[], as_of: Some(day) }
}

fn assemble(publisher: &[&Arc<Segment>], revoked: &[PassageId]) -> Snapshot {
    let publisher = publisher.iter().map(|&segment| Arc::clone(segment)).collect();
    Snapshot::assemble(publisher, vec![], &revoked.iter().copied().collect()).unwrap()
}

fn id_of(snapshot: &Snapshot, text: &str) -> PassageId {
    let hits = snapshot.exact(&vector(text), 1, &today()).unwrap();
    let passage = snapshot.passage(hits[0].key).unwrap();
    assert_eq!(passage.text, text);
    passage.id
}

#[test]
fn a_chain_of_one_pack_ranks_words_as_fts5_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    synthetic(400, 16, IndexChoice::Exact).write(&path).unwrap();
    let segment = open(&path);
    let snapshot = assemble(&[&segment], &[]);
    for question in ["第3段 编号 n3", "内容 第二十条", "n1 n2 n3 n4", "文件3", "没有的词 zzz", "", "\" OR NOT NEAR("]
    {
        let ours = snapshot.lexical(question, 1000, &today()).unwrap();
        let theirs = segment.lexical(question, 1000).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{question}");
        for (a, b) in ours.iter().zip(&theirs) {
            // The same sums in f64; another compiler may fuse a multiplication and an addition.
            assert!((a.score - b.score).abs() <= 1e-5 * b.score.abs(), "{question}: {a:?} {b:?}");
            assert_eq!(a.key, b.key, "{question}");
        }
        assert_eq!(&ours[..ours.len().min(7)], snapshot.lexical(question, 7, &today()).unwrap(), "{question}");
    }
}

#[test]
fn three_kinds_of_withdrawal_leave_what_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let world: World = [("law".into(), law(&["银行资本甲", "银行资本乙", "银行资本丙", "银行资本丁"]))].into();
    let old = fresh(folder.path(), "old", &world);
    let ids: Vec<PassageId> = ["银行资本甲", "银行资本乙", "银行资本丙"].iter().map(|text| id_of(&old, text)).collect();
    let base = Arc::clone(old.members().next().unwrap());
    let withdrawals = [
        Withdrawal { passage: ids[0], kind: WithdrawalKind::Superseded { valid_to: "2026-05-31".into() } },
        Withdrawal { passage: ids[1], kind: WithdrawalKind::Removed },
        Withdrawal { passage: ids[2], kind: WithdrawalKind::Revoked },
    ];
    let mut nothing = corpus(&World::new());
    nothing.facts.version = 2;
    let path = wrap(&folder.path().join("delta"), &nothing, PackKind::Delta, &old, &withdrawals);
    let delta = open(&path);
    assert!(delta.is_empty());
    let new = assemble(&[&base, &delta], &[]);

    assert_eq!(new.len(), 1);
    assert_eq!(new.manifest().version, 2);
    assert_eq!(found(&new, &today()), texts(&["银行资本丁"]));
    assert_eq!(found(&new, &on("2026-05-31")), texts(&["银行资本甲", "银行资本丁"]));
    assert_eq!(found(&new, &on("2026-06-01")), texts(&["银行资本丁"]));
    assert_eq!(found(&new, &on("2023-12-31")), texts(&[]));
    let key = new.by_id(ids[0]).unwrap().unwrap();
    let passage = new.passage(key).unwrap();
    assert_eq!((passage.valid_from.as_deref(), passage.valid_to.as_deref()), (Some("2024-01-01"), Some("2026-05-31")));
    assert!(new.allows(key, &on("2026-05-31")) && !new.allows(key, &today()));
    for &gone in &ids[1..] {
        assert_eq!(new.by_id(gone).unwrap(), None);
        let key = old.by_id(gone).unwrap().unwrap();
        assert!(matches!(new.passage(key), Err(Error::NoSuchPassage { .. })));
        assert!(matches!(new.vector(key), Err(Error::NoSuchPassage { .. })));
    }
    let mut superseded = Vec::new();
    new.superseded(Origin::Publisher, &mut |entry| {
        superseded.push((entry.id, entry.last_day));
        Ok(())
    })
    .unwrap();
    assert_eq!(superseded, [(ids[0], "2026-05-31".to_owned())]);
    assert_eq!(new.revoked().iter().copied().collect::<Vec<_>>(), [ids[2]]);
    // Neighbours skip what is not live.
    assert_eq!(new.neighbours(new.by_id(id_of(&new, "银行资本丁")).unwrap().unwrap()).unwrap().previous, None);

    // Rolled back, what was removed is back; what was revoked stays away, and the state is the one deltas build on.
    let back = assemble(&[&base], &[ids[2]]);
    assert_eq!(found(&back, &today()), texts(&["银行资本甲", "银行资本乙", "银行资本丁"]));
    assert!(back.is_revoked(ids[2]) && back.by_id(ids[2]).unwrap().is_none());
    assert_eq!(back.len(), 3);
    assert_eq!(back.state().unwrap(), old.state().unwrap());
    assert_ne!(new.state().unwrap(), old.state().unwrap());
}

#[test]
fn what_is_revoked_does_not_come_back_with_a_later_delta() {
    let folder = tempfile::tempdir().unwrap();
    let world: World = [("law".into(), law(&["银行资本甲", "银行资本乙"]))].into();
    let old = fresh(folder.path(), "old", &world);
    let base = Arc::clone(old.members().next().unwrap());
    let id = id_of(&old, "银行资本甲");
    let revoke = [Withdrawal { passage: id, kind: WithdrawalKind::Revoked }];
    let first = open(&wrap(&folder.path().join("1"), &corpus(&World::new()), PackKind::Delta, &old, &revoke));
    let again = open(&wrap(&folder.path().join("2"), &corpus(&world), PackKind::Delta, &old, &[]));
    let snapshot = assemble(&[&base, &first, &again], &[]);
    assert_eq!(found(&snapshot, &today()), texts(&["银行资本乙"]));
    assert_eq!(snapshot.len(), 1);
}

#[test]
fn local_packs_are_a_chain_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let world: World = [("law".into(), law(&["银行资本甲", "银行资本乙"]))].into();
    let publisher = fresh(folder.path(), "base", &world);
    let own: World = [("note".into(), law(&["我的银行笔记", "银行资本备忘"]))].into();
    let local = open(&wrap(&folder.path().join("local"), &corpus(&own), PackKind::Local, &publisher, &[]));
    let base = Arc::clone(publisher.members().next().unwrap());
    let both = Snapshot::assemble(vec![Arc::clone(&base)], vec![Arc::clone(&local)], &BTreeSet::new()).unwrap();
    assert_eq!((both.len(), both.publisher_members()), (4, 1));
    assert_eq!(both.state().unwrap(), publisher.state().unwrap());
    assert_eq!(both.manifest().kind, PackKind::Base);
    let key = both.by_id(id_of(&both, "我的银行笔记")).unwrap().unwrap();
    assert_eq!((both.origin(key), both.passage(key).unwrap().origin), (Origin::Local, Origin::Local));
    let key = both.by_id(id_of(&both, "银行资本甲")).unwrap().unwrap();
    assert_eq!((both.origin(key), both.passage(key).unwrap().origin), (Origin::Publisher, Origin::Publisher));
    assert_eq!(both.documents().unwrap().len(), 2);

    let error = |publisher: Vec<Arc<Segment>>, local: Vec<Arc<Segment>>| {
        Snapshot::assemble(publisher, local, &BTreeSet::new()).unwrap_err()
    };
    assert!(matches!(error(vec![], vec![Arc::clone(&local)]), Error::EmptyChain));
    let base = || Arc::clone(&base);
    assert!(matches!(error(vec![base(), base()], vec![]), Error::ForeignMember { what: "kind", .. }));
    assert!(matches!(error(vec![base(), local], vec![]), Error::ForeignMember { what: "kind", .. }));
}

#[test]
fn a_pack_of_another_name_or_embedder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world: World = [("law".into(), law(&["银行资本甲"]))].into();
    let publisher = fresh(folder.path(), "base", &world);
    let base = Arc::clone(publisher.members().next().unwrap());
    let refused = |name: &str, facts: lorekit_store::PackFacts| {
        let mut part = corpus(&world);
        part.vectors = vec![vec![1.0; facts.embedder.dims as usize]];
        part.facts = facts;
        let path = wrap(&folder.path().join(name), &part, PackKind::Delta, &publisher, &[]);
        match Snapshot::assemble(vec![Arc::clone(&base), open(&path)], vec![], &BTreeSet::new()) {
            Err(Error::ForeignMember { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    let mut other = facts(DIMS);
    other.pack_id = "another".into();
    assert_eq!(refused("a", other), "pack id");
    assert_eq!(refused("b", facts(DIMS + 1)), "number of dimensions");
    let mut other = facts(DIMS);
    other.embedder.weights = "another".into();
    assert_eq!(refused("c", other), "embedder");
}

#[test]
fn a_stricter_description_of_a_document_holds_for_passages_that_came_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world: World = [("law".into(), law(&["银行资本甲"]))].into();
    let old = fresh(folder.path(), "old", &world);
    world.get_mut("law").unwrap().labels = labels(&["staff"]);
    let mut part = corpus(&world);
    part.passages.clear();
    part.vectors.clear();
    let delta = open(&wrap(&folder.path().join("d"), &part, PackKind::Delta, &old, &[]));
    let base = Arc::clone(old.members().next().unwrap());
    let new = assemble(&[&base, &delta], &[]);
    assert_eq!(found(&new, &today()), texts(&[]));
    let staff = labels(&["staff"]);
    assert_eq!(found(&new, &Scope { labels: &staff, as_of: None }), texts(&["银行资本甲"]));
}

#[test]
fn scores_say_nothing_of_what_the_caller_may_not_see() {
    let folder = tempfile::tempdir().unwrap();
    let mut world: World = [("law".into(), law(&["银行资本充足率", "保险公司准备金", "证券公司净资本"]))].into();
    let without = fresh(folder.path(), "without", &world);
    let secret = Knowledge {
        labels: labels(&["board"]),
        ..law(&["银行资本充足率的秘密", "银行银行银行", "资本 资本"])
    };
    world.insert("a secret".into(), secret);
    let with = fresh(folder.path(), "with", &world);
    let scores = |snapshot: &Snapshot| by_id(snapshot, &snapshot.lexical("银行资本", 10, &today()).unwrap());
    assert_eq!(scores(&without), scores(&with));
    let board = labels(&["board"]);
    let all = with.lexical("银行资本", 10, &Scope { labels: &board, as_of: None }).unwrap();
    assert!(all.len() > scores(&with).len());
}

#[test]
fn filters_are_the_same_asked_again_and_by_many_scopes() {
    let folder = tempfile::tempdir().unwrap();
    let mut world: World = [("law".into(), law(&["银行资本甲"]))].into();
    for label in ["a", "b", "c", "d", "e", "f"] {
        world.insert(label.into(), Knowledge { labels: labels(&[label]), ..law(&[&format!("银行资本{label}")]) });
    }
    let snapshot = fresh(folder.path(), "x", &world);
    for _ in 0..3 {
        for label in ["a", "b", "c", "d", "e", "f"] {
            let caller = labels(&[label]);
            let seen = found(&snapshot, &Scope { labels: &caller, as_of: None });
            assert_eq!(seen, texts(&["银行资本甲", &format!("银行资本{label}")]));
        }
    }
    assert!(is_label("a b") && !is_label("a,b") && !is_label("") && !is_label(" a"));
}

/// A random world and random changes to it.
struct Author {
    noise: Noise,
    written: usize,
}

impl Author {
    fn labels(&mut self) -> Vec<String> {
        match self.noise.below(6) {
            0 => labels(&["a"]),
            1 => labels(&["a", "b"]),
            2 => labels(&["c"]),
            _ => Vec::new(),
        }
    }

    /// A text that was never written before, out of few words, so that questions match some of them.
    fn passage(&mut self) -> (String, String, Vec<String>) {
        self.written += 1;
        let words = ["银行", "资本", "充足率", "保险", "n3", "n7", "第三条", "准备金", "leverage"];
        let text: Vec<&str> = (0..1 + self.noise.below(12)).map(|_| words[self.noise.below(words.len())]).collect();
        let number = self.written;
        (format!("第{number}条"), format!("{}，{number}。", text.join("的")), self.labels())
    }

    fn document(&mut self) -> Knowledge {
        let passages = (0..1 + self.noise.below(6)).map(|_| self.passage()).collect();
        let day = ["2020-01-01", "2024-06-30", "2027-01-01"][self.noise.below(3)];
        Knowledge { labels: self.labels(), valid_from: Some(day.into()), passages }
    }

    fn change(&mut self, world: &mut World) {
        for _ in 0..1 + self.noise.below(4) {
            let ids: Vec<String> = world.keys().cloned().collect();
            let id = ids.get(self.noise.below(ids.len().max(1))).cloned();
            let Some(id) = id.filter(|_| self.noise.below(5) > 0) else {
                self.written += 1;
                let id = format!("d{}", self.written);
                let document = self.document();
                world.insert(id, document);
                continue;
            };
            let at = self.noise.below(8);
            let (passage, labels) = (self.passage(), self.labels());
            let document = world.get_mut(&id).unwrap();
            let at = at.min(document.passages.len());
            match self.noise.below(7) {
                0 | 1 => document.passages.insert(at, passage),
                2 if at < document.passages.len() => document.passages[at] = passage,
                3 if at < document.passages.len() => document.passages[at].2 = passage.2,
                4 if at < document.passages.len() => drop(document.passages.remove(at)),
                5 => document.labels = labels,
                6 => drop(world.remove(&id)),
                _ => document.valid_from = Some("2025-05-05".into()),
            }
        }
    }

    fn kind(&mut self) -> WithdrawalKind {
        match self.noise.below(3) {
            0 => WithdrawalKind::Superseded { valid_to: "2026-01-01".into() },
            1 => WithdrawalKind::Removed,
            // Texts are never written again, so a revocation takes nothing from a later world.
            _ => WithdrawalKind::Revoked,
        }
    }
}

/// Compares a chain with a fresh pack of the same world, for several callers and days.
fn same(chain: &Snapshot, fresh: &Snapshot, superseded: bool) {
    assert_eq!(entries(chain), entries(fresh));
    assert_eq!((chain.len(), chain.state().unwrap()), (fresh.len(), fresh.state().unwrap()));
    let ids = |snapshot: &Snapshot| -> BTreeSet<String> {
        snapshot.documents().unwrap().into_iter().map(|document| format!("{document:?}")).collect()
    };
    assert_eq!(ids(chain), ids(fresh));
    for caller in [&[][..], &["a"], &["b"], &["a", "c"], &["a", "b", "c"]] {
        let caller = labels(caller);
        let days: &[Option<&str>] =
            if superseded { &[None, Some("2026-03-01")] } else { &[None, Some("2024-07-01"), Some("2019-01-01")] };
        for &as_of in days {
            let scope = Scope { labels: &caller, as_of };
            let (ours, theirs) =
                (chain.lexical(QUESTION, 1000, &scope).unwrap(), fresh.lexical(QUESTION, 1000, &scope).unwrap());
            assert_eq!(by_id(chain, &ours), by_id(fresh, &theirs), "{scope:?}");
            let query = vector("一个问题");
            let (ours, theirs) =
                (chain.exact(&query, 1000, &scope).unwrap(), fresh.exact(&query, 1000, &scope).unwrap());
            let order = |snapshot: &Snapshot, hits: &[Hit]| -> Vec<PassageId> {
                hits.iter().map(|hit| snapshot.passage(hit.key).unwrap().id).collect()
            };
            assert_eq!(order(chain, &ours), order(fresh, &theirs), "{scope:?}");
            assert_eq!(by_id(chain, &ours), by_id(fresh, &theirs), "{scope:?}");
            assert_eq!(chain.dense(&query, 1000, &scope).unwrap(), ours);
            // Whatever is found is allowed, by what the passage itself says.
            for hit in &ours {
                let passage = chain.passage(hit.key).unwrap();
                let mut groups = passage.label_groups.iter().chain(&passage.document.label_groups);
                assert!(groups.all(|group| group.iter().any(|label| caller.contains(label))), "{scope:?}");
            }
        }
    }
}

fn run(folder: &Path, seed: u64, steps: usize, only_removed: bool) {
    let mut author = Author { noise: Noise(seed), written: 0 };
    let mut world = World::new();
    for at in 0..4 {
        let document = author.document();
        world.insert(format!("b{at}"), document);
    }
    let mut last = fresh(folder, "base", &world);
    let mut chain: Vec<Arc<Segment>> = last.members().cloned().collect();
    for step in 0..steps {
        author.change(&mut world);
        let next = fresh(folder, &format!("fresh-{step}"), &world);
        let parent = assemble(&chain.iter().collect::<Vec<_>>(), &[]);
        let path = folder.join(format!("delta-{step}"));
        let kind = || if only_removed { WithdrawalKind::Removed } else { author.kind() };
        chain.push(open(&delta(&path, &parent, (&last, &next), &world, kind)));
        same(&assemble(&chain.iter().collect::<Vec<_>>(), &[]), &next, !only_removed);
        last = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn random_chains_are_the_fresh_build(seed: u64, only_removed: bool) {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), seed, 4, only_removed);
    }
}

#[test]
fn a_graph_in_the_base_is_searched_through_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    synthetic(1500, DIMS, IndexChoice::Graph).write(&path).unwrap();
    let base = open(&path);
    let whole = assemble(&[&base], &[]);
    let all = entries(&whole);
    let withdrawals: Vec<Withdrawal> = all
        .keys()
        .filter(|id| id.0[0] % 8 == 0)
        .map(|&passage| Withdrawal { passage, kind: WithdrawalKind::Removed })
        .collect();
    let delta = open(&wrap(&folder.path().join("d"), &corpus(&World::new()), PackKind::Delta, &whole, &withdrawals));
    let snapshot = assemble(&[&base, &delta], &[]);
    assert_eq!(snapshot.len() as usize, all.len() - withdrawals.len());
    let mut equal = 0;
    for seed in 0..50 {
        let query = common::noise_vectors(1, DIMS, seed).remove(0);
        let dense = snapshot.dense(&query, 10, &today()).unwrap();
        assert_eq!(dense.len(), 10);
        let exact = snapshot.exact(&query, 10, &today()).unwrap();
        equal += dense.iter().filter(|hit| exact.contains(hit)).count();
        let gone = |hit: &Hit| snapshot.passage(hit.key).unwrap().id.0[0].is_multiple_of(8);
        assert!(!dense.iter().chain(&exact).any(gone));
    }
    // The graph passed its recall gate of 0.98 for real queries; these point nowhere in particular.
    assert!(equal >= 450, "{equal} of 500");
}

/// Packs that are small are answered from memory, and those beyond its bounds by SQLite and a scan: the first local pack
/// here is large because its vectors are long, the second is small.
#[test]
fn packs_within_and_beyond_the_bounds_of_memory_are_searched_alike() {
    const LONG: usize = 16_384;
    let folder = tempfile::tempdir().unwrap();
    let whole = synthetic(310, LONG, IndexChoice::Exact);
    let part = |name: &str, kind: PackKind, rows: std::ops::Range<usize>| {
        let mut part = whole.clone();
        part.facts.kind = kind;
        part.passages = whole.passages[rows.clone()].to_vec();
        part.vectors = whole.vectors[rows].to_vec();
        part.write(&folder.path().join(name)).unwrap();
        Arc::new(Segment::open(folder.path().join(name), &Default::default()).unwrap())
    };
    let parts = [(PackKind::Base, 0..5), (PackKind::Local, 5..300), (PackKind::Local, 300..310)];
    let [base, large, small] = parts.map(|(kind, rows)| part(&format!("{}", rows.start), kind, rows));
    assert!(large.stats().vector_bytes > 8 << 20 && small.stats().vector_bytes < 1 << 20);
    let chain = Snapshot::assemble(vec![base], vec![large, small], &BTreeSet::new()).unwrap();
    let one = part("whole", PackKind::Base, 0..310);
    let one = Snapshot::assemble(vec![one], vec![], &BTreeSet::new()).unwrap();
    for n in [3, 7, 150, 299, 300, 309] {
        let query = one.vector(n).unwrap();
        for k in [1, 10, 400] {
            let (ours, theirs) = (chain.exact(&query, k, &today()).unwrap(), one.exact(&query, k, &today()).unwrap());
            assert_eq!(by_id(&chain, &ours), by_id(&one, &theirs));
            assert_eq!(ours, chain.dense(&query, k, &today()).unwrap());
        }
        let words = format!("第{n}段 内容 n{n}");
        let (ours, theirs) =
            (chain.lexical(&words, 400, &today()).unwrap(), one.lexical(&words, 400, &today()).unwrap());
        assert_eq!(by_id(&chain, &ours), by_id(&one, &theirs));
        assert!(ours.len() > 10);
    }
}
