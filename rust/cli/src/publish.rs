//! What `lore build` and `lore delta` share on the command line.

use std::path::PathBuf;

use clap::Args;
use lorekit_store::IndexChoice;

/// Options of whoever publishes a pack.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// Who may see what, for documents that do not say it: a TOML or JSON file of rules, each with a path pattern or
    /// document id and a list of labels, of which a caller needs any. Give it again for each delta.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Last day on which the pack should be used, YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
    /// A pack to copy vectors from, where a passage's whole embedding input (titles and text) is the same; the embedder
    /// must be the same. May be repeated.
    #[arg(long, value_name = "PACK")]
    pub(crate) reuse: Vec<PathBuf>,
    /// Vector index: by measurement, an exact scan, or a graph.
    #[arg(long, value_enum, default_value_t = Index::Auto)]
    pub(crate) index: Index,
    /// Threads; 0 takes all processors.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Never touch the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print a summary as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which vector index to build.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Index {
    /// By size and measured recall.
    Auto,
    /// A scan.
    Exact,
    /// A graph.
    Graph,
}

impl From<Index> for IndexChoice {
    fn from(index: Index) -> Self {
        match index {
            Index::Auto => Self::Auto,
            Index::Exact => Self::Exact,
            Index::Graph => Self::Graph,
        }
    }
}
