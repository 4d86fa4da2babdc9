//! Sessions by their tokens, and the answers already given in them.

use std::collections::BTreeMap;

use serde_json::Value;

/// A session's number.
pub type SessionId = u64;

/// One session.
#[derive(Debug, Default)]
pub struct Session {
    /// The token that statements carry.
    pub token: String,
    /// The token that renewal carries.
    pub master: String,
    /// Whether statements are refused until renewal.
    pub expired: bool,
    /// The database of names that give none.
    pub database: Option<String>,
    /// The schema of names that give none.
    pub schema: Option<String>,
    /// Whether a statement that changes rows waits for a COMMIT, as without AUTOCOMMIT.
    pub manual: bool,
    /// Answers by request id.
    pub answered: BTreeMap<String, Value>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sessions {
    next: SessionId,
    by_id: BTreeMap<SessionId, Session>,
    /// Results that were not awaited, by query id.
    pub results: BTreeMap<String, Value>,
    /// Logins as they came, without their proofs.
    pub logins: Vec<Value>,
}

fn token(kind: &str) -> String {
    format!("{kind}-{}", uuid::Uuid::new_v4())
}

impl Sessions {
    /// A new session.
    pub fn open(&mut self) -> (SessionId, &mut Session) {
        self.next += 1;
        let session =
            Session { token: token("session"), master: token("master"), ..Session::default() };
        let id = self.next;
        (id, self.by_id.entry(id).or_insert(session))
    }

    /// The session of a statement's token.
    pub fn by_token(&mut self, token: &str) -> Option<(SessionId, &mut Session)> {
        let found = self.by_id.iter_mut().find(|(_, s)| s.token == token);
        found.map(|(id, session)| (*id, session))
    }

    /// By number.
    pub fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// A fresh token for the session of a master token.
    pub fn renew(&mut self, master: &str) -> Option<(String, String)> {
        let session = self.by_id.values_mut().find(|s| s.master == master)?;
        session.token = token("session");
        session.expired = false;
        Some((session.token.clone(), session.master.clone()))
    }

    /// Ends one.
    pub fn end(&mut self, id: SessionId) {
        self.by_id.remove(&id);
    }

    /// Ends all; their numbers.
    pub fn end_all(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.by_id).into_keys().collect()
    }
}
