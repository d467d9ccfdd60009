//! The queue: durable, bounded, in order, and never in the way of what must not be lost.

mod disks;

use std::fs;

use protocol::{
    agent::{AgentRpcClient as _, DoneStatus},
    control::ControlRpcClient as _,
    error::ErrorCode,
    event::{Happening, QueueEvent},
    ids::EventId,
    limits::{QUEUE_FILES_MAX, QUEUE_FILES_RESERVED},
};
use sidecar::queue::Queue;

use crate::{
    fake_forge::number,
    harness::{Bottle, eventually, refused},
};

/// Fills the queue up to the part that is kept free.
async fn fill(bottle: &Bottle) {
    for _ in 0..QUEUE_FILES_MAX {
        drop(bottle.agent.post_comment(number(500), "x".to_owned()).await);
    }
    assert_eq!(bottle.queue_files().len(), QUEUE_FILES_MAX - QUEUE_FILES_RESERVED);
}

// CASES 122
#[tokio::test]
async fn a_full_queue_refuses_writes_before_they_are_sent() {
    let bottle = Bottle::at_work().await;
    fill(&bottle).await;
    let error = refused(bottle.agent.post_comment(number(17), "x".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::QueueFull);
    assert_eq!(bottle.forge.changes(), Vec::<String>::new());
    assert!(bottle.agent.read_issue(number(17)).await.is_ok());
    assert!(
        bottle.agent.signal_done(DoneStatus::Success, "done".to_owned()).await.unwrap().counted
    );
    assert_eq!(bottle.queue_files().len(), QUEUE_FILES_MAX - QUEUE_FILES_RESERVED + 1);
}

#[tokio::test]
async fn what_is_not_listed_is_counted() {
    let bottle = Bottle::at_work().await;
    fill(&bottle).await;
    for file in bottle.queue_files() {
        fs::remove_file(file).unwrap();
    }
    // It may come in parts, each when the one before has been taken.
    let mut told = 0;
    let all_told = || {
        for file in bottle.queue_files() {
            let event: QueueEvent = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            if let Happening::CheckIn { unlisted, .. } = event.what {
                told += unlisted;
            }
            fs::remove_file(file).unwrap();
        }
        told == QUEUE_FILES_RESERVED as u64
    };
    eventually("all are told of", all_told).await;
}

#[tokio::test]
async fn reads_are_told_as_one_sign_of_life() {
    let bottle = Bottle::at_work().await;
    for _ in 0..3 {
        bottle.agent.read_issue(number(17)).await.unwrap();
    }
    let reads = || -> Vec<u64> {
        let read = |event: QueueEvent| match event.what {
            Happening::CheckIn { reads, .. } => Some(reads),
            _ => None,
        };
        bottle.events().into_iter().filter_map(read).collect()
    };
    eventually("the check-in", || !reads().is_empty()).await;
    // More reads do not pile up more files while nobody takes the first.
    for _ in 0..3 {
        bottle.agent.read_issue(number(17)).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    let first = reads();
    assert_eq!(first.len(), 1);
    fs::remove_file(&bottle.queue_files()[0]).unwrap();
    eventually("the next one", || !reads().is_empty()).await;
    assert_eq!(first[0] + reads()[0], 6);
}

#[tokio::test]
async fn events_are_read_and_forgotten_over_the_socket_too() {
    let bottle = Bottle::at_work().await;
    for _ in 0..3 {
        drop(bottle.agent.post_comment(number(500), "x".to_owned()).await);
    }
    let all = bottle.control.events(None).await.unwrap();
    assert_eq!(all, bottle.events());
    let [first, second, third] = [0, 1, 2].map(|at| all[at].id.clone());
    let after = bottle.control.events(Some(first)).await.unwrap();
    assert_eq!(after.iter().map(|event| &event.id).collect::<Vec<_>>(), [&second, &third]);
    bottle.control.ack(second.clone()).await.unwrap();
    bottle.control.ack(second).await.unwrap();
    assert_eq!(bottle.control.events(None).await.unwrap().len(), 1);
    let unknown: EventId = "ffffffffffffffff-99999999".parse().unwrap();
    bottle.control.ack(unknown.clone()).await.unwrap();
    assert_eq!(bottle.control.events(Some(unknown)).await.unwrap()[0].id, third);
}

// CASES 126
#[tokio::test]
async fn events_survive_a_restart_and_numbers_go_on() {
    let bottle = Bottle::at_work().await;
    bottle.agent.signal_done(DoneStatus::Success, "done".to_owned()).await.unwrap();
    let before = bottle.events();
    let bottle = bottle.restart().await;
    bottle.configure().await;
    drop(bottle.agent.post_comment(number(500), "x".to_owned()).await);
    let after = bottle.events();
    assert_eq!(after[0], before[0]);
    assert!(after[1].id.as_str().ends_with("-00000002"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_a_queue_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("new"), "not a directory").unwrap();
    assert!(Queue::open(dir.path()).is_err());
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(dir.path()).unwrap();
    fs::write(dir.path().join("tmp/0000000000000000-00000001.json"), "half").unwrap();
    assert_eq!(queue.events(None).await.unwrap(), []);
    assert!(!dir.path().join("new/probe").exists());
}

// CASES 117
#[tokio::test]
async fn what_a_crash_left_half_written_is_swept_after_a_day() {
    let dir = tempfile::tempdir().unwrap();
    drop(Queue::open(dir.path()).unwrap());
    let file = |hours: u64| {
        let path = dir.path().join(format!("tmp/of-{hours}-hours"));
        let made = fs::File::create(&path).unwrap();
        let age = std::time::Duration::from_secs(hours * 3600);
        let made_at = fs::metadata(&path).unwrap().modified().unwrap() - age;
        made.set_modified(made_at).unwrap();
        path
    };
    let (young, old) = (file(23), file(25));
    let (queue, _) = Queue::open(dir.path()).unwrap();
    assert!(young.exists() && !old.exists());
    assert_eq!(queue.waiting().await.unwrap(), 0, "neither is an event");
}

// CASES 132
#[tokio::test]
async fn what_cannot_be_stored_is_not_acknowledged() {
    let bottle = Bottle::at_work().await;
    fs::remove_dir(bottle.dir.path().join("queue/tmp")).unwrap();
    let error = refused(bottle.agent.signal_done(DoneStatus::Success, "done".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::QueueFull);
    fs::create_dir(bottle.dir.path().join("queue/tmp")).unwrap();
    let receipt = bottle.agent.signal_done(DoneStatus::Failed, "really".to_owned()).await.unwrap();
    assert!(receipt.counted && receipt.status == DoneStatus::Failed);
}
