//! How the source database is reached, for the commands that ask or fill it.
//!
//! The service itself never connects to PostgreSQL. The url must never hold a password.

use std::path::PathBuf;

use serde::Deserialize;

use super::literal;
use super::secrets::Secret;
use crate::error::{Error, Result};

/// libpq's own variable, read where no other is named.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// `[postgres]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresOptions {
    /// `postgresql://user@host:port/database`, or libpq's `host=.. user=.. dbname=..`.
    pub url: String,
    /// The environment variable that holds the password; PGPASSWORD where neither is named.
    pub password_env: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
}

impl PostgresOptions {
    /// Those of a url from the command line; the password comes from PGPASSWORD.
    ///
    /// # Errors
    /// `Invalid` when the url holds a password, which any user of the machine could read there.
    pub fn at(url: &str) -> Result<Self> {
        literal::refuse_text("--postgres", url)?;
        Ok(Self { url: url.to_owned(), password_env: None, password_file: None })
    }

    /// What the client needs to connect, with the password if there is one.
    ///
    /// # Errors
    /// `Invalid` when the url is none, or the password is named twice or not to be found.
    pub fn client(&self) -> Result<tokio_postgres::Config> {
        // The client's own error could repeat the text, and what stands in it is not known yet.
        let mut client: tokio_postgres::Config = self.url.parse().map_err(|_| {
            Error::invalid("postgres: the url can't be read")
                .with_hint("write postgresql://USER@HOST:PORT/DATABASE")
        })?;
        let named = Secret::named(
            "[postgres] password",
            self.password_env.as_deref(),
            self.password_file.as_deref(),
        )?;
        let password = match named {
            Some(secret) => Some(secret),
            None if std::env::var_os(PASSWORD_VARIABLE).is_some() => {
                Some(Secret::from_env(PASSWORD_VARIABLE)?)
            }
            None => None,
        };
        if let Some(password) = password {
            client.password(password.expose());
        }
        client.application_name("freshet");
        Ok(client)
    }
}
