//! Checks a native library as Android loads it: machine, type, SONAME, what it needs, and the alignment of its segments.
//!
//! Layout after the System V ABI's ELF chapter (64-bit, little-endian); Android's 16 KB rule says that every LOAD segment
//! is aligned to 16,384 bytes. 32-bit ABIs are not built.

/// An Android ABI that LoreKit is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abi {
    /// Its folder in an AAR.
    pub name: &'static str,
    /// `e_machine`.
    machine: u16,
    /// The Rust target.
    pub target: &'static str,
}

/// The ABIs that LoreKit is built for.
pub const ABIS: [Abi; 2] = [
    Abi { name: "arm64-v8a", machine: 183, target: "aarch64-linux-android" },
    Abi { name: "x86_64", machine: 62, target: "x86_64-linux-android" },
];

/// Libraries that every Android device has and that native code may name (the NDK's stable list, those that we could need).
const ON_THE_DEVICE: &[&str] = &["libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so"];

/// Page size that every LOAD segment must respect.
const PAGE: u64 = 16_384;

/// What a library says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Library {
    /// `e_machine`.
    pub machine: u16,
    /// The name the loader knows it by.
    pub soname: Option<String>,
    /// Libraries it needs.
    pub needed: Vec<String>,
    /// Smallest alignment of a LOAD segment.
    pub alignment: u64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;

/// Everything that speaks against `bytes` as `name` for `abi`; empty when nothing does.
pub fn problems(bytes: &[u8], name: &str, abi: Abi) -> Vec<String> {
    let library = match read(bytes) {
        Ok(library) => library,
        Err(reason) => return vec![reason],
    };
    let mut problems = Vec::new();
    if library.machine != abi.machine {
        problems.push(format!("machine {} is not that of {}", library.machine, abi.name));
    }
    if library.soname.as_deref() != Some(name) {
        problems.push(format!("SONAME is {:?}, not {name}", library.soname));
    }
    for needed in library.needed.iter().filter(|needed| !ON_THE_DEVICE.contains(&needed.as_str())) {
        problems.push(format!("needs {needed}, which no Android device promises"));
    }
    if library.alignment < PAGE {
        problems.push(format!("a segment is aligned to {} bytes, not to {PAGE}", library.alignment));
    }
    problems
}

/// Reads header, segments and dynamic section of a 64-bit little-endian shared library.
pub fn read(bytes: &[u8]) -> Result<Library, String> {
    if bytes.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Err("no 64-bit little-endian ELF file".into());
    }
    let file = File(bytes);
    if file.u16(16)? != 3 {
        return Err("no shared library".into());
    }
    let (table, size, count) = (file.u64(32)?, u64::from(file.u16(54)?), u64::from(file.u16(56)?));
    let mut loads = Vec::new();
    let mut dynamic = None;
    for n in 0..count {
        let at = n.checked_mul(size).and_then(|offset| table.checked_add(offset)).ok_or_else(outside)?;
        let at = usize::try_from(at).map_err(|_| outside())?;
        let segment = Segment {
            offset: file.u64(at.saturating_add(8))?,
            address: file.u64(at.saturating_add(16))?,
            bytes: file.u64(at.saturating_add(32))?,
            alignment: file.u64(at.saturating_add(48))?,
        };
        match file.u32(at)? {
            PT_LOAD => loads.push(segment),
            PT_DYNAMIC => dynamic = Some(segment),
            _ => {}
        }
    }
    let alignment = loads.iter().map(|load| load.alignment).min().ok_or("no segment is loaded")?;
    let dynamic = dynamic.ok_or("no dynamic section")?;
    let entries = entries(&file, &dynamic)?;
    let value = |tag: u64| entries.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
    let strings = value(DT_STRTAB).ok_or("no string table")?;
    let strings = loads
        .iter()
        .find(|load| load.address <= strings && strings - load.address < load.bytes)
        .and_then(|load| load.offset.checked_add(strings - load.address))
        .ok_or("the string table is not loaded")?;
    let text = |offset: u64| file.text(strings.checked_add(offset).ok_or_else(outside)?);
    Ok(Library {
        machine: file.u16(18)?,
        soname: value(DT_SONAME).map(text).transpose()?,
        needed: entries
            .iter()
            .filter(|(tag, _)| *tag == DT_NEEDED)
            .map(|(_, value)| text(*value))
            .collect::<Result<_, _>>()?,
        alignment,
    })
}

