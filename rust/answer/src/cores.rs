//! How many threads an answer is computed on, when the app does not say.

use std::path::Path;

use lorekit_model::performance_cores;

/// More threads than this wait for memory rather than compute.
const MOST: usize = 4;
/// Where Linux and Android describe processors.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// As many as asked; for 0 the processors worth a thread, at most four: of a phone's the fast ones, elsewhere all.
pub(crate) fn threads(asked: usize) -> usize {
    if asked > 0 {
        return asked;
    }
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    match performance_cores(&capacities(Path::new(PROCESSORS)), MOST).len() {
        0 => processors.min(MOST),
        // A container or a power saver may allow fewer.
        n => n.min(processors),
    }
}

/// The capacity of each processor; none where the system does not say.
fn capacities(folder: &Path) -> Vec<u32> {
    (0..)
        .map_while(|cpu| std::fs::read_to_string(folder.join(format!("cpu{cpu}/cpu_capacity"))).ok())
        .map(|text| text.trim().parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken() {
        assert_eq!(threads(7), 7);
        assert!((1..=MOST).contains(&threads(0)));
    }

    #[test]
    fn capacities_are_read_until_the_first_processor_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        for (cpu, capacity) in [(0, "250\n"), (1, "1024\n"), (2, "what\n"), (4, "1024\n")] {
            let place = folder.path().join(format!("cpu{cpu}"));
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("cpu_capacity"), capacity).unwrap();
        }
        assert_eq!(capacities(folder.path()), [250, 1024, 0]);
        assert!(capacities(&folder.path().join("nowhere")).is_empty());
    }
}
