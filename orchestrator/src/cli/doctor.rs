//! `orchestrate doctor`: everything that the daemon needs, looked at from outside. It changes
//! nothing, needs no daemon, and each finding says what to do. Failed findings make it exit with 1.

mod engine;
mod files;
mod finding;
mod forge;
mod host;

use std::path::Path;

use protocol::operator::OperatorRpcClient as _;

use self::finding::{Finding, Grade};
use super::{
    ask::Asker,
    failure::{Failure, with_config},
    screen::{Mood, Screen},
    text::harmless,
};
use crate::{
    config::{self, Checked, Config, Environment, Mistakes},
    operator::REFUSED_WEBHOOKS,
};

/// Looks at everything and tells what it finds.
pub(super) async fn run(screen: Screen, path: &Path, env: Environment<'_>) -> Result<(), Failure> {
    let mut findings = host::look(env);
    let Checked { config, warnings } = config::check(path, env);
    findings.extend(written(path, config.as_ref().err(), &warnings));
    let data_dir = config::data_dir(path, env);
    findings.push(daemon(screen, path, &data_dir).await);
    match config {
        Ok(config) => findings.extend(configured(&config).await),
        Err(_) => {
            findings.extend(files::data(&data_dir));
            findings.extend(engine::look_at_usual().await);
            findings.push(Finding::skip("forge", "the configuration has mistakes"));
        }
    }
    let named = Some(path).filter(|path| *path != config::config_file(None, env));
    for finding in &mut findings {
        finding.fix = finding.fix.take().map(|fix| with_config(&fix, named));
    }
    screen.print(&findings, || findings.iter().map(|finding| line(screen, finding)).collect())?;
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    if failed { Err(Failure::Told(1)) } else { Ok(()) }
}

async fn configured(config: &Config) -> Vec<Finding> {
    let mut findings = files::data(&config.data_dir);
    findings.extend(files::programs(&config.engine.programs));
    findings.extend(engine::look(config).await);
    findings.extend(forge::look(config).await);
    findings
}

fn written(path: &Path, mistakes: Option<&Mistakes>, warnings: &[config::Mistake]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = warnings
        .iter()
        .map(|warning| Finding::warn("configuration", warning, &warning.hint))
        .collect();
    findings.push(match mistakes {
        None => Finding::ok("configuration", format!("{} is right", path.display())),
        Some(Mistakes(mistakes)) => {
            let what = format!("{} has {} mistakes", path.display(), mistakes.len());
            Finding::fail("configuration", what, "orchestrate config check")
        }
    });
    findings
}

async fn daemon(screen: Screen, config: &Path, data_dir: &Path) -> Finding {
    let socket = config::operator_socket(data_dir);
    let status = match Asker::new(screen, &socket, config) {
        Ok(asker) => asker.client.status().await.map_err(|error| asker.failed(error)),
        Err(failure) => Err(failure),
    };
    match status {
        Err(Failure::Rpc(error)) => {
            Finding::warn("daemon", &error.message, error.data.hint.as_deref().unwrap_or_default())
        }
        Err(_) => Finding::warn("daemon", "it does not answer", "orchestrate serve"),
        Ok(status) if !status.notes.is_empty() => {
            let forged = status.notes.iter().any(|note| note.contains(REFUSED_WEBHOOKS));
            let fix = match forged {
                true => "compare the webhook's secret with secrets/webhook.secret",
                false => "see its log",
            };
            Finding::warn("daemon", status.notes.join("; "), fix)
        }
        Ok(status) if status.kill_switch => {
            let switch = data_dir.join("kill-switch");
            Finding::warn("daemon", "the kill switch is on", &format!("rm {}", switch.display()))
        }
        Ok(status) if status.version != env!("CARGO_PKG_VERSION") => {
            let what = format!("it is of version {}, this program of another", status.version);
            Finding::warn("daemon", what, "systemctl restart bot-bottle")
        }
        Ok(status) => {
            let heard = status.last_delivery_at.map_or_else(
                || "no webhook came since it started".to_owned(),
                |at| format!("the last webhook came at {at:.0}"),
            );
            let (used, slots) = (status.slots_used, status.slots);
            Finding::ok("daemon", format!("it answers; {used} of {slots} slots used; {heard}"))
        }
    }
}

fn line(screen: Screen, finding: &Finding) -> String {
    let (word, mood) = match finding.grade {
        Grade::Ok => ("ok", Mood::Good),
        Grade::Warn => ("warn", Mood::Doubtful),
        Grade::Fail => ("fail", Mood::Bad),
        Grade::Skip => ("skip", Mood::Quiet),
    };
    let word = screen.paint(mood, &format!("{word:<4}"));
    let fix = finding.fix.as_ref().map(|fix| format!("      fix: {}\n", harmless(fix, false)));
    format!(
        "{word}  {}: {}\n{}",
        finding.part,
        harmless(&finding.what, false),
        fix.unwrap_or_default()
    )
}
