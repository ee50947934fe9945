//! What befalls the wires between workers and brokers.

use std::time::Duration;

use super::OUTAGE;
use crate::scene::Scene;
use crate::support::cluster::Cluster;
use crate::support::proxy::{END_TXN, Fate, Link, Rules};

fn link(link: Link) -> Rules {
    Rules {
        link,
        ..Rules::default()
    }
}

fn outage(scene: &mut Scene<'_>, state: Link) {
    Cluster::rule(&scene.cluster.entrances, &link(state));
    scene.last(OUTAGE);
    scene.heal();
}

pub(super) fn silent(scene: &mut Scene<'_>) {
    outage(scene, Link::Silent);
}

pub(super) fn cut(scene: &mut Scene<'_>) {
    outage(scene, Link::Cut);
}

pub(super) fn slow(scene: &mut Scene<'_>) {
    outage(
        scene,
        Link::Slow {
            latency: Duration::from_millis(100),
            bytes_per_second: 3_000_000 / 8,
        },
    );
}

pub(super) fn coordinator_unreachable(scene: &mut Scene<'_>) {
    for node in scene.coordinators() {
        scene.cluster.entrances[node].follow(link(Link::Silent));
    }
    scene.last(OUTAGE);
    scene.heal();
}

pub(super) fn broker_unreachable(scene: &mut Scene<'_>) {
    for doors in [&scene.cluster.entrances, &scene.cluster.back_doors] {
        doors[0].follow(link(Link::Silent));
    }
    scene.last(OUTAGE);
    scene.heal();
}

/// The broker commits, and the worker never learns of it.
pub(super) fn end_txn_unanswered(scene: &mut Scene<'_>) {
    let before = n_unanswered(scene);
    Cluster::rule(
        &scene.cluster.entrances,
        &Rules {
            unanswered: vec![END_TXN],
            ..Rules::default()
        },
    );
    scene.until("a reply to EndTxn is lost", || n_unanswered(scene) > before);
    scene.last(OUTAGE);
    scene.n_strikes += n_unanswered(scene) - before;
    scene.heal();
}

fn n_unanswered(scene: &Scene<'_>) -> u64 {
    scene
        .cluster
        .entrances
        .iter()
        .map(|proxy| proxy.count(Fate::Unanswered, END_TXN))
        .sum()
}

/// Keeps EndTxn on its way, stops the node that it was meant for, and lets it go then.
pub(super) fn end_txn_while_moving(scene: &mut Scene<'_>) {
    let held = |scene: &Scene<'_>| -> Vec<u64> {
        scene
            .cluster
            .entrances
            .iter()
            .map(|proxy| proxy.count(Fate::Held, END_TXN))
            .collect()
    };
    let before = held(scene);
    Cluster::rule(
        &scene.cluster.entrances,
        &Rules {
            held: vec![END_TXN],
            ..Rules::default()
        },
    );
    let meant = |scene: &Scene<'_>| {
        held(scene)
            .iter()
            .zip(&before)
            .position(|(now, before)| now > before)
    };
    scene.until("EndTxn is on its way", || meant(scene).is_some());
    let node = meant(scene).expect("it was waited for");
    scene.cluster.nodes[node].stop();
    scene.heal();
}
