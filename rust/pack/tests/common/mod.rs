//! A second, independent writer of the format, which writes whatever it is told, with hashes that match.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use lorekit_pack::{
    ContentHash, Counts, EmbedderInfo, IndexInfo, IndexKind, LexicalInfo, Manifest, Metric, PackKind, PackWriter,
    Pooling, RetrievalInfo, Scalar, SectionKind, SplitterInfo, StateHash,
};
use serde_json::{Value, json};

pub const PAGE: usize = 16 * 1024;

pub fn manifest() -> Manifest {
    Manifest {
        format_version: 1,
        requires: Vec::new(),
        pack_id: "test.pack".into(),
        version: 7,
        kind: PackKind::Base,
        parent: None,
        state: StateHash([3; 32]),
        title: "测试".into(),
        languages: vec!["zh".into()],
        licence: "CC0-1.0".into(),
        counts: Counts { documents: 1, passages: 2, tokens: 30 },
        skipped_documents: 0,
        build_tool: "tests".into(),
        embedder: EmbedderInfo {
            weights: "00".into(),
            architecture: "bert".into(),
            dims: 4,
            pooling: Pooling::Mean,
            normalized: true,
            query_prefix: String::new(),
            document_prefix: String::new(),
            max_tokens: 256,
            metric: Metric::Cosine,
            scalar: Scalar::F16,
        },
        splitter: SplitterInfo { max_tokens: 256, overlap_tokens: 32, version: 1 },
        lexical: LexicalInfo { version: 1 },
        index: IndexInfo {
            kind: IndexKind::Exact,
            connectivity: 0,
            expansion_add: 0,
            expansion_search: 0,
            recall_at_10: None,
            recall_sample: 0,
        },
        retrieval: RetrievalInfo { dense_weight: 0.5, lexical_weight: 0.5, floor: None },
        calibration: None,
        expires: None,
        sealing: None,
        sections: Vec::new(),
    }
}

/// A pack with two sections of known bytes.
pub fn write_sample(path: &Path) {
    let mut writer = PackWriter::create(path).unwrap();
    writer.section_from_bytes(SectionKind::Passages, &sample_section(1)).unwrap();
    writer.section_from_bytes(SectionKind::Vectors, &sample_section(2)).unwrap();
    writer.finish(manifest()).unwrap();
}

pub fn sample_section(seed: usize) -> Vec<u8> {
    (0..5000 + seed * 3000).map(|i| (i * (seed + 6) % 251) as u8).collect()
}

/// One section as a hostile writer describes it.
#[derive(Clone)]
pub struct Part {
    pub kind: u32,
    pub name: String,
    pub required: bool,
    pub offset: u64,
    pub length: u64,
    pub hash: ContentHash,
}

/// A pack to be put together by hand: header and table follow from the fields unless told otherwise.
pub struct Forgery {
    pub version: u32,
    pub parts: Vec<Part>,
    /// Bytes from 0 to the manifest; the header is written over the first 128.
    pub body: Vec<u8>,
    /// The manifest without `sections`.
    pub manifest: Value,
    /// Bytes to stand in the manifest's place instead.
    pub manifest_bytes: Option<Vec<u8>>,
    /// Changes the header's fields before its checksum is taken: sections, file, manifest offset and length, table,
    /// signature.
    pub header: fn(&mut [u64; 6]),
    /// Parts of the table, where they shall differ from the manifest's.
    pub table: Option<Vec<Part>>,
    pub flags: u32,
}

impl Forgery {
    pub fn new() -> Self {
        let sections = [sample_section(1), sample_section(2)];
        let kinds = [(1, "passages"), (2, "vectors")];
        let mut body = vec![0; PAGE];
        let mut parts = Vec::new();
        for (bytes, (kind, name)) in sections.iter().zip(kinds) {
            body.resize(body.len().next_multiple_of(PAGE), 0);
            parts.push(Part {
                kind,
                name: name.into(),
                required: true,
                offset: body.len() as u64,
                length: bytes.len() as u64,
                hash: ContentHash::of(bytes),
            });
            body.extend(bytes);
        }
        let mut manifest = serde_json::to_value(manifest()).unwrap();
        manifest.as_object_mut().unwrap().remove("sections");
        Self { version: 1, parts, body, manifest, manifest_bytes: None, header: |_| {}, table: None, flags: 0 }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.body.clone();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let mut manifest = self.manifest.clone();
        let entry = |part: &Part| {
            json!({
                "kind": part.kind, "name": part.name, "required": part.required, "offset": part.offset,
                "length": part.length, "blake3": part.hash,
            })
        };
        manifest["sections"] = self.parts.iter().map(entry).collect();
        let json = self.manifest_bytes.clone().unwrap_or_else(|| serde_json::to_vec(&manifest).unwrap());
        let manifest_offset = bytes.len() as u64;
        bytes.extend(&json);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let table_offset = bytes.len() as u64;
        let table = self.table.as_ref().unwrap_or(&self.parts);
        for part in table {
            bytes.extend(part.kind.to_le_bytes());
            bytes.extend((u32::from(part.required) | self.flags).to_le_bytes());
            bytes.extend(part.offset.to_le_bytes());
            bytes.extend(part.length.to_le_bytes());
            bytes.extend([0; 8]);
            bytes.extend(part.hash.0);
        }
        let signature_offset = bytes.len() as u64;
        bytes.extend(vec![0; PAGE]);
        let file_bytes = bytes.len() as u64 + 32;
        let mut fields =
            [table.len() as u64, file_bytes, manifest_offset, json.len() as u64, table_offset, signature_offset];
        (self.header)(&mut fields);
        let mut header = b"LOREPACK".to_vec();
        header.extend(self.version.to_le_bytes());
        header.extend((fields[0] as u32).to_le_bytes());
        fields[1..].iter().for_each(|field| header.extend(field.to_le_bytes()));
        header.extend([0; 8]);
        header.extend(ContentHash::of(&json).0);
        let checksum = ContentHash::of(&header);
        header.extend(checksum.0);
        bytes.extend(file_bytes.to_le_bytes());
        bytes.extend(&checksum.0[..16]);
        bytes.extend(b"KCAPEROL");
        bytes[..128].copy_from_slice(&header);
        bytes
    }

    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("forged.lorepack");
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }
}
