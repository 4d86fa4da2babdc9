//! A session: login, statements, renewal, long runs.
//!
//! A statement's answer is awaited however long it takes, up to a bound. An expired token is renewed
//! and the statement sent again: the session lives on, with its transaction. A session that is gone
//! is told, never replaced in silence: whoever had a transaction in it must begin anew.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use snowflake_api::connection::QueryType;

use super::REFUSED_LOGIN;
use super::answer::{self, Answer, Refusal, Rows};
use super::credentials::Credentials;
use super::transport::Transport;
use crate::error::{Error, Result};
use crate::publish::options::Snowflake;

/// Pauses between two questions whether a statement is done; the server itself waits up to 45 s.
const POLL_PAUSE: Duration = Duration::from_millis(200);

/// Seconds that a statement waits for another push's end; Snowflake's own default is half a day.
const LOCK_SECONDS_MAX: u64 = 30;

/// Why a statement has no result.
#[derive(Debug)]
pub enum Failure {
    /// No answer: it may have had its effect, or not.
    Lost(Error),
    /// The session is gone, its transaction undone.
    SessionGone,
    /// The server said no: the transaction is still open.
    Refused(Refusal),
}

/// Counted, for what a push costs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// HTTP requests of statements, logins and polls.
    pub requests: u64,
}

/// Logged in.
pub struct Session {
    transport: Transport,
    token: String,
    master: String,
    sequence: u64,
    seconds_max: u64,
    usage: Usage,
}

impl Session {
    /// Logs in.
    pub async fn open(
        options: &Snowflake,
        credentials: &Credentials,
        tries: usize,
    ) -> Result<Self> {
        let transport = Transport::new(&options.account, options.url.as_deref(), tries)?;
        let mut session = Self {
            transport,
            token: String::new(),
            master: String::new(),
            sequence: 0,
            seconds_max: options.statement_seconds_max,
            usage: Usage::default(),
        };
        session.log_in(options, credentials).await?;
        Ok(session)
    }

    async fn log_in(&mut self, options: &Snowflake, credentials: &Credentials) -> Result<()> {
        let mut data = json!({
            "CLIENT_APP_ID": "Go",
            "CLIENT_APP_VERSION": "1.6.22",
            "SVN_REVISION": "",
            "ACCOUNT_NAME": options.account.split('.').next().unwrap_or(&options.account).to_uppercase(),
            "LOGIN_NAME": options.user,
            "SESSION_PARAMETERS": {
                "QUERY_TAG": super::text::QUERY_TAG,
                "TIMEZONE": "UTC",
                "AUTOCOMMIT": true,
                "LOCK_TIMEOUT": LOCK_SECONDS_MAX,
                "GO_QUERY_RESULT_FORMAT": "JSON",
                "STATEMENT_TIMEOUT_IN_SECONDS": options.statement_seconds_max,
                "CLIENT_VALIDATE_DEFAULT_PARAMETERS": false,
            },
            "CLIENT_ENVIRONMENT": {
                "APPLICATION": "Freshet", "OS": "linux", "OS_VERSION": "-", "OCSP_MODE": "FAIL_OPEN",
            },
        });
        for (name, value) in credentials.proof(&options.account, &options.user)? {
            data[name] = value;
        }
        let place = [
            ("warehouse", &options.warehouse),
            ("roleName", &options.role),
            ("databaseName", &options.database),
            ("schemaName", &options.state_schema),
        ];
        let place: Vec<(&str, &str)> = place.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let answer =
            self.send(QueryType::LoginRequest, &place, None, json!({"data": data})).await?;
        let answered = |name: &str| answer["data"][name].as_str().map(str::to_owned);
        if answer["success"].as_bool() != Some(true) {
            let code = answer["code"].as_str().unwrap_or("?");
            let said = answer["message"].as_str().unwrap_or("");
            let what = format!(
                "{} {REFUSED_LOGIN} {} (code {code}): {said}",
                self.transport.place(),
                options.user
            );
            return Err(Error::Unavailable { what, cause: None });
        }
        self.token = answered("token").ok_or_else(|| Error::bug("a login without a token"))?;
        self.master = answered("masterToken").unwrap_or_default();
        Ok(())
    }

    /// How much was asked so far.
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// The HTTP client for uploads.
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    async fn send(
        &mut self,
        kind: QueryType,
        parameters: &[(&str, &str)],
        token: Option<&str>,
        body: Value,
    ) -> Result<Value> {
        self.usage.requests += 1;
        let auth = token.map(|t| format!("Snowflake Token=\"{t}\""));
        let connection = self.transport.connection();
        let account = self.transport.account();
        let sent = connection.request(kind, account, parameters, auth.as_deref(), body).await;
        sent.map_err(|e| Error::unavailable(format!("no answer of {}", self.transport.place()), e))
    }

