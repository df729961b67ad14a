//! Clocks, memory and medians.

use std::time::Instant;

use serde_json::{Value, json};

use crate::error::Result;

/// Wall and processor time of one thing, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time {
    pub(super) wall: f64,
    /// Of all threads; 0 where the system does not tell.
    pub(super) cpu: f64,
}

pub(super) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Time, T)> {
    let (start, before) = (Instant::now(), cpu_seconds());
    let value = work()?;
    Ok((Time { wall: start.elapsed().as_secs_f64(), cpu: cpu_seconds() - before }, value))
}

/// Medians over `times` runs, at least one.
pub(super) fn repeat(times: usize, mut work: impl FnMut() -> Result<()>) -> Result<Time> {
    let runs = (0..times.max(1)).map(|_| Ok(timed(&mut work)?.0)).collect::<Result<Vec<Time>>>()?;
    Ok(Time { wall: median(runs.iter().map(|t| t.wall)), cpu: median(runs.iter().map(|t| t.cpu)) })
}

/// The middle value, the upper one of two; 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Processor time of all threads that run now, in seconds. It stays right on a busy machine.
fn cpu_seconds() -> f64 {
    let of = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| of(task.path())).sum::<f64>() / 1e9
}

/// Memory of this process in MiB; zeros where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) resident: f64,
    pub(super) anonymous: f64,
    /// Pages of mapped files, such as the weights.
    pub(super) mapped: f64,
    /// The most that was resident so far.
    pub(super) peak: f64,
}

pub(super) fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
        kib.unwrap_or(0.0) / 1024.0
    };
    Memory { resident: mib("VmRSS:"), anonymous: mib("RssAnon:"), mapped: mib("RssFile:"), peak: mib("VmHWM:") }
}

impl Memory {
    pub(super) fn json(self) -> Value {
        json!({
            "resident_mib": self.resident,
            "anonymous_mib": self.anonymous,
            "mapped_mib": self.mapped,
            "resident_peak_mib": self.peak,
        })
    }
}

/// The processor's name, or the architecture where the system does not tell.
pub(super) fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Ordinary tokens in a fixed pattern: what they are does not change the work.
pub(super) fn tokens(n: usize, vocabulary: usize) -> Vec<u32> {
    let (half, last) = ((vocabulary as u64 / 2).max(1), vocabulary as u64 - 1);
    (0..n as u64).map(|i| (1_000 + (i * 7_919) % half).min(last) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 4.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn tokens_are_in_the_vocabulary_however_small_it_is() {
        for vocabulary in [1, 300, 1_500, 151_936] {
            assert!(tokens(2_000, vocabulary).iter().all(|t| (*t as usize) < vocabulary), "{vocabulary}");
        }
    }
}
