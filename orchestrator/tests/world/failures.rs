//! Every call fails once; every answer gets lost once; pairs of both.

use std::sync::Arc;

use rand::RngExt as _;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    gate::{Fault, How},
    installation::{End, Installation, furnish, play},
};

/// Stories at a time: each mostly waits.
const TOGETHER: usize = 8;

/// Every call of a quiet story with how often it is made. Of questions that are asked again and
/// again the first ones stand for all.
pub(crate) async fn calls() -> Vec<(String, u32)> {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let installation = Installation::start(dir.path(), vec![]).await;
    let gate = Arc::clone(&installation.world.gate);
    assert_eq!(installation.finish().await, End::good());
    let mut calls = gate.calls();
    calls.remove("any");
    assert!(calls.contains_key("start_run") && calls.contains_key("pause bottle"), "{calls:?}");
    calls.into_iter().map(|(name, count)| (name, count.min(2))).collect()
}

/// Plays stories side by side; each must end well.
async fn all_end_well(stories: Vec<Vec<Fault>>) {
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut playing = JoinSet::new();
    for faults in stories {
        let places = Arc::clone(&places);
        playing.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            (play(faults.clone()).await, faults)
        });
    }
    while let Some(played) = playing.join_next().await {
        let (end, faults) = played.unwrap();
        assert_eq!(end, End::good(), "{faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_once_changes_nothing_in_the_end() {
    let calls = calls().await;
    let each = calls.iter().flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    let stories = each.map(|(call, nth)| vec![Fault::new(call, nth, How::Fails)]);
    all_end_well(stories.collect()).await;
}

// CASES 136-140, 142, 145-147
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_nothing_happen_twice() {
    let calls = calls().await;
    let each = calls.iter().flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    let stories = each.map(|(call, nth)| vec![Fault::new(call, nth, How::AnswerLost)]);
    all_end_well(stories.collect()).await;
}

// Most failures that matter need two things to go wrong.
#[tokio::test(flavor = "multi_thread")]
async fn two_faults_in_one_story_change_nothing_in_the_end() {
    let calls = calls().await;
    // A story that ends badly names its faults, which are all that is left to chance.
    let mut rng = rand::rng();
    let mut fault = || {
        let (call, count) = &calls[rng.random_range(0..calls.len())];
        let how = [How::Fails, How::AnswerLost][rng.random_range(0..2)];
        Fault::new(call, rng.random_range(1..=*count), how)
    };
    let stories = (0..24).map(|_| vec![fault(), fault()]).collect();
    all_end_well(stories).await;
}
