//! What a Docker daemon says of itself, for an operator's doctor. Nothing is made or changed.

use std::{path::Path, time::Duration};

use bollard::Docker;

use super::{EngineError, failed, features, status};

/// For all questions together.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a Docker daemon says of itself.
#[derive(Debug)]
pub struct Facts {
    /// Its version.
    pub version: String,
    /// The newest API that it speaks.
    pub api_version: String,
    /// The host that it says it runs on.
    pub host: String,
    /// Its processor, as the kernel names it: `x86_64`.
    pub architecture: String,
    /// Where it keeps its containers.
    pub root: Option<String>,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// It runs without root's rights.
    pub rootless: bool,
    /// What it warns of itself.
    pub warnings: Vec<String>,
    /// What bottles need and it cannot do.
    pub lack: Option<EngineError>,
    /// The images that were asked for; `None` for one that is not there.
    pub images: Vec<(String, Option<ImageFacts>)>,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// As Docker names it: `amd64`.
    pub architecture: String,
    /// As Docker names it: `linux`.
    pub os: String,
}

/// Asks the daemon at `socket` (its usual place if `None`) for itself and these images.
///
/// # Errors
/// When the socket cannot be used, or nobody answers within ten seconds.
pub async fn examine(socket: Option<&Path>, images: &[String]) -> Result<Facts, EngineError> {
    let path = socket.unwrap_or_else(|| Path::new("/var/run/docker.sock")).display().to_string();
    match tokio::time::timeout(PATIENCE, ask(&path, images)).await {
        Ok(facts) => facts,
        Err(slow) => Err(EngineError::Unreachable {
            what: format!("examine {path}"),
            source: Box::new(slow),
        }),
    }
}

async fn ask(path: &str, images: &[String]) -> Result<Facts, EngineError> {
    let what = format!("connect to {path}");
    let docker = Docker::connect_with_unix(path, PATIENCE.as_secs(), bollard::API_DEFAULT_VERSION)
        .map_err(failed(&what))?
        .negotiate_version()
        .await
        .map_err(failed(&what))?;
    let version = docker.version().await.map_err(failed("read its version"))?;
    let info = docker.info().await.map_err(failed("read what it can do"))?;
    let mut found = Vec::new();
    for image in images {
        let facts = match docker.inspect_image(image).await {
            Ok(inspected) => Some(ImageFacts {
                architecture: inspected.architecture.unwrap_or_default(),
                os: inspected.os.unwrap_or_default(),
            }),
            Err(error) if status(&error) == Some(404) => None,
            Err(error) => return Err(failed(&format!("inspect the image {image}"))(error)),
        };
        found.push((image.clone(), facts));
    }
    let lack = features::check(&info, features::host_has_swap()).err();
    let options = info.security_options.unwrap_or_default();
    Ok(Facts {
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        host: info.name.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        root: info.docker_root_dir,
        cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
        rootless: options.iter().any(|option| option.contains("rootless")),
        warnings: info.warnings.unwrap_or_default(),
        lack,
        images: found,
    })
}
