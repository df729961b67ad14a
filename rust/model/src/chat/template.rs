//! Rendering a template: Jinja as the `transformers` library sets it up, in a sandbox.

use std::fmt;
use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

use super::{Date, Message, Piece, Role, fallback, placeholder};
use crate::gguf::Gguf;
use crate::{Error, Result};

/// Steps a rendering may take: some thousand times what a long chat needs.
const FUEL: u64 = 2_000_000;
/// The longest text a template may write beside the contents.
const LONGEST_OUTPUT: usize = 4 << 20;
const NAME: &str = "chat";

/// A model's chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// What a template may ask for beside the messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// `enable_thinking`, which templates of reasoning models ask for; not set if none.
    pub enable_thinking: Option<bool>,
    /// Today, for `strftime_now`; without it that function does not exist, and a template that insists fails.
    pub date: Option<Date>,
}

impl ChatTemplate {
    /// The template of the file, or a built-in one for the turn tokens of its vocabulary.
    ///
    /// Errors: [`Error::Template`] if it is no valid Jinja, [`Error::Unsupported`] if there is none and the
    /// vocabulary has no known turn tokens.
    pub fn from_gguf(gguf: &Gguf) -> Result<ChatTemplate> {
        let source = match gguf.str("tokenizer.chat_template") {
            Some(source) => source,
            None => fallback::template(gguf)
                .ok_or_else(|| gguf.unsupported("model without a chat template", gguf.architecture()))?,
        };
        let token = |key: &str| {
            let id = gguf.u64(key).and_then(|id| usize::try_from(id).ok());
            let tokens = gguf.array("tokenizer.ggml.tokens");
            id.zip(tokens).and_then(|(id, tokens)| tokens.iter_str().nth(id)).unwrap_or_default().to_owned()
        };
        Self::new(source, &token("tokenizer.ggml.bos_token_id"), &token("tokenizer.ggml.eos_token_id"))
    }

    /// A template from its Jinja source; `bos` and `eos` are the texts of the start and end tokens.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<ChatTemplate> {
        if placeholder::collides(source) {
            return Err(Error::Template("it has private-use characters".to_owned()));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(failed)?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(failed)?;
        Ok(ChatTemplate { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// Renders a chat; with `add_generation_prompt` it ends where the model is to answer.
    ///
    /// A template that refuses or drops a leading system message gets it at the head of the first user message
    /// instead. The template sees no content but a placeholder, which it can trim and nothing else. Of the models
    /// known, those that think take the thoughts out of earlier answers, and line breaks from the head of the last;
    /// the caller leaves both out.
    ///
    /// Errors: [`Error::Template`] if the template fails, runs too long or spoils a content.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<Piece>> {
        self.render_with(messages, add_generation_prompt, RenderOptions::default())
    }

    /// [`ChatTemplate::render`] with what else the template may ask for.
    pub fn render_with(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        options: RenderOptions,
    ) -> Result<Vec<Piece>> {
        let turns: Vec<(Role, &str)> = messages.iter().map(|m| (m.role, m.content.as_str())).collect();
        let rendered = self.render_turns(&turns, add_generation_prompt, options);
        let [(Role::System, system), (Role::User, question), rest @ ..] = turns.as_slice() else { return rendered };
        let kept = |pieces: &Vec<Piece>| {
            system.trim().is_empty()
                || pieces.iter().any(|p| matches!(p, Piece::Content(c) if c.trim() == system.trim()))
        };
        if rendered.as_ref().is_ok_and(kept) {
            return rendered;
        }
        let joined = format!("{}\n\n{question}", system.trim());
        let mut turns = vec![(Role::User, joined.as_str())];
        turns.extend(rest);
        self.render_turns(&turns, add_generation_prompt, options).or(rendered)
    }

    fn render_turns(&self, turns: &[(Role, &str)], prompt: bool, options: RenderOptions) -> Result<Vec<Piece>> {
        let contents: Vec<&str> = turns.iter().map(|(_, content)| *content).collect();
        let messages: Vec<Value> = turns
            .iter()
            .enumerate()
            .map(|(n, (role, content))| {
                // Templates ask whether a content is empty, so an empty one stays so.
                let content = if content.is_empty() { String::new() } else { placeholder::for_content(n) };
                context! { role => role.name(), content => content }
            })
            .collect();
        let base = context! {
            messages => messages,
            add_generation_prompt => prompt,
            bos_token => self.bos.clone(),
            eos_token => self.eos.clone(),
        };
        let thinking = options.enable_thinking.map(|on| context! { enable_thinking => on });
        let date = options.date.map(|date| context! { strftime_now => Value::from_function(strftime(date)) });
        let context = context! { ..base, ..thinking.unwrap_or_default(), ..date.unwrap_or_default() };

        let mut out = Bounded(Vec::new());
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template.render_captured_to(context, &mut out).map_err(failed)?;
        let rendered = String::from_utf8(out.0).map_err(|_| Error::Template("it wrote no UTF-8".to_owned()))?;
        placeholder::fill(&rendered, &contents)
            .ok_or_else(|| Error::Template("it cuts or changes the messages' contents".to_owned()))
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("bos", &self.bos).field("eos", &self.eos).finish_non_exhaustive()
    }
}

fn strftime(date: Date) -> impl Fn(String) -> Result<String, minijinja::Error> + Send + Sync + 'static {
    move |pattern| {
        let formatted = date.format(&pattern);
        formatted.ok_or_else(|| minijinja::Error::new(ErrorKind::InvalidOperation, format!("date format {pattern:?}")))
    }
}

/// The engine's message. It quotes the template at most, which has no content in it.
fn failed(error: minijinja::Error) -> Error {
    Error::Template(match error.kind() {
        ErrorKind::OutOfFuel => "it does not end".to_owned(),
        _ => error.to_string(),
    })
}

/// `{% generation %}` marks what training looks at (an extension of `transformers`); for rendering it is nothing.
fn without_generation_tags(source: &str) -> String {
    let tag = |name: &str, instead: &str, text: &str| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{%") {
            let Some(len) = rest[start..].find("%}") else { break };
            let inner = &rest[start + 2..start + len];
            out.push_str(&rest[..start]);
            if inner.trim_matches(['-', '+', ' ', '\n']) == name {
                out.push_str(&format!("{{%{}%}}", inner.replace(name, instead)));
            } else {
                out.push_str(&rest[start..start + len + 2]);
            }
            rest = &rest[start + len + 2..];
        }
        out + rest
    };
    tag("endgeneration", "endif", &tag("generation", "if true", source))
}

/// Output that refuses to grow past [`LONGEST_OUTPUT`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_OUTPUT {
            return Err(io::Error::other("too much output"));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
