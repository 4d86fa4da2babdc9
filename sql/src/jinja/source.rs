//! A template's text with its path, and the way back from rendered SQL to it.
//!
//! Every error about compiled SQL passes through here. It must never move a place to a file that
//! the user did not write.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Location;

/// One template as the user wrote it; byte offsets into `text` are its coordinates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
    /// Set when the text was made from one place of another file (a yml value): all its places
    /// are that one.
    pub pinned: Option<Location>,
}

impl SourceFile {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), pinned: None }
    }

    /// A template that stands at one place of another file.
    pub fn pinned(text: impl Into<String>, at: Location) -> Self {
        Self { path: at.file.clone(), text: text.into(), pinned: Some(at) }
    }

    /// The place of a byte offset.
    pub fn locate(&self, offset: usize) -> Location {
        match &self.pinned {
            Some(at) => at.clone(),
            None => {
                let (line, column) = line_column(&self.text, offset);
                Location::new(self.path.clone(), line, column)
            }
        }
    }
}

/// Line and column, both from 1 and the column in characters, of a byte offset.
pub fn line_column(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[start..].chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// The byte offset of a line and column; past the end of a line it is that end.
pub fn offset_of(text: &str, line: u32, column: u32) -> usize {
    let skipped: usize =
        text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum();
    let rest = text[skipped..].split('\n').next().unwrap_or_default();
    let within = rest.char_indices().nth(column.saturating_sub(1) as usize);
    skipped + within.map_or(rest.len(), |(at, _)| at)
}

/// One run of rendered text and where it came from.
#[derive(Debug, Clone)]
struct Piece {
    output: Range<usize>,
    file: Arc<SourceFile>,
    offset: usize,
    /// Copied from the template letter by letter; else the value of an expression.
    verbatim: bool,
}

/// From a byte of rendered text to a place in a file of the project.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    pieces: Vec<Piece>,
}

impl SourceMap {
    /// Appends a run; runs come in the order of the output.
    pub fn push(
        &mut self,
        output: Range<usize>,
        file: &Arc<SourceFile>,
        offset: usize,
        verbatim: bool,
    ) {
        self.pieces.push(Piece { output, file: Arc::clone(file), offset, verbatim });
    }

    /// The place that a byte of the output came from. Inside the value of an expression it is the
    /// start of that expression; between runs it is the run before. `None` only for an empty map.
    pub fn locate(&self, offset: usize) -> Option<Location> {
        let after = self.pieces.partition_point(|piece| piece.output.start <= offset);
        let piece = self.pieces.get(after.saturating_sub(1))?;
        let within = offset.clamp(piece.output.start, piece.output.end) - piece.output.start;
        let shift = if piece.verbatim { within } else { 0 };
        Some(piece.file.locate(piece.offset + shift))
    }

    /// The map of `length` bytes put in at `at` of the output, described by `inner`.
    #[must_use]
    pub fn with_insert(&self, at: usize, length: usize, inner: &SourceMap) -> SourceMap {
        let mut pieces = Vec::with_capacity(self.pieces.len() + inner.pieces.len() + 1);
        let mut later = Vec::new();
        for piece in &self.pieces {
            if piece.output.end <= at {
                pieces.push(piece.clone());
                continue;
            }
            let cut = at.max(piece.output.start);
            if piece.output.start < at {
                pieces.push(Piece { output: piece.output.start..at, ..piece.clone() });
            }
            let moved = if piece.verbatim { cut - piece.output.start } else { 0 };
            later.push(Piece {
                output: cut + length..piece.output.end + length,
                offset: piece.offset + moved,
                ..piece.clone()
            });
        }
        pieces.extend(inner.pieces.iter().map(|piece| Piece {
            output: piece.output.start + at..piece.output.end + at,
            ..piece.clone()
        }));
        pieces.extend(later);
        SourceMap { pieces }
    }

    /// Adds another map's runs, `by` bytes further on.
    pub fn extend_shifted(&mut self, other: &SourceMap, by: usize) {
        self.pieces.extend(other.pieces.iter().map(|piece| Piece {
            output: piece.output.start + by..piece.output.end + by,
            ..piece.clone()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_places_are_inverse_and_count_characters() {
        let text = "é1\nsélect x\n";
        assert_eq!(line_column(text, 0), (1, 1));
        assert_eq!(line_column(text, text.find('x').unwrap()), (2, 8));
        assert_eq!(offset_of(text, 2, 8), text.find('x').unwrap());
        assert_eq!(offset_of(text, 1, 99), 3);
        assert_eq!(offset_of(text, 99, 1), text.len());
    }

    #[test]
    fn an_insert_moves_what_follows_and_keeps_its_own_places() {
        let file = Arc::new(SourceFile::new("a.sql", "select 1"));
        let other = Arc::new(SourceFile::new("b.sql", "x\ny"));
        let (mut map, mut inner) = (SourceMap::default(), SourceMap::default());
        map.push(0..8, &file, 0, true);
        inner.push(0..3, &other, 0, true);
        let map = map.with_insert(7, 3, &inner);
        assert_eq!(map.locate(6), Some(Location::new("a.sql", 1, 7)));
        assert_eq!(map.locate(9), Some(Location::new("b.sql", 2, 1)));
        assert_eq!(map.locate(10), Some(Location::new("a.sql", 1, 8)));
    }
}
