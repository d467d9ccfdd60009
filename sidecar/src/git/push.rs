//! Pushing: the command list is judged before the forge hears of the push.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
};
use hyper::body::Incoming;
use protocol::limits::{
    FRAME_TIMEOUT, GIT_ADVERTISEMENT_MAX_BYTES, GIT_COMMANDS_MAX_BYTES, GIT_PACK_MAX_BYTES,
};
use rpc::server::{Body, full, text};
use tokio::time::timeout;

use super::{
    advertisement,
    commands::{self, Command, CommandList, Refusal},
    failed,
    front::{Front, PackEnd},
    pkt, report,
    upstream::{Service, UpstreamError, collect},
};
use crate::{
    agent,
    oplog::{self, Act},
    phase::Sidecar,
    session::Work,
};

/// The forge's report with what its hooks say; git shows a few screens of it at most.
const REPORT_MAX_BYTES: usize = 1024 * 1024;

/// Hands out the list of refs, with fewer capabilities. Protocol versions are not passed on: version
/// 1 would put another line in front.
pub(super) async fn refs(sidecar: &Sidecar, work: &Work) -> Response<Body> {
    let upstream = &work.session().upstream;
    let asked = work
        .until_cut(async {
            let answer = upstream.refs(Service::ReceivePack, HeaderMap::new()).await?;
            collect(answer, GIT_ADVERTISEMENT_MAX_BYTES).await
        })
        .await;
    let act = Act::push(&work.session().grant.branch);
    let refs = match asked {
        Ok(Ok(refs)) => refs,
        Ok(Err(error)) => return failed(sidecar, work, &act, &error).await,
        Err(cut) => return text(StatusCode::SERVICE_UNAVAILABLE, cut.to_string()),
    };
    match advertisement::cut(&refs) {
        Ok(refs) => git_answer(&Service::ReceivePack.refs_type(), refs),
        Err(_) => failed(sidecar, work, &act, &UpstreamError::Status(200)).await,
    }
}

/// Takes a push. Runs in a task of its own: a client that goes away after its pack was sent does
/// not cut it from its record.
pub(super) async fn pack(
    sidecar: &Sidecar,
    work: &Work,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a push must not be encoded");
    }
    if parts
        .headers
        .get(CONTENT_TYPE)
        .is_none_or(|kind| *kind != Service::ReceivePack.request_type())
    {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not a request of git");
    }
    let _in_flight = work.begin_push();
    let mut front = Front::new(body);
    let lines = match timeout(FRAME_TIMEOUT, front.lines(GIT_COMMANDS_MAX_BYTES)).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        Err(_) => {
            return text(StatusCode::REQUEST_TIMEOUT, "the list of updates did not come in time");
        }
    };
    if lines.is_empty() {
        // Git asks so, before a large push, whether it may.
        return git_answer(&Service::ReceivePack.result_type(), Vec::new());
    }
    let list = match commands::parse(&lines) {
        Ok(list) => list,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let push = Push { sidecar, work, list: &list, act: Act::push(&work.session().grant.branch) };
    match commands::check(&list, &work.session().grant.branch) {
        Ok(command) => push.forward(command, &lines, front).await,
        Err(refusal) => push.refuse(&refusal, front).await,
    }
}

fn git_answer(content_type: &str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full(body));
    if let Ok(kind) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// One push whose list was read.
struct Push<'p> {
    sidecar: &'p Sidecar,
    work: &'p Work,
    list: &'p CommandList,
    act: Act,
}

