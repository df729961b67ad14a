//! Formats that ship: examples, and what the engine uses by default.

use super::{Contract, Field, FieldKind, ForbiddenWord, Language, Property, Schema};
use crate::QuoteRules;

/// Words that hold 亲 and have nothing of the salutation.
const KINSHIP: [&str; 37] = [
    "亲属", "父亲", "母亲", "双亲", "近亲", "远亲", "姻亲", "血亲", "宗亲", "亲戚", "亲人", "亲友", "亲朋", "亲子",
    "亲权", "亲生", "亲缘", "亲等", "亲系", "亲家", "亲兄", "亲弟", "亲姐", "亲妹", "亲自", "亲笔", "亲手", "亲身",
    "亲历", "亲眼", "亲口", "亲密", "亲和", "亲近", "探亲", "乡亲", "相亲",
];

impl Contract {
    /// `【政策依据】《…》第…条：“…”` and `【简明解释】…`.
    pub fn basis_zh() -> Self {
        Self {
            name: "basis-zh".into(),
            language: Language::Chinese,
            preamble: "你是资料问答助手。只依据给出的资料作答，不补充资料以外的内容。语气克制、准确，不寒暄。".into(),
            separator: "\n".into(),
            decline: "资料中没有找到相关规定。".into(),
            decline_stated: false,
            forbidden: chatty_zh(),
            fields: vec![
                quote("basis", "【政策依据】", "写明出处，逐字引用直接回答问题的原句。", "：“", "”"),
                text("explanation", "【简明解释】", "用一至三句话直接回答问题，数字与引文一致。", 300, 3),
            ],
        }
    }

    /// `[Basis] …: “…”` and `[Explanation] …`.
    pub fn basis_en() -> Self {
        Self {
            name: "basis-en".into(),
            language: Language::English,
            preamble: "You answer questions from the given sources only and add nothing that is not in them. \
                       Be precise and plain; no greetings."
                .into(),
            separator: "\n".into(),
            decline: "The sources do not answer this question.".into(),
            decline_stated: false,
            forbidden: ["dear", "hi", "hello", "hey"].map(ForbiddenWord::new).into(),
            fields: vec![
                quote(
                    "basis",
                    "[Basis] ",
                    "name the source and quote, word for word, the sentence that answers the question.",
                    ": “",
                    "”",
                ),
                text(
                    "explanation",
                    "[Explanation] ",
                    "answer the question in one to three sentences; keep numbers as in the quote.",
                    800,
                    3,
                ),
            ],
        }
    }

    /// A Markdown table of requirements, each with its source.
    pub fn table_zh() -> Self {
        Self {
            name: "table-zh".into(),
            fields: vec![Field {
                name: "rows".into(),
                marker: String::new(),
                hint: String::new(),
                kind: FieldKind::Table {
                    columns: ["事项", "要求", "出处"].map(str::to_owned).into(),
                    min_rows: 1,
                    max_rows: 8,
                    max_chars: Some(80),
                },
            }],
            ..Self::basis_zh()
        }
    }

    /// A JSON object with the answer, its sources and whether they suffice.
    pub fn json_en() -> Self {
        let property = |name: &str, schema| Property { name: name.into(), schema, optional: false };
        let string = |max, one_of: &[&str]| Schema::String {
            max_chars: Some(max),
            one_of: one_of.iter().map(|text| (*text).to_owned()).collect(),
        };
        let schema = Schema::Object {
            properties: vec![
                property("answer", string(400, &[])),
                property("sources", Schema::Array { items: Box::new(string(120, &[])), min_items: 1, max_items: 4 }),
                property("certainty", string(8, &["stated", "implied"])),
            ],
        };
        Self {
            name: "json-en".into(),
            fields: vec![Field {
                name: "object".into(),
                marker: String::new(),
                hint: String::new(),
                kind: FieldKind::Json { schema },
            }],
            ..Self::basis_en()
        }
    }
}

fn chatty_zh() -> Vec<ForbiddenWord> {
    vec![
        ForbiddenWord::new("亲").unless(KINSHIP),
        ForbiddenWord::new("哈喽"),
        ForbiddenWord::new("嗨"),
        ForbiddenWord::new("么么哒"),
        ForbiddenWord::new("小主"),
    ]
}

fn quote(name: &str, marker: &str, hint: &str, open: &str, close: &str) -> Field {
    let kind = FieldKind::Quote { rules: QuoteRules::default(), open: open.into(), close: close.into() };
    Field { name: name.into(), marker: marker.into(), hint: hint.into(), kind }
}

fn text(name: &str, marker: &str, hint: &str, max_chars: usize, max_sentences: usize) -> Field {
    let kind = FieldKind::Text { max_chars: Some(max_chars), max_sentences: Some(max_sentences) };
    Field { name: name.into(), marker: marker.into(), hint: hint.into(), kind }
}
