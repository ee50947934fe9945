//! What befalls processes.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::OUTAGE;
use crate::scene::Scene;
use crate::support::cluster::Cluster;
use crate::support::proxy::{Fate, OFFSET_COMMIT, Rules, TXN_OFFSET_COMMIT};

pub(super) fn killed(scene: &mut Scene<'_>) {
    for _ in 0..scene.rounds {
        scene.any_moment(Duration::from_millis(1_500));
        let number = scene.dice.below(100);
        scene.lanes.iter().for_each(|lane| lane.fleet.kill(number));
        scene.strike();
        scene.progress(50);
    }
}

/// Keeps the commits on their way until each fleet has sent one, and kills whoever may have.
pub(super) fn killed_before_commit(scene: &mut Scene<'_>) {
    for _ in 0..scene.rounds.min(3) {
        let held = |scene: &Scene<'_>| {
            [OFFSET_COMMIT, TXN_OFFSET_COMMIT].map(|key| {
                scene
                    .cluster
                    .entrances
                    .iter()
                    .map(|proxy| proxy.count(Fate::Held, key))
                    .sum::<u64>()
            })
        };
        let before = held(scene);
        let rules = Rules {
            held: vec![OFFSET_COMMIT, TXN_OFFSET_COMMIT],
            ..Rules::default()
        };
        Cluster::rule(&scene.cluster.entrances, &rules);
        scene.until("both fleets are about to commit", || {
            held(scene)
                .iter()
                .zip(before)
                .all(|(now, before)| *now > before)
        });
        for lane in scene.lanes {
            (0..lane.fleet.len()).for_each(|_| lane.fleet.kill(0));
        }
        Cluster::rule(&scene.cluster.entrances, &Rules::default());
        scene.strike();
        scene.progress(50);
    }
}

pub(super) fn stopped(scene: &mut Scene<'_>) {
    for _ in 0..scene.rounds {
        scene.any_moment(Duration::from_millis(1_500));
        for lane in scene.lanes {
            lane.fleet.stop_one();
            lane.fleet.start();
        }
        scene.strike();
        scene.progress(50);
    }
}

pub(super) fn stopped_twice(scene: &mut Scene<'_>) {
    for lane in scene.lanes {
        // Whether the second came in time to matter is up to the worker.
        lane.fleet.stop_with(2, &[0, 1]);
        lane.fleet.start();
    }
}

/// librdkafka 2.12.1 can crash on close meanwhile; a signal is none of the exit codes that are allowed here.
pub(super) fn stopped_without_coordinator(scene: &mut Scene<'_>) {
    for node in scene.coordinators() {
        scene.cluster.nodes[node].kill();
    }
    for lane in scene.lanes {
        lane.fleet.stop_with(1, &[0, 1, 70]);
        lane.fleet.start();
    }
    scene.last(Duration::from_secs(3));
    scene.heal();
}

/// The processes that follow cannot start until the brokers are back, and so they follow then.
pub(super) fn stopped_without_brokers(scene: &mut Scene<'_>) {
    scene.cluster.nodes.iter_mut().for_each(|node| node.kill());
    for lane in scene.lanes {
        lane.fleet.stop_with(1, &[0, 1, 70]);
    }
    scene.heal();
    scene.lanes.iter().for_each(|lane| lane.fleet.start());
}

pub(super) fn frozen(scene: &mut Scene<'_>) {
    freeze(scene, 1, Duration::from_secs(12));
}

pub(super) fn frozen_past_poll_interval(scene: &mut Scene<'_>) {
    freeze(scene, 1, Duration::from_secs(20));
}

/// Longer than transaction.timeout.ms, and all of them, so that nobody takes over within the session.
pub(super) fn frozen_past_transaction(scene: &mut Scene<'_>) {
    freeze(scene, 2, Duration::from_secs(10));
}

fn freeze(scene: &mut Scene<'_>, n_processes: usize, duration: Duration) {
    scene.any_moment(Duration::from_millis(500));
    for lane in scene.lanes {
        lane.fleet.signal(n_processes, "STOP");
        (0..n_processes).for_each(|_| lane.fleet.count_kill());
    }
    scene.last(duration);
    scene
        .lanes
        .iter()
        .for_each(|lane| lane.fleet.signal(n_processes, "CONT"));
    scene.heal();
    scene.progress(300);
}

pub(super) fn scaled(scene: &mut Scene<'_>) {
    for n_processes in [3, 1, 5, 2] {
        for lane in scene.lanes {
            while lane.fleet.len() < n_processes {
                lane.fleet.start();
            }
            while lane.fleet.len() > n_processes {
                lane.fleet.stop_one();
            }
        }
        scene.strike();
        scene.last(Duration::from_secs(5));
    }
}

/// The one that was there is fenced and must end, since two of one id would take turns for ever.
pub(super) fn replaced(scene: &mut Scene<'_>) {
    for lane in scene.lanes {
        let old = lane.fleet.take();
        let new = lane.fleet.launch();
        let log = lane.fleet.failure(old);
        lane.fleet
            .expect(log.to_lowercase().contains("fenced"), || {
                format!("a replaced member does not say so: {log}")
            });
        lane.fleet.add(new);
        lane.fleet.count_kill();
    }
}

pub(super) fn scraped(scene: &mut Scene<'_>) {
    for lane in scene.lanes {
        // They ask and never read the answer.
        let port = lane.fleet.port();
        let hung: Vec<TcpStream> = (0..50)
            .filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok())
            .collect();
        for mut stream in &hung {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .expect("a worker takes a request");
        }
        let n_answered = (0..2_000)
            .filter(|_| {
                lane.fleet
                    .get("/metrics")
                    .is_some_and(|(status, _)| status == 200)
            })
            .count();
        lane.fleet.expect(n_answered == 2_000, || {
            format!("{n_answered} of 2000 scrapes were answered")
        });
    }
    scene.last(OUTAGE / 5);
}
