//! The main job on a bare machine: models, a pack, three questions.

use crate::process::{build_lore, root, step, target};

/// Questions in both languages; the last of each list is one the handbook cannot answer.
const QUESTIONS: &[&str] = &[
    "个人住房贷款提前还款要收违约金吗？",
    "How long do I have to dispute a card transaction?",
    "贵行明天的黄金收盘价是多少？",
];
const QUESTIONS_SMALL: &[&str] = &[
    "How long do I have to dispute a card transaction?",
    "Which losses does the travel insurance exclude?",
    "What will the gold price be tomorrow?",
];

pub fn run(args: &[&str]) -> Result<(), String> {
    let (mut small, mut offline) = (false, false);
    for arg in args {
        match *arg {
            "--small" => small = true,
            "--offline" => offline = true,
            other => return Err(format!("main-job does not know {other}; it takes --small and --offline")),
        }
    }
    let (model, embedder, documents, questions) = if small {
        ("smollm2-135m-instruct", "minilm-l6-v2", "examples/handbook/en", QUESTIONS_SMALL)
    } else {
        ("qwen2.5-coder-0.5b-instruct", "embeddinggemma-300m", "examples/handbook", QUESTIONS)
    };
    let lore = build_lore()?;
    let mut pull = vec!["models", "pull", model, embedder];
    if offline {
        pull.push("--offline");
    }
    step("fetching and verifying the models", &lore, &pull)?;
    let pack = target().join(if small { "handbook-small.lorepack" } else { "handbook.lorepack" }).display().to_string();
    let documents = root().join(documents).display().to_string();
    step(
        "building the sample pack",
        &lore,
        &["build", &documents, "-o", &pack, "--embedder", embedder, "--title", "LoreKit sample handbook"],
    )?;
    step("verifying the sample pack", &lore, &["verify", &pack])?;
    for question in questions {
        step(
            "asking",
            &lore,
            &["ask", question, "--pack", &pack, "--model", model, "--embedder", embedder, "--offline"],
        )?;
    }
    eprintln!("\nThe pack is at {pack}. Ask it yourself:\n   {lore} ask \"…\" --pack {pack}");
    Ok(())
}
