//! HTTP to Snowflake: where requests go, and how often they are tried.
//!
//! The crate `snowflake-api` makes the requests; a layer below it sends them to another address
//! where one is configured, and repeats what got no answer under the same request id, by which
//! Snowflake tells a repeated request from a new one. It must never log a header or a body.

use std::time::Duration;

use reqwest::{Request, Response, StatusCode, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use snowflake_api::connection::Connection;

use crate::error::{Error, Result};

/// Pauses between tries of one request.
const PAUSES_MS: [u64; 6] = [100, 300, 1_000, 2_000, 4_000, 8_000];
/// A statement answers within 45 s, if only to say that it still runs.
const ANSWER_SECONDS_MAX: u64 = 90;
const CONNECT_SECONDS_MAX: u64 = 10;

/// A client of one account.
pub struct Transport {
    connection: Connection,
    plain: reqwest::Client,
    account: String,
    base: Url,
}

impl Transport {
    /// For an account, at its own address or another.
    pub fn new(account: &str, url: Option<&str>, tries: usize) -> Result<Self> {
        let given = url.map(str::to_owned);
        let base = given.unwrap_or_else(|| format!("https://{account}.snowflakecomputing.com"));
        let base = Url::parse(&base).map_err(|e| {
            Error::invalid(format!("[publish.snowflake] url \"{base}\": {e}"))
                .with_hint("write it with https:// and without a path")
        })?;
        let plain = reqwest::Client::builder()
            .user_agent(concat!("freshet/", env!("CARGO_PKG_VERSION")))
            .gzip(true)
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .build()
            .map_err(|e| Error::unavailable("cannot start an HTTP client", e))?;
        let outbound = Outbound { base: base.clone(), tries };
        let client: ClientWithMiddleware = ClientBuilder::new(plain.clone()).with(outbound).build();
        Ok(Self {
            connection: Connection::new_with_middware(client),
            plain,
            account: account.to_owned(),
            base,
        })
    }

    /// The crate's connection.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The account, as requests name it.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// For uploads, which go to storage and not to the account.
    pub const fn plain(&self) -> &reqwest::Client {
        &self.plain
    }

    /// A path that the server named, as a whole address.
    pub fn absolute(&self, path: &str) -> Result<String> {
        let url = self.base.join(path);
        url.map(|u| u.to_string()).map_err(|_| Error::bug("the server named a path that is none"))
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        self.base.host_str().unwrap_or("?").to_owned()
    }
}

/// Sends requests where they belong, more than once if need be.
struct Outbound {
    base: Url,
    tries: usize,
}

/// A server that answers, and has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the server answers {0}")]
struct NoAnswer(StatusCode);

impl Outbound {
    fn direct(&self, request: &mut Request) {
        let to_account =
            request.url().host_str().is_some_and(|h| h.ends_with(".snowflakecomputing.com"));
        let url = request.url_mut();
        if to_account && url.host_str() != self.base.host_str() {
            let _ = url.set_scheme(self.base.scheme());
            let _ = url.set_host(self.base.host_str());
            let _ = url.set_port(self.base.port());
        }
        // The crate writes two slashes before this one.
        let path = url.path().replace("//", "/");
        url.set_path(&path);
    }
}

fn numbered(request: &mut Request, try_number: usize) {
    if try_number > 0 && request.method() == reqwest::Method::POST {
        request.url_mut().query_pairs_mut().append_pair("retryCount", &try_number.to_string());
    }
}

/// No answer at all: an error that says its code in JSON is one, whatever its status.
fn is_transient(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
    let says_why = kind.is_some_and(|k| k.as_bytes().starts_with(b"application/json"));
    let failed = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    failed && !says_why
}

#[async_trait::async_trait]
impl Middleware for Outbound {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        self.direct(&mut request);
        let mut tried = 0;
        loop {
            let copy = request.try_clone();
            let Some(mut copy) = copy else { return next.run(request, extensions).await };
            numbered(&mut copy, tried);
            let answer = next.clone().run(copy, extensions).await;
            let last = tried + 1 >= self.tries;
            match answer {
                Ok(response) if !is_transient(&response) => return Ok(response),
                Ok(response) if last => {
                    return Err(reqwest_middleware::Error::middleware(NoAnswer(response.status())));
                }
                Err(error) if last => return Err(error.without_url()),
                Ok(_) | Err(_) => {}
            }
            let pause = PAUSES_MS[tried.min(PAUSES_MS.len() - 1)];
            tokio::time::sleep(Duration::from_millis(pause)).await;
            tried += 1;
        }
    }
}
