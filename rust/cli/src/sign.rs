//! `lore sign`: vouch for packs.

use std::path::PathBuf;

use clap::Args;
use lorekit_pack::Pack;
use lorekit_pack::signing::{PackState, RollbackStatement, SignedKeySet, SigningKey, attach_rollback, sign_pack};

use crate::error::Result;

/// Arguments of `lore sign`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Only the signature area of the file changes. A signature that this key made earlier is replaced, \
    those of other keys stay."
)]
pub struct SignArgs {
    /// The packs.
    #[arg(required = true)]
    packs: Vec<PathBuf>,
    /// The private key, a PEM file.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// A key set that a root signed (lore keyset), for devices that pin the root.
    #[arg(long, value_name = "FILE")]
    key_set: Option<PathBuf>,
    /// Let this older pack arrive at libraries that have the newer pack NEWER, exactly that version and state.
    #[arg(long, value_name = "NEWER")]
    rollback_from: Option<PathBuf>,
}

pub(crate) fn run(args: &SignArgs) -> Result<()> {
    let key = SigningKey::read(&args.key)?;
    let key_set = args.key_set.as_deref().map(SignedKeySet::read).transpose()?;
    let newer = args.rollback_from.as_deref().map(Pack::open).transpose()?;
    for path in &args.packs {
        sign_pack(path, &key, key_set.as_ref())?;
        if let Some(newer) = &newer {
            let state = |pack: &Pack| PackState { version: pack.manifest().version, state: pack.manifest().state };
            let pack = Pack::open(path)?;
            let pack_id = newer.manifest().pack_id.clone();
            let statement = RollbackStatement { pack_id, from: state(newer), to: state(&pack) };
            attach_rollback(path, &statement.sign(&key))?;
        }
        println!("{}: signed by {}", path.display(), key.verifying_key());
    }
    Ok(())
}
