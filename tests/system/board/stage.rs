//! What docker-compose.yml starts, by processes: Kafka with its topics, two of groupcast, sample events, Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::lag;
use crate::prometheus::{Pace, Prometheus, now};
use crate::samples::Samples;
use crate::support::kafka::{self, Kafka, StateFolder, free_port};
use crate::support::requests::Requests;
use crate::support::topics::{self, Committed, Ends};
use crate::support::worker::Worker;
use crate::support::{PROGRAM, try_until, until};
use crate::textfile;

pub(crate) const SOURCE: &str = "group-events";
const GROUP: &str = "groupcast";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// A debug build on a busy machine, and the longest wait that a rule has.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// A running topology.
pub(crate) struct Stage {
    pub(crate) kafka: Kafka,
    pub(crate) pace: Pace,
    pub(crate) prometheus: Prometheus,
    pub(crate) samples: Samples,
    pub(crate) members: [Member; 2],
    /// The topics as compose creates them, and their number of partitions.
    topics: Vec<String>,
    n_partitions: usize,
    /// Where the last audit writes its metrics.
    audit: PathBuf,
    tools: PathBuf,
    _folder: StateFolder,
}

/// One process of the group, which comes and goes.
pub(crate) struct Member {
    folder: PathBuf,
    port: u16,
    environment: Vec<(&'static str, String)>,
    worker: Option<Worker>,
}

impl Stage {
    /// Starts all of it, or says what is missing.
    pub(crate) fn start() -> Result<Stage, String> {
        let program = Prometheus::find()?;
        let (tools, pace) = (kafka::tools()?, Pace::wanted());
        let Some(kafka) = kafka::own() else {
            return Err("no Kafka".to_owned());
        };
        let (topics, n_partitions) = topics_of_compose();
        let settings: topics::Settings<'_> = &[];
        let wanted: Vec<_> = topics
            .iter()
            .map(|topic| (topic.clone(), settings))
            .collect();
        topics::create_all(&kafka.brokers, n_partitions, &wanted);
        let folder = StateFolder::under(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("board"));
        let mut members =
            ["a", "b"].map(|name| Member::new(&folder.path.join(name), &kafka.brokers, &pace));
        members.iter_mut().for_each(Member::start);
        members.iter().for_each(Member::wait_until_ready);
        let ports = members.each_ref().map(|member| member.port);
        let audit = folder.path.join("groupcast_audit.prom");
        let audit_port = textfile::serve(&audit);
        let prometheus = Prometheus::start(&program, &folder.path, &ports, audit_port, &pace);
        let samples = Samples::start(
            &kafka.brokers,
            SOURCE,
            Duration::from_secs(if pace.is_full { 2 } else { 1 }),
        );
        Ok(Stage {
            kafka,
            pace,
            prometheus,
            samples,
            members,
            topics,
            n_partitions,
            audit,
            tools,
            _folder: folder,
        })
    }

    /// Audits a range from then on; returns the exit code.
    pub(crate) fn audit(&self, from: &str) -> Option<i32> {
        let member = &self.members[0];
        let mut command = Command::new(PROGRAM);
        command
            .envs(member.environment.iter().cloned())
            .args(["audit", "--from", from, "--metrics-file"])
            .arg(&self.audit)
            .arg("--config")
            .arg(member.folder.join("groupcast.yaml"));
        let output = command.output().expect("the program is built");
        println!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.code()
    }

    /// Returns how often Prometheus scrapes.
    pub(crate) fn scrape(&self) -> Duration {
        Duration::from_secs(self.pace.scrape_seconds.into())
    }

    /// Lets so many scrapes pass.
    pub(crate) fn let_pass(&self, n_scrapes: u32) {
        thread::sleep(self.scrape() * n_scrapes);
    }

    /// Waits until an alert fires, and returns how long that took.
    pub(crate) fn fires(&self, alert: &str, limit: Duration) -> Duration {
        self.until_alert(alert, true, limit)
    }

    /// Waits until an alert fires no more.
    pub(crate) fn resolves(&self, alert: &str, limit: Duration) -> Duration {
        self.until_alert(alert, false, limit)
    }

