use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_model::{Gguf, LanguageModel, LoadOptions};
use lorekit_testkit::{TinyArchitecture, TinyModel};

use super::*;

const STATE: [u8; 32] = [5; 32];

fn snapshot(first: u32) -> KvSnapshot {
    let bytes = TinyModel::mixed(TinyArchitecture::Qwen2, 31).to_gguf();
    let gguf = Gguf::from_bytes(Path::new("tiny.gguf"), &bytes).unwrap();
    let model = LanguageModel::from_gguf(Arc::new(gguf), &LoadOptions::default()).unwrap();
    let mut session = model.new_session(8).unwrap();
    session.prefill(&[first, 2, 3], None, &CancelToken::new()).unwrap();
    session.snapshot(0..3).unwrap()
}

fn id(n: u8) -> PassageId {
    PassageId([n; 16])
}

fn open(at: &Path, budget: u64) -> SnapshotFolder {
    SnapshotFolder::open(at, budget, None, STATE, &|_| true).unwrap()
}

fn files(at: &Path) -> Vec<PathBuf> {
    fs::read_dir(at.join("prefixes")).unwrap().map(|file| file.unwrap().path()).collect()
}

/// A cipher for tests: it changes every byte and notices another context.
#[derive(Debug)]
struct Xor;

impl SnapshotCipher for Xor {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let body = plain.iter().map(|byte| byte ^ 0xa5);
        Some(hash(context).into_iter().chain(body).collect())
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (tag, body) = sealed.split_first_chunk::<32>()?;
        (*tag == hash(context)).then(|| body.iter().map(|byte| byte ^ 0xa5).collect())
    }
}

#[test]
fn what_was_saved_is_loaded_after_a_restart_in_its_scope_only() {
    let at = tempfile::tempdir().unwrap();
    let key = SnapshotFolder::key([1; 32], b"staff", 2);
    let kept = snapshot(1);
    open(at.path(), 1 << 20).save(key, b"staff", STATE, &[id(1), id(2)], &kept).unwrap();
    let mut folder = open(at.path(), 1 << 20);
    assert_eq!(folder.load(&key, b"staff"), Some((kept, vec![id(1), id(2)])));
    assert_eq!(folder.load(&key, b"public"), None);
    assert_ne!(key, SnapshotFolder::key([1; 32], b"public", 2));
    assert_eq!(SnapshotFolder::key([1; 32], b"a", 0), SnapshotFolder::key([1; 32], b"b", 0));
}

#[test]
fn damaged_and_foreign_files_are_ignored_and_removed() {
    let at = tempfile::tempdir().unwrap();
    let (key, kept) = ([7; 32], snapshot(1));
    open(at.path(), 1 << 20).save(key, b"", STATE, &[id(1)], &kept).unwrap();
    let path = files(at.path()).remove(0);
    let sound = fs::read(&path).unwrap();
    for n in (0..sound.len()).step_by(37).chain([sound.len() - 1]) {
        for cut in [true, false] {
            let mut bytes = sound.clone();
            if cut {
                bytes.truncate(n);
            } else {
                bytes[n] ^= 0x10;
            }
            fs::write(&path, bytes).unwrap();
            let mut folder = open(at.path(), 1 << 20);
            assert_eq!(folder.load(&key, b""), None, "byte {n}");
            assert!(files(at.path()).is_empty(), "byte {n}");
        }
    }
    let foreign = [at.path().join("prefixes/note.txt"), at.path().join(format!("prefixes/{}.kv", "ab".repeat(32)))];
    fs::write(&foreign[0], b"a note").unwrap();
    // A sound file under another name.
    fs::write(&foreign[1], &sound).unwrap();
    fs::write(at.path().join("beside.txt"), b"not ours").unwrap();
    open(at.path(), 1 << 20);
    assert!(files(at.path()).is_empty());
    assert!(at.path().join("beside.txt").exists());
}

#[test]
fn in_another_state_of_the_library_only_live_passages_stay() {
    let at = tempfile::tempdir().unwrap();
    let kept = snapshot(1);
    let mut folder = open(at.path(), 1 << 20);
    folder.save([1; 32], b"", STATE, &[id(1), id(2)], &kept).unwrap();
    folder.save([2; 32], b"", STATE, &[id(1)], &kept).unwrap();
    folder.save([3; 32], b"", STATE, &[], &kept).unwrap();
    let live = |passage: &PassageId| *passage == id(1);
    let same = SnapshotFolder::open(at.path(), 1 << 20, None, STATE, &live).unwrap();
    assert!(same.contains(&[1; 32]), "the same state is not asked about");
    let other = SnapshotFolder::open(at.path(), 1 << 20, None, [6; 32], &live).unwrap();
    assert!(!other.contains(&[1; 32]) && other.contains(&[2; 32]) && other.contains(&[3; 32]));
    assert_eq!(files(at.path()).len(), 2);
}

