//! Ten thousand decodes by models that want to write something else: what comes out is always a legal quote under a
//! label of the prompt. The quote is judged by a reading of its own, not by the index that made it.

use lorekit_grounding::{Boundary, CopyIndex, CopyState, QuoteRules, TokenSet, Vocabulary, is_han};

const DECODES: u64 = 10_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What a model prefers among the tokens that are allowed.
#[derive(Clone, Copy, Debug)]
enum Model {
    Random,
    /// The token behind which the fewest places agree: it parts from the likely text as soon as it can.
    Diverging,
    /// The fewest bytes, so that characters and words are cut wherever they can be.
    Cutting,
    /// The most bytes, over ends and sentences.
    Running,
    /// Whatever it is, the largest id: tokens that a tokenizer would not have chosen here.
    Foreign,
}

const MODELS: [Model; 5] = [Model::Random, Model::Diverging, Model::Cutting, Model::Running, Model::Foreign];

struct Table {
    tokens: Vec<Vec<u8>>,
    vocabulary: Vocabulary,
}

/// All bytes, and pieces cut from the texts anywhere, also inside characters, some with a letter that does not follow.
fn table(texts: &[String], random: &mut Random) -> Table {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for _ in 0..400 {
        let bytes = texts[random.below(texts.len())].as_bytes();
        let at = random.below(bytes.len());
        let mut piece = bytes[at..(at + 1 + random.below(12)).min(bytes.len())].to_vec();
        if random.below(4) == 0 {
            piece.push(b"xyz\xE7"[random.below(4)]);
        }
        tokens.push(piece);
    }
    let vocabulary = Vocabulary::new(tokens.iter().enumerate().map(|(id, bytes)| (id as u32, bytes)));
    Table { tokens, vocabulary }
}

fn passage(random: &mut Random) -> String {
    const PIECES: [&str; 26] = [
        "银行应当在十五日内答复申请人",
        "不得收取任何费用",
        "年利率为3.5%",
        "罚款1,000元以上",
        "依照前款规定处理",
        "甲",
        "（一）",
        "the borrower shall pay",
        "a fee of $3.50 per day",
        "card-holder's statement",
        "no later than 30 days",
        " ",
        "“罚息”",
        "《保险法》第五条",
        "e\u{301}te\u{301}",
        "👨‍👩‍👧",
        "ETF基金",
        "。",
        "。",
        "，",
        "；",
        ". ",
        ", ",
        "：\n",
        "\n",
        "\u{0}\u{FEFF}",
    ];
    (0..3 + random.below(30)).map(|_| PIECES[random.below(PIECES.len())]).collect()
}

/// Decodes to the end as the model prefers; `None` when nothing can be copied at all.
fn decode(index: &CopyIndex, table: &Table, model: Model, random: &mut Random) -> Option<(Vec<u8>, CopyState)> {
    if index.is_empty() {
        return None;
    }
    let (mut state, mut written) = (index.start(), Vec::new());
    let mut allowed = TokenSet::with_capacity(table.tokens.len());
    loop {
        allowed.clear();
        index.allowed(state, &table.vocabulary, &mut allowed);
        if index.may_close(state) && (allowed.is_empty() || random.below(8) == 0) {
            return Some((written, state));
        }
        let choices: Vec<u32> = allowed.iter().collect();
        assert!(!choices.is_empty(), "a dead end behind {:?}", String::from_utf8_lossy(&written));
        let bytes = |token: &u32| &table.tokens[*token as usize];
        let agree = |token: &u32| {
            let mut followers = 0;
            let next = index.accept(state, bytes(token)).expect("an allowed token is accepted");
            index.visit(next, &table.vocabulary, &mut |_| followers += 1);
            followers
        };
        let token = match model {
            Model::Random => choices[random.below(choices.len())],
            Model::Diverging => *choices.iter().min_by_key(|token| agree(token)).expect("there is a choice"),
            Model::Cutting => *choices.iter().min_by_key(|token| bytes(token).len()).expect("there is a choice"),
            Model::Running => *choices.iter().max_by_key(|token| bytes(token).len()).expect("there is a choice"),
            Model::Foreign => choices[choices.len() - 1],
        };
        written.extend_from_slice(bytes(&token));
        state = index.accept(state, bytes(&token)).expect("an allowed token is accepted");
    }
}

/// A plain reading of what a quote is, apart from the count of sentences.
fn assert_quote(quote: &str, passage: &str, at: usize) {
    assert_eq!(&passage[at..at + quote.len()], quote);
    let (han, words) = (
        quote.chars().filter(|c| is_han(*c)).count(),
        quote.split_whitespace().filter(|w| w.chars().any(|c| c.is_alphanumeric() && !is_han(c))).count(),
    );
    assert!(han >= 8 || words >= 5, "too short: {quote:?}");
    let latin = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_han(c));
    let (before, after) = (&passage[..at], &passage[at + quote.len()..]);
    assert!(!(latin(before.chars().next_back()) && latin(quote.chars().next())), "begins inside a word: {quote:?}");
    assert!(!(latin(quote.chars().next_back()) && latin(after.chars().next())), "ends inside a word: {quote:?}");
    let says = |text: &str| text.chars().any(|c| c.is_alphanumeric() || is_han(c));
    assert!(says(before) || says(after), "the whole passage: {quote:?}");
    assert!(quote.matches('。').count() <= 2 && quote.matches('\n').count() <= 12, "too many sentences: {quote:?}");
}

#[test]
fn ten_thousand_decodes_by_adverse_models_give_legal_quotes_and_labels_only() {
    let mut random = Random(20);
    let (mut quotes, mut barren) = (0, 0);
    for n in 0..DECODES {
        // A new prompt every tenth time: building the table is most of the work.
        let prompt = Random(n / 10).next();
        let mut prompt = Random(prompt);
        let passages: Vec<String> = (0..1 + prompt.below(4)).map(|_| passage(&mut prompt)).collect();
        let labels: Vec<String> =
            (0..passages.len()).map(|i| format!("《规则{}》第{}条", prompt.below(3), i % 2 + 1)).collect();
        let table = table(&[&passages[..], &labels[..]].concat(), &mut prompt);
        let model = MODELS[n as usize % MODELS.len()];
        let boundary = [Boundary::Word, Boundary::Clause, Boundary::Sentence][n as usize % 3];
        let rules = QuoteRules { boundary, ..QuoteRules::default() };
        let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
        let index = CopyIndex::quotes(&texts, &rules, &table.vocabulary);
        match decode(&index, &table, model, &mut random) {
            None => barren += 1,
            Some((written, state)) => {
                let quote = String::from_utf8(written).expect("whole characters");
                let places = index.occurrences(state);
                assert!(!places.is_empty());
                for place in places {
                    assert_quote(&quote, texts[place.text], place.bytes.start);
                    assert_eq!(rules.check(texts[place.text], place.bytes), Ok(()));
                }
                quotes += 1;
            }
        }
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        let index = CopyIndex::labels(&names, &table.vocabulary);
        let (written, state) = decode(&index, &table, model, &mut random).expect("labels can be written");
        let places = index.occurrences(state);
        assert!(!places.is_empty() && places.iter().all(|place| names[place.text].as_bytes() == written));
    }
    assert!(quotes > DECODES * 9 / 10, "{barren} of {DECODES} prompts had nothing to quote: too easy a test");
}
