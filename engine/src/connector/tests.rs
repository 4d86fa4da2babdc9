//! Settings, verdicts, and `apply` against a Connect that answers as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::options::Options;
use super::settings::Settings;
use super::status::{Status, Verdict};

const RUNNING: &str = r#"{"name":"b","connector":{"state":"RUNNING","worker_id":"w"},
    "tasks":[{"id":0,"state":"RUNNING","worker_id":"w"}],"type":"source"}"#;
const FAILED: &str = r#"{"name":"b","connector":{"state":"RUNNING","worker_id":"w"},
    "tasks":[{"id":0,"state":"FAILED","worker_id":"w",
    "trace":"org.X: slot is gone\n\tat a.b(c)\nCaused by: org.Y: why\n"}]}"#;
const STARTING: &str =
    r#"{"name":"b","connector":{"state":"UNASSIGNED","worker_id":"w"},"tasks":[]}"#;

fn changed(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Answers one request after the other with (status line, body), the last one for ever; notes the
/// request lines.
async fn connect(
    answers: &'static [(&'static str, &'static str)],
) -> (Options, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        let last = std::iter::repeat(answers.last().unwrap());
        for (status, body) in answers.iter().chain(last) {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let read = socket.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request);
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
                });
                if whole || read == 0 {
                    noted.lock().unwrap().push(text.lines().next().unwrap().to_owned());
                    break;
                }
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (Options { url, name: "b".into(), wait_seconds: 10, settings: BTreeMap::new() }, asked)
}

#[test]
fn ours_are_sane_and_changes_win() {
    let ours = Settings::of(&BTreeMap::new()).unwrap();
    ours.check(None).unwrap();
    ours.check(Some(1)).unwrap();
    assert_eq!(ours.transaction_topic(), "banking_server.transaction");
    let other = changed(&[("topic.prefix", "shop"), ("heartbeat.interval.ms", "")]);
    let other = Settings::of(&other).unwrap();
    assert_eq!(other.get("topic.creation.transaction.include"), Some("shop\\.transaction"));
    assert_eq!(other.get("heartbeat.interval.ms"), None);
    assert!(super::print(None).unwrap().contains("\"plugin.name\": \"pgoutput\""));
}

#[test]
fn what_the_line_cannot_work_with_is_refused() {
    for (settings, partitions, said) in [
        (&[("provide.transaction.metadata", "false")][..], None, "could not be cut"),
        (&[("database.password", "hunter2")], None, "holds a secret"),
        (&[("topic.creation.transaction.partitions", "3")], None, "gets one partition"),
        (&[], Some(3), "`banking_server.transaction` has 3 partitions"),
    ] {
        let error = Settings::of(&changed(settings)).unwrap().check(partitions).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_status_is_judged() {
    let verdict = |text: &str| serde_json::from_str::<Status>(text).unwrap().verdict();
    assert_eq!(verdict(RUNNING), Verdict::Running);
    assert_eq!(
        verdict(FAILED),
        Verdict::Failed("org.X: slot is gone; caused by org.Y: why".into())
    );
    let offsets =
        FAILED.replace("slot is gone", "at [lsn=1, [key=4711], and more and more of that] in [a]");
    let told = "org.X: at [..] in [a]; caused by org.Y: why";
    assert_eq!(verdict(&offsets), Verdict::Failed(told.into()));
    assert_eq!(verdict(STARTING), Verdict::Waiting("connector UNASSIGNED, tasks none".into()));
}

#[tokio::test]
async fn apply_waits_through_the_group_and_the_start() {
    let (options, served) = connect(&[
        ("409 Conflict", r#"{"error_code":409,"message":"rebalance"}"#),
        ("201 Created", "{}"),
        ("404 Not Found", "{}"),
        ("200 OK", STARTING),
        ("200 OK", RUNNING),
    ])
    .await;
    let status = super::apply(&options, Some(1)).await.unwrap();
    assert_eq!(status.to_string(), "b: connector RUNNING, tasks RUNNING");
    let asked = served.lock().unwrap().clone();
    assert_eq!(asked[1], "PUT /connectors/b/config HTTP/1.1");
    assert_eq!(asked[4], "GET /connectors/b/status HTTP/1.1");
}

#[tokio::test]
async fn a_task_that_failed_under_old_settings_is_restarted_once() {
    let (options, served) = connect(&[("200 OK", "{}"), ("200 OK", FAILED)]).await;
    let error = super::apply(&options, None).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let restart = "POST /connectors/b/restart?includeTasks=true&onlyFailed=true HTTP/1.1";
    let asked = served.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|line| *line == restart).count(), 1);
}

#[tokio::test]
async fn a_failure_that_stays_is_told_by_its_first_line() {
    let (options, _) = connect(&[("201 Created", "{}"), ("200 OK", FAILED)]).await;
    let error = super::apply(&options, None).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("connector `b` failed: org.X: slot is gone"), "{said}");
    assert_eq!(error.exit_code(), 1);
}

#[tokio::test]
async fn wrong_settings_are_told_even_where_connect_trips() {
    let (options, served) = connect(&[
        ("500 Internal Server Error", r#"{"error_code":500,"message":"null"}"#),
        (
            "200 OK",
            r#"{"configs":[{"value":{"name":"name","errors":["missing"]}},{"value":null},
            {"value":{"name":"database.hostname","errors":["refused"]}}]}"#,
        ),
    ])
    .await;
    let error = super::apply(&options, None).await.unwrap_err();
    let wanted = "connect refused the put: `database.hostname`: refused\n";
    assert!(error.to_string().starts_with(wanted), "{error}");
    let class = "io.debezium.connector.postgresql.PostgresConnector";
    let asked = format!("PUT /connector-plugins/{class}/config/validate HTTP/1.1");
    assert_eq!(served.lock().unwrap()[1], asked);
}

#[tokio::test]
async fn refusals_and_silence_have_their_exit_codes() {
    let refusal = ("400 Bad Request", r#"{"error_code":400,"message":"slot.name is wrong"}"#);
    let (options, _served) = connect(vec![refusal].leak()).await;
    let error = super::apply(&options, None).await.unwrap_err();
    assert!(error.to_string().contains("(400 Bad Request): slot.name is wrong"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let silent = Options { url, ..options.clone() };
    assert_eq!(super::apply(&silent, None).await.unwrap_err().exit_code(), 3);
    let tls = Options { url: "https://h".into(), ..options };
    assert_eq!(super::status(&tls).await.unwrap_err().exit_code(), 2);
}
