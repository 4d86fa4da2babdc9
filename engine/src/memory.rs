//! What the process has in use, as its allocator counts it.
//!
//! Resident memory is no measure of that: what is freed goes back to the system a second later. It must
//! never decide what an epoch makes, only where rows lie.

/// Bytes in use now; none where another allocator serves.
pub fn in_use() -> Option<usize> {
    // The numbers are those of the last look at all threads.
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    tikv_jemalloc_ctl::stats::allocated::read().ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_in_use_until_it_is_given_back() {
        // Far more than tests beside this one take or give back; its pages are never touched.
        const TAKEN: usize = 8 << 30;
        let before = in_use().unwrap();
        let taken = std::hint::black_box(Vec::<u8>::with_capacity(TAKEN));
        let with = in_use().unwrap();
        drop(taken);
        assert!(with >= before + TAKEN / 2, "{before} then {with}");
        assert!(in_use().unwrap() <= with - TAKEN / 2);
    }
}
