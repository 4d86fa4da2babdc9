//! What Connect says of a connector and its tasks, and what that means.
//!
//! Pure: `rest` asks. A trace is kept whole here; only its telling lines go into errors.

use std::fmt;

use serde::{Deserialize, Serialize};

const INSIDES_CHARACTERS_MAX: usize = 40;

/// A connector's status, in the shape of Connect's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The connector itself.
    pub connector: Part,
    /// Its tasks; none while it is being started.
    pub tasks: Vec<Part>,
}

/// The connector or one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// A task's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED or RESTARTING.
    pub state: String,
    /// The worker it runs on.
    #[serde(default)]
    pub worker_id: String,
    /// The Java trace of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What a status means for someone who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The connector and at least one task run, and nothing else.
    Running,
    /// Something failed: the first error line of its trace, and the last cause.
    Failed(String),
    /// Neither yet: the states.
    Waiting(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "it began to run just now",
            Self::Failed(said) | Self::Waiting(said) => said,
        })
    }
}

impl Status {
    /// Judges it.
    pub fn verdict(&self) -> Verdict {
        let mut parts = std::iter::once(&self.connector).chain(&self.tasks);
        if let Some(failed) = parts.clone().find(|part| part.state == "FAILED") {
            return Verdict::Failed(told(failed.trace.as_deref().unwrap_or("")));
        }
        if !self.tasks.is_empty() && parts.all(|part| part.state == "RUNNING") {
            return Verdict::Running;
        }
        Verdict::Waiting(self.states())
    }

    fn states(&self) -> String {
        let tasks: Vec<_> = self.tasks.iter().map(|task| task.state.as_str()).collect();
        let tasks = if tasks.is_empty() { "none".to_owned() } else { tasks.join(", ") };
        format!("connector {}, tasks {tasks}", self.connector.state)
    }
}

/// One line for people; a failure's telling lines below it.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.states())?;
        match self.verdict() {
            Verdict::Failed(why) => write!(f, "\n  {why}"),
            _ => Ok(()),
        }
    }
}

/// The first line of a trace, and the last cause where it says something else.
fn told(trace: &str) -> String {
    let mut lines = trace.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("no trace was given");
    let cause = lines.filter_map(|line| line.strip_prefix("Caused by: ")).next_back();
    match cause.filter(|cause| *cause != first) {
        Some(cause) => format!("{}; caused by {}", without_insides(first), without_insides(cause)),
        None => without_insides(first),
    }
}

/// A line without what long brackets hold: Debezium prints whole offsets there, keys of rows too.
fn without_insides(line: &str) -> String {
    let (mut kept, mut inside, mut depth) = (String::new(), String::new(), 0usize);
    for c in line.chars() {
        if c == '[' {
            depth += 1;
        }
        match depth {
            0 => kept.push(c),
            _ => inside.push(c),
        }
        if c == ']' && depth > 0 {
            depth -= 1;
            if depth == 0 {
                let long = inside.chars().count() > INSIDES_CHARACTERS_MAX;
                kept.push_str(if long { "[..]" } else { &inside });
                inside.clear();
            }
        }
    }
    if !inside.is_empty() {
        kept.push_str("[..");
    }
    kept
}
