//! Which processors of a phone to compute on.

/// The processors worth a thread, the fastest first, at most `most` of them.
///
/// `capacities` has a number for each processor, larger for faster; on Linux and Android it stands in
/// `/sys/devices/system/cpu/cpu*/cpu_capacity`, 1024 for the fastest. Those below half of the largest are left out:
/// all threads wait for the last task, and what a slow core adds to a call it takes back at its end, at a worse price
/// in energy. Without any number above 0 all count as equal. There is at least one unless `capacities` is empty or
/// `most` is 0.
pub fn performance_cores(capacities: &[u32], most: usize) -> Vec<usize> {
    let largest = capacities.iter().copied().max().unwrap_or(0);
    let mut cores: Vec<usize> = (0..capacities.len()).filter(|&core| capacities[core] >= largest.div_ceil(2)).collect();
    // A stable sort: equal ones stay in the order of their numbers.
    cores.sort_by_key(|&core| std::cmp::Reverse(capacities[core]));
    cores.truncate(most);
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_come_first_and_the_slow_are_left_out() {
        let phone = [180, 180, 180, 180, 720, 720, 720, 1024];
        assert_eq!(performance_cores(&phone, 8), [7, 4, 5, 6]);
        assert_eq!(performance_cores(&phone, 2), [7, 4]);
        assert_eq!(performance_cores(&[1024, 512, 511], 8), [0, 1]);
    }

    #[test]
    fn equal_or_unknown_cores_all_count() {
        assert_eq!(performance_cores(&[1024; 3], 8), [0, 1, 2]);
        assert_eq!(performance_cores(&[0; 3], 2), [0, 1]);
        assert!(performance_cores(&[], 4).is_empty());
        assert!(performance_cores(&[5], 0).is_empty());
    }
}