impl Push<'_> {
    /// Git's own kind of refusal, after the pack was read: a client that is still sending does not
    /// read an answer.
    async fn refuse(&self, refusal: &Refusal, front: Front<Incoming>) -> Response<Body> {
        let branch = &self.work.session().grant.branch;
        let why = refusal.reasons.first().map(|(_, why)| why.as_str()).unwrap_or_default();
        let entry = match refusal.foreign {
            true => oplog::push_refused(&refusal.about, branch),
            false => self.act.refused(why),
        };
        self.sidecar.with_memory(|memory| memory.counts.refusals += 1);
        self.sidecar.log.record(self.sidecar.stamp(self.work.session()), entry, None).await;
        self.discard(front).await;
        self.rejected(&refusal.reasons)
    }

    async fn discard(&self, front: Front<Incoming>) {
        let mut rest = front.rest();
        // By the drain's or the reader's end; how it ended does not matter.
        drop(
            self.work.until_cut(timeout(6 * FRAME_TIMEOUT, rest.discard(GIT_PACK_MAX_BYTES))).await,
        );
    }

    /// Sends the push on, and records how it ended.
    async fn forward(
        &self,
        command: &Command,
        lines: &[Vec<u8>],
        front: Front<Incoming>,
    ) -> Response<Body> {
        let Self { sidecar, work, .. } = self;
        let place = match sidecar.log.reserve().await {
            Ok(place) => place,
            Err(full) => return self.not_now(command, &full.to_string(), front).await,
        };
        if let Err(limited) = agent::take_budget(sidecar, work, &self.act).await {
            return self.not_now(command, &limited.message, front).await;
        }
        let broken = Arc::new(OnceLock::new());
        let body = self.body(lines, front, Arc::clone(&broken));
        let upstream = &work.session().upstream;
        let sent = work
            .until_cut(async {
                let answer = upstream.pack(Service::ReceivePack, HeaderMap::new(), body).await?;
                collect(answer, REPORT_MAX_BYTES).await
            })
            .await;
        let (entry, response) = match sent {
            Ok(Ok(answer)) => self.settled(command, answer),
            Ok(Err(error)) => {
                let why = broken.get().map_or_else(|| error.to_string(), |end| why_no_pack(*end));
                (self.act.failed(&why), self.reject(command, &why))
            }
            Err(cut) => (self.act.failed(&cut.to_string()), self.reject(command, &cut.to_string())),
        };
        sidecar.with_memory(|memory| memory.counts.writes += 1);
        sidecar.log.record(sidecar.stamp(work.session()), entry, Some(place)).await;
        response
    }

    /// The list again, then the pack as it comes.
    fn body(
        &self,
        lines: &[Vec<u8>],
        front: Front<Incoming>,
        broken: Arc<OnceLock<PackEnd>>,
    ) -> reqwest::Body {
        let mut head = Vec::new();
        for line in lines {
            pkt::line(&mut head, line);
        }
        pkt::flush(&mut head);
        let ended = Box::new(move |end| broken.set(end).unwrap_or(()));
        reqwest::Body::wrap_stream(front.rest().after(Bytes::from(head), GIT_PACK_MAX_BYTES, ended))
    }

    /// The forge's answer goes to the client as it is; its verdict goes to the op log.
    fn settled(
        &self,
        command: &Command,
        answer: Vec<u8>,
    ) -> (protocol::event::Operation, Response<Body>) {
        let side_band = self.list.capabilities.iter().any(|name| name == "side-band-64k");
        let entry = match report::verdict(&answer, side_band) {
            report::Verdict::Done => {
                oplog::pushed(&self.work.session().grant.branch, &command.old, &command.new)
            }
            report::Verdict::Rejected(why) => self.act.failed(&why),
            report::Verdict::Unknown => {
                self.act.failed("the forge does not say whether it was done")
            }
        };
        (entry, git_answer(&Service::ReceivePack.result_type(), answer))
    }

    async fn not_now(
        &self,
        command: &Command,
        why: &str,
        front: Front<Incoming>,
    ) -> Response<Body> {
        self.discard(front).await;
        self.reject(command, why)
    }

    fn reject(&self, command: &Command, why: &str) -> Response<Body> {
        self.rejected(&[(command.name.clone(), oplog::foreign(why))])
    }

    fn rejected(&self, reasons: &[(Vec<u8>, String)]) -> Response<Body> {
        git_answer(&Service::ReceivePack.result_type(), report::refusal(self.list, reasons))
    }
}

fn why_no_pack(end: PackEnd) -> String {
    match end {
        PackEnd::BrokenOff => "the push broke off".to_owned(),
        PackEnd::TooLarge => format!("the pack has more than {} MiB", GIT_PACK_MAX_BYTES >> 20),
    }
}
