//! What an answer took.

use std::time::Duration;

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the whole prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens that were not computed: they were in the cache from the request before, kept from an earlier one,
    /// or read from the cache folder. The others, [`computed_tokens`](Self::computed_tokens), were.
    pub reused_tokens: usize,
    /// Of the reused tokens, those that were read from the cache folder.
    pub loaded_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
    /// Forward passes for the tokens of the answer; fewer than tokens where several were checked in one.
    pub decode_passes: usize,
    /// Tokens that were drafted and computed before they were chosen.
    pub drafted_tokens: usize,
    /// Drafted tokens that were then chosen.
    pub confirmed_tokens: usize,
    /// Whether the answer is the best passage as it stands, without a word of the model: see
    /// [`ThermalState::Critical`](crate::ThermalState::Critical).
    pub extractive: bool,
    /// From the request to the passages.
    pub time_to_passages: Duration,
    /// From the request to the first piece of text; zero when there was none.
    pub time_to_first_text: Duration,
    /// From the request to the end.
    pub total_time: Duration,
    /// For the tokens of the answer, those of the prompt left out.
    pub decode_time: Duration,
    /// Prompt tokens per second, without the reused ones; zero when nothing was computed.
    pub prefill_tokens_per_second: f64,
    /// Answer tokens per second.
    pub decode_tokens_per_second: f64,
}

impl Usage {
    /// Prompt tokens that were computed for this answer.
    pub fn computed_tokens(&self) -> usize {
        self.prompt_tokens.saturating_sub(self.reused_tokens)
    }

    /// The share of all prompt tokens that needed no computing, over several answers; 0 for none.
    pub fn reused_share<'a>(usages: impl IntoIterator<Item = &'a Usage>) -> f64 {
        let (mut all, mut reused) = (0, 0);
        for usage in usages {
            all += usage.prompt_tokens;
            reused += usage.reused_tokens;
        }
        if all == 0 { 0.0 } else { reused as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_tokens_not_of_answers() {
        let usage = |prompt_tokens, reused_tokens| Usage { prompt_tokens, reused_tokens, ..Usage::default() };
        assert_eq!(Usage::reused_share(&[usage(300, 0), usage(100, 100)]), 0.25);
        assert_eq!(Usage::reused_share(&[]), 0.0);
        assert_eq!(usage(300, 80).computed_tokens(), 220);
    }
}
