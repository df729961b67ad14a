//! `lore verify`: is every byte of a pack what its manifest says, is it safe to open, and who vouches for it?

use std::path::PathBuf;

use clap::Args;
use lorekit_pack::Pack;
use lorekit_pack::signing::{SignatureArea, Trust, Verified, VerifyingKey};
use lorekit_store::{OpenOptions, Segment};

use crate::error::Result;
use crate::keys::public_key;

/// Arguments of `lore verify`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Without --root the signatures are checked as well, but anyone may have made them.")]
pub struct VerifyArgs {
    /// The packs.
    #[arg(required = true)]
    packs: Vec<PathBuf>,
    /// A public key that an app pins, as a PEM file or as 64 hexadecimal digits; a pack that neither it nor a key of its
    /// key set signed is refused; may be repeated.
    #[arg(long = "root", value_name = "PUBLIC KEY")]
    roots: Vec<String>,
    /// With --root: take packs without any signature as well.
    #[arg(long, requires = "roots")]
    allow_unsigned: bool,
    /// With --root: refuse what expired before this day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY", requires = "roots")]
    today: Option<String>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let roots = args.roots.iter().map(|root| public_key(root)).collect::<Result<Vec<_>>>()?;
    let trust = Trust { roots, allow_unsigned: args.allow_unsigned, today: args.today.clone(), key_set_floor: 0 };
    for path in &args.packs {
        let pack = Pack::open(path)?;
        pack.verify()?;
        let vouched = vouched(&pack, &trust)?;
        // Opening a segment walks the index and compares the database's schema: what a hash cannot tell.
        let segment = Segment::open(path, &OpenOptions { verify_hashes: false, ..OpenOptions::default() })?;
        let manifest = segment.manifest();
        println!(
            "{}: sound; {} sections, {} passages, state {}; {vouched}",
            path.display(),
            manifest.sections.len(),
            manifest.counts.passages,
            manifest.state
        );
    }
    Ok(())
}

/// Who signed the pack, in words.
fn vouched(pack: &Pack, trust: &Trust) -> Result<String> {
    if !trust.roots.is_empty() {
        return Ok(in_words(&trust.check(pack)?, ""));
    }
    let Some(bytes) = pack.signature_area() else { return Ok("unsigned".into()) };
    // Believing for a moment whoever is named tells sound signatures from damaged ones.
    let area = SignatureArea::decode(pack.path(), bytes)?;
    let set_root = area.key_set.iter().map(|signed| signed.signed.key);
    let named: Vec<VerifyingKey> = area.signatures.iter().map(|signature| signature.key).chain(set_root).collect();
    Ok(in_words(&Trust::pinned(named).check(pack)?, ", compared with no root"))
}

fn in_words(verified: &Verified, caveat: &str) -> String {
    let Some(signer) = verified.signer else { return "unsigned, which was allowed".into() };
    let set = verified.key_set_version.map_or_else(String::new, |version| format!(" with key set {version}"));
    let rollback = verified.rollback.as_ref().map_or_else(String::new, |statement| {
        format!("; may replace version {}, state {}", statement.from.version, statement.from.state)
    });
    format!("signed by {signer}{set}{caveat}{rollback}")
}
