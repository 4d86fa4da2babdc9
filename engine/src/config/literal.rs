//! Secrets written into the configuration or onto a command line: refused, with what to write.
//!
//! Runs before serde, whose messages repeat values. It must never put a value into an error.

use std::path::Path;

use super::tree::{self, Key};
use crate::error::{Error, Result};

/// Words of a key that make its text a secret.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
];
/// Two words in a row that do.
const SECRET_PAIRS: &[(&str, &str)] =
    &[("access", "key"), ("api", "key"), ("private", "key"), ("key", "pem")];
/// Last words that say the text is only about a secret: where it is, or of which kind.
const ABOUT_WORDS: &[&str] =
    &["class", "env", "file", "location", "mechanism", "name", "path", "source", "type", "url"];

/// Refuses the first key whose text is or holds a secret.
///
/// # Errors
/// `Invalid` with `file:line:column`, the key, and what to write instead.
pub fn refuse(file: &Path, text: &str, keys: &[Key]) -> Result<()> {
    for key in keys {
        let Some(value) = key.text.as_deref() else { continue };
        if !(is_secret_key(key) && is_literal(value) || holds_password(value)) {
            continue;
        }
        let at = tree::place(file, text, key.value.start);
        let table = key.table().map(|table| format!(" in {table}")).unwrap_or_default();
        let message = format!("{at}: `{}`{table} holds a secret, written out", key.name());
        return Err(Error::invalid(message).with_hint(instead(key)));
    }
    Ok(())
}

/// Refuses a text of the command line, such as a url, that holds a password.
///
/// # Errors
/// `Invalid`, naming `what` (the option).
pub fn refuse_text(what: &str, text: &str) -> Result<()> {
    if !holds_password(text) {
        return Ok(());
    }
    let message = format!("{what} holds a password, which other users of this machine can see");
    Err(Error::invalid(message).with_hint("take it out and set it in PGPASSWORD"))
}

fn is_secret_key(key: &Key) -> bool {
    let parents = key.path.split_last().map_or(&[][..], |(_, parents)| parents);
    if parents.iter().any(|table| table.ends_with("_from_env") || table.ends_with("_from_file")) {
        return false;
    }
    let name = key.name().to_lowercase();
    let words: Vec<_> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let about = words.last().is_some_and(|last| ABOUT_WORDS.contains(last));
    let pairs = words.iter().copied().zip(words.iter().copied().skip(1));
    let is_word = words.iter().any(|word| SECRET_WORDS.contains(word));
    !about && (is_word || pairs.into_iter().any(|pair| SECRET_PAIRS.contains(&pair)))
}

/// Whether a text is a value of its own, and not empty or a reference that Connect fills in.
fn is_literal(value: &str) -> bool {
    !(value.is_empty() || value.starts_with("${") && value.ends_with('}'))
}

/// Whether a text has a password inside: `scheme://user:password@host`, or `password=..`.
fn holds_password(text: &str) -> bool {
    let in_url = text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        user.split_once(':').is_some_and(|(_, password)| is_literal(password))
    });
    let lower = text.to_lowercase();
    // libpq lets blanks stand around the sign.
    let in_words = lower.split("password").skip(1).any(|rest| {
        let value = rest.trim_start().strip_prefix('=').map(str::trim_start);
        value.is_some_and(|value| !value.is_empty() && !value.starts_with(['$', '&', ';']))
    });
    in_url || in_words
}

fn instead(key: &Key) -> String {
    let path: Vec<_> = key.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["kafka", "properties", name] => format!(
            "name a variable that holds it: under [kafka.properties_from_env], \"{name}\" = \
             \"KAFKA_SECRET\""
        ),
        ["connector", "settings", ..] => {
            "let Connect fill it in from its own environment: \"${env:PGPASSWORD}\"".to_owned()
        }
        ["connector", ..] => "take it out of the url; Connect is asked without a login".to_owned(),
        ["postgres", ..] => {
            "take it out, and name who holds it: password_env = \"PGPASSWORD\", or password_file"
                .to_owned()
        }
        ["lake", ..] => {
            "take it out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
                .to_owned()
        }
        ["models", ..] => "let the model ask for it: {{ env_var('NAME') }}".to_owned(),
        _ => {
            "take it out; secrets come from the environment or from a file of their own".to_owned()
        }
    }
}
