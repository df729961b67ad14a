//! Chat templates: from messages to the text, and the tokens, that a model was trained on.
//!
//! A model's file carries its template (Jinja, `tokenizer.chat_template`). It is rendered with placeholders where the
//! messages' contents belong, and the contents take their places afterwards: the template never sees them, and what
//! a user or a document says can never be read as a part of the template. The result is a list of [`Piece`]s, and
//! only the template's pieces are searched for control tokens.

mod date;
mod fallback;
mod placeholder;
mod template;

pub use date::Date;
pub use template::{ChatTemplate, RenderOptions};

use crate::{Result, Tokenizer};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions that hold for the whole chat.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name templates know the role by.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; any text.
    pub content: String,
}

impl Message {
    /// A message of that role.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Message { role, content: content.into() }
    }
}

/// A stretch of a rendered chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Written by the template: control tokens are meant.
    Template(String),
    /// Written by somebody: nothing in it is a control token.
    Content(String),
}

impl Piece {
    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Piece::Template(text) | Piece::Content(text) => text,
        }
    }
}

/// The tokens of a rendered chat, with the start token where the model expects one and the template wrote none.
///
/// They are the tokens of the whole text, except that no control token touches a [`Piece::Content`].
pub fn encode_chat(tokenizer: &Tokenizer, pieces: &[Piece]) -> Result<Vec<u32>> {
    let spans: Vec<(&str, bool)> = pieces.iter().map(|p| (p.text(), matches!(p, Piece::Template(_)))).collect();
    let mut tokens = tokenizer.encode_spans(&spans)?;
    if let Some(bos) = tokenizer.bos().filter(|bos| tokenizer.add_bos() && tokens.first() != Some(bos)) {
        tokens.insert(0, bos);
    }
    Ok(tokens)
}
