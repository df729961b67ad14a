//! The first case of each outcome of a part, kept from run to run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// More kinds of outcome than a part has; keeps a message with something random in it from filling the disk.
const MOST: usize = 500;

/// Outcomes of one part by the text that tells them apart.
pub struct Corpus {
    file: PathBuf,
    outcomes: BTreeMap<String, u64>,
}

impl Corpus {
    /// Reads what earlier runs kept: a line for each outcome, its case first.
    pub fn read(part: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{part}.txt"));
        let text = fs::read_to_string(&file).unwrap_or_default();
        let line = |line: &str| {
            let (case, outcome) = line.split_once(' ')?;
            Some((outcome.to_owned(), case.parse().ok()?))
        };
        Self { file, outcomes: text.lines().filter_map(line).collect() }
    }

    /// The cases, in the order of their outcomes.
    pub fn cases(&self) -> Vec<u64> {
        self.outcomes.values().copied().collect()
    }

    /// Keeps a case if its outcome is new. Numbers and hashes do not make an outcome new.
    pub fn add(&mut self, case: u64, outcome: &str, folder: &Path) {
        let outcome = outcome.replace(&folder.display().to_string(), "");
        let mut kind = String::new();
        for word in outcome.split_whitespace() {
            let number = word.chars().any(|c| c.is_ascii_digit() || !c.is_ascii());
            if !kind.is_empty() {
                kind.push(' ');
            }
            kind.push_str(if number { "#" } else { word });
        }
        if self.outcomes.len() < MOST {
            self.outcomes.entry(kind).or_insert(case);
        }
    }

    /// Writes them back.
    pub fn write(&self) {
        let text: String = self.outcomes.iter().map(|(outcome, case)| format!("{case} {outcome}\n")).collect();
        let folder = self.file.parent().expect("it has a folder");
        fs::create_dir_all(folder).and_then(|()| fs::write(&self.file, text)).expect("the corpus can be written");
    }
}
