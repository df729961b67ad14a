//! `lore models list | pull | verify | path`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lorekit_cancel::CancelToken;

use super::cache::{ModelFolder, State, cache_root, hash_file};
use super::catalogue::Catalogue;
use super::error::ModelsError;
use super::options::PullOptions;
use super::progress::{ProgressPrinter, bytes};
use super::pull::ensure;

/// Arguments of `lore models`.
#[derive(Args, Clone, Debug)]
pub struct ModelsArgs {
    /// Read this catalogue instead of the built-in one.
    #[arg(long, global = true, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// The subcommands of `lore models`.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show the models of the catalogue and what is in the cache.
    List,
    /// Fetch models and check them; the default set when none is named.
    Pull {
        /// Names as `lore models list` shows them.
        names: Vec<String>,
        /// Take the small set instead of the default one.
        #[arg(long, conflicts_with = "names")]
        small: bool,
        /// Never touch the network.
        #[arg(long)]
        offline: bool,
        /// Try only this kind of source.
        #[arg(long, value_name = "KIND", value_parser = ["hub", "modelscope", "packages"])]
        source: Option<String>,
        /// Take the model from this file or folder.
        #[arg(long, value_name = "PATH", conflicts_with = "source")]
        from: Option<PathBuf>,
        /// Take files whose hash the catalogue does not know.
        #[arg(long)]
        accept_unverified: bool,
        /// Keep the files that an embedder is converted from.
        #[arg(long)]
        keep_source: bool,
    },
    /// Hash models in the cache again and compare with the catalogue; all that are there when none is named.
    Verify {
        /// Names as `lore models list` shows them.
        names: Vec<String>,
    },
    /// Print the path of a model that is in the cache.
    Path {
        /// A name as `lore models list` shows it.
        name: String,
    },
}

/// Runs `lore models`; results go to `out`, progress to standard error.
///
/// # Errors
/// Those of [`ensure`], and [`ModelsError::Mismatch`] or [`ModelsError::Absent`] from `verify` and `path`.
pub fn command(args: &ModelsArgs, out: &mut dyn Write, cancel: &CancelToken) -> Result<(), ModelsError> {
    let catalogue = match &args.catalogue {
        Some(path) => Catalogue::read(path)?,
        None => Catalogue::built_in()?,
    };
    match &args.command {
        ModelsCommand::List => list(&catalogue, out),
        ModelsCommand::Pull { names, small, offline, source, from, accept_unverified, keep_source } => {
            let names = match (names.is_empty(), small) {
                (false, _) => names.clone(),
                (true, false) => catalogue.set("default").to_vec(),
                (true, true) => catalogue.set("small").to_vec(),
            };
            if from.is_some() && names.len() != 1 {
                return Err(ModelsError::FromNeedsOne);
            }
            let mut options = PullOptions::with_catalogue(catalogue, cancel);
            options.offline = *offline;
            options.only.clone_from(source);
            options.from.clone_from(from);
            options.accept_unverified = *accept_unverified;
            options.keep_source = *keep_source;
            pull(&names, &options, out)
        }
        ModelsCommand::Verify { names } => verify(names, &catalogue, out, cancel),
        ModelsCommand::Path { name } => {
            catalogue.model(name)?;
            let cache = cache_root();
            let path = ModelFolder::new(&cache, name).model();
            if !path.is_file() {
                return Err(ModelsError::Absent { name: name.clone(), folder: cache });
            }
            print(out, &path.display().to_string())
        }
    }
}

fn pull(names: &[String], options: &PullOptions, out: &mut dyn Write) -> Result<(), ModelsError> {
    // An unknown name is told before half a gigabyte is fetched for a known one.
    for name in names {
        options.catalogue.model(name)?;
    }
    for name in names {
        let model = options.catalogue.model(name)?;
        let mut printer = ProgressPrinter::new();
        let path = ensure(name, options, &mut |step| printer.show(&step))?;
        drop(printer);
        print(out, &format!("{name}  {}  licence: {}  {}", bytes(file_len(&path)), model.licence, path.display()))?;
    }
    Ok(())
}

fn list(catalogue: &Catalogue, out: &mut dyn Write) -> Result<(), ModelsError> {
    let cache = cache_root();
    let header = ["NAME", "USE", "SIZE", "LICENCE", "STATE", "ABOUT"].map(str::to_owned);
    let rows = catalogue.models.iter().map(|model| {
        let folder = ModelFolder::new(&cache, &model.name);
        let state = match folder.state(model) {
            State::Ready => "ready".to_owned(),
            State::Unchecked => "there, not checked yet".to_owned(),
            State::Unverified => "ready (unverified)".to_owned(),
            State::Other => "other bytes than the catalogue's".to_owned(),
            State::Partial(count) => format!("{} arrived", bytes(count)),
            State::Absent => "-".to_owned(),
        };
        [
            model.name.clone(),
            model.purpose.to_string(),
            bytes(model.size),
            model.licence.clone(),
            state,
            model.about.clone(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    // All cells are ASCII but perhaps `about`, which comes last and needs no width.
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.push_str(&row[5]);
        print(out, line.trim_end())?;
    }
    print(out, &format!("cache: {}", cache.display()))
}

fn verify(
    names: &[String],
    catalogue: &Catalogue,
    out: &mut dyn Write,
    cancel: &CancelToken,
) -> Result<(), ModelsError> {
    let cache = cache_root();
    let mut printer = ProgressPrinter::new();
    let mut first_error = None;
    let models: Vec<_> = if names.is_empty() {
        catalogue.models.iter().filter(|m| ModelFolder::new(&cache, &m.name).model().is_file()).collect()
    } else {
        names.iter().map(|name| catalogue.model(name)).collect::<Result<_, _>>()?
    };
    if models.is_empty() {
        print(out, &format!("no model in {}", cache.display()))?;
    }
    for model in models {
        let folder = ModelFolder::new(&cache, &model.name);
        let path = folder.model();
        let outcome = if path.is_file() {
            // Before the new receipt is written: what an unverified download had when it arrived.
            let unverified = (folder.state(model) == State::Unverified).then(|| folder.received()).flatten();
            let found = hash_file(&path, &model.name, cancel, &mut |step| printer.show(&step))?;
            let accepted = model.accepted();
            if accepted.contains(&found.as_str()) {
                folder.write_receipt(&found, false);
                Ok("ok".to_owned())
            } else if unverified.as_ref() == Some(&found) {
                Ok("as downloaded; the catalogue has no verified hash for it".to_owned())
            } else {
                folder.write_receipt(&found, false);
                Err(ModelsError::Mismatch { path, expected: accepted.join(" or "), found })
            }
        } else {
            Err(ModelsError::Absent { name: model.name.clone(), folder: cache.clone() })
        };
        match outcome {
            Ok(text) => print(out, &format!("{}: {text}", model.name))?,
            Err(error) => {
                print(out, &format!("{}: {error}", model.name))?;
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn file_len(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn print(out: &mut dyn Write, line: &str) -> Result<(), ModelsError> {
    match writeln!(out, "{line}") {
        // A reader that has seen enough (`| head`) is no error.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(ModelsError::io("write", std::path::Path::new("standard output"), e))
        }
        _ => Ok(()),
    }
}
