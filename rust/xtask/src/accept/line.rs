//! One figure of a report: what it is, what it must be, what it is here.

use serde_json::{Value, json};

use super::{date, machine};

/// A step's report, or why there is none.
pub(super) type Step = Result<Value, String>;

/// A figure with what it must be.
pub(super) struct Line {
    pub figure: String,
    /// Such as `>= 2.5`, or `= true` for anything that is no number; empty for what is only reported.
    pub target: String,
    pub value: Value,
    pub note: String,
}

impl Line {
    /// Whether the value is within the target; `None` without either.
    pub fn met(&self) -> Option<bool> {
        let (sign, bound) = self.target.split_once(' ')?;
        if sign == "=" {
            return (!self.value.is_null()).then(|| bound.parse::<Value>().is_ok_and(|bound| bound == self.value));
        }
        let (value, bound): (f64, f64) = (self.value.as_f64()?, bound.parse().ok()?);
        match sign {
            ">=" => Some(value >= bound),
            "<=" => Some(value <= bound),
            _ => None,
        }
    }
}

pub(super) fn add(
    lines: &mut Vec<Line>,
    figure: impl Into<String>,
    target: &str,
    value: Value,
    note: impl Into<String>,
) {
    lines.push(Line { figure: figure.into(), target: target.into(), value, note: note.into() });
}

/// Adds one line for each figure of a step that did not run.
pub(super) fn missing(lines: &mut Vec<Line>, figure: &str, reason: &str) {
    add(lines, figure, "", Value::Null, format!("not measured: {reason}"));
}

/// Prints the figures, one a line, each with all that is needed to read it alone.
pub(super) fn print(lines: &[Line], versions: &Value) -> Result<(), String> {
    let (machine, date) = (machine(), date()?);
    for line in lines {
        println!(
            "{}",
            json!({
                "figure": line.figure, "target": line.target, "value": line.value, "met": line.met(),
                "note": line.note, "machine": machine, "date": date, "versions": versions,
            })
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_on_its_side_only() {
        let line = |target: &str, value: Value| Line {
            figure: String::new(),
            target: target.into(),
            value,
            note: String::new(),
        };
        assert_eq!(line(">= 2.5", json!(2.6)).met(), Some(true));
        assert_eq!(line(">= 2.5", json!(2.4)).met(), Some(false));
        assert_eq!(line("<= 0.5", json!(0.4)).met(), Some(true));
        assert_eq!(line("<= 0", json!(1)).met(), Some(false));
        assert_eq!(line("= true", json!(true)).met(), Some(true));
        assert_eq!(line("= true", json!(false)).met(), Some(false));
        assert_eq!(line("= 208", json!(208)).met(), Some(true));
        assert_eq!(line("", json!(1)).met(), None);
        assert_eq!(line(">= 1", Value::Null).met(), None);
    }
}