#[test]
fn invalidation_removes_the_files_of_a_passage() {
    let at = tempfile::tempdir().unwrap();
    let kept = snapshot(1);
    let mut folder = open(at.path(), 1 << 20);
    folder.save([1; 32], b"", STATE, &[id(1), id(2)], &kept).unwrap();
    folder.save([2; 32], b"", STATE, &[id(3)], &kept).unwrap();
    folder.remove(&|passage| *passage == id(2));
    assert!(!folder.contains(&[1; 32]) && folder.contains(&[2; 32]));
    assert_eq!(files(at.path()).len(), 1);
    folder.clear();
    assert!(files(at.path()).is_empty());
}

#[test]
fn the_budget_holds_on_disk_and_what_was_used_last_stays() {
    let at = tempfile::tempdir().unwrap();
    let kept = snapshot(1);
    let mut folder = open(at.path(), 1 << 20);
    folder.save([1; 32], b"", STATE, &[], &kept).unwrap();
    let size = fs::metadata(&files(at.path())[0]).unwrap().len();
    let mut folder = open(at.path(), 2 * size);
    folder.save([2; 32], b"", STATE, &[], &kept).unwrap();
    folder.load(&[1; 32], b"").unwrap();
    folder.save([3; 32], b"", STATE, &[], &kept).unwrap();
    assert!(folder.contains(&[1; 32]) && !folder.contains(&[2; 32]) && folder.contains(&[3; 32]));
    assert_eq!(files(at.path()).len(), 2);
    let mut small = open(at.path(), size - 1);
    assert!(files(at.path()).is_empty());
    small.save([4; 32], b"", STATE, &[], &kept).unwrap();
    assert!(files(at.path()).is_empty(), "more than the budget is not written");
}

#[test]
fn sealed_files_show_nothing_and_open_only_in_their_own_place() {
    let at = tempfile::tempdir().unwrap();
    let sealed = || SnapshotFolder::open(at.path(), 1 << 20, Some(Arc::new(Xor)), STATE, &|_| true).unwrap();
    let kept = snapshot(1);
    sealed().save([1; 32], b"s", STATE, &[id(9)], &kept).unwrap();
    let path = files(at.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [9; 16]), "the passage's id is sealed");
    assert!(!bytes.windows(4).any(|window| window == b"LKKV"), "the snapshot is sealed");
    assert_eq!(sealed().load(&[1; 32], b"s"), Some((kept, vec![id(9)])));
    fs::rename(&path, path.with_file_name(format!("{}.kv", hex(&[2; 32])))).unwrap();
    assert!(!sealed().contains(&[2; 32]));
}

#[test]
fn under_the_apps_key_no_file_of_the_folder_holds_clear_bytes_and_no_other_key_opens_it() {
    let (plain, sealed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = snapshot(1);
    open(plain.path(), 1 << 20).save([1; 32], b"s", STATE, &[id(9)], &kept).unwrap();
    let with_key = |byte| {
        let cipher: Arc<dyn SnapshotCipher> = Arc::new(lorekit_seal::SealKey::new([byte; 32]));
        SnapshotFolder::open(sealed.path(), 1 << 20, Some(cipher), STATE, &|_| true).unwrap()
    };
    with_key(3).save([1; 32], b"s", STATE, &[id(9)], &kept).unwrap();
    let clear = fs::read(files(plain.path()).remove(0)).unwrap();
    let cipher = fs::read(files(sealed.path()).remove(0)).unwrap();
    // Eight bytes agree by chance once in 2^64 for each pair; runs of one byte, such as fields that are zero, are not text.
    let windows: std::collections::HashSet<&[u8]> =
        cipher.windows(8).filter(|window| window.iter().any(|byte| *byte != window[0])).collect();
    let body = clear.windows(4).position(|window| window == b"LKKV").unwrap();
    assert!(clear[body..].windows(8).all(|window| !windows.contains(window)), "the snapshot is sealed");
    assert!(!cipher.windows(16).any(|window| window == [9; 16]), "the passage's id is sealed");
    assert_eq!(with_key(3).load(&[1; 32], b"s"), Some((kept, vec![id(9)])));
    assert_eq!(with_key(4).load(&[1; 32], b"s"), None);
}

#[test]
fn with_another_key_what_was_there_goes_and_what_comes_is_under_the_new_one() {
    let at = tempfile::tempdir().unwrap();
    let key = |byte| -> Arc<dyn SnapshotCipher> { Arc::new(lorekit_seal::SealKey::new([byte; 32])) };
    let with_key = |byte| SnapshotFolder::open(at.path(), 1 << 20, Some(key(byte)), STATE, &|_| true).unwrap();
    let mut folder = with_key(3);
    folder.save([1; 32], b"s", STATE, &[id(9)], &snapshot(1)).unwrap();
    folder.seal_with(key(4));
    assert_eq!(files(at.path()), Vec::<PathBuf>::new());
    folder.save([2; 32], b"s", STATE, &[id(9)], &snapshot(1)).unwrap();
    assert!(with_key(4).load(&[2; 32], b"s").is_some());
    assert!(with_key(3).load(&[2; 32], b"s").is_none());
}