    fn until_alert(&self, alert: &str, fires: bool, limit: Duration) -> Duration {
        let began = Instant::now();
        let found = try_until(limit, || {
            thread::sleep(Duration::from_millis(200));
            (self
                .prometheus
                .firing()
                .iter()
                .any(|(name, _)| name == alert)
                == fires)
                .then_some(())
        });
        let word = if fires { "fires" } else { "resolves" };
        assert!(
            found.is_some(),
            "{alert} never {word} within {limit:?}; {:?} do fire",
            self.prometheus.firing()
        );
        println!(
            "{alert} {word} after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        began.elapsed()
    }

    /// Waits until an expression comes to something, which it does where it compares.
    pub(crate) fn until_true(&self, expression: &str, limit: Duration) {
        let is_so = || (!self.prometheus.ask(expression).is_empty()).then_some(());
        assert!(
            try_until(limit, is_so).is_some(),
            "never within {limit:?}: {expression}"
        );
    }

    /// Waits until all that was sent is committed.
    pub(crate) fn drain(&self) {
        let (brokers, source) = (&self.kafka.brokers, [SOURCE.to_owned()]);
        let (committed, ends) = (
            Committed::of(brokers, GROUP, SOURCE),
            Ends::of_logs(brokers, &source),
        );
        until(LIMIT, "the group has done all there is", || {
            (committed.sum()? == ends.sum()).then_some(())
        });
    }

    /// Sees that the first scrape after Kafka's own tool has said how far behind the group is says the same. A worker looks
    /// once a second, so that a scrape shows what was so up to a second before.
    pub(crate) fn lag_agrees(&self, when: &str) -> u64 {
        let known = lag::of_group(&self.tools, &self.kafka.brokers, GROUP);
        let asked_at = now();
        let fresh = format!(
            "min(timestamp(groupcast_consumer_lag_records)) > {}",
            asked_at + 1.0
        );
        self.until_true(&fresh, LIMIT);
        let mut said: Vec<(String, u64)> = Vec::new();
        for series in self.prometheus.ask("groupcast_consumer_lag_records") {
            let [(_, lag)] = series.values[..] else {
                panic!("one value: {series:?}")
            };
            said.push((
                series.labels["partition"].clone(),
                format!("{lag}").parse().expect("a whole number"),
            ));
        }
        said.sort();
        assert_eq!(
            said,
            known.clone().into_iter().collect::<Vec<_>>(),
            "{when}: ours, and Kafka's own"
        );
        let sum = known.values().sum();
        println!(
            "lag {when}: {sum} records, as Kafka's own tool says, {:.1} s later",
            now() - asked_at
        );
        sum
    }

    /// Waits until the two have so many partitions.
    pub(crate) fn until_shared(&self, shares: [u64; 2]) {
        until(
            LIMIT,
            &format!("the partitions are shared as {shares:?}"),
            || {
                let found = self
                    .members
                    .each_ref()
                    .map(|member| member.worker.as_ref().map_or(0, Worker::partitions));
                (found == shares).then_some(())
            },
        );
    }

    /// Deletes an output topic.
    pub(crate) fn delete(&self, topic: &str) {
        topics::delete(&self.kafka.brokers, &[topic]);
    }

    /// Creates it again.
    pub(crate) fn create(&self, topic: &str) {
        assert!(
            self.topics.iter().any(|known| known == topic),
            "compose creates no {topic}"
        );
        topics::create(&self.kafka.brokers, self.n_partitions, topic, &[]);
    }

    pub(crate) fn requests(&self) -> Requests {
        Requests::to(&self.kafka.brokers)
    }
}

impl Member {
    fn new(folder: &Path, brokers: &str, pace: &Pace) -> Member {
        fs::create_dir_all(folder).expect("the target folder can be written");
        let port = free_port();
        // As in the compose file.
        let mut environment = vec![
            ("GROUPCAST__KAFKA__BROKERS", brokers.to_owned()),
            ("GROUPCAST__HTTP__LISTEN", format!("127.0.0.1:{port}")),
        ];
        if !pace.is_full {
            // What takes librdkafka a minute and half a one: to give a request up, and to believe that a topic is gone.
            environment.push((
                "GROUPCAST__KAFKA__PROPERTIES__SOCKET__TIMEOUT__MS",
                "10000".to_owned(),
            ));
            let propagation =
                "GROUPCAST__KAFKA__PRODUCER_PROPERTIES__TOPIC__METADATA__PROPAGATION__MAX__MS";
            environment.push((propagation, "3000".to_owned()));
            // A member that lost its broker joins anew, and the group waits for the one that it was.
            environment.push((
                "GROUPCAST__KAFKA__CONSUMER_PROPERTIES__SESSION__TIMEOUT__MS",
                "10000".to_owned(),
            ));
        }
        let member = Member {
            folder: folder.to_owned(),
            port,
            environment,
            worker: None,
        };
        member.write_token("demo-token");
        member.write_config(&member.config());
        member
    }

