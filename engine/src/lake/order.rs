//! Hashes in order: for indexes of millions of rows.

/// Entries to a bucket of the first pass, about: they fit into a core's cache.
const PER_PASS_BUCKET: usize = 4096;

/// Entries in order. Hashes are spread evenly: most of the work is one pass by their first bits.
pub(super) fn in_order<T: Copy + Ord>(mut entries: Vec<T>, hash: impl Fn(&T) -> u64) -> Vec<T> {
    let buckets = (entries.len() / PER_PASS_BUCKET).next_power_of_two();
    let Some(first) = entries.first().copied().filter(|_| buckets > 1) else {
        entries.sort_unstable();
        return entries;
    };
    let shift = 64 - buckets.trailing_zeros();
    let mut ends = vec![0_usize; buckets + 1];
    for entry in &entries {
        ends[bucket_of(hash(entry), shift) + 1] += 1;
    }
    for bucket in 0..buckets {
        ends[bucket + 1] += ends[bucket];
    }
    let starts = ends.clone();
    let mut placed = vec![first; entries.len()];
    for entry in entries {
        let at = &mut ends[bucket_of(hash(&entry), shift)];
        placed[*at] = entry;
        *at += 1;
    }
    for bucket in starts.windows(2) {
        placed[bucket[0]..bucket[1]].sort_unstable();
    }
    placed
}

/// The bucket that a hash's first bits name.
#[expect(clippy::cast_possible_truncation, reason = "a bucket's number is below 2^32")]
pub(super) const fn bucket_of(hash: u64, shift: u32) -> usize {
    if shift >= 64 { 0 } else { (hash >> shift) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_however_many() {
        for count in [0_u64, 1, 7, 5_000, 40_000] {
            let entries: Vec<(u64, u32)> = (0..count)
                .map(|n| {
                    (
                        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (n % 3 * 8),
                        u32::try_from(n % 9).unwrap(),
                    )
                })
                .collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            assert_eq!(in_order(entries, |(hash, _)| *hash), expected, "{count}");
        }
    }
}
