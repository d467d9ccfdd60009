//! `make demo`: one issue from label to merge on a real Docker engine, told as it happens. However
//! it ends, by a signal too, what it started ends with it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use clap::Parser as _;
use e2e::{
    interruption::{Interruption, Signals},
    rig::{BOT, Fault, REPO, Rig, Setup, wait_until},
};

/// Plays one issue for real: forge, daemon, agent in a bottle, review, merge.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Leave everything running before the merge, until Ctrl-C, and say how to look around.
    #[arg(long)]
    keep: bool,
    /// Which agent; there is "command", a shell script.
    #[arg(long, default_value = "command", value_parser = ["command"])]
    agent: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let played =
        runtime.map_err(Fault::from).and_then(|runtime| runtime.block_on(demo(arguments.keep)));
    // Nothing is left to do if nobody reads it.
    match played {
        Ok(Ending::Played) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted(by)) => {
            drop(writeln!(io::stderr().lock(), "demo: interrupted by {}", by.name));
            ExitCode::from(by.exit_code)
        }
        Err(error) => {
            drop(writeln!(io::stderr().lock(), "demo: failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// How the demo ended, other than badly.
enum Ending {
    /// It was played to its end, or kept until the user had seen enough.
    Played,
    /// It was told to stop.
    Interrupted(Interruption),
}

/// Prints each step with the seconds since the start.
struct Story {
    start: Instant,
}

impl Story {
    fn say(&self, text: &str) -> Result<(), Fault> {
        let seconds = self.start.elapsed().as_secs_f32();
        let mut lines = text.lines();
        let mut out = io::stdout().lock();
        writeln!(out, "{seconds:6.2}s  {}", lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(out, "         {line}")?;
        }
        Ok(out.flush()?)
    }

    /// Prints the op log as it grows until the bottle's detail contains `words`; `seen` lines were
    /// printed before.
    async fn follow(
        &self,
        rig: &Rig,
        slug: &str,
        seen: &AtomicUsize,
        words: &str,
    ) -> Result<(), Fault> {
        let reached = async || {
            let log = rig.op_log(slug).await.unwrap_or_default();
            for line in log.lines().skip(seen.load(Relaxed)) {
                let sentence = line.split_once("  ").map_or(line, |(_, sentence)| sentence);
                seen.fetch_add(1, Relaxed);
                if self.say(&format!("    {sentence}")).is_err() || sentence.contains(words) {
                    return true;
                }
            }
            false
        };
        wait_until(&format!("the op log says {words:?}"), reached).await
    }
}

/// Starts everything, plays, and ends everything, whatever came between.
async fn demo(keep: bool) -> Result<Ending, Fault> {
    let mut signals = Signals::new()?;
    let story = Story { start: clock() };
    let setup = Setup::default();
    let start = Rig::start(&setup);
    tokio::pin!(start);
    let early = tokio::select! {
        rig = &mut start => Err(rig?),
        by = signals.next() => Ok(by),
    };
    let (rig, played) = match early {
        Ok(by) => {
            stopping(&story, &by);
            // To its end, which has a deadline: what is half made is hard to find again.
            (start.await?, Ok(Ending::Interrupted(by)))
        }
        Err(rig) => {
            let played = tokio::select! {
                played = play(&story, &rig, keep) => played.map(|()| Ending::Played),
                by = signals.next() => {
                    stopping(&story, &by);
                    Ok(Ending::Interrupted(by))
                }
            };
            (rig, played)
        }
    };
    if keep && matches!(played, Ok(Ending::Played)) {
        signals.next().await;
    }
    let finished = rig.finish().await;
    let ending = played?;
    finished?;
    // A terminal that hung up takes no words.
    let told = story.say("everything that was started is gone");
    if matches!(ending, Ending::Played) {
        told?;
        writeln!(io::stdout().lock(), "demo: ok")?;
    }
    Ok(ending)
}

fn stopping(story: &Story, by: &Interruption) {
    drop(story.say(&format!("{}: ending everything that was started", by.name)));
}

async fn play(story: &Story, rig: &Rig, keep: bool) -> Result<(), Fault> {
    story.say(&format!("forge at {}, daemon ready", rig.forge.base_url()))?;
    rig.forge.create_issue("alice", REPO, &titled("Something else")).await.map_err(refused)?;
    let issue = rig.ask_for_work("Add a greeting", "Please add `hello.txt` saying hello.").await?;
    story.say(&format!("alice labelled issue #{issue} and assigned it to {BOT}"))?;

    let seen = AtomicUsize::new(0);
    let slug = rig.wait_for("running").await?;
    story.say(&format!("bottle {slug} runs:\n{}", rig.try_command(&["status"]).await?))?;
    story.follow(rig, &slug, &seen, "frozen: ").await?;
    story.say(&format!("the bottle is frozen:\n{}", rig.try_command(&["status"]).await?))?;

    let pull = pull_request(rig).await?;
    rig.forge
        .comment("bob", REPO, pull, "Could it greet the whole world?")
        .await
        .map_err(refused)?;
    story.say(&format!("bob commented on pull request #{pull}"))?;
    story.follow(rig, &slug, &seen, "frozen: ").await?;
    let branch = format!("bot-bottle/{issue}/{slug}");
    let file = rig.forge.file_at(REPO, &branch, "hello.txt").await.unwrap_or_default();
    story.say(&format!("hello.txt on {branch} now says: {}", file.trim()))?;
    expect(file.trim() == "hello world", "the branch was not amended")?;
    let refusals =
        rig.op_log(&slug).await?.lines().filter(|line| line.contains("refused:")).count();
    expect(refusals == 2, "the agent's two trespasses were not both refused")?;

    if keep {
        return story.say(&look_around(rig, &slug));
    }
    rig.forge.merge("alice", REPO, pull).await.map_err(refused)?;
    story.say(&format!("alice merged pull request #{pull}"))?;
    rig.wait_for_detail("destroyed", "pull request merged").await?;
    wait_until("nothing is left of it", async || {
        rig.try_command(&["status"]).await.is_ok_and(|status| !status.contains("cleaning up"))
    })
    .await?;
    story.say(&format!("the bottle is destroyed:\n{}", rig.try_command(&["status"]).await?))
}

fn look_around(rig: &Rig, slug: &str) -> String {
    let command = rig.command_line();
    format!(
        "everything goes on until you press Ctrl-C. Meanwhile, in another terminal:\n  \
         {command} status\n  {command} logs {slug}\n  {command} logs {slug} --output\n  \
         docker ps --filter label=bot-bottle.slug={slug}\n  \
         git clone {}",
        rig.forge.clone_url(REPO)
    )
}

fn titled(title: &str) -> e2e::forge_double::NewIssue {
    e2e::forge_double::NewIssue { title: title.to_owned(), ..Default::default() }
}

async fn pull_request(rig: &Rig) -> Result<u64, Fault> {
    let bottles = rig.bottles().await?;
    let number = bottles.first().and_then(|bottle| bottle["pr_number"].as_u64());
    number.ok_or_else(|| "the agent opened no pull request".into())
}

fn expect(holds: bool, otherwise: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn refused(refusal: e2e::forge_double::Refusal) -> Fault {
    format!("the forge refused: {refusal:?}").into()
}

#[expect(clippy::disallowed_methods, reason = "real time is what the demo shows")]
fn clock() -> Instant {
    Instant::now()
}
