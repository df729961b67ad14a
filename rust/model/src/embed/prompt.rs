//! The words an embedder wants before a query and before a passage.

use serde_json::Value;

/// Prefixes put before texts, in the form the fingerprint and the model file carry.
///
/// A document prefix may hold one slot `{title|none}`: the passage's title stands there, or the word behind the bar
/// when it has none. Without a slot, a title goes on a line of its own between prefix and text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompts {
    pub(super) query: String,
    pub(super) document: String,
}

impl Prompts {
    /// From the `prompts` object of `config_sentence_transformers.json`; names as publishers use them.
    pub(super) fn from_config(prompts: Option<&Value>) -> Self {
        let find = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| prompts.and_then(|prompts| prompts.get(name)).and_then(Value::as_str))
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            query: find(&["query", "Retrieval-query", "s2p_query", "retrieval.query"]),
            // EmbeddingGemma's documented form is `title: {title | "none"} | text: {content}`; its configuration
            // holds only the untitled case.
            document: find(&["document", "passage", "Retrieval-document", "retrieval.passage"]).replacen(
                "title: none |",
                "title: {title|none} |",
                1,
            ),
        }
    }
}

/// A prefix taken apart once, so that writing a prompt is plain concatenation.
#[derive(Clone, Debug)]
pub(super) struct DocumentPrefix {
    before: String,
    /// The word for "no title" and what follows the slot; `None` when the prefix has no slot.
    slot: Option<(String, String)>,
}

impl DocumentPrefix {
    pub(super) fn parse(prefix: &str) -> Self {
        let slot = prefix.split_once("{title|").and_then(|(before, rest)| {
            rest.split_once('}').map(|(untitled, after)| (before, untitled.to_owned(), after.to_owned()))
        });
        match slot {
            Some((before, untitled, after)) => Self { before: before.to_owned(), slot: Some((untitled, after)) },
            None => Self { before: prefix.to_owned(), slot: None },
        }
    }

    /// The text that goes to the tokenizer.
    pub(super) fn apply(&self, title: Option<&str>, text: &str) -> String {
        let title = title.filter(|title| !title.is_empty());
        let mut out = String::with_capacity(self.before.len() + text.len() + title.map_or(16, str::len) + 16);
        out.push_str(&self.before);
        match (&self.slot, title) {
            (Some((untitled, after)), title) => {
                out.push_str(title.unwrap_or(untitled));
                out.push_str(after);
            }
            (None, Some(title)) => {
                out.push_str(title);
                out.push('\n');
            }
            (None, None) => {}
        }
        out.push_str(text);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_fills_the_slot_or_the_word_for_none_does() {
        let prefix = DocumentPrefix::parse("title: {title|none} | text: ");
        assert_eq!(prefix.apply(Some("手册"), "正文"), "title: 手册 | text: 正文");
        assert_eq!(prefix.apply(None, "正文"), "title: none | text: 正文");
        assert_eq!(prefix.apply(Some(""), "正文"), "title: none | text: 正文");
    }

    #[test]
    fn without_a_slot_the_title_is_a_line_of_its_own() {
        let prefix = DocumentPrefix::parse("passage: ");
        assert_eq!(prefix.apply(Some("T"), "x"), "passage: T\nx");
        assert_eq!(prefix.apply(None, "x"), "passage: x");
    }

    #[test]
    fn the_untitled_prompt_of_a_source_gains_a_slot() {
        let config = serde_json::json!({"query": "q: ", "document": "title: none | text: "});
        let prompts = Prompts::from_config(Some(&config));
        assert_eq!(prompts.document, "title: {title|none} | text: ");
        assert_eq!(prompts.query, "q: ");
    }
}
