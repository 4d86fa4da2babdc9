//! Chunks into which records' bytes are copied, so that a record costs no allocation per field.
//!
//! A chunk is freed when the last record that lies in it is: records that go the same way share
//! their chunk's fate. It must never grow a chunk: that would move bytes that are handed out.

use bytes::{Bytes, BytesMut};

/// Bytes of a chunk; a longer field gets a chunk of its own.
const CHUNK_BYTES: usize = 1 << 20;

/// The chunk that is being filled.
#[derive(Debug, Default)]
pub struct Arena {
    chunk: BytesMut,
}

impl Arena {
    /// A copy of `bytes` in the present chunk, or in a new one if they don't fit.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if self.chunk.capacity() < bytes.len() {
            if bytes.len() >= CHUNK_BYTES {
                return Bytes::copy_from_slice(bytes);
            }
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES);
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_neighbours_and_keep_their_bytes() {
        let mut arena = Arena::default();
        let (first, second) = (arena.copy(b"one"), arena.copy(b"two"));
        assert_eq!(first.as_ptr() as usize + 3, second.as_ptr() as usize);
        let long = arena.copy(&vec![7; 3 * CHUNK_BYTES]);
        for _ in 0..3_000 {
            arena.copy(&[1; 1_000]);
        }
        assert_eq!((&first[..], &second[..], long.len()), (&b"one"[..], &b"two"[..], 3 << 20));
        assert!(arena.copy(b"").is_empty());
    }
}
