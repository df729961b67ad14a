//! Time, memory, and the searches that all are measured by.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::data::{NEAREST, Vectors};

/// Wall time, and the processor's time of this process.
pub struct Timer {
    wall: Instant,
    cpu: f64,
}

impl Timer {
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    pub fn seconds(&self) -> Value {
        json!({ "wall": round(self.wall.elapsed().as_secs_f64(), 3), "cpu": round(cpu_seconds() - self.cpu, 2) })
    }
}

pub fn round(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}

/// From `/proc/self/stat`, in hundredths of a second; zero elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Resident memory in MiB: what is mapped from files, what is not, and the most that was resident at once.
pub fn memory() -> Value {
    let read = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let kib =
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    };
    let rollup = "/proc/self/smaps_rollup";
    let (all, anonymous) = (read(rollup, "Rss:"), read(rollup, "Anonymous:"));
    json!({
        "mapped_mib": round(all - anonymous, 1),
        "anonymous_mib": round(anonymous, 1),
        "peak_mib": round(read("/proc/self/status", "VmHWM:"), 1),
    })
}

/// Says how far long work is, at each tenth.
pub fn progress(what: &str, done: usize, total: usize) {
    static SAID: AtomicUsize = AtomicUsize::new(usize::MAX);
    let tenth = done * 10 / total.max(1);
    if total >= 1000 && SAID.swap(tenth, Ordering::Relaxed) != tenth {
        eprintln!("  {what}: {} %", tenth * 10);
    }
}

/// Recall, then times of single searches by one thread and by two at once. `search` gives rows, best first.
pub fn searches(queries: &Vectors, truth: &[[u32; NEAREST]], search: &(dyn Fn(&[f32]) -> Vec<u32> + Sync)) -> Value {
    let (mut found, mut wanted) = (0, 0);
    for (query, truth) in queries.rows().zip(truth) {
        let hits = search(query);
        found += truth.iter().filter(|row| hits.contains(row)).count();
        wanted += truth.len();
    }
    let mut report = json!({ "recall_at_10": round(found as f64 / wanted as f64, 4) });
    for n_threads in [1, 2] {
        let times = Mutex::new(Vec::new());
        std::thread::scope(|threads| {
            for thread in 0..n_threads {
                let times = &times;
                threads.spawn(move || {
                    let mut own = Vec::new();
                    let begin = Instant::now();
                    // Five rounds, or as many as ten seconds allow, but one.
                    for round in 0..5 {
                        if round > 0 && begin.elapsed().as_secs() >= 10 {
                            break;
                        }
                        for query in queries.rows().cycle().skip(thread * 7).take(queries.rows().len()) {
                            let start = Instant::now();
                            std::hint::black_box(search(query));
                            own.push(start.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                    times.lock().unwrap().extend(own);
                });
            }
        });
        let mut times = times.into_inner().unwrap();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| round(times[((times.len() - 1) as f64 * share) as usize], 3);
        report[format!("threads_{n_threads}")] =
            json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "searches": times.len() });
    }
    report
}
