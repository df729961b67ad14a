//! One step of the bench at scale, as JSON on standard output; `cargo xtask bench-scale` runs them all, beside other programs
//! on the same vectors.
//!
//! ```text
//! scale data FOLDER ROWS DIMS QUERIES   vectors.f32, queries.f32, and truth.u32: the exact ten nearest of each query
//! scale build FOLDER CHARACTERS         base.lorepack: each vector a passage of as many characters
//! scale search FOLDER                   opens the library and searches it
//! scale race FOLDER EXPANSION           searches it and usearch alone, in turns
//! scale delta FOLDER CHARACTERS         delta.lorepack: one passage of a hundred amended
//! scale apply FOLDER                    applies it
//! scale compact FOLDER
//! scale bare-build FOLDER EXPANSION     usearch alone, as it is in the crate, with the graph's parameters of the pack
//! scale bare-search FOLDER EXPANSION
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod bare;
#[path = "../../tests/common/mod.rs"]
mod common;
mod data;
mod library;
mod measure;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().unwrap();
    let report = match arguments[..] {
        ["data", folder, rows, dims, queries] => {
            data::make(Path::new(folder), number(rows), number(dims), number(queries))
        }
        ["build", folder, characters] => library::build(Path::new(folder), number(characters)),
        ["search", folder] => library::search(Path::new(folder)),
        ["race", folder, expansion] => library::race(Path::new(folder), number(expansion)),
        ["delta", folder, characters] => library::delta(Path::new(folder), number(characters)),
        ["apply", folder] => library::apply(Path::new(folder)),
        ["compact", folder] => library::compact(Path::new(folder)),
        ["bare-build", folder, expansion] => bare::build(Path::new(folder), number(expansion)),
        ["bare-search", folder, expansion] => bare::search(Path::new(folder), number(expansion)),
        _ => panic!("see the top of rust/store/examples/scale/main.rs for what this takes"),
    };
    println!("{report}");
}
