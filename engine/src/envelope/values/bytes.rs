//! Binary values: base64 in both alphabets, or hexadecimal.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Read, Token};
use crate::envelope::options::BinaryStrings;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The bytes of a string, appended to `out`.
pub fn binary(token: &Token<'_>, strings: BinaryStrings, out: &mut Vec<u8>) -> Read<()> {
    let Token::String(text) = token else { return token.unlike("a binary string") };
    match strings {
        BinaryStrings::Base64 => from_base64(text, out),
        BinaryStrings::Hex => {
            let bytes = from_hex(text).ok_or("a string that is not hexadecimal")?;
            out.extend(bytes);
            Ok(())
        }
    }
}

/// Base64 of either alphabet, padded or not, appended to `out`.
pub fn from_base64(text: &str, out: &mut Vec<u8>) -> Read<()> {
    let is_url_safe = text.bytes().any(|b| matches!(b, b'-' | b'_'));
    let engine = if is_url_safe { &URL_SAFE } else { &STANDARD };
    engine.decode_vec(text, out).map_err(|_| "a string that is not base64".into())
}

/// Hexadecimal digits in pairs, either case.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        for text in ["+/8=", "-_8=", "-_8", "+/8"] {
            let mut out = Vec::new();
            from_base64(text, &mut out).unwrap();
            assert_eq!(out, [0xfb, 0xff], "{text}");
        }
        assert!(from_base64("a", &mut Vec::new()).is_err());
        assert_eq!(from_hex("00fF"), Some(vec![0, 255]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
    }
}
