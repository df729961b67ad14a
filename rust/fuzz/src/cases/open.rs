//! What a reader does with a pack.

use std::path::Path;
use std::sync::Arc;

use lorekit_pack::signing::SignatureArea;
use lorekit_pack::{Pack, SectionKind, decode_withdrawals};
use lorekit_store::{Allow, Hit, OpenOptions, Result, Scope, Segment, Snapshot};

use super::trust;

/// Passages that are read one by one.
const READ: u64 = 12;
const QUESTIONS: [&str; 4] = ["商业银行", "第八十五条", "保", "basel iii"];

/// Opens a pack and does all that a reader does.
pub fn pack(path: &Path, signed: bool, options: &OpenOptions) {
    if let Ok(pack) = Pack::open_with(path, &options.pack_options()) {
        let believed = trust().check(&pack);
        assert!(believed.is_ok() || !signed, "it was signed after its mutation: {believed:?}");
    }
    match Segment::open(path, options) {
        Ok(segment) => segment_reads(&segment),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn segment_reads(segment: &Segment) {
    let n = segment.len();
    let sound = |hits: Result<Vec<Hit>>| {
        if let Ok(hits) = hits {
            assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.key < n), "hits that cannot be: {hits:?}");
        }
    };
    let odd = |key: u64| key % 2 == 1;
    for query in queries(segment.manifest().embedder.dims) {
        let filters: [Allow<'_>; 2] = [None, Some(&odd)];
        for allow in filters {
            sound(segment.dense(&query, 5, allow));
            sound(segment.exact(&query, 5, allow));
        }
    }
    for text in QUESTIONS {
        sound(segment.lexical(text, 5));
    }
    for key in (0..n).take(READ as usize).chain(n.checked_sub(1)).chain([n, u64::MAX]) {
        let _ = segment.neighbours(key);
        let _ = segment.vector(key);
        if let Ok(passage) = segment.passage(key) {
            let _ = segment.by_id(passage.id);
        }
    }
    let _ = (segment.documents(), segment.stats(), segment.withdrawals());
}

/// Some directions; the space may have any number of dimensions a manifest may name.
fn queries(dims: u32) -> [Vec<f32>; 2] {
    [1u32, 7].map(|step| (0..dims).map(|i| (i.wrapping_mul(step) % 17) as f32 - 8.0).collect())
}

/// Opens a delta on a sound base: what it withdraws, and what comes of it.
pub fn delta(path: &Path, base: &Arc<Segment>) {
    let Ok(pack) = Pack::open_verified(path) else { return };
    trust().check(&pack).unwrap();
    let _ = decode_withdrawals(path, pack.section(SectionKind::Withdrawals).unwrap_or_default());
    let Ok(segment) = Segment::from_pack(pack.into(), &OpenOptions::default()) else { return };
    let chain = vec![Arc::clone(base), Arc::new(segment)];
    if let Ok(snapshot) = Snapshot::assemble(chain, Vec::new(), &Default::default()) {
        snapshot_reads(&snapshot);
    }
}

/// Searches and reads a snapshot.
pub fn snapshot_reads(snapshot: &Snapshot) {
    let labels = ["staff".to_owned()];
    for scope in [Scope::default(), Scope { labels: &labels, as_of: Some("2025-06-01") }] {
        let mut hits = Vec::new();
        for query in queries(snapshot.manifest().embedder.dims) {
            hits.extend(snapshot.dense(&query, 5, &scope).unwrap_or_default());
            hits.extend(snapshot.exact(&query, 5, &scope).unwrap_or_default());
        }
        hits.extend(QUESTIONS.into_iter().flat_map(|text| snapshot.lexical(text, 5, &scope).unwrap_or_default()));
        for hit in hits {
            assert!(hit.score.is_finite());
            assert!(snapshot.allows(hit.key, &scope), "a passage that is not for this caller was found");
            let _ = (snapshot.passage(hit.key), snapshot.neighbours(hit.key), snapshot.vector(hit.key));
        }
    }
    let _ = (snapshot.documents(), snapshot.state(), snapshot.document_count());
}

/// Checks a signature area. No key but ours can sign, so what is believed is what we signed, written in the one way there is.
pub fn signatures(path: &Path, plain: &[u8]) {
    let pack = Pack::open(path).unwrap();
    let Ok(verified) = trust().check(&pack) else { return };
    let area = pack.signature_area().unwrap();
    let decoded = SignatureArea::decode(path, area).unwrap();
    assert_eq!(decoded.encode(path).unwrap(), area, "two ways to write an area are believed");
    let ours = decoded.signatures.iter().find(|signature| Some(signature.key) == verified.signer).unwrap();
    let hex = serde_json::to_vec(ours).unwrap();
    assert!(plain.windows(hex.len()).any(|window| window == hex), "a signature is believed that nobody made");
}
