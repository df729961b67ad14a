//! The vocabulary of the tiny models: 256 bytes, a few merges, three control tokens, and unused ones up to a round number.

/// How many tokens a tiny model has.
pub const VOCABULARY_SIZE: usize = 304;
/// The token that ends a text.
pub const END_OF_TEXT: u32 = 293;
/// The token that begins a turn in ChatML.
pub const IM_START: u32 = 294;
/// The token that ends a turn in ChatML.
pub const IM_END: u32 = 295;

/// Pairs merged, in order of rank; letters stand for themselves, `Ġ` for the space.
const MERGES: [(&str, &str); 37] = [
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("a", "n"),
    ("e", "r"),
    ("o", "n"),
    ("r", "e"),
    ("an", "d"),
    ("Ġ", "the"),
    ("Ġ", "and"),
    ("o", "f"),
    ("Ġ", "of"),
    ("t", "o"),
    ("Ġ", "to"),
    ("Ġ", "in"),
    ("e", "n"),
    ("a", "t"),
    ("i", "on"),
    ("in", "g"),
    ("o", "r"),
    ("e", "s"),
    ("s", "t"),
    ("Ġ", "a"),
    ("i", "s"),
    ("Ġ", "is"),
    ("1", "0"),
    ("2", "0"),
    ("u", "s"),
    ("us", "er"),
    ("s", "y"),
    ("sy", "st"),
    ("syst", "e"),
    ("syste", "m"),
    ("a", "s"),
    ("as", "s"),
    ("ass", "is"),
    ("t", "an"),
];

/// A template in the ChatML form: each turn between two control tokens.
pub(crate) const CHAT_TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The printable stand-in of each byte in byte-level BPE (GPT-2, Radford et al. 2019): printable Latin-1 bytes
/// stand for themselves, the others for the code points from U+0100 on.
fn byte_texts() -> Vec<String> {
    let mut next = 0x100u32;
    (0..=255u32)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let point = if printable {
                byte
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(point).expect("points below U+0200 are characters").to_string()
        })
        .collect()
}

/// The texts of all tokens by id, as they stand in the file.
pub fn token_texts() -> Vec<String> {
    let mut texts = byte_texts();
    texts.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    texts.extend(["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(String::from));
    let first_unused = texts.len();
    texts.extend((first_unused..VOCABULARY_SIZE).map(|i| format!("<|unused_{i}|>")));
    texts
}

/// The merges, as they stand in the file.
pub(crate) fn merges() -> Vec<String> {
    MERGES.iter().map(|(left, right)| format!("{left} {right}")).collect()
}

/// The type of each token in GGUF's terms: 1 normal, 3 control, 5 unused.
pub(crate) fn token_types() -> Vec<i32> {
    (0..VOCABULARY_SIZE as u32)
        .map(|id| match id {
            END_OF_TEXT..=IM_END => 3,
            id if id > IM_END => 5,
            _ => 1,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_merge_joins_two_tokens_into_a_third() {
        let texts = token_texts();
        assert_eq!(texts.len(), VOCABULARY_SIZE);
        let all: HashSet<&String> = texts.iter().collect();
        assert_eq!(all.len(), VOCABULARY_SIZE, "texts are distinct");
        for (left, right) in MERGES {
            for part in [left.to_string(), right.to_string(), format!("{left}{right}")] {
                assert!(all.contains(&part), "{part}");
            }
        }
        assert_eq!(texts[END_OF_TEXT as usize], "<|endoftext|>");
        assert_eq!(texts[IM_END as usize], "<|im_end|>");
    }
}
