//! Choosing the next token from logits.

use crate::{Error, Result};

/// How tokens are chosen. The default takes the most likely one, always.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// 0 takes the most likely token; 1 draws by the model's own probabilities; more flattens them.
    pub temperature: f32,
    /// Only this many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this fraction as likely as the most likely one; 0 for all.
    pub min_p: f32,
    /// Logits of recent tokens are divided by this if positive, multiplied if negative; 1 for no effect
    /// (Keskar et al., "CTRL", 2019).
    pub repetition_penalty: f32,
    /// How many of the last tokens count as recent.
    pub repetition_window: usize,
    /// The same seed draws the same tokens from the same logits.
    pub seed: u64,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_window: 64,
            seed: 0,
        }
    }
}

impl SamplingOptions {
    fn check(&self) -> Result<()> {
        let wrong = |name: &str, value: f32| Err(Error::InvalidArgument(format!("{name} of {value}")));
        match self {
            Self { temperature: t, .. } if !(t.is_finite() && *t >= 0.0) => wrong("temperature", *t),
            Self { top_p: p, .. } if !(*p > 0.0 && *p <= 1.0) => wrong("top_p", *p),
            Self { min_p: p, .. } if !(*p >= 0.0 && *p <= 1.0) => wrong("min_p", *p),
            Self { repetition_penalty: r, .. } if !(r.is_finite() && *r > 0.0) => wrong("repetition_penalty", *r),
            _ => Ok(()),
        }
    }
}

/// A token and how likely the model thought it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// The token.
    pub id: u32,
    /// The natural logarithm of its probability under the model's own logits: before penalties, temperature and cuts.
    pub logprob: f32,
}

/// Draws tokens. Deterministic: options and logits decide everything.
///
/// In order: repetition penalty, `top_k`, `top_p`, `min_p`, then temperature over what is left, so the temperature
/// does not change which tokens are possible. Among equal logits the lower token comes first.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplingOptions,
    random: Pcg32,
    /// Logits after penalties; kept to avoid allocating for each token.
    adjusted: Vec<f32>,
    candidates: Vec<(f32, u32)>,
}

impl Sampler {
    /// A sampler at the beginning of its random sequence.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an option outside its range.
    pub fn new(options: SamplingOptions) -> Result<Self> {
        options.check()?;
        let random = Pcg32::new(options.seed);
        Ok(Self { options, random, adjusted: Vec::new(), candidates: Vec::new() })
    }

    /// What it was made with.
    pub fn options(&self) -> &SamplingOptions {
        &self.options
    }

    /// Chooses a token. `recent` are the tokens so far, of which the last `repetition_window` are penalized.
    /// A NaN counts as impossible.
    ///
    /// Cost: one pass over the logits for the choice and one for the probability; nothing is sorted whole.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if no logit is a number above -∞.
    pub fn sample(&mut self, logits: &[f32], recent: &[u32]) -> Result<Token> {
        let mut adjusted = std::mem::take(&mut self.adjusted);
        let penalized = self.options.repetition_penalty != 1.0 && self.options.repetition_window > 0;
        let chosen = if penalized {
            adjusted.clear();
            adjusted.extend_from_slice(logits);
            self.penalize(&mut adjusted, recent);
            self.choose(&adjusted)
        } else {
            self.choose(logits)
        };
        self.adjusted = adjusted;
        let id = chosen.ok_or_else(|| Error::InvalidArgument("no token has a finite logit".to_owned()))?;
        Ok(Token { id, logprob: log_probability(logits, id) })
    }

