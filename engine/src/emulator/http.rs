//! The routes: what drivers send, and how faults come in between.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::answer;
use super::faults::Fault;
use super::sessions::SessionId;
use super::{Shared, login, statements};

const BODY_BYTES_MAX: usize = 1 << 30;

type Parameters = Query<HashMap<String, String>>;

/// All routes.
pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/session/v1/login-request", post(log_in))
        .route("/session/token-request", post(renew))
        .route("/session", post(end))
        .route("/session/heartbeat", post(async || reply(&json!({"success": true}))))
        .route("/queries/v1/query-request", post(statement))
        .route("/queries/{id}/result", get(result))
        .route("/telemetry/send", post(async || reply(&json!({"success": true}))))
        .route("/emulator/logins", get(logins))
        .route("/stages/{*path}", put(upload))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

fn reply(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn lost() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn refused(code: &str, message: &str) -> Value {
    json!({"success": false, "code": code, "message": message, "data": null})
}

fn parse(headers: &HeaderMap, body: &Bytes) -> Value {
    let packed = headers.get("content-encoding").is_some_and(|e| e == "gzip");
    if packed {
        let mut text = Vec::new();
        let read = flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut text);
        return read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
    }
    serde_json::from_slice(body).unwrap_or_default()
}

fn token(headers: &HeaderMap) -> String {
    let value = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.trim_start_matches("Snowflake Token=").trim_matches('"').to_owned()
}

/// Faults that any request can have; `None` goes on.
fn before(fault: Option<Fault>) -> Option<Response> {
    matches!(fault, Some(Fault::LostBefore)).then(lost)
}

const fn is_lost_after(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::LostAfter | Fault::GoneAfter))
}

async fn log_in(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.faults.next();
    if let Some(response) = before(fault) {
        return response;
    }
    if fault == Some(Fault::Refused) {
        return reply(&refused("390422", "Incoming request is not allowed to access Snowflake."));
    }
    let answer =
        login::log_in(&mut *shared.world.lock().await, &parameters, &parse(&headers, &body));
    if is_lost_after(fault) { lost() } else { reply(&answer) }
}

async fn renew(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let fault = shared.faults.next();
    if let Some(response) = before(fault) {
        return response;
    }
    let renewed = shared.world.lock().await.sessions.renew(&token(&headers));
    let answer = match renewed {
        Some((token, master)) => json!({"success": true, "data": {
            "sessionToken": token, "masterToken": master, "validityInSecondsST": 3_600,
            "validityInSecondsMT": 14_400,
        }}),
        None => refused("390114", "Authentication token has expired."),
    };
    if is_lost_after(fault) { lost() } else { reply(&answer) }
}

async fn end(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let mut world = shared.world.lock().await;
    let found = world.sessions.by_token(&token(&headers)).map(|(id, _)| id);
    if let Some(id) = found {
        world.sessions.end(id);
        world.tables.end_session(id);
    }
    drop(world);
    shared.released.notify_waiters();
    reply(&json!({"success": true, "data": null}))
}

async fn logins(State(shared): State<Arc<Shared>>) -> Response {
    reply(&Value::Array(shared.world.lock().await.sessions.logins.clone()))
}

async fn end_session(shared: &Shared, id: SessionId) {
    let mut world = shared.world.lock().await;
    world.sessions.end(id);
    world.tables.end_session(id);
    drop(world);
    shared.released.notify_waiters();
}

/// The session of a statement, or why it has none.
async fn session_of(
    shared: &Shared,
    headers: &HeaderMap,
    fault: Option<Fault>,
) -> std::result::Result<SessionId, Value> {
    let gone = || refused("390111", "Session no longer exists. New login required.");
    let mut world = shared.world.lock().await;
    let Some((id, session)) = world.sessions.by_token(&token(headers)) else { return Err(gone()) };
    if fault == Some(Fault::TokenExpired) {
        session.expired = true;
    }
    if session.expired {
        return Err(refused("390112", "Your session has expired."));
    }
    drop(world);
    if fault == Some(Fault::SessionGone) {
        end_session(shared, id).await;
        return Err(gone());
    }
    Ok(id)
}

async fn statement(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.faults.next();
    shared.faults.sleep(fault).await;
    if let Some(response) = before(fault) {
        return response;
    }
    let id = match session_of(&shared, &headers, fault).await {
        Ok(id) => id,
        Err(answer) => return reply(&answer),
    };
    let request = parameters.get("requestId").cloned().unwrap_or_default();
    let known = {
        let mut world = shared.world.lock().await;
        world.sessions.get(id).and_then(|s| s.answered.get(&request).cloned())
    };
    let answer = match (known, fault) {
        (Some(answer), _) => answer,
        (None, Some(Fault::Refused)) => refused(
            "090073",
            "Warehouse 'FRESHET' cannot be resumed because resource monitor \
                'FRESHET' has exceeded its quota.",
        ),
        (None, _) => {
            let text = parse(&headers, &body)["sqlText"].as_str().unwrap_or_default().to_owned();
            let query = uuid::Uuid::new_v4().to_string();
            let outcome = statements::run(&shared, Some(id), &text).await;
            let answer = answer::encode(&outcome, &query);
            let mut world = shared.world.lock().await;
            if let Some(session) = world.sessions.get(id) {
                session.answered.insert(request, answer.clone());
            }
            answer
        }
    };
    if fault == Some(Fault::GoneAfter) {
        end_session(&shared, id).await;
    }
    if is_lost_after(fault) {
        return lost();
    }
    if fault == Some(Fault::Slow) {
        let query = uuid::Uuid::new_v4().to_string();
        let path = format!("/queries/{query}/result");
        shared.world.lock().await.sessions.results.insert(query.clone(), answer);
        return reply(&json!({"success": true, "code": "333334", "message": "in progress",
            "data": {"getResultUrl": path, "queryId": query, "queryAbortsAfterSecs": 300}}));
    }
    reply(&answer)
}

async fn result(
    State(shared): State<Arc<Shared>>,
    Path(query): Path<String>,
    headers: HeaderMap,
) -> Response {
    let fault = shared.faults.next();
    if let Some(response) = before(fault) {
        return response;
    }
    if let Err(answer) = session_of(&shared, &headers, fault).await {
        return reply(&answer);
    }
    if is_lost_after(fault) {
        return lost();
    }
    let world = shared.world.lock().await;
    let path = format!("/queries/{query}/result");
    match (fault, world.sessions.results.get(&query)) {
        // It still runs: ask again.
        (Some(Fault::Slow), Some(_)) => reply(&json!({"success": true, "code": "333333",
            "data": {"getResultUrl": path, "queryId": query}})),
        (_, Some(answer)) => reply(answer),
        (_, None) => reply(&refused("000612", "Result not found.")),
    }
}

/// The stage's S3: a file by path, its metadata in headers.
async fn upload(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.faults.next();
    shared.faults.sleep(fault).await;
    // What is no fault of storage is one of the network here.
    if fault.is_some_and(|f| !matches!(f, Fault::LostAfter | Fault::Slow | Fault::Sleeps)) {
        return lost();
    }
    let mut metadata = BTreeMap::new();
    for (name, value) in &headers {
        if let (Some(name), Ok(value)) = (name.as_str().strip_prefix("x-amz-meta-"), value.to_str())
        {
            metadata.insert(name.to_owned(), value.to_owned());
        }
    }
    shared.world.lock().await.files.put(path, body, metadata);
    if is_lost_after(fault) {
        return lost();
    }
    (StatusCode::OK, [("etag", "\"emulator\"")]).into_response()
}