struct Segment {
    offset: u64,
    address: u64,
    bytes: u64,
    alignment: u64,
}

/// Tags and values of the dynamic section, up to its end mark.
fn entries(file: &File<'_>, dynamic: &Segment) -> Result<Vec<(u64, u64)>, String> {
    let start = usize::try_from(dynamic.offset).map_err(|_| outside())?;
    let count = usize::try_from(dynamic.bytes / 16).map_err(|_| outside())?;
    let mut entries = Vec::new();
    for n in 0..count {
        let at = n.checked_mul(16).and_then(|offset| start.checked_add(offset)).ok_or_else(outside)?;
        let (tag, value) = (file.u64(at)?, file.u64(at.saturating_add(8))?);
        if tag == 0 {
            break;
        }
        entries.push((tag, value));
    }
    Ok(entries)
}

struct File<'a>(&'a [u8]);

impl File<'_> {
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], String> {
        let end = at.checked_add(N).ok_or_else(outside)?;
        self.0.get(at..end).and_then(|bytes| bytes.try_into().ok()).ok_or_else(outside)
    }

    fn u16(&self, at: usize) -> Result<u16, String> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    fn text(&self, at: u64) -> Result<String, String> {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).ok_or_else(outside)?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(outside)?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

fn outside() -> String {
    "an offset lies outside the file".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shared library of two LOAD segments and a dynamic section, with nothing in it.
    fn library(machine: u16, alignment: u64, soname: &str, needed: &[&str]) -> Vec<u8> {
        let mut strings = vec![0u8];
        let mut name = |text: &str| {
            let at = strings.len() as u64;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let mut dynamic: Vec<(u64, u64)> = needed.iter().map(|text| (DT_NEEDED, name(text))).collect();
        dynamic.push((DT_SONAME, name(soname)));
        let (dynamic_at, address) = (64 + 3 * 56, 0x10_000);
        let strings_at = dynamic_at + (dynamic.len() as u64 + 2) * 16;
        dynamic.extend([(DT_STRTAB, address + strings_at), (0, 0)]);
        let length = strings_at + strings.len() as u64;
        let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        out.resize(16, 0);
        out.extend([3u16.to_le_bytes(), machine.to_le_bytes()].concat());
        out.extend(1u32.to_le_bytes());
        out.extend([0, 64, 0].map(u64::to_le_bytes).concat());
        out.extend(0u32.to_le_bytes());
        out.extend([64u16, 56, 3, 0, 0, 0].map(u16::to_le_bytes).concat());
        let table = (dynamic.len() * 16) as u64;
        let segments =
            [(PT_LOAD, 0, length, alignment), (PT_LOAD, 0, length, PAGE), (PT_DYNAMIC, dynamic_at, table, 8)];
        for (kind, offset, bytes, alignment) in segments {
            out.extend([kind.to_le_bytes(), 5u32.to_le_bytes()].concat());
            out.extend(
                [offset, address + offset, address + offset, bytes, bytes, alignment].map(u64::to_le_bytes).concat(),
            );
        }
        assert_eq!(out.len() as u64, dynamic_at);
        out.extend(dynamic.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()));
        out.extend(strings);
        out
    }

    const NAME: &str = "liblorekit_ffi.so";

    #[test]
    fn a_library_for_android_has_no_problems() {
        for abi in ABIS {
            let bytes = library(abi.machine, PAGE, NAME, &["libc.so", "libm.so", "libdl.so"]);
            assert_eq!(problems(&bytes, NAME, abi), Vec::<String>::new());
        }
        assert_eq!(problems(&library(183, 65_536, NAME, &[]), NAME, ABIS[0]), Vec::<String>::new());
    }

    #[test]
    fn pages_of_4_kb_another_machine_and_linux_libraries_are_refused() {
        let rows = [
            (library(183, 4_096, NAME, &["libc.so"]), "aligned to 4096"),
            (library(62, PAGE, NAME, &["libc.so"]), "machine 62"),
            (library(183, PAGE, NAME, &["libc.so.6"]), "libc.so.6"),
            (library(183, PAGE, NAME, &["libgcc_s.so.1"]), "libgcc_s"),
            (library(183, PAGE, "libother.so", &[]), "SONAME"),
        ];
        for (bytes, expected) in rows {
            let found = problems(&bytes, NAME, ABIS[0]);
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn hostile_bytes_give_a_reason_and_never_a_panic() {
        let whole = library(183, PAGE, NAME, &["libc.so"]);
        for length in 0..whole.len() {
            assert!(!problems(&whole[..length], NAME, ABIS[0]).is_empty(), "cut at {length}");
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = problems(&bytes, NAME, ABIS[0]);
            }
        }
    }

    /// A real arm64 library that holds a few bytes of data, made by the linker that Rust brings; `None` without one.
    fn linked(page: u64, needs: Option<&str>) -> Option<Vec<u8>> {
        let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
        let sysroot = String::from_utf8(sysroot.stdout).ok()?;
        let bin = std::path::Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
        if !bin.is_file() {
            eprintln!("skipped: this toolchain brings no rust-lld");
            return None;
        }
        let folder =
            std::env::temp_dir().join(format!("lorekit-elf-{}-{page}-{}", std::process::id(), needs.is_some()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let link = |out: &str, soname: &str, more: &[&str]| {
            std::fs::write(folder.join("data.txt"), "data").expect("a temporary file can be written");
            let page = format!("max-page-size={page}");
            let status = std::process::Command::new(&bin)
                .args(["-flavor", "gnu", "-m", "aarch64linux", "-shared", "-z", &page, "-soname", soname, "-o", out])
                .args(["--no-as-needed", "--format=binary", "data.txt", "--format=default"])
                .args(more)
                .current_dir(&folder)
                .status();
            assert!(status.expect("the linker runs").success());
        };
        if let Some(needs) = needs {
            link("needed.so", needs, &[]);
        }
        link(NAME, NAME, if needs.is_some() { &["needed.so"] } else { &[] });
        let bytes = std::fs::read(folder.join(NAME)).expect("the linker wrote it");
        std::fs::remove_dir_all(&folder).expect("a temporary folder can be removed");
        Some(bytes)
    }

    #[test]
    fn real_arm64_libraries_are_told_apart_by_their_pages_and_needs() {
        let Some(good) = linked(PAGE, Some("libc.so")) else { return };
        assert_eq!(problems(&good, NAME, ABIS[0]), Vec::<String>::new());
        assert_eq!(read(&good).expect("a library").needed, ["libc.so"]);
        let small = linked(4_096, None).expect("the linker is there");
        assert!(problems(&small, NAME, ABIS[0])[0].contains("aligned to 4096"));
        let linux = linked(PAGE, Some("libc.so.6")).expect("the linker is there");
        assert!(problems(&linux, NAME, ABIS[0])[0].contains("libc.so.6"));
    }

    #[test]
    fn the_library_of_this_machine_is_no_library_for_android() {
        // The test itself is a program, so take a library that every Linux has; elsewhere there is nothing to read.
        let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
        let Some(path) = maps.split_whitespace().find(|word| word.contains("/libc.so.6")) else { return };
        let bytes = std::fs::read(path).expect("a mapped library can be read");
        let library = read(&bytes).expect("it is a library");
        assert_eq!(library.soname.as_deref(), Some("libc.so.6"));
        for abi in ABIS {
            assert!(!problems(&bytes, NAME, abi).is_empty());
        }
    }
}
