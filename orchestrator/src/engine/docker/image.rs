//! The sidecars' image: one static program and nothing else, named after its content, so that an
//! upgrade is another image and a running sidecar keeps its own.

use std::path::Path;

use bollard::{Docker, body_full, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    EngineError,
    failure::{failed, status},
};

const REPOSITORY: &str = "bot-bottle/sidecar";

/// The image's name for the program at `path`.
pub(super) fn name(path: &Path) -> Result<String, EngineError> {
    Ok(format!("{REPOSITORY}:{}", tag(&read(path)?)))
}

/// Makes the image if it is missing.
pub(super) async fn ensure(docker: &Docker, path: &Path) -> Result<(), EngineError> {
    let program = read(path)?;
    let tag = tag(&program);
    match docker.inspect_image(&format!("{REPOSITORY}:{tag}")).await {
        Ok(_) => return Ok(()),
        Err(error) if status(&error) == Some(404) => {}
        Err(error) => return Err(failed("inspect the sidecars' image")(error)),
    }
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(REPOSITORY).tag(&tag).build();
    let layer = layer(&program).map_err(|error| unreadable(path, &error))?;
    let mut progress = docker.create_image(Some(options), Some(body_full(layer.into())), None);
    while let Some(step) = progress.next().await {
        step.map_err(failed("import the sidecars' image"))?;
    }
    Ok(())
}

/// Refuses an image for another kind of machine: Docker makes a container of it that cannot start.
/// One that is missing is told by the creation.
pub(super) async fn check(
    docker: &Docker,
    name: &str,
    platform: &Platform,
) -> Result<(), EngineError> {
    let image = match docker.inspect_image(name).await {
        Ok(image) => image,
        Err(error) if status(&error) == Some(404) => return Ok(()),
        Err(error) => return Err(failed(&format!("inspect the image {name}"))(error)),
    };
    let differs = |image: &Option<String>, ours: &Option<String>| match (image, ours) {
        (Some(image), Some(ours)) => !image.is_empty() && image != ours,
        _ => false,
    };
    if !differs(&image.os, &platform.os) && !differs(&image.architecture, &platform.architecture) {
        return Ok(());
    }
    let word = |part: &Option<String>| part.clone().unwrap_or_default();
    Err(EngineError::Refused {
        what: format!("use the image {name}"),
        message: format!(
            "it is for {}/{} and the engine runs {}/{}; build or pull it for that platform",
            word(&image.os),
            word(&image.architecture),
            word(&platform.os),
            word(&platform.architecture),
        ),
        transient: false,
    })
}

/// What an engine runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Platform {
    pub os: Option<String>,
    pub architecture: Option<String>,
}

fn tag(program: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(program));
    digest.chars().take(16).collect()
}

fn layer(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o555);
    header.set_size(program.len() as u64);
    header.set_cksum();
    layer.append_data(&mut header, "sidecar", program)?;
    layer.into_inner()
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> EngineError {
    let what = format!("read the sidecar's program {}", path.display());
    EngineError::Refused { what, message: error.to_string(), transient: false }
}
