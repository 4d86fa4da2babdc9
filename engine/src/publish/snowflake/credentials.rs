//! Proving who we are: a signed token of a key pair, an access token, or a password.
//!
//! Secrets come in from whoever read the environment. They must never be printed: `Debug` says `***`.

use std::fmt;

use pkcs8::der::pem::PemLabel;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What a login is signed with.
#[derive(Clone)]
pub enum Credentials {
    /// An unencrypted PKCS#8 private key, PEM.
    KeyPair(String),
    /// A programmatic access token.
    Token(String),
    /// A password.
    Password(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::KeyPair(_) => "KeyPair",
            Self::Token(_) => "Token",
            Self::Password(_) => "Password",
        };
        write!(f, "{kind}(***)")
    }
}

impl Credentials {
    /// From a private key as it lies in its file, and the passphrase of an encrypted one.
    ///
    /// # Errors
    /// `Invalid` for another kind of key, a missing or a wrong passphrase.
    pub fn key_pair(pem: &str, passphrase: Option<&str>) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(format!("the private key for Snowflake {what}")).with_hint(
                "make one with `openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes256 -out key.p8`",
            )
        };
        let (label, document) = SecretDocument::from_pem(pem.trim())
            .map_err(|_| wrong("is no PEM of PKCS#8 (`-----BEGIN ENCRYPTED PRIVATE KEY-----`)"))?;
        if label == PrivateKeyInfo::PEM_LABEL {
            return Ok(Self::KeyPair(pem.trim().to_owned()));
        }
        if label != EncryptedPrivateKeyInfo::PEM_LABEL {
            return Err(wrong(&format!("is a `{label}`, not PKCS#8")));
        }
        let passphrase = passphrase.ok_or_else(|| {
            wrong("is encrypted, and no passphrase is named")
                .with_hint("name it by passphrase_env or passphrase_file in [publish.snowflake]")
        })?;
        let key = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|_| wrong("is damaged"))?
            .decrypt(passphrase)
            .map_err(|_| wrong("does not open with this passphrase"))?;
        let pem = key
            .to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)
            .map_err(|_| wrong("can't be written as PEM"))?;
        Ok(Self::KeyPair(pem.to_string()))
    }

    /// The members of a login request that prove it. A signed token is made anew each time: it
    /// expires.
    pub fn proof(&self, account: &str, user: &str) -> Result<Map<String, Value>> {
        let members = match self {
            Self::KeyPair(pem) => {
                let name = format!("{}.{}", bare_account(account), user.to_uppercase());
                // The cause may quote the key: it is not told.
                let token = snowflake_jwt::generate_jwt_token(pem, &name).map_err(|_| {
                    Error::invalid("the private key for Snowflake can't sign: is it RSA?")
                })?;
                json!({"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": token})
            }
            Self::Token(token) => {
                json!({"AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": token})
            }
            Self::Password(password) => json!({"PASSWORD": password}),
        };
        match members {
            Value::Object(members) => Ok(members),
            _ => Err(Error::bug("a proof is an object")),
        }
    }
}

/// The account as a token's issuer names it: in capitals, without a region behind a point.
fn bare_account(account: &str) -> String {
    let bare = account.split('.').next().unwrap_or(account);
    bare.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let secret = Credentials::Password("tulip".to_owned());
        assert_eq!(format!("{secret:?}"), "Password(***)");
    }

    #[test]
    fn what_is_no_key_is_told_without_quoting_it() {
        let error = Credentials::key_pair("tulip", None).unwrap_err().to_string();
        assert!(error.contains("PKCS#8") && !error.contains("tulip"), "{error}");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n";
        let error = Credentials::key_pair(old, None).unwrap_err().to_string();
        assert!(error.contains("RSA PRIVATE KEY"), "{error}");
    }

    #[test]
    fn an_issuer_has_no_region() {
        assert_eq!(bare_account("xy12345.eu-central-1"), "XY12345");
        assert_eq!(bare_account("myorg-bank"), "MYORG-BANK");
    }
}
