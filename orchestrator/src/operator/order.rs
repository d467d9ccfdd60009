//! What a bottle that is started by hand is ordered with.

use orchestrator_core::{bottle::Origin, prompt};
use protocol::{
    error::{ErrorCode, RpcError},
    ids::{AgentName, ProfileName, RepoName},
    operator::StartRequest,
};

use super::{Operator, invalid, no_issue};
use crate::{config::Agent, life::Order};

impl Operator {
    pub(super) async fn order(&self, request: &StartRequest) -> Result<Order, RpcError> {
        let config = &self.daemon.config;
        let agent = self.agent(&request.agent)?;
        let backend = request.backend.clone().unwrap_or_else(|| config.engine.backend.clone());
        if backend != config.engine.backend {
            return Err(invalid(format!("there is no backend {backend:?}"))
                .hint(format!("the daemon works with {:?}", config.engine.backend)));
        }
        if request.prompt.trim().is_empty() {
            return Err(invalid("the prompt is empty").hint("give it with --prompt"));
        }
        if let Some(missing) =
            request.bottles.iter().find(|name| !config.profiles.contains_key(name))
        {
            let known: Vec<&str> = config.profiles.keys().map(ProfileName::as_str).collect();
            let hint = match known.as_slice() {
                [] => "write bottles/<name>.toml".to_owned(),
                known => format!("there are: {}; or write bottles/<name>.toml", known.join(", ")),
            };
            let what = format!("there is no bottle profile {:?}", missing.as_str());
            return Err(invalid(what).hint(hint));
        }
        let repo = self.repo(request.repo.clone())?;
        let repository = self.daemon.forge.repository(&repo).await.map_err(super::forge)?;
        if let Some(issue) = request.issue {
            let there = self.daemon.forge.read_issue(&repo, issue).await;
            there.map_err(|error| match error {
                forge::ForgeError::Gone { .. } => {
                    RpcError::new(ErrorCode::NotFound, no_issue(&repo, issue))
                        .hint("check the number")
                }
                other => super::forge(other),
            })?;
        }
        let base = repository.default_branch.parse();
        let profiles = if request.bottles.is_empty() {
            agent.profiles.clone()
        } else {
            request.bottles.clone()
        };
        Ok(Order {
            repo,
            issue: request.issue,
            origin: Origin::Operator,
            base: base.map_err(|error: protocol::ids::BadName| invalid(error.to_string()))?,
            agent: request.agent.clone(),
            login: agent.identity.login.clone(),
            profiles,
            label: request.label.clone(),
            backend,
            prompt: prompt::for_operator(&request.prompt),
        })
    }

    fn agent(&self, name: &AgentName) -> Result<&Agent, RpcError> {
        let agents = &self.daemon.config.agents;
        let known: Vec<&str> = agents.keys().map(AgentName::as_str).collect();
        agents.get(name).ok_or_else(|| {
            invalid(format!("there is no agent {:?}", name.as_str()))
                .hint(format!("there are: {}", known.join(", ")))
        })
    }

    pub(super) fn repo(&self, asked: Option<RepoName>) -> Result<RepoName, RpcError> {
        let served = &self.daemon.config.forge.repos;
        match (asked, served.as_slice()) {
            (Some(repo), served) if served.contains(&repo) => Ok(repo),
            (Some(repo), _) => {
                Err(invalid(format!("{repo} is not served")).hint("add it to forge.repositories"))
            }
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(invalid("several repositories are served")
                .hint("choose one with --repo owner/name")),
        }
    }
}
