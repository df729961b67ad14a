//! The table in `docs/threats.md` names the tests that show what it says; each of them must be there.

use std::fs;
use std::path::Path;

/// What stands in backticks in a line and has the form `rust/….rs::name`.
fn named_tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs"))
}

#[test]
fn each_test_that_the_threat_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/threats.md")).expect("the page is part of the project");
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| **")) {
        rows += 1;
        let mut tests = named_tests(line).peekable();
        if tests.peek().is_none() {
            wrong.push(format!("no test is named: {line:.60}"));
        }
        for (file, name) in tests {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            let function = format!("fn {name}(");
            let found = source.split("#[test]").skip(1).any(|test| {
                // Between the mark and the function stand other attributes at most.
                test.find(&function).is_some_and(|at| !test[..at].contains("fn "))
            });
            if !found {
                wrong.push(format!("{file} has no test {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/threats.md:\n{}", wrong.join("\n"));
    assert!(rows >= 15, "the table has {rows} rows, fewer than the attacks it is about");
}
