//! The choices a random case was made of, so that a failing one can be made smaller.
//!
//! A case is a function of its tape: shorter tapes and smaller numbers make smaller cases. A tape
//! that has come to its end answers zero, which is always the simplest choice.

/// A source of choices.
pub struct Tape {
    data: Vec<u32>,
    at: usize,
    random: Option<u64>,
}

impl Tape {
    /// Choices from a seed, written down as they are made.
    pub fn random(seed: u64) -> Self {
        Self { data: Vec::new(), at: 0, random: Some(seed) }
    }

    /// The choices of before.
    pub fn replay(data: Vec<u32>) -> Self {
        Self { data, at: 0, random: None }
    }

    /// What was chosen.
    pub fn choices(&self) -> &[u32] {
        &self.data[..self.at.min(self.data.len())]
    }

    /// One of `0..n`.
    pub fn choose(&mut self, n: u32) -> u32 {
        if self.at == self.data.len()
            && let Some(state) = &mut self.random
        {
            // SplitMix64.
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            self.data.push(u32::try_from((z ^ (z >> 31)) >> 33).unwrap_or_default());
        }
        let drawn = self.data.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        drawn % n.max(1)
    }

    /// Yes in `percent` of a hundred; no is the simpler answer.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.choose(100) >= 100 - percent
    }

    /// One of these.
    pub fn one_of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.choose(u32::try_from(list.len()).unwrap_or(1)) as usize]
    }
}

/// A smaller tape on which `fails` still fails.
pub fn shrink(start: &[u32], budget: usize, mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut best = start.to_vec();
    let mut left = budget;
    loop {
        let before = best.clone();
        let mut size = best.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.len() && left > 0 {
                let end = (at + size).min(best.len());
                let mut shorter = best.clone();
                shorter.drain(at..end);
                let mut zeroed = best.clone();
                zeroed[at..end].fill(0);
                left = left.saturating_sub(1);
                if fails(&shorter) {
                    best = shorter;
                } else if zeroed != best && fails(&zeroed) {
                    best = zeroed;
                    at = end;
                } else {
                    at = end;
                }
            }
            size /= 2;
        }
        if best == before || left == 0 {
            return best;
        }
    }
}
