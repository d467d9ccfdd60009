//! `agent.sock`.

use protocol::{
    agent::{
        AgentRpcClient, AgentRpcServer, Context, DoneReceipt, DoneStatus, METHODS, OpenedPr,
        ProgressItem, RunExit, Written,
    },
    grant::RunSpec,
    ids::{IssueNumber, RunId},
    item::{CiReport, Comment, Issue, PullRequest, Review},
};

use crate::examples as ex;

wire! { "agent", AgentRpcServer, AgentRpcClient, METHODS;
    read_issue(number: IssueNumber = ex::number(17)) -> Issue = ex::issue();
    read_pr(number: IssueNumber = ex::number(18)) -> PullRequest = ex::pull_request();
    read_comments(number: IssueNumber = ex::number(17)) -> Vec<Comment> = vec![ex::comment()];
    read_reviews(number: IssueNumber = ex::number(18)) -> Vec<Review> = vec![ex::review()];
    read_ci(number: IssueNumber = ex::number(18)) -> CiReport = ex::ci_report();
    post_comment(number: IssueNumber = ex::number(17), body: String = "On it.".to_owned())
        -> Comment = ex::comment();
    update_description(number: IssueNumber = ex::number(18), body: String = "Closes #17".to_owned())
        -> Written = Written { number: ex::number(18) };
    open_pr(title: String = "Oil the widgets".to_owned(), body: String = "Closes #17".to_owned())
        -> OpenedPr = ex::opened_pr();
    report_progress(items: Vec<ProgressItem> = ex::progress()) -> Comment = ex::comment();
    signal_done(status: DoneStatus = DoneStatus::Success, summary: String = "Oiled.".to_owned())
        -> DoneReceipt = ex::receipt();
    context() -> Context = ex::context();
    next_run() -> Option<RunSpec> = Some(ex::run_spec());
    run_started(run: RunId = ex::id("implementer-k3v9q.1")) -> () = ();
    run_exited(run: RunId = ex::id("implementer-k3v9q.1"), exit: RunExit = ex::run_exit()) -> () = ();
}
