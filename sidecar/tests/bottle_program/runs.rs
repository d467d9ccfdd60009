//! Runs: started, fed, relayed, cleared away, reported.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use protocol::{grant::PromptVia, limits};

use crate::{
    fake::{Fake, Report, run_id, shell},
    process::Bottle,
};

#[tokio::test]
async fn a_run_is_started_relayed_and_reported() {
    let fake = Fake::start();
    fake.offer(1, "echo one; echo two >&2; printf three; exit 3");
    let mut bottle = Bottle::start(&fake);
    let exit = fake.exit_of(1).await;
    assert_eq!((exit.code, exit.output_tail.as_str()), (3, "one\ntwo\nthree"));
    assert_eq!(fake.reports(), [Report::Started(run_id(1)), Report::Exited(run_id(1), exit)]);
    bottle.says("three").await;
    assert_eq!(bottle.said(), ["one", "two", "three"]);
    assert!(bottle.stop().await.success());
}

#[tokio::test]
async fn one_run_follows_another_and_one_that_comes_early_is_kept() {
    let fake = Fake::start();
    let go = fake.path("go");
    fake.offer(1, &format!("echo first; while ! [ -e {} ]; do sleep 0.01; done", go.display()));
    let mut bottle = Bottle::start(&fake);
    bottle.says("first").await;
    fake.heard(|script| script.offered.is_none()).await;
    fake.offer(2, "echo second");
    std::fs::write(go, "").unwrap();
    fake.exit_of(2).await;
    let order: Vec<bool> =
        fake.reports().iter().map(|report| matches!(report, Report::Started(_))).collect();
    assert_eq!(order, [true, false, true, false]);
    bottle.says("second").await;
}

#[tokio::test]
async fn a_prompt_goes_by_the_way_that_its_program_takes() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    let prompt = "Resolve $(id) \"#17\".\n".repeat(20_000);
    let ways = [
        (PromptVia::Stdin, "wc -c; [ -z \"$BOT_BOTTLE_PROMPT_FILE\" ]"),
        (PromptVia::File, "wc -c < \"$BOT_BOTTLE_PROMPT_FILE\"; wc -c"),
    ];
    for (number, (via, script)) in (1..).zip(ways) {
        let mut spec = shell(number, script);
        (spec.prompt_via, spec.prompt) = (via, prompt.clone());
        fake.offer_spec(spec);
        let exit = fake.exit_of(number).await;
        assert!(exit.output_tail.starts_with(&prompt.len().to_string()), "{via:?}: {exit:?}");
        assert_eq!(exit.code, 0, "{via:?}: {exit:?}");
    }
    let file = fake.home().join(".bot-bottle/prompt-2");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(file).unwrap(), prompt);

    let mut spec = shell(3, "printf '%s|' \"$@\"");
    spec.command.extend(["sh", "--say={prompt}", "{prompt}"].map(str::to_owned));
    spec.prompt = "Resolve $(id) \"#17\".\n".to_owned();
    fake.offer_spec(spec);
    let said = "--say=Resolve $(id) \"#17\".\n|Resolve $(id) \"#17\".\n|";
    assert_eq!(fake.exit_of(3).await.output_tail, said);
}

#[tokio::test]
async fn a_program_that_does_not_read_its_prompt_is_not_waited_for() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    let mut spec = shell(1, "exit 0");
    (spec.prompt_via, spec.prompt) = (PromptVia::Stdin, "x".repeat(1_000_000));
    fake.offer_spec(spec);
    assert_eq!(fake.exit_of(1).await.code, 0);
}

#[tokio::test]
async fn the_agent_has_the_images_variables_ours_and_a_place_to_work() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    fake.offer(1, "pwd; env | cut -d= -f1 | LC_ALL=C sort");
    let exit = fake.exit_of(1).await;
    let mut lines = exit.output_tail.lines();
    assert_eq!(lines.next().unwrap(), fake.home().join("work").to_str().unwrap());
    // What a shell sets by itself is not ours.
    let names: Vec<&str> =
        lines.filter(|name| !["_", "PWD", "SHLVL", "OLDPWD"].contains(name)).collect();
    let expected = [
        "BOT_BOTTLE_SOCKET",
        "FORGE_ISSUE_NUMBER",
        "FORGE_OWNER",
        "FORGE_PR_NUMBER",
        "FORGE_REPO",
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "IMAGE_HOME",
        "LANG",
        "NO_PROXY",
        "PATH",
        "TERM",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_ends_its_run_and_not_the_bottle() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    let cases: [(&[&str], i32, &str); 4] = [
        (&["no-such-agent"], 127, "no-such-agent"),
        (&["/etc/hostname"], 126, "/etc/hostname"),
        (&["a\0b"], 126, "nul byte"),
        (&[], 126, "no command"),
    ];
    for (number, (command, code, reason)) in (1..).zip(cases) {
        let mut spec = shell(number, "");
        spec.command = command.iter().map(|part| (*part).to_owned()).collect();
        fake.offer_spec(spec);
        let exit = fake.exit_of(number).await;
        assert_eq!(exit.code, code, "{exit:?}");
        assert!(exit.output_tail.contains(reason), "{exit:?}");
    }
    fake.offer(9, "exit 4");
    assert_eq!(fake.exit_of(9).await.code, 4);
}

