//! A set of a table's columns, by their positions.
//!
//! The first 64 columns need no allocation: such a set is made for every row.

/// A set of column positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnSet {
    low: u64,
    high: Vec<u64>,
}

impl ColumnSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    pub fn insert(&mut self, column: usize) {
        let bit = 1u64 << (column % 64);
        match (column / 64).checked_sub(1) {
            None => self.low |= bit,
            Some(word) => {
                if self.high.len() <= word {
                    self.high.resize(word + 1, 0);
                }
                self.high[word] |= bit;
            }
        }
    }

    /// Whether it holds the column.
    pub fn contains(&self, column: usize) -> bool {
        let word = match (column / 64).checked_sub(1) {
            None => self.low,
            Some(word) => self.high.get(word).copied().unwrap_or(0),
        };
        word >> (column % 64) & 1 == 1
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.low == 0 && self.high.iter().all(|word| *word == 0)
    }

    /// Its columns, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..64 * (1 + self.high.len())).filter(|column| self.contains(*column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_columns_beyond_the_first_word() {
        let mut set = ColumnSet::new();
        assert!(set.is_empty());
        for column in [0, 63, 64, 1599] {
            set.insert(column);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 1599]);
        assert!(!set.contains(1) && !set.contains(65) && !set.contains(5000));
        assert!(!set.is_empty());
    }
}
