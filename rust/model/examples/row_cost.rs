//! What a pass of few rows costs beside a pass of one: `row_cost MODEL [DEPTH]`. Prints milliseconds for each number of rows.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_model::{LanguageModel, LoadOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a model file, please")?;
    let depth: usize = arguments.next().map_or(Ok(512), |n| n.parse())?;
    let cancel = CancelToken::new();
    let model = LanguageModel::open(path.as_ref(), &LoadOptions { threads: 2, ..LoadOptions::default() })?;
    let mut session = model.new_session(depth + 64)?;
    let tokens: Vec<u32> = (0..depth as u32 + 64).map(|i| 1_000 + i * 7_919 % 20_000).collect();
    session.prefill(&tokens[..depth], None, &cancel)?;
    for rows in [1usize, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48] {
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..9 {
            session.truncate(depth);
            let started = Instant::now();
            session.prefill_last(&tokens[depth..depth + rows], rows, None, &cancel)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("{rows:3} rows: {:.1} ms (best {:.1})", times[4], times[0]);
    }
    Ok(())
}
