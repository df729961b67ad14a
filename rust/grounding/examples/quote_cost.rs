//! What it costs to ask which tokens may come next inside a quote.
//!
//! `cargo run -p lorekit-grounding --example quote_cost [MODEL.gguf]`
//! Three passages of 600 Han characters, quotes decoded along every legal start with the longest and with random tokens.
//! Without a model file the vocabulary is 151,000 pieces cut from such text; with one it is that file's (byte-level BPE).

#![allow(clippy::print_stdout)] // the table is what this example is for
#![allow(clippy::unwrap_used)] // an example may end with the first error

use std::collections::BTreeSet;
use std::time::Instant;

use lorekit_grounding::{Boundary, CopyIndex, QuoteRules, TokenSet, Vocabulary};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Han characters as a law has them: a few are frequent, with a comma after about 12 and a full stop after about 40.
fn passage(random: &mut Random, n_han: usize) -> String {
    let mut text = String::new();
    for n in 1..=n_han {
        let rank = (0..3).fold(2_500, |bound, _| 1 + random.below(bound));
        text.push(char::from_u32(0x4E00 + (rank as u32 * 7) % 20_000).unwrap());
        text.push_str(match n {
            _ if n % 40 == 0 => "。",
            _ if n % 12 == 0 => "，",
            _ => "",
        });
    }
    text
}

fn synthetic(random: &mut Random) -> Vec<Vec<u8>> {
    let text = passage(random, 400_000);
    let mut tokens: BTreeSet<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    while tokens.len() < 151_000 {
        let piece = match random.below(10) {
            // Latin words, and pieces that end inside a Han character, as byte-level BPE has them.
            0..5 => (0..2 + random.below(9)).map(|_| b"etaoinshrdlu cmfwyp"[random.below(19)]).collect(),
            5 => text.as_bytes()[random.below(text.len() - 8)..][..2].to_vec(),
            _ => {
                let at = random.below(text.len() / 3 - 16) * 3;
                text.as_bytes()[at..at + 3 * (1 + random.below(4))].to_vec()
            }
        };
        tokens.insert(piece);
    }
    tokens.into_iter().collect()
}

fn main() {
    let mut random = Random(1);
    let tokens = match std::env::args().nth(1) {
        Some(path) => gguf::tokens(&std::fs::read(path).unwrap()),
        None => synthetic(&mut random),
    };
    let started = Instant::now();
    let vocabulary = Vocabulary::new(tokens.iter().enumerate().map(|(id, bytes)| (id as u32, bytes)));
    println!(
        "vocabulary: {} tokens, trie {:.1} MB, built in {:.0} ms",
        vocabulary.n_tokens(),
        vocabulary.n_bytes() as f64 / 1e6,
        started.elapsed().as_secs_f64() * 1e3
    );
    let passages: Vec<String> = (0..3).map(|_| passage(&mut random, 600)).collect();
    let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
    for boundary in [Boundary::Word, Boundary::Clause, Boundary::Sentence] {
        let rules = QuoteRules { boundary, ..QuoteRules::default() };
        let started = Instant::now();
        let index = CopyIndex::quotes(&texts, &rules, &vocabulary);
        let build = started.elapsed().as_secs_f64() * 1e6;
        let (mut first, mut later) = (Cost::default(), Cost::default());
        let mut allowed = TokenSet::with_capacity(tokens.len());
        for round in 0..400 {
            let mut state = index.start();
            loop {
                let started = Instant::now();
                allowed.clear();
                index.allowed(state, &vocabulary, &mut allowed);
                let close = index.may_close(state);
                let cost = if state.n_bytes() == 0 { &mut first } else { &mut later };
                cost.took.push(started.elapsed().as_secs_f64() * 1e6);
                cost.tokens += allowed.len();
                let choices: Vec<u32> = allowed.iter().collect();
                if choices.is_empty() || close && random.below(4) == 0 {
                    break;
                }
                let longest = choices.iter().max_by_key(|id| tokens[**id as usize].len());
                let token = if round % 2 == 0 { *longest.unwrap() } else { choices[random.below(choices.len())] };
                state = index.accept(state, &tokens[token as usize]).unwrap();
            }
        }
        println!("{boundary:?}: built in {build:.0} us; first step {first}; later steps {later}");
    }
}

#[derive(Default)]
struct Cost {
    took: Vec<f64>,
    tokens: usize,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut took = self.took.clone();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        let tokens = self.tokens as f64 / took.len() as f64;
        write!(
            f,
            "{:.1} us median, {:.1} us p90 ({:.2} % of 20 ms), {tokens:.0} tokens",
            at(0.5),
            at(0.9),
            at(0.9) / 200.0
        )
    }
}

/// As much of the GGUF format (version 3) as it takes to read a byte-level vocabulary.
mod gguf {
    /// The bytes of every ordinary token; control tokens have none.
    pub fn tokens(file: &[u8]) -> Vec<Vec<u8>> {
        let mut at = 16;
        let n_entries = number(file, &mut at, 8);
        let (mut tokens, mut types) = (Vec::new(), Vec::new());
        for _ in 0..n_entries {
            let key = text(file, &mut at);
            let kind = number(file, &mut at, 4);
            match &*String::from_utf8_lossy(&key) {
                "tokenizer.ggml.tokens" => {
                    number(file, &mut at, 4);
                    tokens = (0..number(file, &mut at, 8)).map(|_| text(file, &mut at)).collect();
                }
                "tokenizer.ggml.token_type" => {
                    number(file, &mut at, 4);
                    types = (0..number(file, &mut at, 8)).map(|_| number(file, &mut at, 4)).collect();
                }
                _ => skip(file, &mut at, kind),
            }
        }
        let ordinary = |id: usize| types.get(id).is_none_or(|kind| *kind == 1);
        tokens.iter().enumerate().map(|(id, t)| if ordinary(id) { bytes(t) } else { Vec::new() }).collect()
    }

    fn number(file: &[u8], at: &mut usize, len: usize) -> u64 {
        *at += len;
        file[*at - len..*at].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }

    fn text(file: &[u8], at: &mut usize) -> Vec<u8> {
        let len = number(file, at, 8) as usize;
        *at += len;
        file[*at - len..*at].to_vec()
    }

    fn skip(file: &[u8], at: &mut usize, kind: u64) {
        match kind {
            0 | 1 | 7 => *at += 1,
            2 | 3 => *at += 2,
            4..=6 => *at += 4,
            10..=12 => *at += 8,
            8 => drop(text(file, at)),
            9 => {
                let of = number(file, at, 4);
                (0..number(file, at, 8)).for_each(|_| skip(file, at, of));
            }
            other => panic!("value type {other} is not GGUF"),
        }
    }

    /// Byte-level BPE writes each byte as a printable character: those that are printable as themselves, the others in
    /// order from U+0100 on. Source: Radford et al. 2019, the GPT-2 encoder.
    fn bytes(token: &[u8]) -> Vec<u8> {
        let printable = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let others: Vec<u8> = (0..=255).filter(|byte| !printable(*byte)).collect();
        let of = |c: char| match c as u32 {
            code @ 0x100.. => others.get(code as usize - 0x100).copied(),
            code => Some(code as u8),
        };
        String::from_utf8_lossy(token).chars().filter_map(of).collect()
    }
}
