//! The prompt: fixed instructions, passages, question, within a budget of measured tokens.

use lorekit_model::{ChatTemplate, Message, Role, Tokenizer, encode_chat};

use crate::copying::sentences;
use crate::format::{Wording, label};
use crate::{Error, Exchange, Result, RetrievedPassage, format::Language};

/// A prompt that fits.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// How many of the passages are in it, from the best on.
    pub(crate) n_passages: usize,
    /// The text of each passage as it stands in the prompt: the whole, or its first sentences.
    pub(crate) shown: Vec<String>,
}

/// What goes into a prompt.
pub(crate) struct Parts<'a> {
    pub(crate) wording: &'a Wording,
    pub(crate) language: Language,
    pub(crate) passages: &'a [RetrievedPassage],
    pub(crate) history: &'a [Exchange],
    pub(crate) question: &'a str,
}

/// Builds the longest prompt of at most `budget` tokens.
///
/// What does not fit goes in this order: the earliest exchanges, the weakest passages, whole sentences at the end of the
/// best passage, which then says that it is shortened. A sentence is never cut.
///
/// # Errors
/// [`Error::QuestionTooLong`] when the question does not fit even beside one sentence of the best passage.
pub(crate) fn fit(parts: &Parts<'_>, template: &ChatTemplate, tokenizer: &Tokenizer, budget: usize) -> Result<Prompt> {
    let measure = |history: &[Exchange], shown: &[String]| -> Result<Vec<u32>> {
        let pieces = template.render(&messages(parts, history, shown), true).map_err(crate::convert::model)?;
        encode_chat(tokenizer, &pieces).map_err(crate::convert::model)
    };
    let mut shown: Vec<String> = parts.passages.iter().map(|p| p.passage.text.clone()).collect();
    let mut history = parts.history;
    loop {
        let tokens = measure(history, &shown)?;
        if tokens.len() <= budget {
            return Ok(Prompt { tokens, n_passages: shown.len(), shown });
        }
        if let [_, later @ ..] = history {
            history = later;
        } else if shown.len() > 1 {
            shown.pop();
        } else {
            break;
        }
    }
    let Some(best) = shown.first().cloned() else {
        let tokens = measure(&[], &[])?.len();
        return Err(Error::QuestionTooLong { tokens, limit: budget });
    };
    // Longest run of whole sentences that fits, by bisection: tokens grow with sentences.
    let ends: Vec<usize> = sentences(&best).into_iter().map(|s| s.end).collect();
    let (mut low, mut high) = (0, ends.len());
    let mut fitting = None;
    while low < high {
        let middle = (low + high) / 2;
        let shortened = vec![format!("{}{}", &best[..ends[middle]], parts.wording.shortened)];
        let tokens = measure(&[], &shortened)?;
        if tokens.len() <= budget {
            fitting = Some(Prompt { tokens, n_passages: 1, shown: vec![best[..ends[middle]].to_owned()] });
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    match fitting {
        Some(prompt) => Ok(prompt),
        None => Err(Error::QuestionTooLong { tokens: measure(&[], &[])?.len(), limit: budget }),
    }
}

fn messages(parts: &Parts<'_>, history: &[Exchange], shown: &[String]) -> Vec<Message> {
    let mut messages = vec![Message { role: Role::System, content: parts.wording.system.to_owned() }];
    for exchange in history {
        messages.push(Message { role: Role::User, content: exchange.question.clone() });
        messages.push(Message { role: Role::Assistant, content: exchange.answer.clone() });
    }
    let mut content = String::from(parts.wording.passages);
    for (n, (passage, text)) in parts.passages.iter().zip(shown).enumerate() {
        content.push_str(&format!("\n[{}] {}\n{}\n", n + 1, label(&passage.passage, parts.language), text.trim_end()));
    }
    content.push_str(&format!("\n{}{}", parts.wording.question, parts.question));
    messages.push(Message { role: Role::User, content });
    messages
}
