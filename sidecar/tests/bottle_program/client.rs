//! The client's commands.

use std::process::{Output, Stdio};

use protocol::error::{ErrorCode, RpcError};
use serde_json::Value;

use crate::{
    fake::{Fake, PATIENCE},
    process::{self, Bottle},
};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

async fn bottle(fake: &Fake, arguments: &[&str]) -> Output {
    process::bottle(fake, arguments, "from stdin").await
}

#[tokio::test]
async fn every_command_makes_its_call() {
    let fake = Fake::start();
    let commands: &[(&[&str], &str)] = &[
        (&["read-issue", "#17"], "read_issue 17"),
        (&["read-pr", "18"], "read_pr 18"),
        (&["read-comments", "17"], "read_comments 17"),
        (&["read-reviews", "18"], "read_reviews 18"),
        (&["read-ci", "18"], "read_ci 18"),
        (&["post-comment", "17", "Hello"], "post_comment 17 \"Hello\""),
        (&["post-comment", "17"], "post_comment 17 \"from stdin\""),
        (&["post-comment", "17", "-"], "post_comment 17 \"from stdin\""),
        (&["update-description", "18", ""], "update_description 18 \"\""),
        (&["open-pr", "--title", "Oil", "--body", "-"], "open_pr \"Oil\" \"from stdin\""),
        (&["open-pr", "Oil"], "open_pr \"Oil\" \"\""),
        (&["report-progress", "[x] a", "[ ] b"], "report_progress [(true, \"a\"), (false, \"b\")]"),
        (&["signal-done", "success", "Oiled"], "signal_done Success \"Oiled\""),
        (&["context"], "context"),
    ];
    for (arguments, call) in commands {
        let readable = bottle(&fake, arguments).await;
        assert_eq!((code(&readable), text(&readable.stderr)), (0, ""), "{arguments:?}");
        assert!(readable.stdout.ends_with(b"\n"), "{arguments:?}");
        let json = bottle(&fake, &[&["--json"], *arguments].concat()).await;
        assert_eq!((code(&json), text(&json.stderr)), (0, ""), "{arguments:?}");
        let result: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert!(result.is_object() || result.is_array(), "{arguments:?}");
        assert_eq!(text(&json.stdout).lines().count(), 1, "{arguments:?}");
        assert_eq!(fake.calls().last().unwrap(), call);
    }
    assert_eq!(fake.calls().len(), 2 * commands.len());
}

#[tokio::test]
async fn readable_output_is_safe_for_a_terminal_and_json_is_exact() {
    let fake = Fake::start();
    let readable = bottle(&fake, &["read-issue", "17"]).await;
    assert!(text(&readable.stdout).ends_with("\n\nThey \\u{1b}[31mdo.\n"));
    let json = bottle(&fake, &["read-issue", "17", "--json"]).await;
    let result: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(result["body"], "They \u{1b}[31mdo.");
}

#[tokio::test]
async fn refusals_name_the_rule_and_have_their_exit_code() {
    let fake = Fake::start();
    let refused = bottle(&fake, &["post-comment", "500", "x"]).await;
    assert_eq!((code(&refused), text(&refused.stdout)), (10, ""));
    assert_eq!(
        text(&refused.stderr),
        "error: refused: write to #500, writable 17, 42\nhint: write to the assigned issue\n"
    );
    let json = bottle(&fake, &["--json", "post-comment", "500", "x"]).await;
    assert_eq!((code(&json), text(&json.stdout)), (10, ""));
    let error: Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "out_of_scope");
    assert_eq!(error["error"]["writable"], serde_json::json!([17, 42]));
}

#[tokio::test]
async fn each_error_has_its_exit_code() {
    let fake = Fake::start();
    for kind in ErrorCode::ALL {
        fake.change(|script| script.failing = Some((1, RpcError::new(kind, "no"))));
        let output = bottle(&fake, &["context"]).await;
        assert_eq!(code(&output), i32::from(kind.exit_code()), "{kind:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{kind:?}");
    }
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_is_named() {
    let fake = Fake::absent();
    let output = bottle(&fake, &["context"]).await;
    assert_eq!(code(&output), i32::from(ErrorCode::NotReady.exit_code()));
    let socket = fake.socket();
    assert!(text(&output.stderr).contains(socket.to_str().unwrap()), "{output:?}");
    let elsewhere = bottle(&fake, &["--socket", "/nowhere/x.sock", "context"]).await;
    assert!(text(&elsewhere.stderr).contains("/nowhere/x.sock"));
}

#[tokio::test]
async fn a_wrong_command_line_asks_nothing() {
    let fake = Fake::start();
    for arguments in [&["read-issue"][..], &["read-issue", "x"], &["signal-done", "great", "x"]] {
        let output = bottle(&fake, arguments).await;
        assert_eq!((code(&output), text(&output.stdout)), (2, ""), "{arguments:?}");
    }
    let nothing = process::bottle(&fake, &["post-comment", "17"], "").await;
    assert_eq!(code(&nothing), i32::from(ErrorCode::Invalid.exit_code()));
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn help_and_version_go_to_stdout() {
    let fake = Fake::absent();
    let help = bottle(&fake, &["--help"]).await;
    assert_eq!((code(&help), text(&help.stderr)), (0, ""));
    assert!(text(&help.stdout).contains("Exit codes:"));
    for arguments in [&["version"][..], &["--version"]] {
        let version = bottle(&fake, arguments).await;
        assert_eq!(text(&version.stdout), concat!("bottle ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

// CASES: a reader such as `head` that has seen enough is not a failure.
#[tokio::test]
async fn a_reader_that_goes_away_is_success() {
    let fake = Fake::start();
    let output = tokio::process::Command::new("sh")
        .args(["-c", "{ \"$BOTTLE\" read-comments 17; echo $? >&2; } | head -n 1"])
        .env("BOTTLE", env!("CARGO_BIN_EXE_bottle"))
        .env("BOT_BOTTLE_SOCKET", fake.socket())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    assert!(text(&output.stdout).starts_with("comment 301 by widget-bot"));
    assert_eq!(text(&output.stderr), "0\n");
}

#[tokio::test]
async fn an_agent_calls_the_client_without_saying_where() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    let program = env!("CARGO_BIN_EXE_bottle");
    fake.offer(1, &format!("{program} signal-done success 'All done'"));
    assert_eq!(fake.exit_of(1).await.output_tail, "signalled success for implementer-k3v9q.1\n");
    assert!(fake.calls().contains(&"signal_done Success \"All done\"".to_owned()));
}
