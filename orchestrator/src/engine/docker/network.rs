//! The sidecars' network: a bridge on which they reach forges and models, and not each other.

use bollard::{Docker, models::NetworkCreateRequest};

use super::{
    EngineError, LABEL_INSTANCE,
    failure::{failed, status},
};

/// <https://docs.docker.com/engine/network/drivers/bridge/#options>
const TALK_TO_EACH_OTHER: &str = "com.docker.network.bridge.enable_icc";

/// Makes the network if it is missing; refuses one that would connect the sidecars.
pub(super) async fn ensure(docker: &Docker, name: &str, instance: &str) -> Result<(), EngineError> {
    if is_there(docker, name).await? {
        return Ok(());
    }
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options: Some([(TALK_TO_EACH_OTHER.to_owned(), "false".to_owned())].into()),
        labels: Some([(LABEL_INSTANCE.to_owned(), instance.to_owned())].into()),
        ..NetworkCreateRequest::default()
    };
    match docker.create_network(request).await {
        Ok(_) => Ok(()),
        // Somebody was quicker: theirs must be a good one too.
        Err(error) if status(&error) == Some(409) => is_there(docker, name).await.map(|_| ()),
        Err(error) => Err(failed(&format!("create the network {name}"))(error)),
    }
}

async fn is_there(docker: &Docker, name: &str) -> Result<bool, EngineError> {
    let found = match docker.inspect_network(name, None).await {
        Ok(found) => found,
        Err(error) if status(&error) == Some(404) => return Ok(false),
        Err(error) => return Err(failed("inspect the sidecars' network")(error)),
    };
    let options = found.options.unwrap_or_default();
    match options.get(TALK_TO_EACH_OTHER).map(String::as_str) {
        Some("false") => Ok(true),
        Some(_) | None => Err(EngineError::OpenNetwork { name: name.to_owned() }),
    }
}
