//! What befalls topics.

use std::iter;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::Offset;

use super::OUTAGE;
use crate::scene::{
    Lane, N_OUTPUT_PARTITIONS, N_SOURCE_PARTITIONS, Scene, create_outputs, output_settings,
};
use crate::support::cluster::USER;
use crate::support::proxy::{Fate, PRODUCE, Rules};
use crate::support::source::Source;
use crate::support::{topics, unique};

pub(super) fn long_load(scene: &mut Scene<'_>) {
    scene.progress(4_000);
}

pub(super) fn output_deleted(scene: &mut Scene<'_>) {
    delete_output(scene, "webhook");
}

pub(super) fn dead_letters_deleted(scene: &mut Scene<'_>) {
    delete_output(scene, "dead");
}

fn delete_output(scene: &mut Scene<'_>, name: &'static str) {
    let names = delete(scene, name);
    scene.load_again();
    scene.last(OUTAGE);
    let anew = names.map(|topic| (topic, output_settings(name)));
    topics::create_all(&scene.cluster.brokers, N_OUTPUT_PARTITIONS, &anew);
    scene.heal();
}

/// Deletes an output at a quiet moment, so that it is known what went with it; the load then finds it gone.
fn delete(scene: &mut Scene<'_>, name: &'static str) -> [String; 2] {
    scene.drain();
    scene.excuses.deleted = Some((
        name,
        scene.source.lock().expect("nobody panics with it").ends(),
    ));
    let names = scene.outputs(name);
    topics::delete(
        &scene.cluster.brokers,
        &names.each_ref().map(String::as_str),
    );
    names
}

/// A node's answers to records are kept while its topic is recreated on other nodes, which know nothing of the producers. What
/// they take next counts for the client as taken by the old leader, too (KAFKA-15591).
pub(super) fn answered_late(scene: &mut Scene<'_>) {
    const OLD_LEADER: usize = 0;
    let names = delete(scene, "webhook");
    let n_held = |scene: &Scene<'_>| scene.cluster.entrances[OLD_LEADER].count(Fate::Held, PRODUCE);
    let before = n_held(scene);
    let replies = Rules {
        held_replies: vec![PRODUCE],
        ..Rules::default()
    };
    scene.cluster.entrances[OLD_LEADER].follow(replies);
    scene.load_again();
    scene.until("an answer is kept", || n_held(scene) > before);
    scene.last(Duration::from_millis(300));
    let anew = names.map(|topic| (topic, output_settings("webhook")));
    topics::create_on(
        &scene.cluster.brokers,
        &[&[2, 3, 1], &[3, 2, 1], &[2, 3, 1], &[3, 2, 1]],
        &anew,
    );
    // The clients learn of the new leaders and send to them.
    scene.last(OUTAGE / 3);
    scene.heal();
}

/// Writes so much at once that epochs are as large as they may be.
fn burst(scene: &Scene<'_>) {
    scene
        .source
        .lock()
        .expect("nobody panics with it")
        .produce(3_000);
}

/// Every record still fits, only batches must be smaller; and when the limit is raised they grow again.
pub(super) fn batches_shrink(scene: &mut Scene<'_>) {
    let set_limit = |scene: &Scene<'_>, bytes: &str| {
        for topic in scene.outputs("salesforce") {
            scene
                .cluster
                .requests()
                .set_topic(&topic, "max.message.bytes", bytes);
        }
    };
    let until_said = |scene: &Scene<'_>, line: &str| {
        scene.until(line, || {
            scene.lanes.iter().all(|lane| lane.fleet.has_said(line))
        });
    };
    set_limit(scene, "4000");
    burst(scene);
    until_said(scene, "a topic takes smaller batches than before");
    scene.progress(300);
    set_limit(scene, "1048588");
    until_said(scene, "topics take larger batches again");
    scene.heal();
    scene.progress(300);
}

pub(super) fn right_revoked(scene: &mut Scene<'_>) {
    for topic in scene.outputs("webhook") {
        scene.cluster.requests().deny_write(USER, &topic);
    }
    scene.last(OUTAGE);
    for topic in scene.outputs("webhook") {
        scene.cluster.requests().allow_write(USER, &topic);
    }
    scene.heal();
}

pub(super) fn throttled(scene: &mut Scene<'_>) {
    scene
        .cluster
        .requests()
        .limit_production(USER, Some(10_240.0));
    scene.last(OUTAGE);
    scene.cluster.requests().limit_production(USER, None);
    scene.heal();
}

pub(super) fn under_replicated(scene: &mut Scene<'_>) {
    set_output(scene, "min.insync.replicas", "3");
    scene.cluster.nodes[0].kill();
    scene.last(OUTAGE);
    scene.heal();
    set_output(scene, "min.insync.replicas", "2");
}