#[tokio::test]
async fn an_end_by_a_signal_is_reported_as_shells_do() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    // The second one is a real-time signal, also for an orphan.
    for (number, (script, code)) in (1..).zip([
        ("kill -KILL $$", 137),
        ("sh -c 'kill -35 $$' & sleep 0.1; kill -34 $$", 162),
        ("exit 1", 1),
    ]) {
        fake.offer(number, script);
        assert_eq!(fake.exit_of(number).await.code, code, "{script}");
    }
}

/// Whether a process is there, a zombie included.
fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid.trim()).exists()
}

#[tokio::test]
async fn orphans_are_reaped_while_the_agent_goes_on() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    // The inner shell ends at once, so that its child belongs to nobody but PID 1.
    fake.offer(
        1,
        "orphan=$(sh -c '(exit 5) & echo $!')
         for _ in 1 2 3 4 5 6 7 8 9 10; do
             [ -e /proc/$orphan ] || { echo reaped; exit 6; }
             sleep 0.1
         done
         cat /proc/$orphan/stat",
    );
    let exit = fake.exit_of(1).await;
    assert_eq!((exit.code, exit.output_tail.as_str()), (6, "reaped\n"));
}

#[tokio::test]
async fn nothing_of_a_run_is_left_when_its_end_is_reported() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    // One in the agent's group, one in a session of its own, one below that; all hold the output.
    fake.offer(
        1,
        "sleep 1000 & echo $!
         setsid sh -c 'trap \"\" HUP TERM; echo $$; sleep 1000 & echo $!; wait' &
         sleep 0.3; exit 8",
    );
    let exit = fake.exit_of(1).await;
    assert_eq!(exit.code, 8);
    let pids: Vec<&str> = exit.output_tail.lines().collect();
    assert_eq!(pids.len(), 3, "{exit:?}");
    for pid in pids {
        assert!(!exists(pid), "{pid} is left");
    }
}

#[tokio::test]
async fn output_without_line_ends_is_bounded_and_its_end_kept() {
    let fake = Fake::start();
    let mut bottle = Bottle::start(&fake);
    fake.offer(1, "head -c 200000 /dev/zero | tr '\\0' x; printf end; printf '\\nlast\\n'");
    let exit = fake.exit_of(1).await;
    assert_eq!(exit.output_tail.len(), limits::OUTPUT_TAIL_MAX_BYTES);
    assert!(exit.output_tail.ends_with("xend\nlast\n"));
    bottle.says("last").await;
    let lines = bottle.said();
    assert!(lines.iter().all(|line| line.len() <= 64 * 1024));
    assert_eq!(lines.concat().len(), 200_000 + "endlast".len());
}

#[tokio::test]
async fn a_run_that_is_offered_again_is_not_started_again() {
    let fake = Fake::start();
    let file = fake.path("starts");
    fake.change(|script| script.forgetful = true);
    fake.offer(1, &format!("echo started >> {}", file.display()));
    let _bottle = Bottle::start(&fake);
    fake.exit_of(1).await;
    let started =
        |calls: &[String]| calls.iter().filter(|call| call.starts_with("run_started")).count();
    fake.heard(|script| started(&script.calls) >= 3).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "started\n");
    fake.change(|script| script.forgetful = false);
    fake.offer(2, "exit 2");
    assert_eq!(fake.exit_of(2).await.code, 2);
    let ends = fake.reports().iter().filter(|r| matches!(r, Report::Exited(..))).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn git_is_set_up_once_and_then_belongs_to_the_agent() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    let url = "https://git.example.org/alice/widget";
    fake.offer(
        1,
        &format!(
            "git config --get-urlmatch http.proxy $HTTP_PROXY/git/ && echo no proxy
             git ls-remote {url}
             git ls-remote {url}.git
             git config --global user.name Changed"
        ),
    );
    let said = fake.exit_of(1).await.output_tail;
    // The forwarder carries it to the sidecar, and this one has no git.
    let forwarded = "/git/alice/widget.git/'";
    assert_eq!(said.matches(forwarded).count(), 2, "{said}");
    assert!(said.starts_with("\nno proxy\n"), "{said}");
    fake.offer(2, "git config user.name; git config user.email");
    let said = fake.exit_of(2).await.output_tail;
    assert_eq!(said, "Changed\nbot@example.org\n");
}

#[tokio::test]
async fn a_bottle_that_waits_asks_seldom() {
    let fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    fake.heard(|script| !script.calls.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fake.calls(), ["next_run"]);
}
