//! All rules at once, for people who ask why an issue runs or does not.

use serde::{Deserialize, Serialize};

use super::{Rules, Sight, Why, is_trusted, new_remarks, rules, rules::Judged};
use crate::bottle::{Bottle, Reason, State};

/// One rule and what it finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The rule, by a name that stays as it is: `agent_labelled`.
    pub rule: String,
    /// Whether it holds.
    pub finding: Finding,
    /// Where it does not hold: the code of the refusal ([`Why::code`]) or of the end.
    pub code: Option<String>,
    /// What was found, for people. May hold text of strangers, to be escaped before printing.
    pub sentence: String,
}

/// What a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be judged, because another one does not hold.
    Unknown,
}

/// All rules for an issue, in the order in which they are asked. `bottle` is its live bottle or the
/// last one that it had. The first [`Finding::Fail`] is what [`super::decide`] refuses or ends it for;
/// where there is none, it gets a bottle or has one that may go on.
pub fn explain(rules: &Rules, sight: &Sight, bottle: Option<&Bottle>) -> Vec<Check> {
    match bottle {
        Some(live) if live.is_live() => explain_live(rules, sight, live),
        ended => explain_launch(rules, sight, ended),
    }
}

fn explain_launch(rules: &Rules, sight: &Sight, ended: Option<&Bottle>) -> Vec<Check> {
    let judged =
        rules::LAUNCH.into_iter().map(|(name, rule)| check(rules, name, rule(rules, sight)));
    let mut checks: Vec<Check> = judged.collect();
    let spent = match ended.map(|bottle| (&bottle.slug, &bottle.state)) {
        Some((_, State::Destroyed { reason, released: false, .. })) => {
            Judged::Refuses(Why::Spent(reason.sentence()))
        }
        Some((slug, _)) => Judged::Holds(format!("{slug} has ended, and it was asked anew since")),
        None => Judged::Holds("it had no bottle yet".to_owned()),
    };
    checks.push(check(rules, "asked_anew", spent));
    checks
}

fn explain_live(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Vec<Check> {
    let detail = bottle.detail();
    let standing = match detail.is_empty() {
        true => format!("{} is {}", bottle.slug, bottle.state.word()),
        false => format!("{} is {}: {detail}", bottle.slug, bottle.state.word()),
    };
    let mut checks = vec![check(rules, "bottle", Judged::Holds(standing))];
    let judged =
        rules::LIFE.into_iter().map(|(name, rule)| check(rules, name, rule(rules, sight, bottle)));
    checks.extend(judged);
    let switch = match rules.kill_switch {
        true => Judged::Refuses(Why::KillSwitch),
        false => Judged::Holds("the kill switch is off".to_owned()),
    };
    checks.push(check(rules, "kill_switch_off", switch));
    let new = new_remarks(rules, sight, bottle);
    let trusted = new.iter().filter(|remark| is_trusted(remark)).count();
    let said = match new.len() {
        0 => Judged::Holds("nothing new was said".to_owned()),
        all => Judged::Holds(format!("{trusted} of {all} new remarks are of people who may push")),
    };
    checks.push(check(rules, "something_said", said));
    checks
}

fn check(rules: &Rules, rule: &str, judged: Judged) -> Check {
    let (finding, code, sentence) = match judged {
        Judged::Holds(sentence) => (Finding::Pass, None, sentence),
        Judged::Refuses(why) => {
            let remedy = why.remedy(rules).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            (Finding::Fail, Some(why.code()), format!("{why}{remedy}"))
        }
        Judged::Ends(reason) => {
            (Finding::Fail, Some(end_code(reason)), reason.sentence().to_owned())
        }
        Judged::Unknown => (Finding::Unknown, None, "cannot be told yet".to_owned()),
    };
    Check { rule: rule.to_owned(), finding, code: code.map(str::to_owned), sentence }
}

fn end_code(reason: Reason) -> &'static str {
    match reason {
        Reason::Merged => "pull_request_merged",
        Reason::PullClosed => "pull_request_closed",
        Reason::PullGone => "pull_request_gone",
        Reason::IssueClosed => "issue_closed",
        Reason::Gone => "gone",
        Reason::Unlabelled => "label_removed",
        Reason::Unassigned => "unassigned",
        Reason::Operator => "by_operator",
    }
}
