//! Side files of tiny models: their values, and what happens to damaged ones.

use lorekit_testkit::{TinyArchitecture, TinyModel};

use super::*;

struct Place {
    folder: tempfile::TempDir,
    model: PathBuf,
}

/// A tiny model on disk, and an empty folder beside it.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.gguf");
    fs::write(&model, TinyModel::mixed(TinyArchitecture::Qwen2, 3).to_gguf()).unwrap();
    Place { folder, model }
}

impl Place {
    fn side(&self) -> PathBuf {
        self.folder.path().join("cache/side")
    }

    fn open(&self) -> Gguf {
        let skip = ["token_embd.weight"];
        Gguf::open(&self.model).unwrap().with_packed(&self.side(), &skip, &ThreadPool::new(2)).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.side()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// Whether every quantized matrix but the skipped one is packed, and has the values of the model, bit by bit.
fn holds_the_model(gguf: &Gguf) -> bool {
    let mut n = 0;
    for info in gguf.tensors().filter(|info| info.dims.len() >= 2) {
        let own = gguf.tensor(&info.name).unwrap().matrix().unwrap();
        let Some(packed) = gguf.packed_matrix(&info.name) else {
            if info.name != "token_embd.weight" && packed_bytes(own.format(), own.rows(), own.cols()).is_some() {
                return false;
            }
            continue;
        };
        n += 1;
        let (mut a, mut b) = (vec![0.0; own.cols()], vec![0.0; own.cols()]);
        for row in 0..own.rows() {
            own.dequantize_row(row, &mut a);
            packed.dequantize_row(row, &mut b);
            if a.iter().zip(&b).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return false;
            }
        }
    }
    n > 0
}

#[test]
fn a_side_file_is_made_once_and_holds_the_values_of_the_model() {
    let place = place();
    assert!(holds_the_model(&place.open()));
    let files = place.files();
    assert_eq!(files.len(), 1, "one file, and no part of one");
    let made = fs::metadata(&files[0]).unwrap().modified().unwrap();
    assert!(holds_the_model(&place.open()));
    assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), made, "it is not made again");
}

#[test]
fn a_damaged_side_file_is_made_again() {
    let place = place();
    place.open();
    let path = place.files().remove(0);
    let whole = fs::read(&path).unwrap();
    // Anywhere in the header; a cut anywhere.
    for at in (0..400).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        assert!(holds_the_model(&place.open()), "a flipped bit in byte {at}");
    }
    for len in [0, 7, 100, whole.len() / 2, whole.len() - 4096] {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(holds_the_model(&place.open()), "cut to {len} bytes");
    }
    assert_eq!(fs::read(&path).unwrap(), whole, "the same bytes each time");
}

#[test]
fn another_model_has_a_file_of_its_own() {
    let place = place();
    place.open();
    fs::write(&place.model, TinyModel::mixed(TinyArchitecture::Qwen2, 4).to_gguf()).unwrap();
    assert!(holds_the_model(&place.open()));
    assert_eq!(place.files().len(), 2);
}

#[test]
fn without_a_place_for_it_the_model_runs_from_its_own_layout() {
    let place = place();
    fs::create_dir_all(place.side().parent().unwrap()).unwrap();
    fs::write(place.side(), b"a file where the folder should be").unwrap();
    let gguf = place.open();
    assert!(gguf.packed_matrix("blk.0.attn_q.weight").is_none());
    assert_eq!(gguf.packed_bytes(), None);
}