    /// Returns the configuration that the image has, but for the token, which is in a file, so that it can be exchanged.
    pub(crate) fn config(&self) -> String {
        let text = fs::read_to_string(Path::new(ROOT).join("deploy/groupcast.yaml"))
            .expect("the file is there");
        let [from, to] = ["token: { env: MIXPANEL_TOKEN }", "token: { file: token }"];
        assert!(
            text.contains(from),
            "deploy/groupcast.yaml has no {from} any more"
        );
        text.replace(from, to)
    }

    pub(crate) fn write_config(&self, text: &str) {
        fs::write(self.folder.join("groupcast.yaml"), text)
            .expect("the target folder can be written");
    }

    pub(crate) fn write_token(&self, token: &str) {
        fs::write(self.folder.join("token"), token).expect("the target folder can be written");
    }

    /// Sets a variable of its next start.
    pub(crate) fn set(&mut self, variable: &'static str, value: &str) {
        self.environment.push((variable, value.to_owned()));
    }

    pub(crate) fn start(&mut self) {
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let config = self.folder.join("groupcast.yaml");
        self.worker = Some(Worker::start_within(
            &environment,
            config,
            self.port,
            &["run"],
        ));
    }

    pub(crate) fn wait_until_ready(&self) {
        until(LIMIT, "it is ready", || {
            self.status("/readyz").filter(|status| *status == 200)
        });
    }

    pub(crate) fn stop(&mut self) {
        self.worker.take().expect("it runs").stop();
    }

    pub(crate) fn worker(&self) -> &Worker {
        self.worker.as_ref().expect("it runs")
    }

    /// Returns the status code of a page.
    pub(crate) fn status(&self, path: &str) -> Option<u16> {
        self.worker().get(path).map(|(status, _)| status)
    }
}

/// Returns the topics that docker-compose.yml creates, and of how many partitions.
fn topics_of_compose() -> (Vec<String>, usize) {
    let compose =
        fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).expect("the file is there");
    let between = |from: &str, to: &str| {
        let (_, rest) = compose
            .split_once(from)
            .unwrap_or_else(|| panic!("docker-compose.yml has no {from:?}"));
        rest.split(to).next().unwrap_or_default().trim().to_owned()
    };
    // Its list is for the shell to read.
    let list = format!("printf '%s\\n' {}", between("for topic in ", "; do"));
    let said = Command::new("bash")
        .args(["-c", &list])
        .output()
        .expect("there is a shell")
        .stdout;
    let topics: Vec<String> = String::from_utf8_lossy(&said)
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(
        topics.len() > 5 && topics.iter().any(|topic| topic == SOURCE),
        "{topics:?}"
    );
    (
        topics,
        between("--partitions ", "\n").parse().expect("a number"),
    )
}

/// Returns each series of a family with its distinct values, as Prometheus has them of the whole run.
pub(crate) fn values_of(prometheus: &Prometheus, family: &str) -> BTreeMap<String, Vec<f64>> {
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for series in prometheus.history(family) {
        let values = found.entry(format!("{:?}", series.labels)).or_default();
        for (_, value) in series.values {
            // A quantile of nothing is no number.
            if !value.is_nan() && !values.contains(&value) {
                values.push(value);
            }
        }
    }
    found
}
