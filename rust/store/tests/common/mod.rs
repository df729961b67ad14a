//! Small corpora with known content, for all tests of this crate.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod chain;
pub mod shelf;

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_store::{
    BuildInput, BuildReport, EmbedderInfo, IndexChoice, Metric, NewDocument, NewPassage, PackFacts, PackKind, Pooling,
    Result, RetrievalInfo, Scalar, SplitterInfo, write_pack,
};

/// Everything a build needs, owned.
#[derive(Clone)]
pub struct Corpus {
    pub documents: Vec<NewDocument>,
    pub passages: Vec<NewPassage>,
    pub vectors: Vec<Vec<f32>>,
    pub facts: PackFacts,
    pub index: IndexChoice,
}

impl Corpus {
    pub fn write(&self, path: &Path) -> Result<BuildReport> {
        write_pack(path, &self.input(), &mut |_| {}, &CancelToken::new())
    }

    pub fn input(&self) -> BuildInput<'_> {
        BuildInput {
            documents: &self.documents,
            passages: &self.passages,
            vectors: &self.vectors,
            held_out_queries: &[],
            facts: &self.facts,
            index: self.index,
        }
    }
}

pub fn facts(dims: usize) -> PackFacts {
    PackFacts {
        pack_id: "test.pack".into(),
        version: 1,
        kind: PackKind::Base,
        parent: None,
        title: "测试".into(),
        languages: Vec::new(),
        licence: "CC0-1.0".into(),
        embedder: EmbedderInfo {
            weights: "test".into(),
            architecture: "none".into(),
            dims: dims as u32,
            pooling: Pooling::Mean,
            normalized: true,
            query_prefix: String::new(),
            document_prefix: String::new(),
            max_tokens: 256,
            metric: Metric::Cosine,
            scalar: Scalar::F16,
        },
        splitter: SplitterInfo { max_tokens: 256, overlap_tokens: 0, version: 1 },
        skipped_documents: 0,
        build_tool: "tests".into(),
        retrieval: RetrievalInfo { dense_weight: 0.5, lexical_weight: 0.5, floor: None },
        calibration: None,
        expires: None,
    }
}

pub fn document(id: &str, title: &str) -> NewDocument {
    NewDocument {
        id: id.into(),
        path: format!("{id}.md"),
        title: title.into(),
        version: Some("2024".into()),
        language: "zh".into(),
        valid_from: Some("2024-01-01".into()),
        valid_to: None,
        labels: Vec::new(),
        source_hash: [7; 32],
        format: "markdown".into(),
    }
}

pub fn passage(document: usize, id: &str, article: &str, text: &str, at: u64) -> NewPassage {
    NewPassage {
        document,
        text: text.into(),
        title_path: vec!["第一章 总则".into()],
        article: Some(article.into()),
        place: format!("{id}#{article}"),
        source: at..at + text.len() as u64,
        page: None,
        tokens: text.chars().count() as u32,
        labels: Vec::new(),
    }
}

/// Two small laws with texts that tests know.
pub fn laws(dims: usize) -> Corpus {
    let documents = vec![document("bank", "商业银行法"), document("insure", "保险法")];
    let texts = [
        (0, "bank", "第一条", "为了保护商业银行、存款人和其他客户的合法权益，制定本法。"),
        (0, "bank", "第二条", "本法所称的商业银行是指依照本法设立的吸收公众存款的企业法人。"),
        (0, "bank", "第八十五条", "商业银行工作人员利用职务上的便利，贪污、挪用资金的，给予纪律处分。"),
        (1, "insure", "第一条", "为了规范保险活动，保护保险活动当事人的合法权益，制定本法。"),
        (1, "insure", "第二条", "本法所称保险，是指投保人根据合同约定，向保险人支付保险费。Basel III 要求 8% 以上。"),
    ];
    let passages: Vec<_> = texts.iter().map(|(d, id, article, text)| passage(*d, id, article, text, 100)).collect();
    let vectors = noise_vectors(passages.len(), dims, 3);
    Corpus { documents, passages, vectors, facts: facts(dims), index: IndexChoice::Auto }
}

/// `count` passages over documents of fifty, with vectors in clusters.
pub fn synthetic(count: usize, dims: usize, index: IndexChoice) -> Corpus {
    let n_documents = count.div_ceil(50).max(1);
    let documents: Vec<_> = (0..n_documents).map(|i| document(&format!("d{i}"), &format!("文件{i}"))).collect();
    let passages = (0..count)
        .map(|i| {
            let text =
                format!("第{i}段 编号 n{i} 内容{}", (0..20).map(|j| char_of(i * 31 + j * 7)).collect::<String>());
            passage(i / 50, &format!("d{}", i / 50), &format!("第{}条", i % 50 + 1), &text, (i * 100) as u64)
        })
        .collect();
    let vectors = clustered_vectors(count, dims, 40, 11);
    Corpus { documents, passages, vectors, facts: facts(dims), index }
}

fn char_of(i: usize) -> char {
    char::from_u32(0x4e00 + (i * 2_654_435_761 % 3000) as u32).unwrap()
}

/// SplitMix64, uniform in -1..1.
pub struct Noise(pub u64);

impl Noise {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }
}

pub fn noise_vectors(count: usize, dims: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut noise = Noise(seed);
    (0..count).map(|_| (0..dims).map(|_| noise.unit()).collect()).collect()
}

pub fn clustered_vectors(count: usize, dims: usize, clusters: usize, seed: u64) -> Vec<Vec<f32>> {
    let centres = noise_vectors(clusters, dims, seed);
    let mut noise = Noise(seed + 1);
    (0..count)
        .map(|_| {
            let centre = &centres[noise.below(clusters)];
            centre.iter().map(|x| x + 0.5 * noise.unit()).collect()
        })
        .collect()
}

/// A pack taken apart, to be changed and put together again with hashes that match.
#[derive(Clone)]
pub struct Parts {
    pub manifest: lorekit_pack::Manifest,
    pub passages: Vec<u8>,
    pub vectors: Vec<u8>,
}

impl Parts {
    pub fn of(corpus: &Corpus) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lorepack");
        corpus.write(&path).unwrap();
        let pack = lorekit_pack::Pack::open(&path).unwrap();
        let section = |kind| pack.section(kind).unwrap().to_vec();
        Self {
            manifest: pack.manifest().clone(),
            passages: section(lorekit_pack::SectionKind::Passages),
            vectors: section(lorekit_pack::SectionKind::Vectors),
        }
    }

    pub fn write(&self, path: &Path) {
        let mut writer = lorekit_pack::PackWriter::create(path).unwrap();
        writer.section_from_bytes(lorekit_pack::SectionKind::Passages, &self.passages).unwrap();
        writer.section_from_bytes(lorekit_pack::SectionKind::Vectors, &self.vectors).unwrap();
        writer.finish(self.manifest.clone()).unwrap();
    }
}
