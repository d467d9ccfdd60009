//! One question to the sidecar, and its answer.

use jsonrpsee::core::client::Error;
use protocol::{
    agent::{
        AgentRpcClient as _, Context, DoneReceipt, DoneStatus, OpenedPr, ProgressItem, Written,
    },
    ids::IssueNumber,
    item::{CiReport, Comment, Issue, PullRequest, Review},
};
use rpc::client::UdsClient;
use serde::Serialize;

/// A question, complete. The names are those of the RPC methods.
#[expect(missing_docs, reason = "protocol::agent::AgentRpc says what each method does and takes")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    ReadIssue { number: IssueNumber },
    ReadPr { number: IssueNumber },
    ReadComments { number: IssueNumber },
    ReadReviews { number: IssueNumber },
    ReadCi { number: IssueNumber },
    PostComment { number: IssueNumber, body: String },
    UpdateDescription { number: IssueNumber, body: String },
    OpenPr { title: String, body: String },
    ReportProgress { items: Vec<ProgressItem> },
    SignalDone { status: DoneStatus, summary: String },
    Context,
}

/// What came back; as JSON it is the RPC result itself.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `read_issue`.
    Issue(Issue),
    /// To `read_pr`.
    PullRequest(PullRequest),
    /// To `read_comments`.
    Comments(Vec<Comment>),
    /// To `read_reviews`.
    Reviews(Vec<Review>),
    /// To `read_ci`.
    Ci(CiReport),
    /// To `post_comment`.
    Posted(Comment),
    /// To `update_description`.
    Written(Written),
    /// To `open_pr`.
    Opened(OpenedPr),
    /// To `report_progress`.
    Progress(Comment),
    /// To `signal_done`.
    Done(DoneReceipt),
    /// To `context`.
    Context(Context),
}

impl Call {
    /// Asks it.
    ///
    /// # Errors
    /// What the sidecar answered, or why it did not.
    pub async fn make(&self, client: &UdsClient) -> Result<Answer, Error> {
        Ok(match self.clone() {
            Self::ReadIssue { number } => Answer::Issue(client.read_issue(number).await?),
            Self::ReadPr { number } => Answer::PullRequest(client.read_pr(number).await?),
            Self::ReadComments { number } => Answer::Comments(client.read_comments(number).await?),
            Self::ReadReviews { number } => Answer::Reviews(client.read_reviews(number).await?),
            Self::ReadCi { number } => Answer::Ci(client.read_ci(number).await?),
            Self::PostComment { number, body } => {
                Answer::Posted(client.post_comment(number, body).await?)
            }
            Self::UpdateDescription { number, body } => {
                Answer::Written(client.update_description(number, body).await?)
            }
            Self::OpenPr { title, body } => Answer::Opened(client.open_pr(title, body).await?),
            Self::ReportProgress { items } => {
                Answer::Progress(client.report_progress(items).await?)
            }
            Self::SignalDone { status, summary } => {
                Answer::Done(client.signal_done(status, summary).await?)
            }
            Self::Context => Answer::Context(client.context().await?),
        })
    }
}
