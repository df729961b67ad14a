use super::*;
use crate::Boundary;
use proptest::prelude::*;

const PASSAGE: &str = "银行应当在十五日内答复申请人，不得收取任何费用。逾期未答复的，视为同意。";

fn byte_vocabulary() -> Vocabulary {
    Vocabulary::new((0u32..256).map(|id| (id, [id as u8])))
}

fn words() -> QuoteRules {
    QuoteRules { boundary: Boundary::Word, ..QuoteRules::default() }
}

#[test]
fn a_token_may_end_inside_a_character_of_the_passage_but_a_quote_may_not() {
    let vocabulary = byte_vocabulary();
    let index = CopyIndex::quotes(&[PASSAGE], &QuoteRules::default(), &vocabulary);
    let quote = "不得收取任何费用".as_bytes();
    for cut in 1..quote.len() {
        let state = index.accept(index.start(), &quote[..cut]).unwrap();
        assert!(!index.may_close(state), "the clause ends behind the full stop");
    }
    let whole = index.accept(index.start(), "不得收取任何费用。".as_bytes()).unwrap();
    assert!(index.may_close(whole));
    assert!(index.occurrences(index.accept(index.start(), &quote[..4]).unwrap()).is_empty());
}

#[test]
fn every_place_of_a_repeated_quote_is_told() {
    let twice = format!("{PASSAGE}\n{PASSAGE}");
    let index = CopyIndex::quotes(&[PASSAGE, &twice], &QuoteRules::default(), &byte_vocabulary());
    let state = index.accept(index.start(), "不得收取任何费用。".as_bytes()).unwrap();
    let places = index.occurrences(state);
    assert_eq!(places.iter().map(|place| place.text).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(places.iter().all(|place| [PASSAGE, &twice][place.text][place.bytes.clone()] == *"不得收取任何费用。"));
}

#[test]
fn what_has_no_choice_is_determined_up_to_the_next_legal_end() {
    let index = CopyIndex::quotes(&[PASSAGE], &QuoteRules::default(), &byte_vocabulary());
    assert_eq!(index.determined(index.start()), None);
    let state = index.accept(index.start(), "不".as_bytes()).unwrap();
    assert_eq!(index.determined(state), Some("得收取任何费用。"));
    let inside = index.accept(state, &"得".as_bytes()[..1]).unwrap();
    assert_eq!(index.determined(inside), None);
    let closed = index.accept(state, "得收取任何费用。".as_bytes()).unwrap();
    assert_eq!(index.determined(closed), None);
}

#[test]
fn a_label_is_copied_whole_also_when_another_begins_with_it() {
    let vocabulary = byte_vocabulary();
    let labels = ["《民法典》", "《民法典》第五条", "《保险法》第五条", "《民法典》"];
    let index = CopyIndex::labels(&labels, &vocabulary);
    let state = index.accept(index.start(), "《民法典》".as_bytes()).unwrap();
    assert_eq!(index.occurrences(state).iter().map(|place| place.text).collect::<Vec<_>>(), [0, 3]);
    let longer = index.accept(state, "第五条".as_bytes()).unwrap();
    assert_eq!(index.occurrences(longer), [Occurrence { text: 1, bytes: 0..labels[1].len() }]);
    assert_eq!(index.accept(index.start(), "《证券法》".as_bytes()), None);
    assert!(!index.may_close(index.accept(index.start(), "《民法典".as_bytes()).unwrap()));
    assert_eq!(index.determined(index.accept(index.start(), "《保".as_bytes()).unwrap()), Some("险法》第五条"));
}

#[test]
fn nothing_is_begun_that_the_vocabulary_cannot_finish() {
    // It can write ASCII, and one Han word as a whole.
    let ascii = (0u32..128).map(|id| (id, vec![id as u8]));
    let vocabulary = Vocabulary::new(ascii.chain([(200, "银行".into())]));
    let passages = ["The fee is due at the 银行 on the last day of each month and never later."];
    let index = CopyIndex::quotes(&passages, &words(), &vocabulary);
    let mut allowed = TokenSet::default();
    index.allowed(index.start(), &vocabulary, &mut allowed);
    assert!(!allowed.contains(200));
    assert!(index.accept(index.start(), b"The fee is due at").is_some());
    assert!(index.accept(index.start(), b"The fee is due at the \xE9").is_none());
    assert!(CopyIndex::quotes(&[PASSAGE], &words(), &vocabulary).is_empty());
    assert!(CopyIndex::labels(&["《民法典》", ""], &vocabulary).is_empty());
}

#[test]
fn nothing_comes_of_nothing() {
    let vocabulary = byte_vocabulary();
    for passages in [&[][..], &[""], &["太短。"], &["。。。！？ \n"]] {
        let index = CopyIndex::quotes(passages, &QuoteRules::default(), &vocabulary);
        assert!(index.is_empty());
        let mut allowed = TokenSet::default();
        index.allowed(index.start(), &vocabulary, &mut allowed);
        assert!(allowed.is_empty() && !index.may_close(index.start()));
        assert_eq!(index.determined(index.start()), None);
    }
}

#[test]
fn a_state_of_another_index_is_harmless() {
    let vocabulary = byte_vocabulary();
    let large = CopyIndex::quotes(&[PASSAGE], &words(), &vocabulary);
    let small = CopyIndex::labels(&["甲"], &vocabulary);
    let state = large.accept(large.start(), "银行应当在".as_bytes()).unwrap();
    let mut allowed = TokenSet::default();
    for foreign in [state, large.start(), CopyState { low: 7, high: 3, depth: u32::MAX }] {
        small.allowed(foreign, &vocabulary, &mut allowed);
        let _ = (small.may_close(foreign), small.occurrences(foreign), small.determined(foreign));
        let _ = small.accept(foreign, "行".as_bytes());
    }
}

proptest! {
    /// The index accepts exactly the prefixes of legal quotes, and closes exactly at legal quotes.
    #[test]
    fn what_is_accepted_is_what_the_rules_allow(
        passage in "[甲乙。，；ab5%. \n]{0,40}",
        boundary in prop::sample::select(vec![Boundary::Word, Boundary::Clause, Boundary::Sentence]),
    ) {
        let rules = QuoteRules { min_han: 2, min_words: 2, boundary, ..QuoteRules::default() };
        let vocabulary = byte_vocabulary();
        let index = CopyIndex::quotes(&[&passage], &rules, &vocabulary);
        let places: Vec<usize> = passage.char_indices().map(|(at, _)| at).chain([passage.len()]).collect();
        for (n, from) in places.iter().enumerate() {
            for to in &places[n + 1..] {
                let legal = rules.check(&passage, *from..*to).is_ok();
                let state = index.accept(index.start(), &passage.as_bytes()[*from..*to]);
                let closes = state.is_some_and(|state| {
                    index.occurrences(state).contains(&Occurrence { text: 0, bytes: *from..*to })
                });
                prop_assert!(legal || !closes, "{:?} is closed", &passage[*from..*to]);
                if boundary == Boundary::Word {
                    prop_assert!(closes || !legal, "{:?} is refused", &passage[*from..*to]);
                }
            }
        }
    }

    /// `allowed` and `accept` agree on every token, for every vocabulary.
    #[test]
    fn a_token_is_allowed_when_its_bytes_are_accepted(
        passage in "[甲乙丙。，a-c ]{10,60}",
        tokens in prop::collection::vec("[甲乙丙。，a-c ]{1,4}", 1..30),
        skip in 0usize..20,
    ) {
        let rules = QuoteRules { min_han: 3, min_words: 2, ..words() };
        let bytes = (0u32..256).map(|id| (id, vec![id as u8]));
        let longer = tokens.iter().enumerate().map(|(n, t)| (256 + n as u32, t.as_bytes().to_vec()));
        let all: Vec<(u32, Vec<u8>)> = bytes.chain(longer).collect();
        let vocabulary = Vocabulary::new(all.clone());
        let index = CopyIndex::quotes(&[&passage], &rules, &vocabulary);
        let mut state = index.start();
        for _ in 0..skip {
            let mut allowed = TokenSet::default();
            index.allowed(state, &vocabulary, &mut allowed);
            for (id, bytes) in &all {
                prop_assert_eq!(allowed.contains(*id), index.accept(state, bytes).is_some());
            }
            let mut seen = Vec::new();
            index.visit(state, &vocabulary, &mut |token| seen.push(token));
            prop_assert_eq!(seen.len(), allowed.len(), "a token came twice");
            if let Some(text) = index.determined(state) {
                prop_assert!(index.accept(state, text.as_bytes()).is_some());
            }
            let Some(next) = allowed.iter().last() else { break };
            state = index.accept(state, &all[next as usize].1).unwrap();
        }
    }
}
