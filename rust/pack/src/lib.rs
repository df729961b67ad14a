//! The pack format: manifest, sections, hashes; reads hostile bytes safely.
