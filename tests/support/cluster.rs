//! Three Kafka nodes that can be made to fail, each behind proxies: one that the workers under test come through, as the
//! user `groupcast`, and one that the other brokers come through. Tests themselves ask the nodes directly, and may do all.

use std::time::Duration;

use super::kafka::node::{Node, Ports};
use super::kafka::{StateFolder, free_port, jars};
use super::proxy::{Proxy, Rules};
use super::requests::Requests;
use super::{topics, until};

pub(crate) const SIZE: usize = 3;
pub(crate) const USER: &str = "groupcast";
const PASSWORD: &str = "not-a-secret";
const LIMIT: Duration = Duration::from_secs(120);

/// The cluster, ended with whoever holds it.
pub(crate) struct Cluster {
    /// Where tests find it.
    pub(crate) brokers: String,
    pub(crate) nodes: Vec<Node>,
    /// What the workers come through, by node.
    pub(crate) entrances: Vec<Proxy>,
    /// What the other brokers come through, by node.
    pub(crate) back_doors: Vec<Proxy>,
    _folder: StateFolder,
}

impl Cluster {
    /// Starts the nodes; three replicas of everything, of which two must be in sync.
    pub(crate) fn start() -> Result<Cluster, String> {
        let (jars, folder) = (jars()?, StateFolder::new());
        let ports = [(); SIZE].map(|()| Ports {
            client: free_port(),
            controller: free_port(),
        });
        let (mut nodes, mut entrances, mut back_doors) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..SIZE {
            let (worker, replica) = (free_port(), free_port());
            let (entrance, back_door) = (Proxy::start(worker), Proxy::start(replica));
            let extra = properties(ports[index], worker, replica, &entrance, &back_door);
            nodes.push(Node::format(&folder.path, &jars, index, &ports, &extra)?);
            entrances.push(entrance);
            back_doors.push(back_door);
        }
        nodes.iter_mut().for_each(Node::launch);
        nodes.iter_mut().try_for_each(Node::started)?;
        let brokers = nodes
            .iter()
            .map(Node::address)
            .collect::<Vec<_>>()
            .join(",");
        let cluster = Cluster {
            brokers,
            nodes,
            entrances,
            back_doors,
            _folder: folder,
        };
        cluster.wait_until_whole();
        Ok(cluster)
    }

    /// Returns where workers find it.
    pub(crate) fn entrance(&self) -> String {
        self.entrances
            .iter()
            .map(|proxy| format!("127.0.0.1:{}", proxy.port))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Returns the client properties that a worker needs to come in.
    pub(crate) fn credentials() -> Vec<(&'static str, String)> {
        vec![
            ("security.protocol", "sasl_plaintext".to_owned()),
            ("sasl.mechanisms", "PLAIN".to_owned()),
            ("sasl.username", USER.to_owned()),
            ("sasl.password", PASSWORD.to_owned()),
        ]
    }

    /// Returns the requests that a node answers and no client library here has.
    pub(crate) fn requests(&self) -> Requests {
        let up = self
            .nodes
            .iter()
            .find(|node| node.is_running())
            .expect("a node runs");
        Requests::to(&up.address())
    }

    /// Has the proxies of a kind, all nodes' alike, follow these rules.
    pub(crate) fn rule(proxies: &[Proxy], rules: &Rules) {
        proxies.iter().for_each(|proxy| proxy.follow(rules.clone()));
    }

    /// Undoes every fault: nodes run, proxies pass on.
    pub(crate) fn heal(&mut self) {
        Cluster::rule(&self.entrances, &Rules::default());
        Cluster::rule(&self.back_doors, &Rules::default());
        self.nodes
            .iter()
            .filter(|node| node.is_running())
            .for_each(Node::thaw);
        // All at once: one alone is no quorum and would wait for the others.
        let mut down: Vec<&mut Node> = self
            .nodes
            .iter_mut()
            .filter(|node| !node.is_running())
            .collect();
        down.iter_mut().for_each(|node| node.launch());
        down.iter_mut()
            .for_each(|node| node.started().expect("a node starts again"));
    }

    /// Returns the index of the node that coordinates a group.
    pub(crate) fn coordinator(&self, group: &str) -> usize {
        // As Kafka finds it: Java's hash of the name, without its sign, modulo the offsets topic's partitions.
        let hash = group.bytes().fold(0_i32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(i32::from(byte))
        });
        topics::leader(&self.brokers, "__consumer_offsets", (hash & i32::MAX) % 4)
    }

    /// Waits until every partition has a leader and all its replicas, so that the next fault hits a sound cluster.
    pub(crate) fn wait_until_whole(&self) {
        until(LIMIT, "every partition has all its replicas", || {
            topics::is_whole(&self.brokers, SIZE).then_some(())
        });
    }
}

/// Three more listeners than a single node: workers and replicas each have their own, of which only the proxy is told.
fn properties(
    ports: Ports,
    worker: u16,
    replica: u16,
    entrance: &Proxy,
    back_door: &Proxy,
) -> String {
    let Ports { client, controller } = ports;
    let (entrance, back_door) = (entrance.port, back_door.port);
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller},\
           WORKER://127.0.0.1:{worker},REPLICA://127.0.0.1:{replica}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client},\
           WORKER://127.0.0.1:{entrance},REPLICA://127.0.0.1:{back_door}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,WORKER:SASL_PLAINTEXT,REPLICA:PLAINTEXT\n\
         inter.broker.listener.name=REPLICA\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.worker.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
           user_{USER}=\"{PASSWORD}\";\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         allow.everyone.if.no.acl.found=true\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         replica.lag.time.max.ms=5000\n\
         leader.imbalance.check.interval.seconds=10\n\
         transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n"
    )
}
