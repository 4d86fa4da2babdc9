//! Kafka Connect's REST interface, as far as one connector needs it.
//!
//! Over plain HTTP: this client has no TLS. It must never log what it sends.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::options::Options;
use super::settings::Settings;
use super::status::Status;
use crate::error::{Error, Result};

const CONNECT_SECONDS_MAX: u64 = 5;
/// Connect itself gives up a request after 90 s: it asks the database while it checks settings.
const ANSWER_SECONDS_MAX: u64 = 95;

/// One connector of a Connect cluster.
#[derive(Debug, Clone)]
pub struct Connect {
    client: Client,
    connector: Url,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There is a new connector.
    Created,
    /// It was there, and has these settings now.
    Changed,
    /// The workers' group is being formed: put again.
    NotYet,
}

/// Connect's form of an error.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Connect's check of settings: those with errors have them listed.
#[derive(Deserialize)]
struct Checked {
    configs: Vec<CheckedSetting>,
}

#[derive(Deserialize)]
struct CheckedSetting {
    value: Option<CheckedValue>,
}

#[derive(Deserialize)]
struct CheckedValue {
    name: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl Connect {
    /// The connector that the options name.
    ///
    /// # Errors
    /// `Invalid` when the address is no `http://host:port`.
    pub fn at(options: &Options) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("[connector] url: {why}"))
                .with_hint("write Connect's REST address: url = \"http://HOST:8083\"")
        };
        let mut connector = Url::parse(&options.url).map_err(|e| wrong(&e.to_string()))?;
        if connector.scheme() != "http" {
            return Err(wrong("only http:// is spoken here"));
        }
        match connector.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(["connectors", options.name.as_str()]),
            Err(()) => return Err(wrong("it has no host")),
        };
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .build()
            .map_err(|error| Error::bug(format!("http client: {error}")))?;
        Ok(Self { client, connector })
    }

    /// Creates or changes the connector.
    ///
    /// # Errors
    /// `Invalid` when Connect refuses the settings, `Unavailable` when it does not answer.
    pub async fn put(&self, settings: &Settings) -> Result<Put> {
        let request = self.client.put(self.below(&["config"])).json(settings.all());
        let answer = request.send().await.map_err(unanswered)?;
        match answer.status() {
            StatusCode::CREATED => Ok(Put::Created),
            StatusCode::OK => Ok(Put::Changed),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => {
                Ok(Put::NotYet)
            }
            // Connect 4.3 trips over the very errors it should list here; asked apart, it tells.
            StatusCode::INTERNAL_SERVER_ERROR => Err(match self.faults(settings).await? {
                faults if faults.is_empty() => refused("put", answer).await,
                faults => Error::invalid(format!("connect refused the put: {}", faults.join("; ")))
                    .with_hint("[connector.settings] is where settings are changed"),
            }),
            _ => Err(refused("put", answer).await),
        }
    }

    /// Its status; none if there is no such connector (yet).
    ///
    /// # Errors
    /// `Unavailable` when Connect does not answer or not with a status.
    pub async fn status(&self) -> Result<Option<Status>> {
        let request = self.client.get(self.below(&["status"]));
        let answer = request.send().await.map_err(unanswered)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map(Some).map_err(unanswered),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused("status", answer).await),
        }
    }

    /// Restarts what failed of it, and nothing else.
    ///
    /// # Errors
    /// `Unavailable` when Connect does not answer.
    pub async fn restart_failed(&self) -> Result<()> {
        let mut url = self.below(&["restart"]);
        url.set_query(Some("includeTasks=true&onlyFailed=true"));
        let answer = self.client.post(url).send().await.map_err(unanswered)?;
        // 409: the group is being formed anew, which starts it too.
        match answer.status().is_success() || answer.status() == StatusCode::CONFLICT {
            true => Ok(()),
            false => Err(refused("restart", answer).await),
        }
    }

    /// What Connect finds wrong with the settings, the database they name included.
    async fn faults(&self, settings: &Settings) -> Result<Vec<String>> {
        let mut url = self.connector.clone();
        let class = settings.get("connector.class").unwrap_or_default();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop().pop().extend(["connector-plugins", class, "config", "validate"]);
        }
        let answer = self.client.put(url).json(settings.all()).send().await.map_err(unanswered)?;
        if !answer.status().is_success() {
            return Ok(Vec::new());
        }
        let checked: Checked = answer.json().await.map_err(unanswered)?;
        let values = checked.configs.into_iter().filter_map(|config| config.value);
        let faults = values.flat_map(|value| {
            let name = value.name;
            value.errors.into_iter().map(move |error| format!("`{name}`: {}", error.trim()))
        });
        // The connector's own name is no setting, and is always missed there.
        Ok(faults.filter(|fault| !fault.starts_with("`name`: ")).collect())
    }

    fn below(&self, words: &[&str]) -> Url {
        let mut url = self.connector.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(words);
        }
        url
    }
}

fn unanswered(cause: reqwest::Error) -> Error {
    // The client's own text names the address and stops there; the cause says why.
    let why = std::error::Error::source(&cause).map(|why| format!(" ({why})")).unwrap_or_default();
    Error::unavailable(format!("connect{why}"), cause)
}

async fn refused(what: &str, answer: Response) -> Error {
    let status = answer.status();
    let message = format!("connect refused the {what} ({status}): {}", said(answer).await);
    match status.is_client_error() {
        true => Error::invalid(message),
        false => Error::Unavailable { what: message, cause: None },
    }
}

async fn said(answer: Response) -> String {
    let said = answer.json::<Refusal>().await.map(|refusal| refusal.message).unwrap_or_default();
    said.trim().to_owned()
}