    /// Runs a statement.
    pub async fn run(&mut self, sql: &str) -> std::result::Result<Rows, Failure> {
        let mut renewed = false;
        loop {
            self.sequence += 1;
            let body = json!({
                "sqlText": sql, "asyncExec": false, "sequenceId": self.sequence, "isInternal": false,
                "querySubmissionTime": 0,
            });
            let token = self.token.clone();
            let sent = self.send(QueryType::JsonQuery, &[], Some(&token), body).await;
            let answer = sent.map_err(Failure::Lost)?;
            match self.settle(answer).await? {
                Answer::Done(rows) => return self.whole(rows).await.map_err(Failure::Lost),
                Answer::TokenExpired if !renewed => {
                    self.renew().await?;
                    renewed = true;
                }
                Answer::TokenExpired | Answer::SessionGone => return Err(Failure::SessionGone),
                Answer::Refused(refusal) => return Err(Failure::Refused(refusal)),
                Answer::InProgress(_) => {
                    return Err(Failure::Lost(Error::bug("a result in progress")));
                }
            }
        }
    }

    /// Waits for a statement that runs long.
    async fn settle(&mut self, answer: Value) -> std::result::Result<Answer, Failure> {
        let mut answer = answer::read(answer).map_err(Failure::Lost)?;
        let began = tokio::time::Instant::now();
        let mut last_path = None;
        loop {
            let path = match (&answer, &last_path) {
                (Answer::InProgress(path), _) => path.clone(),
                // The token ran out while the statement ran: the result is still to be had.
                (Answer::TokenExpired, Some(path)) => {
                    self.renew().await?;
                    String::clone(path)
                }
                _ => return Ok(answer),
            };
            if began.elapsed().as_secs() > self.seconds_max {
                let what = format!("a statement still runs after {} s", self.seconds_max);
                return Err(Failure::Lost(Error::Unavailable { what, cause: None }));
            }
            if last_path.is_some() {
                tokio::time::sleep(POLL_PAUSE).await;
            }
            answer = self.poll(&path).await.map_err(Failure::Lost)?;
            last_path = Some(path);
        }
    }

    async fn poll(&mut self, path: &str) -> Result<Answer> {
        self.usage.requests += 1;
        let auth = format!("Snowflake Token=\"{}\"", self.token);
        let headers = HashMap::from([
            ("authorization".to_owned(), auth),
            ("accept".to_owned(), "application/json".to_owned()),
        ]);
        let url = self.transport.absolute(path)?;
        let got = self.transport.connection().get_chunk(&url, &headers).await;
        // The cause may quote a signed address.
        let body = got.map_err(|_| lost(format!("no answer of {}", self.transport.place())))?;
        let parsed = serde_json::from_slice(&body);
        answer::read(parsed.map_err(|e| Error::unavailable("a result is no JSON", e))?)
    }

    /// A fresh token for the same session.
    async fn renew(&mut self) -> std::result::Result<(), Failure> {
        let body = json!({"oldSessionToken": self.token, "requestType": "RENEW"});
        let master = self.master.clone();
        let sent = self.send(QueryType::TokenRequest, &[], Some(&master), body).await;
        let answer = sent.map_err(Failure::Lost)?;
        match answer["data"]["sessionToken"].as_str() {
            Some(token) if answer["success"].as_bool() == Some(true) => {
                token.clone_into(&mut self.token);
                if let Some(master) = answer["data"]["masterToken"].as_str() {
                    master.clone_into(&mut self.master);
                }
                Ok(())
            }
            _ => Err(Failure::SessionGone),
        }
    }

    /// Fetches what did not fit into the answer.
    async fn whole(&mut self, mut rows: Rows) -> Result<Rows> {
        let headers: HashMap<String, String> = rows.chunk_headers.iter().cloned().collect();
        for url in std::mem::take(&mut rows.chunks) {
            self.usage.requests += 1;
            let got = self.transport.connection().get_chunk(&url, &headers).await;
            let body = got.map_err(|_| lost("a part of a result is missing".to_owned()))?;
            // Parts are rows with commas between them, without the brackets around.
            let text = [b"[".as_slice(), &body, b"]"].concat();
            let parsed = serde_json::from_slice(&text);
            let part = parsed.map_err(|e| Error::unavailable("a part of a result", e))?;
            rows.rows.extend(answer::json_rows(&part));
        }
        Ok(rows)
    }

    /// Logs out; whatever was open is undone.
    pub async fn close(mut self) {
        let token = self.token.clone();
        let query = [("delete", "true")];
        let _ = self.send(QueryType::CloseSession, &query, Some(&token), json!({})).await;
    }
}

fn lost(what: String) -> Error {
    Error::Unavailable { what, cause: None }
}

impl Failure {
    /// As the engine's error; `what` is what was tried.
    pub fn into_error(self, what: &str) -> Error {
        match self {
            Self::Lost(error) => error,
            Self::SessionGone => Error::Unavailable {
                what: format!("the session with Snowflake ended during {what}"),
                cause: None,
            },
            Self::Refused(refusal) => refusal.into_error(what),
        }
    }
}
