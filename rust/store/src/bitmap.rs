//! A set of keys, asked for without a branch that could panic.

/// One bit for each key below a bound.
#[derive(Debug)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    count: usize,
}

impl Bitmap {
    /// Asks `allow` about each key below `keys`, once.
    pub fn collect(keys: u64, allow: &dyn Fn(u64) -> bool) -> Self {
        let mut words = vec![0u64; usize::try_from(keys.div_ceil(64)).unwrap_or(usize::MAX)];
        let mut count = 0;
        for key in (0..keys).filter(|&key| allow(key)) {
            words[(key / 64) as usize] |= 1 << (key % 64);
            count += 1;
        }
        Self { words, count }
    }

    /// Whether the key is in the set; keys beyond the bound are not.
    pub fn contains(&self, key: u64) -> bool {
        usize::try_from(key / 64).ok().and_then(|at| self.words.get(at)).is_some_and(|word| word >> (key % 64) & 1 == 1)
    }

    /// The keys in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                (left != 0).then(|| {
                    left &= left - 1;
                    at as u64 * 64 + u64::from(bit)
                })
            })
        })
    }

    /// How many keys are in the set.
    pub fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_exactly_the_allowed_keys() {
        let odd = Bitmap::collect(130, &|key| key % 2 == 1);
        assert_eq!(odd.len(), 65);
        for key in 0..200 {
            assert_eq!(odd.contains(key), key < 130 && key % 2 == 1, "{key}");
        }
        assert!(!odd.contains(u64::MAX));
        assert!(odd.iter().eq((0..130).filter(|key| key % 2 == 1)));
        let ends = Bitmap::collect(128, &|key| [0, 63, 64, 127].contains(&key));
        assert_eq!(ends.iter().collect::<Vec<_>>(), [0, 63, 64, 127]);
    }
}
