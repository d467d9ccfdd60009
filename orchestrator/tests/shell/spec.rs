//! What the engine is asked for: the whole of it printed, and each rule of hardening by itself.

use std::{collections::BTreeSet, path::Path};

use orchestrator::{
    config::Profile,
    engine::{
        Role,
        docker::create_body,
        spec::{self, Places, uid},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{name, number, running};

/// Both bodies: the sidecar's and the bottle's.
fn bodies() -> [(&'static str, Value); 2] {
    let mut bottle = running("implementer-k3v9q", 3, 7);
    bottle.pull_requests = vec![number(8)];
    let places = Places::of(Path::new("/data"), &bottle.slug);
    let profile = Profile {
        image: Some("debian:bookworm-slim".to_owned()),
        memory_bytes: Some(1 << 30),
        pids: Some(256),
        millicpus: Some(1500),
        env: [("EDITOR".to_owned(), "false".to_owned())].into(),
    };
    let sidecar = spec::sidecar(&bottle, &places, "bot-bottle/sidecar:0123");
    let inside = spec::bottle(&bottle, &places, &profile, Path::new("/lib/bottle"));
    [("sidecar", sidecar), ("bottle", inside)].map(|(role, spec)| {
        (role, serde_json::to_value(create_body(&spec, "00aa", "bot-bottle")).unwrap())
    })
}

#[test]
fn the_sidecar_as_docker_is_asked_for_it() {
    insta::assert_json_snapshot!(bodies()[0].1);
}

#[test]
fn the_bottle_as_docker_is_asked_for_it() {
    insta::assert_json_snapshot!(bodies()[1].1);
}

#[test]
fn a_profile_without_an_image_gets_the_default_one() {
    let bottle = running("implementer-k3v9q", 3, 7);
    let places = Places::of(Path::new("/data"), &bottle.slug);
    let spec = spec::bottle(&bottle, &places, &Profile::default(), Path::new("/lib/bottle"));
    assert_eq!(spec.image, "bot-bottle/default:bookworm");
}

// CASES 5.1
#[test]
fn every_rule_of_hardening_holds_in_both_containers() {
    let rules = [
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("/HostConfig/Privileged", json!(false)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/CgroupnsMode", json!("private")),
        ("/HostConfig/LogConfig/Type", json!("local")),
        ("/HostConfig/LogConfig/Config", json!({ "max-size": "5m", "max-file": "2" })),
        ("/HostConfig/AutoRemove", json!(false)),
        ("/HostConfig/Init", json!(false)),
        ("/HostConfig/Ulimits/0", json!({ "Name": "core", "Soft": 1, "Hard": 1 })),
        ("/Tty", json!(false)),
        ("/OpenStdin", json!(false)),
    ];
    let absent = [
        "CapAdd",
        "Devices",
        "DeviceRequests",
        "DeviceCgroupRules",
        "GroupAdd",
        "ExtraHosts",
        "Dns",
        "PortBindings",
        "PublishAllPorts",
        "Links",
        "VolumesFrom",
        "Binds",
        "PidMode",
        "UTSMode",
        "UsernsMode",
        "MaskedPaths",
        "ReadonlyPaths",
        "Sysctls",
        "CgroupParent",
    ];
    for (role, body) in bodies() {
        for (place, wanted) in &rules {
            assert_eq!(body.pointer(place), Some(wanted), "{role}: {place}");
        }
        for key in absent {
            let value = body["HostConfig"].get(key).unwrap_or(&Value::Null);
            assert!(value.is_null(), "{role}: {key} is {value}");
        }
        let restart = &body["HostConfig"]["RestartPolicy"]["Name"];
        assert_eq!(restart, "no", "{role}: the engine must not restart it by itself");
        let host = &body["HostConfig"];
        assert_eq!(host["Memory"], host["MemorySwap"], "{role}: no swap");
        assert!(host["Memory"].as_i64().unwrap() > 0, "{role}: memory is bounded");
        assert!(host["PidsLimit"].as_i64().unwrap() > 0, "{role}: processes are bounded");
        for mount in host["Mounts"].as_array().unwrap() {
            assert_eq!(mount["Type"], "bind", "{role}: {mount}");
            assert_eq!(mount["BindOptions"]["Propagation"], "private", "{role}: {mount}");
            let source = mount["Source"].as_str().unwrap();
            assert!(!source.contains("docker.sock"), "{role}: {mount}");
        }
    }
}

#[test]
fn the_two_containers_differ_where_they_must() {
    let [(_, sidecar), (_, bottle)] = bodies();
    let at = |body: &Value, place: &str| body.pointer(place).cloned().unwrap_or(Value::Null);
    let pairs = [
        ("/User", json!("1000007:1000007"), json!("1000006:1000006")),
        ("/HostConfig/NetworkMode", json!("bot-bottle"), json!("none")),
        ("/HostConfig/OomScoreAdj", json!(0), json!(500)),
        ("/HostConfig/IpcMode", json!("none"), json!("private")),
        ("/HostConfig/Memory", json!(128 << 20), json!(1 << 30)),
        ("/HostConfig/PidsLimit", json!(32), json!(256)),
        ("/Env", json!([]), at(&bottle, "/Env")),
    ];
    for (place, of_sidecar, of_bottle) in pairs {
        assert_eq!(at(&sidecar, place), of_sidecar, "sidecar: {place}");
        assert_eq!(at(&bottle, place), of_bottle, "bottle: {place}");
    }
    let tmp = bottle["HostConfig"]["Tmpfs"]["/tmp"].as_str().unwrap();
    for option in ["nosuid", "nodev", "size=536870912"] {
        assert!(tmp.split(',').any(|given| given == option), "{tmp} lacks {option}");
    }
    let sources = |body: &Value| -> BTreeSet<(String, bool)> {
        let mounts = body["HostConfig"]["Mounts"].as_array().unwrap().iter();
        let pair = |mount: &Value| {
            (mount["Source"].as_str().unwrap().to_owned(), mount["ReadOnly"] == true)
        };
        mounts.map(pair).collect()
    };
    let own = |part: &str| format!("/data/bottles/implementer-k3v9q/{part}");
    // The bottle sees no control socket and no queue, and cannot replace its agent socket.
    let wanted = [(own("agent"), true), (own("home"), false), ("/lib/bottle".to_owned(), true)];
    assert_eq!(sources(&bottle), wanted.into());
    let wanted = ["agent", "control", "queue"].map(|part| (own(part), false));
    assert_eq!(sources(&sidecar), wanted.into());
}

proptest! {
    #[test]
    fn no_two_containers_share_a_user(a in 0u32..500_000_000, b in 0u32..500_000_000) {
        let users = [a, b].map(|serial| [Role::Sidecar, Role::Bottle].map(|role| uid(serial, role)));
        prop_assert_ne!(users[0][0], users[0][1]);
        if a != b {
            prop_assert!(users[0].iter().all(|user| !users[1].contains(user)));
        }
        prop_assert!(users.iter().flatten().all(|user| (1_000_000..i32::MAX as u32).contains(user)));
    }
}

#[test]
fn names_of_containers_tell_the_roles_apart() {
    let slug = name("implementer-k3v9q");
    assert_eq!(Role::Bottle.container_name(&slug), "implementer-k3v9q");
    assert_eq!(Role::Sidecar.container_name(&slug), "implementer-k3v9q-sidecar");
}
