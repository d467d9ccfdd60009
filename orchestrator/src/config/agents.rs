//! Agents and the profiles that their bottles are made of.

use std::{
    collections::BTreeMap,
    fmt::Display,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use protocol::{
    grant::{GitIdentity, PromptVia},
    ids::{AgentName, Login, ProfileName},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    Agent, Place, Profile,
    document::Document,
    file::{AgentFile, ProfileFile},
    load::Reader,
};

/// Parts of names that secrets go by.
const SECRET_WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSW", "API_KEY", "CREDENTIAL"];

/// Whether a variable of that name is likely to hold a secret.
pub(super) fn holds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

impl Reader<'_> {
    pub(super) fn agents(
        &mut self,
        profiles: &BTreeMap<ProfileName, Profile>,
    ) -> BTreeMap<AgentName, Agent> {
        let files = self.files::<AgentFile, AgentName>("agents");
        let agents: BTreeMap<AgentName, Agent> = files
            .into_iter()
            .filter_map(|(name, document, file)| {
                Some((name, self.agent(&document, file, profiles)?))
            })
            .collect();
        let dir = self.dir.join("agents");
        if agents.is_empty()
            && !self
                .mistakes
                .iter()
                .any(|told| told.place.file.as_ref().is_some_and(|file| file.starts_with(&dir)))
        {
            let place = Place::file(&dir);
            self.wrong::<()>(place, "there is no agent", "`orchestrate init` writes an example");
        }
        agents
    }

    fn agent(
        &mut self,
        document: &Document,
        file: AgentFile,
        profiles: &BTreeMap<ProfileName, Profile>,
    ) -> Option<Agent> {
        let at = |key: &str| document.at(key);
        self.required(at("provider"), file.provider, "there is \"command\"");
        let prompt_via = match file.prompt_via.as_deref() {
            None | Some("stdin") => PromptVia::Stdin,
            Some("file") => PromptVia::File,
            Some(_) => PromptVia::Argument,
        };
        if file.command.first().is_none_or(String::is_empty) {
            self.wrong::<()>(at("command"), "there is nothing to run", "e.g. [\"my-agent\"]");
        } else if prompt_via == PromptVia::Argument
            && !file.command.iter().any(|word| word.contains("{prompt}"))
        {
            let hint = "add it, or choose prompt_via = \"stdin\"";
            self.wrong::<()>(at("command"), "no word holds {prompt}", hint);
        }
        let login = self.required(at("login"), file.login, "the agent's account on the forge");
        let login: Option<Login> = login
            .and_then(|text| self.parsed(at("login"), &text, "the agent's account on the forge"));
        let email = self.required(at("git_email"), file.git_email, "its address in commits");
        for (key, text) in [("git_email", &email), ("git_name", &file.git_name)] {
            if text.as_ref().is_some_and(|text| text.contains(['<', '>', '\n', '\r', '\0'])) {
                let what = "names in commits cannot hold <, > or line breaks";
                self.wrong::<()>(at(key), what, "leave them out");
            }
        }
        let token = self.required(at("token_file"), file.token_file, "the file with its token");
        let token = token.and_then(|text| {
            let path = self.path_in(&self.dir.join("agents"), at("token_file"), &text)?;
            self.secret(&at("token_file"), &path)
        });
        let names = self.profile_names(document, file.bottles, profiles);
        self.no_open_secrets(document, &file.env);
        let login = login?;
        let name = file.git_name.unwrap_or_else(|| login.to_string());
        Some(Agent {
            identity: GitIdentity { login, name, email: email? },
            token: token?,
            profiles: names,
            command: file.command,
            prompt_via,
            env: file.env,
        })
    }

    fn profile_names(
        &mut self,
        document: &Document,
        texts: Vec<String>,
        profiles: &BTreeMap<ProfileName, Profile>,
    ) -> Vec<ProfileName> {
        let mut names = Vec::new();
        for (at, text) in texts.into_iter().enumerate() {
            match text.parse() {
                // One that is there but has mistakes is told of in its own file.
                Ok(name) if profiles.contains_key(&name) || self.file_of(&name).exists() => {
                    names.push(name);
                }
                Ok(_) | Err(_) => {
                    let place = document.at(&format!("bottles[{at}]"));
                    let what = format!("there is no profile {text:?}");
                    self.wrong::<()>(place, what, "write bottles/<name>.toml");
                }
            }
        }
        names
    }

    fn file_of(&self, profile: &ProfileName) -> PathBuf {
        self.dir.join("bottles").join(format!("{profile}.toml"))
    }

    pub(super) fn profiles(&mut self) -> BTreeMap<ProfileName, Profile> {
        let files = self.files::<ProfileFile, ProfileName>("bottles");
        files
            .into_iter()
            .map(|(name, document, file)| (name, self.profile(&document, file)))
            .collect()
    }

    fn profile(&mut self, document: &Document, file: ProfileFile) -> Profile {
        let memory_bytes = self.size(document.at("memory"), file.memory.as_deref());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded by the schema, and here"
        )]
        let millicpus = file.cpus.map(|cpus| (cpus.clamp(0.01, 1024.0) * 1000.0) as u32);
        if let Some(image) = &file.image {
            self.image(document, image, file.allow_unpinned.unwrap_or_default());
        }
        self.no_open_secrets(document, &file.env);
        Profile { image: file.image, memory_bytes, pids: file.pids, millicpus, env: file.env }
    }

    /// A name alone may mean another image tomorrow (CASES 231). Which image a digest means is the
    /// engine's to check.
    fn image(&mut self, document: &Document, image: &str, allow_unpinned: bool) {
        let place = document.at("image");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        if image.is_empty()
            || image.len() > 255
            || !image.chars().all(plain)
            || image.starts_with('-')
        {
            self.wrong::<()>(
                place,
                format!("{image:?} is no image's name"),
                "e.g. \"name@sha256:<digest>\"",
            );
            return;
        }
        let digest =
            image.rsplit_once("sha256:").filter(|(name, _)| name.is_empty() || name.ends_with('@'));
        let pinned = digest.is_some_and(|(_, hex)| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if image.contains('@') && !pinned {
            let what = format!("{image:?} has no digest behind its @");
            self.wrong::<()>(place, what, "sha256: and 64 small hexadecimal digits");
        } else if !pinned && !allow_unpinned {
            self.wrong::<()>(
                place,
                format!("{image:?} may mean another image tomorrow"),
                "add its digest, name@sha256:...; for an image that was built on this host: allow_unpinned = true",
            );
        }
    }

    /// Secrets in a file that others may read (CASES 220).
    fn no_open_secrets(&mut self, document: &Document, env: &BTreeMap<String, String>) {
        let place = document.at("env");
        let open = place.file.as_ref().and_then(|path| std::fs::metadata(path).ok());
        if open.is_none_or(|data| data.mode() & 0o044 == 0) {
            return;
        }
        for name in env.keys().filter(|name| holds_secret(name)) {
            let place = document.at(&format!("env.{name}"));
            self.doubt(place, "others may read what looks like a secret", "chmod 600 the file");
        }
    }

    /// Every `<dir>/<name>.toml`, in the order of their names.
    fn files<T: DeserializeOwned + JsonSchema, N: FromStr<Err: Display>>(
        &mut self,
        dir: &str,
    ) -> Vec<(N, Document, T)> {
        let mut found = Vec::new();
        for path in toml_files(&self.dir.join(dir)) {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name =
                self.parsed(Place::file(&path), &stem.unwrap_or_default(), "rename the file");
            let file = self.document(&path);
            if let (Some(name), Some((document, file))) = (name, file) {
                self.not_open(&path);
                found.push((name, document, file));
            }
        }
        found
    }
}

fn toml_files(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    paths.sort();
    paths
}