    fn penalize(&self, logits: &mut [f32], recent: &[u32]) {
        let window = &recent[recent.len().saturating_sub(self.options.repetition_window)..];
        for (i, token) in window.iter().enumerate() {
            if window[..i].contains(token) {
                continue;
            }
            if let Some(logit) = logits.get_mut(*token as usize) {
                let penalty = self.options.repetition_penalty;
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        let best = argmax(logits)?;
        if self.options.temperature == 0.0 || self.options.top_k == 1 {
            return Some(best);
        }
        let top = logits[best as usize];
        if top == f32::INFINITY {
            return Some(best);
        }
        // min_p is a distance below the best logit, so it can be applied first without changing the others' order.
        let floor = if self.options.min_p > 0.0 { top + self.options.min_p.ln() } else { f32::NEG_INFINITY };
        let candidates = &mut self.candidates;
        candidates.clear();
        let numbered = logits.iter().zip(0u32..);
        if self.options.top_p < 1.0 {
            // The probabilities that top_p counts are those of all tokens that top_k leaves.
            candidates.extend(numbered.filter(|(l, _)| **l > f32::NEG_INFINITY).map(|(l, i)| (*l, i)));
        } else {
            candidates.extend(numbered.filter(|(l, _)| **l > f32::NEG_INFINITY && **l >= floor).map(|(l, i)| (*l, i)));
        }
        if self.options.top_k > 0 {
            keep_best(candidates, self.options.top_k);
        }
        if self.options.top_p < 1.0 {
            keep_nucleus(candidates, top, self.options.top_p);
            candidates.retain(|(logit, _)| *logit >= floor);
        }
        // Fixed order, so that the draw does not depend on how the cuts left them.
        candidates.sort_unstable_by_key(|(_, token)| *token);
        let weight = |logit: f32| f64::from((logit - top) / self.options.temperature).exp();
        let all: f64 = candidates.iter().map(|(logit, _)| weight(*logit)).sum();
        let mut left = self.random.next_unit() * all;
        for (logit, token) in candidates.iter() {
            left -= weight(*logit);
            if left < 0.0 {
                return Some(*token);
            }
        }
        Some(best)
    }
}

/// The first of the largest logits; NaN is never chosen.
fn argmax(logits: &[f32]) -> Option<u32> {
    // Eight lanes, so that the compiler can use vectors; then the first place that holds the maximum.
    let mut lanes = [f32::NEG_INFINITY; 8];
    let (chunks, rest) = logits.as_chunks::<8>();
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = if *logit > *lane { *logit } else { *lane };
        }
    }
    let most = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, l| if *l > m { *l } else { m });
    if most == f32::NEG_INFINITY {
        return None;
    }
    logits.iter().position(|l| *l == most).map(|i| i as u32)
}

fn more_likely(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Keeps the `n` most likely, in any order.
fn keep_best(candidates: &mut Vec<(f32, u32)>, n: usize) {
    if n < candidates.len() {
        candidates.select_nth_unstable_by(n, more_likely);
        candidates.truncate(n);
    }
}

/// Keeps the most likely that together reach `top_p` of the whole, the one that reaches it included.
fn keep_nucleus(candidates: &mut Vec<(f32, u32)>, top: f32, top_p: f32) {
    let weight = |logit: f32| f64::from(logit - top).exp();
    let wanted = candidates.iter().map(|(logit, _)| weight(*logit)).sum::<f64>() * f64::from(top_p);
    // Mostly a handful of tokens reach it: sort a small front part and enlarge it while it does not suffice.
    let mut front = 64;
    loop {
        let n = front.min(candidates.len());
        if n < candidates.len() {
            candidates.select_nth_unstable_by(n, more_likely);
        }
        candidates[..n].sort_unstable_by(more_likely);
        let mut sum = 0.0;
        let reached = candidates[..n].iter().position(|(logit, _)| {
            sum += weight(*logit);
            sum >= wanted
        });
        if let Some(last) = reached {
            candidates.truncate(last + 1);
            return;
        }
        if n == candidates.len() {
            return;
        }
        front *= 8;
    }
}

/// The logarithm of the softmax at `token`; NaNs count as impossible.
pub(crate) fn log_probability(logits: &[f32], token: u32) -> f32 {
    let Some(best) = argmax(logits) else { return f32::NEG_INFINITY };
    let top = logits[best as usize];
    let sum: f64 = logits.chunks(256).map(|chunk| f64::from(sum_of_exponentials(chunk, top))).sum();
    logits[token as usize] - top - sum.ln() as f32
}

/// `Σ e^(l - top)`, written so that the compiler uses vectors: e^x = 2^n e^r with |r| ≤ ln 2 / 2 and the Taylor
/// polynomial of degree 6 for e^r (relative error below 1e-6, as a logarithm of a probability needs no more).
fn sum_of_exponentials(logits: &[f32], top: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let exponential = |logit: f32| -> f32 {
        let x = logit - top;
        let x = if x > -87.0 { x } else { -87.0 }; // NaN too
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * std::f32::consts::LN_2;
        let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
        let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        p * power
    };
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = logits.as_chunks::<16>();
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane += exponential(*logit);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|l| exponential(*l)).sum::<f32>()
}

/// PCG-XSH-RR 64/32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
/// Random Number Generation", 2014).
#[derive(Clone, Debug)]
struct Pcg32 {
    state: u64,
}

