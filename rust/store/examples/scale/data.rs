//! Vectors that lie as embeddings do: clusters on a surface of few dimensions in a space of many.

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::measure::{Timer, progress};

/// Dimensions of the surface. Text embeddings of hundreds of dimensions vary in some tens.
const LATENT: usize = 32;
/// Passages in a cluster, on average.
const CLUSTER: usize = 100;
pub const NEAREST: usize = 10;

/// Vectors of one length, one after the other.
pub struct Vectors {
    pub dims: usize,
    pub all: Vec<f32>,
}

impl Vectors {
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.all.chunks_exact(self.dims)
    }

    pub fn read(folder: &Path, name: &str) -> Self {
        let dims = fs::read_to_string(folder.join("dims")).unwrap().trim().parse().unwrap();
        let mut file = File::open(folder.join(name)).unwrap();
        let mut all = vec![0f32; file.metadata().unwrap().len() as usize / 4];
        // A piece at a time, so that the bytes are never all there beside the numbers.
        let mut buffer = vec![0; 1 << 20];
        for numbers in all.chunks_mut(buffer.len() / 4) {
            let bytes = &mut buffer[..numbers.len() * 4];
            file.read_exact(bytes).unwrap();
            for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
                *number = f32::from_le_bytes(bytes.try_into().unwrap());
            }
        }
        Self { dims, all }
    }

    fn write(&self, path: &Path) {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        self.all.iter().for_each(|x| file.write_all(&x.to_le_bytes()).unwrap());
        file.flush().unwrap();
    }
}

/// The true nearest of each query.
pub fn truth(folder: &Path) -> Vec<[u32; NEAREST]> {
    let bytes = fs::read(folder.join("truth.u32")).unwrap();
    let numbers: Vec<u32> = bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
    numbers.chunks_exact(NEAREST).map(|row| row.try_into().unwrap()).collect()
}

pub fn make(folder: &Path, n_rows: usize, dims: usize, n_queries: usize) -> Value {
    let timer = Timer::start();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("dims"), dims.to_string()).unwrap();
    let mut random = Random(0x5ca1e);
    let map: Vec<f32> = (0..LATENT * dims).map(|_| random.normal()).collect();
    let centres: Vec<[f32; LATENT]> =
        (0..n_rows.div_ceil(CLUSTER)).map(|_| std::array::from_fn(|_| random.normal())).collect();
    let mut make = |n: usize, what: &str| {
        let mut all = Vec::with_capacity(n * dims);
        for row in 0..n {
            progress(what, row, n);
            let centre = &centres[(random.next() % centres.len() as u64) as usize];
            let latent: [f32; LATENT] = std::array::from_fn(|i| centre[i] + 0.5 * random.normal());
            let begin = all.len();
            all.extend((0..dims).map(|_| 0.5 * random.normal()));
            for (x, map) in latent.iter().zip(map.chunks_exact(dims)) {
                all[begin..].iter_mut().zip(map).for_each(|(y, m)| *y += x * m);
            }
            let norm = all[begin..].iter().map(|x| x * x).sum::<f32>().sqrt();
            all[begin..].iter_mut().for_each(|x| *x /= norm);
        }
        Vectors { dims, all }
    };
    let vectors = make(n_rows, "vectors");
    let queries = make(n_queries, "queries");
    vectors.write(&folder.join("vectors.f32"));
    queries.write(&folder.join("queries.f32"));
    let (done, total) = (std::sync::atomic::AtomicUsize::new(0), n_queries);
    let queries: Vec<&[f32]> = queries.rows().collect();
    let parts: Vec<Vec<u8>> = std::thread::scope(|threads| {
        let halves = queries.chunks(n_queries.div_ceil(2)).map(|half| {
            let (done, vectors) = (&done, &vectors);
            threads.spawn(move || {
                let mut bytes = Vec::new();
                for query in half {
                    progress("true nearest", done.fetch_add(1, std::sync::atomic::Ordering::Relaxed), total);
                    nearest(vectors, query).iter().for_each(|row| bytes.extend(row.to_le_bytes()));
                }
                bytes
            })
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().map(|half| half.join().unwrap()).collect()
    });
    fs::write(folder.join("truth.u32"), parts.concat()).unwrap();
    json!({ "rows": n_rows, "dims": dims, "queries": n_queries, "seconds": timer.seconds() })
}

fn nearest(vectors: &Vectors, query: &[f32]) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(NEAREST + 1);
    for (row, vector) in (0..).zip(vectors.rows()) {
        let score = dot(vector, query);
        if best.len() < NEAREST || score > best[NEAREST - 1].0 {
            let at = best.partition_point(|(other, _)| *other >= score);
            best.insert(at, (score, row));
            best.truncate(NEAREST);
        }
    }
    best.into_iter().map(|(_, row)| row).collect()
}

/// With eight sums, which a compiler can keep in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About normal: the sum of four numbers that are uniform, of variance one.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
    }
}
