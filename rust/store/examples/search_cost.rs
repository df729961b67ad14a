//! What building, opening and searching cost at a size given on the command line.
//!
//! `cargo run -p lorekit-store --example search_cost -- 10000 768`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_pack::{ChunkCache, SealKey};
use lorekit_store::{
    BuildInput, EmbedderInfo, IndexChoice, Metric, NewDocument, NewPassage, OpenOptions, PackFacts, PackKind, Pooling,
    RetrievalInfo, Scalar, Segment, SplitterInfo, write_pack,
};

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let (count, dims) = (numbers.first().copied().unwrap_or(10_000), numbers.get(1).copied().unwrap_or(768));
    let mut random = Random(1);
    let documents = vec![NewDocument {
        id: "d".into(),
        path: "d.md".into(),
        title: "文件".into(),
        version: None,
        language: "zh".into(),
        valid_from: None,
        valid_to: None,
        labels: Vec::new(),
        source_hash: [0; 32],
        format: "markdown".into(),
    }];
    // 300 characters a passage, frequencies falling as in text: the n-th character about 1/n as often as the first.
    let mut text = || -> String {
        (0..300).map(|_| char::from_u32(0x4e00 + (3000f32.powf(random.unit()) as u32)).unwrap()).collect()
    };
    let passages: Vec<_> = (0..count)
        .map(|i| NewPassage {
            document: 0,
            text: text(),
            title_path: vec!["章".into()],
            article: Some(format!("第{i}条")),
            place: format!("d#{i}"),
            source: 0..1,
            page: None,
            tokens: 300,
            labels: Vec::new(),
        })
        .collect();
    let question: String = text().chars().take(20).collect();
    let mut vector = |centre: Option<&Vec<f32>>| -> Vec<f32> {
        (0..dims).map(|i| centre.map_or(0.0, |c| c[i]) + random.unit() - 0.5).collect()
    };
    let centres: Vec<_> = (0..200).map(|_| vector(None)).collect();
    let vectors: Vec<_> = (0..count).map(|i| vector(Some(&centres[i * 7919 % 200]))).collect();
    let queries: Vec<_> = (0..200).map(|i| vector(Some(&centres[i]))).collect();
    let facts = PackFacts {
        pack_id: "cost".into(),
        version: 1,
        kind: PackKind::Base,
        parent: None,
        title: "cost".into(),
        languages: Vec::new(),
        licence: "CC0-1.0".into(),
        embedder: EmbedderInfo {
            weights: "none".into(),
            architecture: "none".into(),
            dims: dims as u32,
            pooling: Pooling::Mean,
            normalized: true,
            query_prefix: String::new(),
            document_prefix: String::new(),
            max_tokens: 512,
            metric: Metric::Cosine,
            scalar: Scalar::F16,
        },
        splitter: SplitterInfo { max_tokens: 512, overlap_tokens: 0, version: 1 },
        skipped_documents: 0,
        build_tool: "search_cost".into(),
        retrieval: RetrievalInfo { dense_weight: 0.5, lexical_weight: 0.5, floor: None },
        calibration: None,
        expires: None,
    };
    let folder = std::env::temp_dir().join(format!("lorekit-search-cost-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("cost.lorepack");
    let input = BuildInput {
        documents: &documents,
        passages: &passages,
        vectors: &vectors,
        held_out_queries: &[],
        facts: &facts,
        index: IndexChoice::Auto,
    };
    let start = Instant::now();
    let mut stages = Vec::new();
    let report = write_pack(
        &path,
        &input,
        &mut |progress| {
            if progress.done == 0 {
                stages.push((progress.stage, start.elapsed()));
            }
        },
        &CancelToken::new(),
    )
    .unwrap();
    println!("build: {:.2?}, stages begin at {stages:.2?}", start.elapsed());
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "file: {:.1} MB (text {:.1}, vectors {:.1}); {:?}",
        megabytes(report.file_bytes),
        megabytes(report.text_bytes),
        megabytes(report.vector_bytes),
        report.manifest.index,
    );
    for verify_hashes in [true, false] {
        let start = Instant::now();
        Segment::open(&path, &OpenOptions { verify_hashes, ..OpenOptions::default() }).unwrap();
        println!("open, hashes {verify_hashes}: {:.2?}", start.elapsed());
    }
    let library = Segment::open(&path, &OpenOptions::default()).unwrap();
    let time = |name: &str, run: &dyn Fn(usize)| {
        run(0);
        let mut times: Vec<_> = (0..50)
            .map(|i| {
                let start = Instant::now();
                run(i);
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{name}: best {:.2?}, median {:.2?}, worst {:.2?}", times[0], times[25], times[49]);
    };
    let keep = |n: u64| move |key: u64| key.is_multiple_of(n);
    time("dense", &|i| drop(library.dense(&queries[i], 10, None).unwrap()));
    time("dense, one in 2 allowed", &|i| drop(library.dense(&queries[i], 10, Some(&keep(2))).unwrap()));
    time("dense, one in 10 allowed", &|i| drop(library.dense(&queries[i], 10, Some(&keep(10))).unwrap()));
    time("dense, one in 100 allowed", &|i| drop(library.dense(&queries[i], 10, Some(&keep(100))).unwrap()));
    time("exact", &|i| drop(library.exact(&queries[i], 10, None).unwrap()));
    time("lexical, 20 characters", &|_| drop(library.lexical(&question, 10).unwrap()));
    time("passage", &|i| drop(library.passage(i as u64).unwrap()));
    let (sealed, key) = (folder.join("sealed.lorepack"), SealKey::new([7; 32]));
    let out = std::fs::File::create(&sealed).unwrap();
    let plain = std::fs::File::open(&path).unwrap();
    lorekit_seal::seal_to(plain, report.file_bytes, out, &key, &CancelToken::new()).unwrap();
    for budget in [8 << 20, 32 << 20] {
        let start = Instant::now();
        let cache = Some(ChunkCache::new(budget));
        let options = OpenOptions { key: Some(key.clone()), cache, ..OpenOptions::default() };
        let library = Segment::open(&sealed, &options).unwrap();
        println!("sealed, cache of {} MiB: open {:.2?}", budget >> 20, start.elapsed());
        time("exact", &|i| drop(library.exact(&queries[i], 10, None).unwrap()));
        time("lexical, 20 characters", &|_| drop(library.lexical(&question, 10).unwrap()));
        time("passage", &|i| drop(library.passage(i as u64).unwrap()));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}