pub(super) fn limit_lowered(scene: &mut Scene<'_>) {
    set_output(scene, "max.message.bytes", "1000");
    scene.last(OUTAGE);
    let settings = output_settings("webhook");
    settings
        .iter()
        .for_each(|(name, value)| set_output(scene, name, value));
    scene.heal();
}

/// A revoke meets epochs that are held.
pub(super) fn death_while_refused(scene: &mut Scene<'_>) {
    set_output(scene, "max.message.bytes", "1000");
    scene.last(OUTAGE / 5);
    for lane in scene.lanes {
        lane.fleet.take().kill();
        lane.fleet.count_kill();
    }
    scene.last(OUTAGE);
    let settings = output_settings("webhook");
    settings
        .iter()
        .for_each(|(name, value)| set_output(scene, name, value));
    scene.heal();
}

fn set_output(scene: &Scene<'_>, setting: &str, value: &str) {
    for topic in scene.outputs("webhook") {
        scene.cluster.requests().set_topic(&topic, setting, value);
    }
}

pub(super) fn grown(scene: &mut Scene<'_>) {
    scene.excuses.n_partitions_before = Some(N_OUTPUT_PARTITIONS);
    for topic in scene
        .outputs("webhook")
        .into_iter()
        .chain(scene.outputs("mixpanel"))
    {
        topics::grow(&scene.cluster.brokers, &topic, N_OUTPUT_PARTITIONS + 2);
    }
    scene
        .source
        .lock()
        .expect("nobody panics with it")
        .grow(&scene.cluster.brokers, N_SOURCE_PARTITIONS + 2);
    scene.last(OUTAGE);
}

/// One group has nine events in ten; the others go on.
pub(super) fn hot_group(scene: &mut Scene<'_>) {
    scene.source.lock().expect("nobody panics with it").is_hot = true;
    scene.progress(3_000);
}

/// Some transactions of the source are aborted at once, and one stays open for a while and hides what follows.
pub(super) fn aborted_in_source(scene: &mut Scene<'_>) {
    let brokers = scene.cluster.brokers.clone();
    for duration in [Duration::ZERO, OUTAGE, Duration::ZERO] {
        let open = scene
            .source
            .lock()
            .expect("nobody panics with it")
            .begin(&brokers);
        scene.last(duration);
        scene
            .source
            .lock()
            .expect("nobody panics with it")
            .abort(&brokers, &open);
        scene.strike();
        scene.progress(50);
    }
    scene.heal();
    scene.progress(500);
}

/// The brokers forget the offsets of a deleted topic, so that `source.start` says where the new one begins.
pub(super) fn source_deleted(scene: &mut Scene<'_>) {
    scene.drain();
    scene.lanes.iter().for_each(|lane| lane.fleet.stop_all());
    let brokers = scene.cluster.brokers.clone();
    {
        let mut source = scene.source.lock().expect("nobody panics with it");
        let topic = source.topic.clone();
        topics::delete(&brokers, &[&topic]);
        *source = Source::create(&brokers, &topic, N_SOURCE_PARTITIONS);
        source.produce(100);
    }
    for lane in scene.lanes {
        // What comes of the new source is told apart from what came of the old one.
        lane.fleet.change(|setup| setup.prefix = unique("anew"));
        create_outputs(&brokers, &lane.fleet.setup().prefix);
        start_two(lane);
    }
    scene.load_again();
    scene.heal();
}

pub(super) fn retention(scene: &mut Scene<'_>) {
    scene.drain();
    scene.lanes.iter().for_each(|lane| lane.fleet.stop_all());
    let brokers = scene.cluster.brokers.clone();
    {
        let mut source = scene.source.lock().expect("nobody panics with it");
        let begin = source.events[0].len();
        source.produce(600);
        let end = source.events[0].len() - 20;
        scene.excuses.removed = iter::once(begin..end).collect();
        let end = i64::try_from(end).expect("tests are smaller");
        topics::truncate_to(&brokers, &source.topic, 0, Offset::Offset(end));
    }
    // A worker stops and says why; told to go on, the fleets do.
    let reason = "were deleted before they were read";
    for lane in scene.lanes {
        let log = lane.fleet.failure(lane.fleet.launch());
        lane.fleet
            .expect(log.contains(reason), || format!("{reason}: not in {log}"));
        lane.fleet.change(|setup| setup.on_gap = "continue");
        start_two(lane);
    }
    scene.load_again();
    scene.heal();
}

/// Without offsets everything is done again, as `source.start` says.
pub(super) fn offsets_gone(scene: &mut Scene<'_>) {
    scene.drain();
    let end = scene.len();
    for lane in scene.lanes {
        lane.fleet.stop_all();
        topics::delete_group(&scene.cluster.brokers, &lane.fleet.setup().group);
        lane.excused_repetitions.store(end, Ordering::Relaxed);
        start_two(lane);
    }
    scene.load_again();
    scene.last(Duration::from_secs(1));
    scene.heal();
}

fn start_two(lane: &Lane) {
    (0..2).for_each(|_| lane.fleet.start());
}
