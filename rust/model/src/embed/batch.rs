//! Several token sequences laid end to end, so that one matrix product serves them all.

use std::ops::Range;

/// Sequences in one row of tokens. None of them is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    tokens: Vec<u32>,
    /// Where each sequence ends.
    ends: Vec<usize>,
}

impl Packed {
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
        self.ends.clear();
    }

    /// Appends a sequence.
    pub(super) fn push(&mut self, sequence: &[u32]) {
        debug_assert!(!sequence.is_empty());
        self.tokens.extend_from_slice(sequence);
        self.ends.push(self.tokens.len());
    }

    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Number of sequences.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of each sequence.
    pub(super) fn sequences(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let range = start..end;
            start = end;
            range
        })
    }
}

/// Splits sequences into batches of about `rows` tokens: indices into `lengths`, longest sequences first, so that
/// the largest buffers are made once. Every index occurs exactly once; a sequence longer than `rows` stands alone.
pub(super) fn batches(lengths: &[usize], rows: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch) if filled + lengths[index] <= rows => {
                batch.push(index);
                filled += lengths[index];
            }
            _ => {
                batches.push(vec![index]);
                filled = lengths[index];
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_in_one_batch_and_batches_keep_their_size() {
        let lengths = [3, 700, 20, 5, 512, 100, 100, 100, 300, 1];
        let batches = batches(&lengths, 512);
        let mut seen: Vec<usize> = batches.concat();
        seen.sort();
        assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        for batch in &batches {
            let rows: usize = batch.iter().map(|&index| lengths[index]).sum();
            assert!(rows <= 512 || batch.len() == 1);
        }
        assert_eq!(batches[0], [1]);
    }

    #[test]
    fn packed_sequences_keep_their_rows() {
        let mut packed = Packed::default();
        packed.push(&[1, 2, 3]);
        packed.push(&[4]);
        assert_eq!(packed.tokens(), [1, 2, 3, 4]);
        assert_eq!(packed.sequences().collect::<Vec<_>>(), [0..3, 3..4]);
        assert_eq!(packed.len(), 2);
    }
}
