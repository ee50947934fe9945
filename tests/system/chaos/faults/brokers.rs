//! What befalls brokers.

use std::time::Duration;

use super::OUTAGE;
use crate::scene::Scene;

const N_NODES: usize = 3;

pub(super) fn killed(scene: &mut Scene<'_>) {
    for node in 0..usize::try_from(scene.rounds)
        .unwrap_or(N_NODES)
        .min(N_NODES)
    {
        scene.any_moment(Duration::from_secs(1));
        scene.cluster.nodes[node].kill();
        scene.strike();
        scene.last(Duration::from_secs(4));
        restart(scene, node);
        scene.progress(50);
    }
}

pub(super) fn rolling_restart(scene: &mut Scene<'_>) {
    for node in 0..N_NODES {
        scene.cluster.nodes[node].stop();
        restart(scene, node);
        scene.strike();
    }
}

/// The whole cluster must be there again before the next node goes: two that are away are another fault.
fn restart(scene: &mut Scene<'_>, node: usize) {
    scene.cluster.nodes[node]
        .start()
        .expect("a node starts again");
    scene.cluster.wait_until_whole();
}

pub(super) fn two_killed(scene: &mut Scene<'_>) {
    scene
        .cluster
        .nodes
        .iter_mut()
        .take(2)
        .for_each(|node| node.kill());
    scene.last(OUTAGE);
    scene.heal();
}

pub(super) fn all_killed(scene: &mut Scene<'_>) {
    scene.cluster.nodes.iter_mut().for_each(|node| node.kill());
    scene.last(OUTAGE);
    scene.heal();
}

/// Everything goes on without it, for as long as it lasts.
pub(super) fn frozen(scene: &mut Scene<'_>) {
    scene.cluster.nodes[0].freeze();
    scene.last(OUTAGE);
    scene.progress(500);
    scene.heal();
}

/// The leaders move while producers that no partition knows yet wait for the old ones' answers.
pub(super) fn frozen_as_workers_start(scene: &mut Scene<'_>) {
    scene.cluster.nodes[0].freeze();
    for lane in scene.lanes {
        lane.fleet.kill(0);
    }
    scene.last(OUTAGE);
    scene.heal();
}

pub(super) fn coordinators_move(scene: &mut Scene<'_>) {
    for _ in 0..scene.rounds.min(3) {
        for node in scene.coordinators() {
            scene.cluster.nodes[node].stop();
            restart(scene, node);
            scene.strike();
        }
    }
}
