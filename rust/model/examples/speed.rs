//! How fast a model file runs: prefill and decoding in tokens per second, memory, time to open.
//!
//!     cargo run --example speed -- MODEL.gguf [--threads N] [--prompt N] [--decode N] [--repeat N] [--piece N] [--lora RANK] [--side FOLDER]
//!         [--portable]
//!
//! The medians of the repeats are printed; CPU time too, which says more than the wall clock on a busy machine.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use lorekit_cancel::CancelToken;
use lorekit_model::{Adapter, AdapterPart, AdapterSet, BackendChoice, LanguageModel, LoadOptions};

struct Arguments {
    model: PathBuf,
    options: LoadOptions,
    prompt: usize,
    decode: usize,
    repeat: usize,
    /// Rank of a random adapter on every linear layer of the blocks; 0 for none.
    lora: usize,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut out = Arguments {
        model: PathBuf::new(),
        options: LoadOptions { threads: 1, ..LoadOptions::default() },
        prompt: 512,
        decode: 64,
        repeat: 3,
        lora: 0,
    };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().ok_or("a number is missing")?.parse::<usize>().map_err(|e| e.to_string());
        match argument.as_str() {
            "--threads" => out.options.threads = number()?,
            "--prompt" => out.prompt = number()?.max(1),
            "--decode" => out.decode = number()?.max(1),
            "--repeat" => out.repeat = number()?.max(1),
            "--piece" => out.options.prefill_piece = number()?,
            "--lora" => out.lora = number()?,
            "--side" => out.options.side_folder = Some(rest.next().ok_or("a folder is missing")?.into()),
            "--portable" => out.options.backend = BackendChoice::Portable(candle_core::Device::Cpu),
            _ => out.model = PathBuf::from(argument),
        }
    }
    Ok(out)
}

/// CPU seconds of all threads of this process; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn status(key: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or(" ?");
    line.trim_start_matches(':').trim().to_owned()
}

/// An adapter that adds noise, to see what adapters cost.
fn adapter(model: &LanguageModel, rank: usize) -> Result<AdapterSet, Box<dyn Error>> {
    let matrices = model.gguf().tensors().filter(|t| t.name.starts_with("blk.") && t.dims.len() == 2);
    let parts = matrices.map(|t| AdapterPart {
        base: t.name.clone(),
        rank,
        a: (0..rank * t.cols()).map(|i| (i % 17) as f32 * 1e-4).collect(),
        b: (0..rank * t.rows()).map(|i| (i % 13) as f32 * 1e-4).collect(),
    });
    Ok(AdapterSet::single(Adapter::from_parts("noise", 1.0, parts.collect(), model)?))
}

/// Medians of wall and CPU seconds.
fn measure(repeat: usize, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(f64, f64), Box<dyn Error>> {
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        work()?;
        wall.push(start.elapsed().as_secs_f64());
        cpu.push(cpu_seconds() - cpu_start);
    }
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    Ok((wall[repeat / 2], cpu[repeat / 2]))
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { model, options, prompt, decode, repeat, lora } = arguments()?;
    let start = Instant::now();
    let model = LanguageModel::open(&model, &options)?;
    println!("open            {:8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("model           {:?}", model.info());
    println!("kernels         {}, {} threads", lorekit_kernels::instruction_set(), options.threads);

    let vocab = model.description().vocab as u32;
    let tokens: Vec<u32> = (0..prompt as u32).map(|i| (i * 7919 + 13) % vocab).collect();
    let adapters = if lora > 0 { Some(adapter(&model, lora)?) } else { None };
    let adapters = adapters.as_ref();
    let cancel = CancelToken::new();
    let mut session = model.new_session(prompt + decode)?;
    session.prefill(&tokens[..tokens.len().min(8)], adapters, &cancel)?;

    let report = |what: String, n: usize, (wall, cpu): (f64, f64)| {
        let (a, b) = (n as f64 / wall, n as f64 / cpu);
        println!("{what:15} {a:8.1} tok/s wall {b:8.1} tok/s of CPU");
    };
    let seconds = measure(repeat, || {
        session.truncate(0);
        session.prefill(&tokens, adapters, &cancel)?;
        Ok(())
    })?;
    report(format!("prefill({prompt})"), prompt, seconds);
    for depth in [0, prompt] {
        let seconds = measure(repeat, || {
            session.truncate(depth);
            for i in 0..decode {
                session.prefill(&[tokens[i % tokens.len()]], adapters, &cancel)?;
            }
            Ok(())
        })?;
        report(format!("decode @{depth}"), decode, seconds);
        if depth == 0 {
            session.truncate(0);
            session.prefill(&tokens, adapters, &cancel)?;
        }
    }
    println!(
        "memory          {} peak, {} anonymous, cache {} MB",
        status("VmHWM"),
        status("RssAnon"),
        session.cache_bytes() >> 20
    );
    Ok(())
}
