//! dbt's own block tags, `{% snapshot x %}` and `{% test x(..) %}`, cut out of a file before Jinja
//! sees it.
//!
//! Everything outside the block, and its two tags, becomes blanks, so that every letter of the
//! block keeps its line and column. It must never change the text within.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::jinja::source::SourceFile;

/// One block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub name: String,
    /// Byte offset of the name in the file.
    pub offset: usize,
    /// What stands between the parentheses after the name.
    pub parameters: Option<String>,
    /// The file's text with all but the block's body blanked.
    pub text: String,
}

/// A `{% word .. %}` of a file.
struct Tag<'a> {
    span: Range<usize>,
    word: &'a str,
    /// What follows the word, and where.
    rest: &'a str,
    rest_at: usize,
}

/// The blocks of one of these kinds (`snapshot`; `test` and `data_test`), in file order.
pub fn cut(file: &SourceFile, kinds: &[&str]) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut open: Option<Tag<'_>> = None;
    for tag in tags(&file.text) {
        if kinds.contains(&tag.word) {
            if let Some(outer) = &open {
                let message = format!("a {} block can't hold another one", outer.word);
                return Err(Error::invalid(file.locate(tag.span.start), message));
            }
            open = Some(tag);
        } else if let Some(kind) = tag.word.strip_prefix("end").filter(|k| kinds.contains(k)) {
            match open.take() {
                Some(start) if start.word == kind => {
                    blocks.push(block(file, &start, start.span.end..tag.span.start)?);
                }
                _ => {
                    let message = format!("end{kind} without its {kind}");
                    return Err(Error::invalid(file.locate(tag.span.start), message));
                }
            }
        }
    }
    match open {
        Some(start) => {
            let message = format!("this {} block never ends", start.word);
            Err(Error::invalid(file.locate(start.span.start), message)
                .hinted(format!("close it with {{% end{} %}}", start.word)))
        }
        None => Ok(blocks),
    }
}

fn block(file: &SourceFile, start: &Tag<'_>, body: Range<usize>) -> Result<Block> {
    let name: String =
        start.rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        let message = format!("this {} block has no name", start.word);
        return Err(Error::invalid(file.locate(start.span.start), message));
    }
    let after = start.rest[name.len()..].trim();
    let parameters = after.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    Ok(Block {
        offset: start.rest_at,
        parameters: parameters.map(str::to_owned),
        text: blank_outside(&file.text, body),
        name,
    })
}

/// The text with every character outside `kept` turned into as many blanks as it has bytes, line
/// ends excepted: offsets, lines and, for ASCII, columns stay.
fn blank_outside(text: &str, kept: Range<usize>) -> String {
    let mut blanked = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        if kept.contains(&at) || letter == '\n' {
            blanked.push(letter);
        } else {
            blanked.extend(std::iter::repeat_n(' ', letter.len_utf8()));
        }
    }
    blanked
}

/// All statement tags outside Jinja comments and raw blocks.
fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut raw = false;
    while let Some(next) = text[at..].find('{').map(|ahead| at + ahead) {
        let here = &text[next..];
        if here.starts_with("{#") && !raw {
            at = next + here.find("#}").map_or(here.len(), |end| end + 2);
        } else if here.starts_with("{{") && !raw {
            at = end_of(text, next + 2, "}}");
        } else if here.starts_with("{%") {
            let end = end_of(text, next + 2, "%}");
            let inner = text[next + 2..end].trim_end_matches("%}").trim_end_matches(['-', '+']);
            let lead = inner.len() - inner.trim_start_matches(['-', '+', ' ', '\t', '\n']).len();
            let body = &inner[lead..];
            let length = body.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (word, rest) = body.split_at(length.unwrap_or(body.len()));
            let blank = rest.len() - rest.trim_start().len();
            raw = word == "raw" || (raw && word != "endraw");
            found.push(Tag {
                span: next..end,
                word,
                rest: rest.trim(),
                rest_at: next + 2 + lead + word.len() + blank,
            });
            at = end;
        } else {
            at = next + 1;
        }
    }
    found
}

/// The end of a tag: past `close`, or the end of the text; quoted text does not count.
fn end_of(text: &str, from: usize, close: &str) -> usize {
    let mut quote = None;
    for (ahead, letter) in text[from..].char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if text[from + ahead..].starts_with(close) => return from + ahead + close.len(),
            None => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_letters_in_place() {
        let text = "-- é\n{% snapshot a %}\nselect '{% endsnapshot %}x' {{ '%}' }}\n";
        let file = SourceFile::new("s.sql", text);
        let error = cut(&SourceFile::new("s.sql", "\n {% snapshot a %}"), &["snapshot"]);
        assert!(error.unwrap_err().to_string().starts_with("s.sql:2:2: "));
        let block = &cut(&file, &["snapshot"]).unwrap()[0];
        assert_eq!(block.text.len(), text.len());
        assert_eq!(block.text.find("select"), text.find("select"));
        assert_eq!((block.name.as_str(), block.offset), ("a", text.find("a %").unwrap()));
    }

    #[test]
    fn comments_hide_blocks_and_parameters_are_kept() {
        let text = "{# {% test no() %} #}{%- test t(model, key='a)') -%} x {% endtest %}";
        let blocks = cut(&SourceFile::new("t.sql", text), &["test"]).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].parameters.as_deref(), Some("model, key='a)'"));
        assert_eq!(blocks[0].text.trim(), "x");
        let error = cut(&SourceFile::new("t.sql", "a {% endtest %}"), &["test"]).unwrap_err();
        assert!(error.to_string().starts_with("t.sql:1:3: endtest"));
    }
}
