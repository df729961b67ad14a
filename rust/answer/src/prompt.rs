//! The prompt: fixed instructions, passages, question, within a budget of measured tokens.

use lorekit_model::{ChatTemplate, Message, Piece, Role, Tokenizer, encode_chat};

use crate::copying::sentences;
use crate::format::{Wording, label};
use crate::{Error, Exchange, Result, RetrievedPassage, format::Language};

/// A prompt that fits.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// How many of the passages are in it, from the best on.
    pub(crate) n_passages: usize,
    /// The text of each passage as it stands in the prompt, best first: the whole, or its first sentences.
    pub(crate) shown: Vec<String>,
    /// Where parts end that other prompts may share, ascending: first the fixed prefix, then each passage, with its
    /// place in the ranking. Empty when the template does not tell.
    pub(crate) cuts: Vec<(usize, Option<usize>)>,
}

impl Prompt {
    /// Tokens of the passages, in the order of the prompt.
    pub(crate) fn evidence(&self) -> &[u32] {
        match self.cuts[..] {
            [(from, _), .., (to, _)] => &self.tokens[from..to],
            _ => &self.tokens,
        }
    }
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
/// The passages stand right behind the fixed instructions, before the conversation and the question, and in the order
/// of the library, not of the ranking: the same passages make the same beginning, whatever was asked and however they
/// ranked, so its cache can be used again. Which one ranked best is kept beside the text, in `shown`.
///
/// What does not fit goes in this order: the earliest exchanges, the weakest passages, whole sentences at the end of the
/// best passage, which then says that it is shortened. A sentence is never cut.
///
/// # Errors
/// [`Error::QuestionTooLong`] when the question does not fit even beside one sentence of the best passage.
pub(crate) fn fit(parts: &Parts<'_>, template: &ChatTemplate, tokenizer: &Tokenizer, budget: usize) -> Result<Prompt> {
    let render = |history: &[Exchange], shown: &[String]| -> Result<(Vec<Piece>, Vec<u32>)> {
        let pieces = template.render(&messages(parts, history, shown).0, true).map_err(crate::convert::model)?;
        let tokens = encode_chat(tokenizer, &pieces).map_err(crate::convert::model)?;
        Ok((pieces, tokens))
    };
    let measure = |history: &[Exchange], shown: &[String]| Ok::<_, Error>(render(history, shown)?.1);
    let mut shown: Vec<String> = parts.passages.iter().map(|p| p.passage.text.clone()).collect();
    let mut history = parts.history;
    loop {
        let (pieces, tokens) = render(history, &shown)?;
        if tokens.len() <= budget {
            let cuts = cuts(&pieces, &tokens, &messages(parts, history, &shown).1, tokenizer);
            return Ok(Prompt { tokens, n_passages: shown.len(), shown, cuts });
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
            let shown = vec![best[..ends[middle]].to_owned()];
            fitting = Some(Prompt { tokens, n_passages: 1, shown, cuts: Vec::new() });
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

/// The messages, and the text of the first of the user's up to the end of each part that other prompts may share.
fn messages(parts: &Parts<'_>, history: &[Exchange], shown: &[String]) -> (Vec<Message>, Marks) {
    let mut content = format!("{}\n", parts.wording.passages);
    let mut marks = Marks { ends: vec![(content.len(), None)], content: String::new() };
    let mut order: Vec<usize> = (0..shown.len().min(parts.passages.len())).collect();
    order.sort_by_key(|rank| parts.passages[*rank].passage.key);
    for (n, rank) in order.into_iter().enumerate() {
        let label = label(&parts.passages[rank].passage, parts.language);
        content.push_str(&format!("[{}] {label}\n{}\n\n", n + 1, shown[rank].trim_end()));
        marks.ends.push((content.len(), Some(rank)));
    }
    let mut messages = vec![Message { role: Role::System, content: parts.wording.system.to_owned() }];
    for exchange in history {
        content.push_str(&exchange.question);
        messages.push(Message { role: Role::User, content: std::mem::take(&mut content) });
        messages.push(Message { role: Role::Assistant, content: exchange.answer.clone() });
    }
    content.push_str(&format!("{}{}", parts.wording.question, parts.question));
    messages.push(Message { role: Role::User, content });
    marks.content.clone_from(&messages[1].content);
    (messages, marks)
}

struct Marks {
    content: String,
    ends: Vec<(usize, Option<usize>)>,
}

/// Turns marks in the text into numbers of tokens: of those that lie wholly before each mark.
fn cuts(pieces: &[Piece], tokens: &[u32], marks: &Marks, tokenizer: &Tokenizer) -> Vec<(usize, Option<usize>)> {
    let written: usize = pieces.iter().map(|piece| piece.text().len()).sum();
    let len = |token: &u32| match tokenizer.is_control(*token) {
        true => tokenizer.token_text(*token).len(),
        false => tokenizer.token_bytes(*token).len(),
    };
    // What the tokenizer adds, a start token or a blank, stands at the beginning.
    let Some(added) = tokens.iter().map(len).sum::<usize>().checked_sub(written) else { return Vec::new() };
    let mut before = 0;
    // A template may trim a content, and some put the system's text into the user's turn: then it stands at the end.
    let place = pieces.iter().find_map(|piece| {
        let at = before;
        before += piece.text().len();
        let found = matches!(piece, Piece::Content(_)).then(|| piece.text().find(marks.content.trim()))??;
        Some(at + found - (marks.content.len() - marks.content.trim_start().len()))
    });
    let Some(place) = place else { return Vec::new() };
    let mut cuts = Vec::with_capacity(marks.ends.len());
    let (mut at, mut n) = (0, 0);
    for (end, rank) in &marks.ends {
        while n < tokens.len() && at + len(&tokens[n]) <= added + place + end {
            at += len(&tokens[n]);
            n += 1;
        }
        cuts.push((n, *rank));
    }
    cuts
}
