//! From our specification to Docker's: every field of the hardening table, set on purpose.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::{LABEL_IMAGE, LABEL_INSTANCE, LABEL_ROLE, LABEL_SLUG};
use crate::engine::spec::{ContainerSpec, MountSpec, NetworkSpec};

/// What Docker is asked to create. Labels carry no secret and no text of the forge: whoever may
/// inspect a container reads them.
pub fn create_body(spec: &ContainerSpec, instance: &str, network: &str) -> ContainerCreateBody {
    let labels = [
        (LABEL_INSTANCE, instance.to_owned()),
        (LABEL_SLUG, spec.slug.to_string()),
        (LABEL_ROLE, spec.role.word().to_owned()),
        (LABEL_IMAGE, spec.image.clone()),
    ];
    ContainerCreateBody {
        // The agent sees its bottle's name, nothing of the host's.
        hostname: Some("bottle".to_owned()),
        image: Some(spec.image.clone()),
        entrypoint: Some(spec.command.clone()),
        cmd: Some(vec![]),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        user: Some(format!("{0}:{0}", spec.uid)),
        working_dir: Some("/".to_owned()),
        open_stdin: Some(false),
        tty: Some(false),
        stop_timeout: Some(i64::from(spec.stop_after_s)),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
        host_config: Some(host_config(spec, network)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, network: &str) -> HostConfig {
    let log = [("max-size", "5m"), ("max-file", "2")];
    let tmp = spec.tmp_bytes.map(|bytes| format!("rw,nosuid,nodev,exec,mode=1777,size={bytes}"));
    HostConfig {
        network_mode: Some(match spec.network {
            NetworkSpec::None => "none".to_owned(),
            NetworkSpec::Sidecars => network.to_owned(),
        }),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        ipc_mode: Some(if spec.shared_memory { "private" } else { "none" }.to_owned()),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        tmpfs: tmp.map(|options| HashMap::from([("/tmp".to_owned(), options)])),
        memory: Some(signed(spec.memory_bytes)),
        memory_swap: Some(signed(spec.memory_bytes)),
        pids_limit: Some(i64::from(spec.pids)),
        nano_cpus: spec.millicpus.map(|thousandths| i64::from(thousandths) * 1_000_000),
        // One byte: no core file even where cores go to a pipe, for which 0 means "no limit".
        ulimits: Some(vec![ulimit("core", 1), ulimit("nofile", spec.open_files)]),
        oom_score_adj: Some(i64::from(spec.oom_score)),
        log_config: Some(HostConfigLogConfig {
            typ: Some("local".to_owned()),
            config: Some(log.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        }),
        // An engine that restarts by itself would make processes that nobody knows of.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(false),
        ..HostConfig::default()
    }
}

/// `Mounts`, not `Binds`: those make a missing source silently.
fn mount(spec: &MountSpec) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(spec.source.display().to_string()),
        target: Some(spec.target.to_owned()),
        read_only: Some(!spec.writable),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::PRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn ulimit(name: &str, value: u32) -> ResourcesUlimits {
    let value = Some(i64::from(value));
    ResourcesUlimits { name: Some(name.to_owned()), soft: value, hard: value }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
