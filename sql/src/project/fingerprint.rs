//! The fingerprint of a model: equal as long as its rows can't differ for what its files say.
//!
//! Comments and spacing don't count, nor do descriptions and tags. It is stored with every epoch,
//! so it must never depend on the machine, the build or the order of a hash map.

use md5::{Digest, Md5};

/// Parts in a fixed order, each with its length, so that no two lists run together alike.
pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = Md5::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// SQL without comments, every run of blanks outside quotes as one.
pub fn essence(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    let mut at = 0;
    while let Some(letter) = sql[at..].chars().next() {
        let token = token_length(&sql[at..]);
        let text = &sql[at..at + token];
        if letter.is_whitespace() || is_comment(text) {
            if !kept.ends_with(' ') && !kept.is_empty() {
                kept.push(' ');
            }
        } else {
            kept.push_str(text);
        }
        at += token;
    }
    kept.trim_end().to_owned()
}

/// The byte offset of the first letter that is neither blank nor comment.
pub fn first_letter(sql: &str) -> usize {
    let mut at = 0;
    while let Some(letter) = sql[at..].chars().next() {
        let token = token_length(&sql[at..]);
        if !letter.is_whitespace() && !is_comment(&sql[at..at + token]) {
            break;
        }
        at += token;
    }
    at
}

fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

/// Bytes of the comment or quoted text that begins here, else of one letter.
fn token_length(rest: &str) -> usize {
    let until = |from: usize, end: &str| {
        rest[from..].find(end).map_or(rest.len(), |ahead| from + ahead + end.len())
    };
    match rest.chars().next() {
        Some('-') if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        Some('/') if rest.starts_with("/*") => until(2, "*/"),
        Some('\'') => until(1, "'"),
        Some('"') => until(1, "\""),
        Some(letter) => letter.len_utf8(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_spacing_outside_quotes_do_not_count() {
        let one = "select 'a  -- b', \"x  y\" -- why\nfrom t /* here */ where a - b = 1\n";
        assert_eq!(essence(one), "select 'a  -- b', \"x  y\" from t where a - b = 1");
        assert_eq!(first_letter("\n -- x\n/* y */ with a"), 15);
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        // The length before each part is what keeps this from being the MD5 of a plain text.
        assert_eq!(of([]), 0xd41d_8cd9_8f00_b204);
    }
}