impl Pcg32 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;

    fn new(seed: u64) -> Self {
        let mut out = Self { state: seed.wrapping_add(Self::INCREMENT) };
        out.next_u32();
        out
    }

    fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(Self::MULTIPLIER).wrapping_add(Self::INCREMENT);
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// In `[0, 1)`, a multiple of 2⁻⁵³.
    fn next_unit(&mut self) -> f64 {
        let bits = (u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SamplingOptions {
        SamplingOptions { temperature: 1.0, ..SamplingOptions::default() }
    }

    fn drawn(options: SamplingOptions, logits: &[f32], times: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(options).unwrap();
        (0..times).map(|_| sampler.sample(logits, &[]).unwrap().id).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_never_a_nan() {
        let mut logits = vec![f32::NAN, -1.0, 3.0, f32::NAN, 3.0];
        assert_eq!(drawn(SamplingOptions::default(), &logits, 1), [2]);
        logits.splice(0..0, vec![f32::NAN; 30]);
        assert_eq!(drawn(SamplingOptions::default(), &logits, 1), [32]);
        assert!(drawn(options(), &logits, 200).iter().all(|t| [31, 32, 34].contains(t)));
        let mut sampler = Sampler::new(options()).unwrap();
        for hopeless in [vec![], vec![f32::NAN; 9], vec![f32::NEG_INFINITY; 9]] {
            assert!(sampler.sample(&hopeless, &[]).is_err());
        }
    }

    #[test]
    fn draws_follow_the_probabilities() {
        // Probabilities 1/2, 1/4, 1/4.
        let logits = [2f32.ln(), 0.0, 0.0];
        let tokens = drawn(options(), &logits, 20_000);
        let share = tokens.iter().filter(|t| **t == 0).count() as f32 / 20_000.0;
        // Five standard deviations of a share of 20,000 draws: 0.018.
        assert!((share - 0.5).abs() < 0.018, "{share}");
    }

    #[test]
    fn a_seed_names_the_sequence() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
        assert_eq!(drawn(options(), &logits, 50), drawn(options(), &logits, 50));
        assert_ne!(drawn(SamplingOptions { seed: 1, ..options() }, &logits, 50), drawn(options(), &logits, 50));
    }

    #[test]
    fn cuts_leave_exactly_what_they_promise() {
        // Probabilities 0.4, 0.3, 0.2, 0.1 at 3, 1, 0, 2.
        let logits = [0.2f32.ln(), 0.3f32.ln(), 0.1f32.ln(), 0.4f32.ln()];
        let support = |options: SamplingOptions| {
            let mut tokens = drawn(options, &logits, 2_000);
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        assert_eq!(support(options()), [0, 1, 2, 3]);
        assert_eq!(support(SamplingOptions { top_k: 2, ..options() }), [1, 3]);
        assert_eq!(support(SamplingOptions { top_p: 0.65, ..options() }), [1, 3]);
        assert_eq!(support(SamplingOptions { top_p: 0.75, ..options() }), [0, 1, 3]);
        assert_eq!(support(SamplingOptions { min_p: 0.6, ..options() }), [1, 3]);
        assert_eq!(support(SamplingOptions { top_k: 3, top_p: 0.99, min_p: 0.4, ..options() }), [0, 1, 3]);
    }

    #[test]
    fn a_wide_nucleus_is_found_beyond_the_first_sorted_part() {
        let logits = vec![0.0f32; 3_000];
        let mut candidates: Vec<(f32, u32)> = logits.iter().copied().zip(0..).collect();
        keep_nucleus(&mut candidates, 0.0, 0.5);
        assert_eq!(candidates.len(), 1_500);
    }

    #[test]
    fn the_penalty_reaches_only_recent_tokens_and_each_once() {
        let options = SamplingOptions { repetition_penalty: 2.0, repetition_window: 2, ..SamplingOptions::default() };
        let mut sampler = Sampler::new(options).unwrap();
        let logits = [3.0, 2.0, -1.0];
        assert_eq!(sampler.sample(&logits, &[0, 0]).unwrap().id, 1, "3 / 2 is less than 2");
        assert_eq!(sampler.sample(&logits, &[0, 2, 2]).unwrap().id, 0, "token 0 is no longer recent");
        let token = sampler.sample(&logits, &[0, 0]).unwrap();
        assert!((token.logprob - log_probability(&logits, 1)).abs() < 1e-6, "the model's own probability");
    }

    #[test]
    fn log_probabilities_agree_with_the_exact_sum() {
        let logits: Vec<f32> =
            (0..1_003).map(|i| 12.0 * (i as f32 * 1.7).sin() - 40.0 * f32::from(i % 7 == 0)).collect();
        let exact: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum::<f64>().ln();
        for token in [0u32, 1, 500, 1_002] {
            let error = f64::from(log_probability(&logits, token)) - (f64::from(logits[token as usize]) - exact);
            // 1e-6 from the polynomial, the rest from rounding logits near 50 to f32.
            assert!(error.abs() < 1e-5, "{error}");
        }
    }

    #[test]
    fn options_outside_their_range_are_refused() {
        for wrong in [
            SamplingOptions { temperature: -1.0, ..options() },
            SamplingOptions { temperature: f32::NAN, ..options() },
            SamplingOptions { top_p: 0.0, ..options() },
            SamplingOptions { min_p: 1.5, ..options() },
            SamplingOptions { repetition_penalty: 0.0, ..options() },
        ] {
            assert!(matches!(Sampler::new(wrong), Err(Error::InvalidArgument(_))));
        }
    }
}
