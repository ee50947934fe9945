//! Every fault that a run can be put through, by its id in the list of faults: what it does, and what it needs.

use std::time::Duration;

use crate::scene::Scene;

/// A fault.
pub(crate) struct Fault {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// Whether it belongs to what every test run does.
    pub(crate) is_short: bool,
    pub(crate) strike: fn(&mut Scene<'_>),
    /// Processes of each fleet at the start, and whether each is a static member.
    pub(crate) n_processes: usize,
    pub(crate) is_static: bool,
    /// What its workers' clients need beside the usual.
    pub(crate) properties: &'static [(&'static str, &'static str)],
    /// The output that it destroys, which therefore cannot be watched meanwhile.
    pub(crate) unwatched: Option<&'static str>,
}

const fn fault(id: &'static str, name: &'static str, strike: fn(&mut Scene<'_>)) -> Fault {
    Fault { id, name, is_short: false, strike, n_processes: 2, is_static: false, properties: &[], unwatched: None }
}

const fn short(id: &'static str, name: &'static str, strike: fn(&mut Scene<'_>)) -> Fault {
    Fault { is_short: true, ..fault(id, name, strike) }
}

pub(crate) static FAULTS: &[Fault] = &[
    fault("F1", "worker killed", worker_killed),
    short("F5a", "broker killed", broker_killed),
    short("F5b", "clean rolling restart of the brokers", rolling_restart),
];

fn worker_killed(scene: &mut Scene<'_>) {
    for _ in 0..scene.rounds {
        scene.any_moment(Duration::from_millis(1_500));
        let number = scene.dice.below(100);
        scene.lanes.iter().for_each(|lane| lane.fleet.kill(number));
        scene.progress(50);
    }
}

fn broker_killed(scene: &mut Scene<'_>) {
    for round in 0..scene.rounds.min(3) {
        let index = usize::try_from(round % 3).expect("it is small");
        scene.any_moment(Duration::from_secs(1));
        scene.cluster.nodes[index].kill();
        scene.last(Duration::from_secs(4));
        scene.cluster.nodes[index].start().expect("a node starts again");
        scene.progress(50);
        scene.cluster.wait_until_whole();
    }
}

fn rolling_restart(scene: &mut Scene<'_>) {
    for index in 0..3 {
        scene.cluster.nodes[index].stop();
        scene.cluster.nodes[index].start().expect("a node starts again");
        scene.cluster.wait_until_whole();
    }
}
