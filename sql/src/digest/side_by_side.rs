//! MD5 of several texts side by side.
//!
//! Each step of MD5 waits for the one before it, so one text leaves most of a core idle; eight in step
//! are what vector units are made for. It must never differ from the plain function by a bit.

/// Texts that are hashed in step.
pub(super) const LANES: usize = 8;
const BLOCK: usize = 64;

/// One word of each text.
type Words = [u32; LANES];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
/// The whole part of `2^32 * |sin(step + 1)|`.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The lower 64 bits of each text's MD5, big-endian; at most [`LANES`] texts.
pub(super) fn lower64s(texts: &[&[u8]], into: &mut Vec<u64>) {
    let mut state = START.map(|word| [word; LANES]);
    let blocks = |text: &[u8]| (text.len() + 8) / BLOCK + 1;
    let most = texts.iter().map(|text| blocks(text)).max().unwrap_or(0);
    for at in 0..most {
        let mut message = [[0u32; LANES]; 16];
        let mut goes_on = [0u32; LANES];
        for (lane, text) in texts.iter().enumerate().filter(|(_, text)| at < blocks(text)) {
            goes_on[lane] = u32::MAX;
            let block = padded(text, at, at + 1 == blocks(text));
            for (words, bytes) in message.iter_mut().zip(block.chunks_exact(4)) {
                words[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
        let next = compressed(&state, &message);
        for (words, next) in state.iter_mut().zip(next) {
            for lane in 0..LANES {
                words[lane] = (words[lane] & !goes_on[lane]) | (next[lane] & goes_on[lane]);
            }
        }
    }
    into.extend((0..texts.len()).map(|lane| {
        let (high, low) = (state[2][lane].swap_bytes(), state[3][lane].swap_bytes());
        u64::from(high) << 32 | u64::from(low)
    }));
}

/// A block of a text, with what MD5 adds at its end.
fn padded(text: &[u8], at: usize, is_last: bool) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let rest = text.get(at * BLOCK..).unwrap_or_default();
    let rest = &rest[..rest.len().min(BLOCK)];
    block[..rest.len()].copy_from_slice(rest);
    // The text's end lies in this block, or right before it.
    if rest.len() < BLOCK && text.len() >= at * BLOCK {
        block[rest.len()] = 0x80;
    }
    if is_last {
        let bits = (text.len() as u64).wrapping_mul(8);
        block[BLOCK - 8..].copy_from_slice(&bits.to_le_bytes());
    }
    block
}

/// One block of each text.
fn compressed(state: &[Words; 4], message: &[Words; 16]) -> [Words; 4] {
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..4 {
        for step in 0..16 {
            let (by, of) = match round {
                0 => (each(|l| d[l] ^ (b[l] & (c[l] ^ d[l]))), step),
                1 => (each(|l| c[l] ^ (d[l] & (b[l] ^ c[l]))), (5 * step + 1) % 16),
                2 => (each(|l| b[l] ^ c[l] ^ d[l]), (3 * step + 5) % 16),
                _ => (each(|l| c[l] ^ (b[l] | !d[l])), 7 * step % 16),
            };
            let (sine, shift) = (SINES[round * 16 + step], SHIFTS[round][step % 4]);
            let sum =
                each(|l| a[l].wrapping_add(by[l]).wrapping_add(message[of][l]).wrapping_add(sine));
            let turned = each(|l| b[l].wrapping_add(sum[l].rotate_left(shift)));
            (a, b, c, d) = (d, turned, b, c);
        }
    }
    let sum = |one: &Words, other: Words| each(|l| one[l].wrapping_add(other[l]));
    [sum(&state[0], a), sum(&state[1], b), sum(&state[2], c), sum(&state[3], d)]
}

#[inline(always)]
fn each(word: impl Fn(usize) -> u32) -> Words {
    let mut words = [0; LANES];
    for (lane, made) in words.iter_mut().enumerate() {
        *made = word(lane);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::lower64;

    #[test]
    fn every_length_hashes_as_the_plain_function_does() {
        let text: Vec<u8> = (0..400u32).map(|n| (n * 7 % 251) as u8).collect();
        for first in 0..300 {
            for count in [1, 3, LANES] {
                // Neighbours of other lengths, so that some end earlier than others.
                let lengths = (0..count).map(|lane| (first + lane * 37) % 300);
                let texts: Vec<&[u8]> = lengths.map(|length| &text[..length]).collect();
                let mut found = Vec::new();
                lower64s(&texts, &mut found);
                let wanted: Vec<u64> = texts.iter().map(|text| lower64(text)).collect();
                assert_eq!(found, wanted, "{first} {count}");
            }
        }
    }
}
