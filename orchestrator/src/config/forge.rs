//! The forge: its address, our token, what is served.

use std::{collections::BTreeSet, net::IpAddr};

use ::forge::webhook::WebhookSecrets;
use protocol::{
    grant::{ForgeAccess, ForgeKind},
    ids::RepoName,
    secret::Secret,
};
use url::{Host, Url};

use super::{Forge, Place, document::Document, file::ForgeFile, load::Reader};

const ADDRESS: &str = "e.g. \"https://git.example.org/\"";

impl Reader<'_> {
    pub(super) fn forge(&mut self, document: &Document, file: ForgeFile) -> Option<Forge> {
        let at = |key: &str| document.at(&format!("forge.{key}"));
        let url = self.setting("FORGE_GITEA_API", file.url, at("url"), ADDRESS);
        let url = url.and_then(|(place, text)| self.forge_url(place, &text));
        let org = self.setting(
            "FORGE_ORG",
            file.org,
            at("org"),
            "the organisation whose members are agents",
        );
        let org = org.and_then(|(place, text)| self.parsed(place, &text, "an account name"));
        let id = file.id.as_deref().unwrap_or("gitea");
        let id = self.parsed(at("id"), id, "a short name, e.g. \"gitea\"");
        let token =
            self.required(at("token_file"), file.token_file, "the file with the daemon's token");
        let token = token.and_then(|text| {
            let path = self.path(at("token_file"), &text)?;
            self.secret(&at("token_file"), &path)
        });
        let webhook_secrets = self.webhook_secrets(document, &file.webhook_secret_files);
        let repos = self.repositories(document, &file.repositories);
        let ca_pem = match &file.ca_file {
            Some(text) => {
                let path = self.path(at("ca_file"), text)?;
                Some(self.text(&at("ca_file"), &path)?)
            }
            None => None,
        };
        let access = ForgeAccess { id: id?, kind: kind(file.kind.as_deref()), url: url?, ca_pem };
        Some(Forge { access, org: org?, token: token?, webhook_secrets: webhook_secrets?, repos })
    }

    fn webhook_secrets(&mut self, document: &Document, files: &[String]) -> Option<WebhookSecrets> {
        const HINT: &str = "`orchestrate init` makes a good one; 32 characters or more";
        let mut secrets: Vec<Secret> = Vec::new();
        for (at, text) in files.iter().enumerate() {
            let place = document.at(&format!("forge.webhook_secret_files[{at}]"));
            let Some(path) = self.path(place.clone(), text) else { continue };
            let Some(secret) = self.secret(&place, &path) else { continue };
            // Each by itself, so that each short one is told.
            match WebhookSecrets::new(vec![secret.clone()]) {
                Ok(_) => secrets.push(secret),
                Err(error) => {
                    self.wrong::<()>(place, error, HINT);
                }
            }
        }
        match WebhookSecrets::new(secrets) {
            Ok(secrets) => Some(secrets),
            Err(error) => self.wrong(document.at("forge.webhook_secret_files"), error, HINT),
        }
    }

    /// The allow-list: names alone, no patterns, no addresses (CASES 221).
    fn repositories(&mut self, document: &Document, texts: &[String]) -> Vec<RepoName> {
        let mut repos = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, text) in texts.iter().enumerate() {
            let place = document.at(&format!("forge.repositories[{at}]"));
            let Some(repo) = self.repository(place.clone(), text) else { continue };
            if seen.insert(text.to_ascii_lowercase()) {
                repos.push(repo);
            } else {
                self.wrong::<()>(place, format!("{text:?} stands there twice"), "leave one out");
            }
        }
        if texts.is_empty() {
            let place = document.at("forge.repositories");
            self.wrong::<()>(place, "no repository is served", "e.g. [\"owner/name\"]");
        }
        repos
    }

    fn repository(&mut self, place: Place, text: &str) -> Option<RepoName> {
        let hint = if text.contains('*') {
            "there are no patterns: name each repository, as \"owner/name\""
        } else if text.contains("://") {
            "write \"owner/name\"; the forge's address stands in url"
        } else {
            "write it as \"owner/name\""
        };
        self.parsed(place, text, hint)
    }

    /// A forge's root; `FORGE_GITEA_API` of the first version ends in `/api/v1`.
    fn forge_url(&mut self, place: Place, text: &str) -> Option<Url> {
        let root = text.trim_end_matches('/').trim_end_matches("/api/v1");
        let url = match Url::parse(&format!("{root}/")) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(_) | Err(_) => {
                return self.wrong(place, format!("{text:?} is not a web address"), ADDRESS);
            }
        };
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return self.wrong(
                place,
                "the address carries more than host and path",
                "put the token into token_file",
            );
        }
        if url.scheme() == "http" && !is_near(&url) {
            self.doubt(
                place,
                "tokens go to the forge unencrypted",
                "use https, with ca_file if the certificate is your own",
            );
        }
        Some(url)
    }
}

/// Forgejo speaks Gitea's API; the schema knows no other.
fn kind(_: Option<&str>) -> ForgeKind {
    ForgeKind::Gitea
}

/// On this host, or in a network that is not routed: there are forges without TLS.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || !name.contains('.'),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback() || ip.is_unique_local(),
        None => false,
    }
}
