//! Every request is written down, so that tests can say where a token was seen.

use std::sync::{Mutex, PoisonError};

/// Bytes of a request body that are kept.
pub const BODY_KEPT_BYTES: usize = 64 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct RequestRecord {
    /// The method.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query, without the question mark; empty when there is none.
    pub query: String,
    /// Whose token it carried; `None` for none or an unknown one.
    pub user: Option<String>,
    /// The `Authorization` header, word for word.
    pub authorization: Option<String>,
    /// The first `BODY_KEPT_BYTES` of the body.
    pub body: Vec<u8>,
    /// The status answered; `None` while under way or when the connection was dropped.
    pub status: Option<u16>,
    /// What of request and answer does not fit the description of the API.
    pub violations: Vec<String>,
}

/// The requests so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Vec<RequestRecord>>);

impl RequestLog {
    /// Notes a request; gives its place for what becomes known later.
    pub(crate) fn begin(&self, record: RequestRecord) -> usize {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(record);
        log.len() - 1
    }

    /// Appends to a request's kept body.
    pub(crate) fn body(&self, place: usize, bytes: &[u8]) {
        self.change(place, |record| {
            let room = BODY_KEPT_BYTES.saturating_sub(record.body.len());
            record.body.extend(bytes.iter().take(room));
        });
    }

    /// Notes the status of the answer.
    pub(crate) fn answered(&self, place: usize, status: u16) {
        self.change(place, |record| record.status = Some(status));
    }

    /// Notes what does not fit the description.
    pub(crate) fn violates(&self, place: usize, wrong: Vec<String>) {
        self.change(place, |record| record.violations = wrong);
    }

    /// What did not fit so far; from then on it is forgotten.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter_mut().flat_map(|record| std::mem::take(&mut record.violations)).collect()
    }

    /// A copy of one request.
    pub(crate) fn get(&self, place: usize) -> RequestRecord {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.get(place).cloned().unwrap_or_default()
    }

    /// A copy of all requests.
    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, place: usize, how: impl FnOnce(&mut RequestRecord)) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = log.get_mut(place) {
            how(record);
        }
    }
}
