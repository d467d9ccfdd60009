//! One run of `git http-backend`: CGI (RFC 3875) environment in, header lines and body out.

use std::{process::Stdio, time::Duration};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempPath;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::timeout,
};

use super::PushRecord;
use crate::forge_double::{forge::Forge, registry::RepoPath};

/// Bytes read from git at a time.
const CHUNK_BYTES: usize = 32 * 1024;
/// Header lines that `git http-backend` may send; it sends about five.
const HEADER_LINES_MAX: usize = 32;
/// How long git may take to exit after it closed its output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// `git http-backend` could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CgiError {
    #[error("start git http-backend")]
    Start(#[source] std::io::Error),
    #[error("read the answer of git http-backend")]
    Read(#[source] std::io::Error),
    #[error("git http-backend has no pipe")]
    NoPipe,
    #[error("git http-backend sent no valid header")]
    BadHeader,
}

/// A run under way, its header already read.
#[derive(Debug)]
pub(super) struct Cgi {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    output: BufReader<ChildStdout>,
    group: ProcessGroup,
    /// The task that feeds the request's body to git.
    input: JoinSet<()>,
    record: TempPath,
}

/// Kills the program and what it started when dropped before its end.
#[derive(Debug)]
struct ProcessGroup(Child);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The id is gone once the child was waited for, so nobody else is struck.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(Err(error)) = id.map(|id| killpg(Pid::from_raw(id), Signal::SIGKILL)) {
            tracing::debug!(%error, "git http-backend was gone already");
        }
    }
}

impl Cgi {
    /// Starts git, begins to feed it the request, and reads the header of its answer.
    pub(super) async fn start(
        forge: &Forge,
        path: &RepoPath,
        rest: &str,
        user: Option<&str>,
        request: Request,
    ) -> Result<Self, CgiError> {
        let record = tempfile::NamedTempFile::new_in(forge.git.root());
        let record = record.map_err(CgiError::Start)?.into_temp_path();
        let mut command = forge.git.command();
        command.arg("http-backend").env("FORGE_PUSH_RECORD", &record).process_group(0);
        set_environment(&mut command, path, rest, &request);
        command.env("GIT_PROJECT_ROOT", forge.git.root());
        if let Some(user) = user {
            command.env("REMOTE_USER", user);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(CgiError::Start)?;
        let stdin = child.stdin.take().ok_or(CgiError::NoPipe)?;
        let stdout = child.stdout.take().ok_or(CgiError::NoPipe)?;
        let group = ProcessGroup(child);
        let mut input = JoinSet::new();
        input.spawn(feed(stdin, request));
        let mut output = BufReader::new(stdout);
        let (status, headers) = read_header(&mut output).await?;
        Ok(Self { status, headers, output, group, input, record })
    }

    /// The body of the answer. Before it ends, `finish` gets what was pushed.
    pub(super) fn into_stream<F>(
        self,
        finish: impl FnOnce(PushRecord) -> F + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send
    where
        F: Future<Output = ()> + Send,
    {
        stream::unfold(Some((self, finish)), |state| async {
            let (mut cgi, finish) = state?;
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            match cgi.output.read_buf(&mut chunk).await {
                Ok(0) => {
                    finish(cgi.end().await).await;
                    None
                }
                Ok(_) => Some((Ok(chunk.freeze()), Some((cgi, finish)))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Waits for git to exit; gives what the hook wrote down, which is nothing for a fetch.
    async fn end(mut self) -> PushRecord {
        match timeout(EXIT_TIMEOUT, self.group.0.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            other => tracing::warn!(?other, "git http-backend did not end well"),
        }
        self.input.shutdown().await;
        let text = tokio::fs::read_to_string(&self.record).await.unwrap_or_default();
        PushRecord::parse(&text)
    }
}

/// Copies the request's body to git. When either side breaks off, git sees the end early
/// and refuses the incomplete pack.
async fn feed(mut stdin: ChildStdin, request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(chunk)) = body.next().await {
        if stdin.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

fn set_environment(command: &mut Command, path: &RepoPath, rest: &str, request: &Request) {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    command
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{path}.git/{rest}"))
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REQUEST_METHOD", request.method().as_str())
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE).unwrap_or_default());
    // Without a length git reads to the end, which is right for a chunked body.
    if let Some(length) = text(header::CONTENT_LENGTH) {
        command.env("CONTENT_LENGTH", length);
    }
    if let Some(encoding) = text(header::CONTENT_ENCODING) {
        command.env("HTTP_CONTENT_ENCODING", encoding);
    }
    if let Some(protocol) = text(HeaderName::from_static("git-protocol")) {
        command.env("GIT_PROTOCOL", protocol);
    }
}

async fn read_header(
    output: &mut BufReader<ChildStdout>,
) -> Result<(StatusCode, HeaderMap), CgiError> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    for _ in 0..HEADER_LINES_MAX {
        let mut line = String::new();
        output.read_line(&mut line).await.map_err(CgiError::Read)?;
        if line.is_empty() {
            break;
        }
        if line.trim().is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.trim().split_once(':').ok_or(CgiError::BadHeader)?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.trim().get(..3).and_then(|code| code.parse().ok());
            status = code.ok_or(CgiError::BadHeader)?;
            continue;
        }
        let name = name.parse::<HeaderName>().map_err(|_| CgiError::BadHeader)?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| CgiError::BadHeader)?;
        headers.append(name, value);
    }
    Err(CgiError::BadHeader)
}
