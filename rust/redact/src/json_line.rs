//! One line of JSON Lines, redacted in place: strings and long numbers change, every other byte stays, so that key
//! order, spacing and number formats are those of the input.

use std::collections::BTreeMap;

use crate::entity::EntityType;
use crate::redactor::{Action, Redactor};
use crate::surrogate::Issued;

/// A value of the line: its bytes, decoded text, and the key it stands under.
struct Value {
    start: usize,
    end: usize,
    key: String,
    text: String,
}

/// A line after redaction.
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    pub(crate) counts: BTreeMap<EntityType, u64>,
    pub(crate) changed: bool,
    pub(crate) issued: Issued,
}

/// The longest value that is read under its key; longer ones are prose, for which a key is no label.
const LABELLED: usize = 200;

/// Fewer digits are never personal by themselves.
const LONG_NUMBER: usize = 7;

/// Redacts one line; `None` where it is not JSON. An empty line stays.
pub(crate) fn redact(redactor: &Redactor, line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line).ok()?;
    if text.trim().is_empty() {
        return Some(Line { bytes: line.to_vec(), counts: BTreeMap::new(), changed: false, issued: Issued::default() });
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let values = values(text)?;
    let parts: Vec<(&str, &str)> = values
        .iter()
        .map(|value| (if value.text.len() <= LABELLED { value.key.as_str() } else { "" }, value.text.as_str()))
        .collect();
    let mut bytes = Vec::with_capacity(line.len());
    let mut counts = BTreeMap::new();
    let (mut at, mut changed, mut issued) = (0, false, Issued::default());
    for (value, redaction) in values.iter().zip(redactor.redact_together(&parts)) {
        for finding in &redaction.findings {
            *counts.entry(finding.kind).or_insert(0) += 1;
        }
        let kept = redaction.findings.iter().all(|finding| redactor.policy().action_for(finding.kind) == Action::Keep);
        if kept {
            continue;
        }
        bytes.extend_from_slice(&line[at..value.start]);
        bytes.extend_from_slice(serde_json::to_string(&redaction.text).ok()?.as_bytes());
        at = value.end;
        changed = true;
        // One line holds fewer than fit.
        let _ = issued.extend(&redactor.issued(&redaction));
    }
    bytes.extend_from_slice(&line[at..]);
    Some(Line { bytes, counts, changed, issued })
}

/// The string values and long numbers of a line that is valid JSON.
fn values(line: &str) -> Option<Vec<Value>> {
    let bytes = line.as_bytes();
    let mut values = Vec::new();
    let mut key = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while *bytes.get(at)? != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                let text: String = serde_json::from_str(line.get(start..at)?).ok()?;
                let is_key = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if is_key {
                    key = text;
                } else if !text.is_empty() {
                    values.push(Value { start, end: at, key: key.clone(), text });
                }
            }
            b'-' | b'0'..=b'9' => {
                while bytes.get(at).is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
                    at += 1;
                }
                let digits = bytes[start..at].iter().filter(|byte| byte.is_ascii_digit()).count();
                if digits >= LONG_NUMBER {
                    values.push(Value { start, end: at, key: key.clone(), text: line.get(start..at)?.to_owned() });
                }
            }
            _ => at += 1,
        }
    }
    Some(values)
}
