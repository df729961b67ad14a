//! What the system prompt says of a format.

use super::{Contract, Field, FieldKind, Language, Schema};

impl Contract {
    /// The system prompt: role and tone, one line for each field, how to decline if the model is to do so by itself.
    pub fn system_prompt(&self) -> String {
        let zh = self.language == Language::Chinese;
        let mut prompt = self.preamble.clone();
        if let [only] = &self.fields[..]
            && only.marker.is_empty()
        {
            prompt.push_str(&format!("\n{}", self.hint(only)));
        } else {
            let n = self.fields.len();
            prompt.push_str(&match zh {
                true => format!("\n回答分{}段：", counted(n, &["一", "两", "三", "四", "五", "六"])),
                false if n == 1 => "\nAnswer in one part:".to_owned(),
                false => {
                    format!("\nAnswer in {} parts:", counted(n, &["one", "two", "three", "four", "five", "six"]))
                }
            });
            for field in &self.fields {
                prompt.push_str(&format!("\n{}{}", field.marker, self.hint(field)));
            }
        }
        if self.decline_stated {
            prompt.push_str(&match zh {
                true => format!("\n资料没有回答问题时，只写：{}", self.decline),
                false => format!("\nIf the sources do not answer the question, write only: {}", self.decline),
            });
        }
        prompt
    }

    fn hint(&self, field: &Field) -> String {
        if !field.hint.is_empty() {
            return field.hint.clone();
        }
        let zh = self.language == Language::Chinese;
        match (&field.kind, zh) {
            (FieldKind::Quote { .. }, true) => "写明出处，逐字引用直接回答问题的原句。".to_owned(),
            (FieldKind::Quote { .. }, false) => {
                "name the source and quote, word for word, the sentence that answers the question.".to_owned()
            }
            (FieldKind::Text { max_chars, max_sentences }, true) => match (max_sentences, max_chars) {
                (Some(n), _) => format!("用不超过{n}句话直接回答问题。"),
                (None, Some(n)) => format!("用不超过{n}个字直接回答问题。"),
                (None, None) => "直接回答问题。".to_owned(),
            },
            (FieldKind::Text { max_chars, max_sentences }, false) => match (max_sentences, max_chars) {
                (Some(1), _) => "answer the question in one sentence.".to_owned(),
                (Some(n), _) => format!("answer the question in at most {n} sentences."),
                (None, Some(n)) => format!("answer the question in at most {n} characters."),
                (None, None) => "answer the question.".to_owned(),
            },
            (FieldKind::List { bullet, max_items, .. }, true) => {
                format!("逐条列出，每条以“{bullet}”开头，不超过{max_items}条。")
            }
            (FieldKind::List { bullet, max_items, .. }, false) => {
                format!("list the points, each on a line that begins with “{bullet}”, at most {max_items}.")
            }
            (FieldKind::Table { columns, max_rows, .. }, true) => {
                format!("只写一个 Markdown 表格，不超过{max_rows}行，各列为：{}。", columns.join("、"))
            }
            (FieldKind::Table { columns, max_rows, .. }, false) => {
                format!(
                    "Write only a Markdown table of at most {max_rows} rows with the columns {}.",
                    columns.join(", ")
                )
            }
            (FieldKind::Json { schema }, true) => format!("只写一个 JSON 值，形式为：{}", outline(schema)),
            (FieldKind::Json { schema }, false) => format!("Write only a JSON value of this form: {}", outline(schema)),
        }
    }
}

fn counted(n: usize, words: &[&str]) -> String {
    words.get(n.saturating_sub(1)).map_or_else(|| n.to_string(), |word| (*word).to_owned())
}

/// A schema as a model reads it most easily: an example with the types in place of values.
fn outline(schema: &Schema) -> String {
    match schema {
        Schema::Object { properties } => {
            let parts: Vec<String> =
                properties.iter().map(|p| format!("\"{}\": {}", p.name, outline(&p.schema))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Schema::Array { items, .. } => format!("[{}, …]", outline(items)),
        Schema::String { one_of, .. } if !one_of.is_empty() => {
            one_of.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(" | ")
        }
        Schema::String { .. } => "\"…\"".to_owned(),
        Schema::Number => "number".to_owned(),
        Schema::Integer => "integer".to_owned(),
        Schema::Boolean => "true | false".to_owned(),
    }
}
