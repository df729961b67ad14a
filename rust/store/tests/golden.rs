//! Packs as released are searched as they were on the day of their release.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use lorekit_store::{Error, OpenOptions, Segment, Snapshot};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pack/tests/data").join(name)
}

#[test]
fn a_base_of_version_1_answers_as_it_did() {
    let library = Segment::open(data("v1/base.lorepack"), &OpenOptions::default()).unwrap();
    assert_eq!(library.len(), 40);
    let passage = library.passage(4).unwrap();
    assert_eq!(passage.id.to_string(), "096428fbbfeaafa3440336e4db1a02cd");
    assert_eq!(passage.text, "本法所称保险，是指投保人根据合同约定，向保险人支付保险费。Basel III 要求 8% 以上。");
    assert_eq!(passage.label_groups, [vec!["audit", "staff"], vec!["legal"]]);
    assert_eq!((passage.page, passage.source.start, passage.article.as_deref()), (Some(12), 100, Some("第二条")));
    assert_eq!(passage.valid_to.as_deref(), Some("2030-12-31"));
    assert_eq!(passage.document.title, "保险法");

    let query: Vec<f32> = (0..8).map(|i| 1.0 / (i as f32 + 1.0)).collect();
    let keys = |hits: Vec<lorekit_store::Hit>| hits.iter().map(|hit| hit.key).collect::<Vec<_>>();
    let dense = library.dense(&query, 5, None).unwrap();
    // The query is scaled and summed in f32: equal to six digits on each processor.
    assert!((dense[0].score - 0.468_032).abs() < 1e-5);
    assert_eq!(keys(dense), [31, 7, 19, 35, 2]);
    assert_eq!(keys(library.exact(&query, 5, None).unwrap()), [31, 7, 19, 35, 2]);
    assert_eq!(keys(library.lexical("商业银行第八十五条", 5).unwrap()), [2, 0, 1]);
}

#[test]
fn a_delta_alone_is_no_library() {
    let error = Snapshot::open_pack(data("v1/delta.lorepack"), &OpenOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { feature: "a delta without its base", .. }));
}
