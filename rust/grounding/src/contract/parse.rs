//! An answer taken apart into its fields.

use super::{Contract, Field, FieldKind, FieldValue, Violation};

/// What stands in one field, without white space around it.
pub(super) struct Part<'c, 'a> {
    pub(super) field: &'c Field,
    pub(super) content: &'a str,
    /// Where `content` begins in the answer, in bytes.
    pub(super) at: usize,
}

/// The fields that are there, in order, and what is wrong with their sequence.
pub(super) fn parts<'c, 'a>(contract: &'c Contract, answer: &'a str) -> (Vec<Part<'c, 'a>>, Vec<Violation>) {
    let mut violations = Vec::new();
    // Field, start of its marker, start of its content.
    let mut found: Vec<(&Field, usize, usize)> = Vec::new();
    for field in &contract.fields {
        let from = found.last().map_or(0, |(_, _, content)| *content);
        let marker = field.marker.trim();
        let place = match found.last() {
            _ if marker.is_empty() => Some(from),
            Some((before, ..)) => behind_quote(before, contract, &answer[from..], marker).map(|at| from + at),
            None => answer.find(marker),
        };
        match place {
            Some(at) => found.push((field, at, at + marker.len())),
            None if answer.contains(marker) => violations.push(Violation::OutOfOrder { field: field.name.clone() }),
            None => violations.push(Violation::Missing { field: field.name.clone() }),
        }
    }
    let displaced = violations.iter().any(|violation| matches!(violation, Violation::OutOfOrder { .. }));
    if let Some((_, first, _)) = found.first()
        && !displaced
        && !answer[..*first].trim().is_empty()
    {
        violations.push(Violation::Stray);
    }
    let ends = found.iter().skip(1).map(|(_, marker, _)| *marker).chain([answer.len()]);
    let parts: Vec<Part<'_, '_>> = found
        .iter()
        .zip(ends)
        .map(|((field, _, from), end)| {
            let raw = &answer[*from..end];
            Part { field, content: raw.trim(), at: from + (raw.len() - raw.trim_start().len()) }
        })
        .collect();
    for field in &contract.fields {
        let marker = field.marker.trim();
        let again = |part: &Part<'_, '_>| {
            !marker.is_empty() && !matches!(part.field.kind, FieldKind::Quote { .. }) && part.content.contains(marker)
        };
        let is_found = found.iter().any(|(other, ..)| other.name == field.name);
        if is_found && parts.iter().any(again) {
            violations.push(Violation::Repeated { field: field.name.clone() });
        }
    }
    (parts, violations)
}

/// The next marker: behind the closing mark of a quote if there is one, so that a passage which holds the marker cannot
/// end its own quote.
fn behind_quote(before: &Field, contract: &Contract, rest: &str, marker: &str) -> Option<usize> {
    if let FieldKind::Quote { close, .. } = &before.kind {
        let ending = format!("{close}{}{marker}", contract.separator);
        if let Some(at) = rest.find(&ending) {
            return Some(at + ending.len() - marker.len());
        }
    }
    rest.find(marker)
}

/// The value of a field, if its content has the form of its kind.
pub(super) fn value(kind: &FieldKind, content: &str) -> Option<FieldValue> {
    match kind {
        FieldKind::Quote { open, close, .. } => {
            let (label, rest) = content.split_once(open.as_str())?;
            let quote = rest.strip_suffix(close.trim_end())?;
            Some(FieldValue::quote(label.trim(), quote))
        }
        FieldKind::Text { .. } => Some(FieldValue::text(content)),
        FieldKind::List { bullet, .. } => {
            let lines = content.lines().filter(|line| !line.trim().is_empty());
            let item = |line: &str| Some(line.trim_start().strip_prefix(bullet.trim())?.trim().to_owned());
            Some(FieldValue::List { items: lines.map(item).collect::<Option<_>>()? })
        }
        FieldKind::Table { columns, .. } => {
            let mut lines = content.lines().map(row);
            let is_rule = |cell: &String| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'));
            let heads = lines.next()?? == *columns;
            let ruled = lines.next()??;
            let rows: Vec<Vec<String>> = lines.collect::<Option<_>>()?;
            let shaped = rows.iter().chain([&ruled]).all(|row| row.len() == columns.len());
            (heads && shaped && ruled.iter().all(is_rule)).then_some(FieldValue::Table { rows })
        }
        FieldKind::Json { schema } => {
            let value = serde_json::from_str(content).ok()?;
            schema.admits(&value).then_some(FieldValue::Json { value })
        }
    }
}

/// The cells of a row; `None` when the line is none.
fn row(line: &str) -> Option<Vec<String>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'|') => cell.extend(chars.next()),
            '|' => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            _ => cell.push(c),
        }
    }
    cells.push(cell.trim().to_owned());
    Some(cells)
}
