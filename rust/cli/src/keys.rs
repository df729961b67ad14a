//! `lore keygen` and `lore keyset`: the keys of a publisher.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use lorekit_pack::signing::{KeySet, SigningKey, VerifyingKey};

use crate::error::{CliError, Result};

/// Arguments of `lore keygen`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Root and signing keys are of one kind; what makes a key a root is that apps pin it.\n\
    Keep a root's file off the machines that build, and sign releases with keys of a set (lore keyset).\n\
    The files are PEM, as openssl reads and writes them.")]
pub struct KeygenArgs {
    /// Where the private key goes; the public one goes beside it, with .pub added. Neither may exist.
    file: PathBuf,
}

/// Arguments of `lore keyset`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "A device that has seen a set takes no older one: raise --set-version with each change, and leave \
    a stolen key out of the next set.\nPut the set into packs with lore sign --key-set."
)]
pub struct KeysetArgs {
    /// The root's private key.
    #[arg(long, value_name = "KEY")]
    root: PathBuf,
    /// A public key that may sign packs, as a PEM file or as 64 hexadecimal digits; may be repeated.
    #[arg(long = "key", value_name = "PUBLIC KEY", required = true)]
    keys: Vec<String>,
    /// The version of the set, higher than that of each set before.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    set_version: u64,
    /// The last day on which devices take packs under this set, YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    expires: Option<String>,
    /// A pack id that the keys may sign; may be repeated; without it they may sign any.
    #[arg(long = "pack", value_name = "ID")]
    packs: Vec<String>,
    /// Where the signed set goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn keygen(args: &KeygenArgs) -> Result<()> {
    let mut public = args.file.clone().into_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    for path in [&args.file, &public] {
        if fs::symlink_metadata(path).is_ok() {
            return Err(CliError::Input {
                path: path.clone(),
                reason: "exists already, and a key is never overwritten".into(),
            });
        }
    }
    let key = SigningKey::generate()?;
    write_new(&args.file, key.to_pem().as_bytes(), true)?;
    write_new(&public, key.verifying_key().to_pem().as_bytes(), false)?;
    println!("{}: private key, keep it secret and keep a copy", args.file.display());
    println!("{}: public key {}", public.display(), key.verifying_key());
    Ok(())
}

pub(crate) fn keyset(args: &KeysetArgs) -> Result<()> {
    let root = SigningKey::read(&args.root)?;
    let keys = args.keys.iter().map(|key| public_key(key)).collect::<Result<Vec<_>>>()?;
    let pack_ids = (!args.packs.is_empty()).then(|| args.packs.clone());
    let n_keys = keys.len();
    let set = KeySet { version: args.set_version, keys, expires: args.expires.clone(), pack_ids };
    let signed = set.sign(&args.output, &root)?;
    fs::write(&args.output, signed.to_text()).map_err(CliError::file(&args.output))?;
    let plural = if n_keys == 1 { "key" } else { "keys" };
    println!(
        "{}: key set {} with {n_keys} {plural}, signed by root {}",
        args.output.display(),
        args.set_version,
        root.verifying_key()
    );
    Ok(())
}

/// A public key from 64 hexadecimal digits or from a file.
pub(crate) fn public_key(text: &str) -> Result<VerifyingKey> {
    match text.parse() {
        Ok(key) => Ok(key),
        Err(_) => Ok(VerifyingKey::read(Path::new(text))?),
    }
}

fn write_new(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    // Elsewhere the folder's own rights decide who may read the file.
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path).map_err(CliError::file(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(CliError::file(path))
}
