//! Locked doors: a real Kafka with TLS, passwords, tokens, certificates and access control. Each way in is tried with what
//! opens it and with what does not, and each command with the least rights and with each of them taken away.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

mod fortress;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../../support/mod.rs"]
mod support;
mod tokens;

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use fortress::{Fortress, PASSWORD};
use support::requests::Right;
use support::worker::{Setup, Worker};
use support::{kafka, topics, unique, until};

/// A start, with seven of them on two cores.
const LIMIT: Duration = Duration::from_secs(90);

/// A command, its configuration, and each right that it needs with what it says where it lacks it.
type Needs<'a> = (&'a str, &'a Setup, Vec<(&'a Right, &'a str)>);

type Properties = Vec<(&'static str, String)>;

fn fortress() -> Option<&'static Fortress> {
    static SHARED: OnceLock<Result<Fortress, String>> = OnceLock::new();
    match SHARED.get_or_init(Fortress::start) {
        Ok(fortress) => Some(fortress),
        Err(reason) => {
            kafka::skip(reason);
            None
        }
    }
}

#[test]
fn plain() {
    let Some(fortress) = fortress() else { return };
    let properties = password(fortress, "PLAIN", "plain");
    let wrong = [("sasl.password", "wrong".to_owned())];
    let says = "Authentication failed: Invalid username or password; check sasl.username and sasl.password";
    try_door(
        fortress,
        &fortress.sasl,
        "plain",
        &properties,
        &[(&wrong, says)],
    );
}

#[test]
fn scram_sha_256() {
    scram("SCRAM-SHA-256", "scram-sha-256");
}

#[test]
fn scram_sha_512() {
    scram("SCRAM-SHA-512", "scram-sha-512");
}

fn scram(mechanism: &'static str, user: &str) {
    let Some(fortress) = fortress() else { return };
    let properties = password(fortress, mechanism, user);
    let wrong_password = [("sasl.password", "wrong".to_owned())];
    let wrong_authority = [("ssl.ca.location", fortress.file("other.pem"))];
    let wrong_mechanism = [("sasl.mechanism", "PLAIN".to_owned())];
    let plaintext = [("security.protocol", "plaintext".to_owned())];
    let refused = format!("invalid credentials with SASL mechanism {mechanism}; check ");
    try_door(
        fortress,
        &fortress.sasl,
        user,
        &properties,
        &[
            (&wrong_password, &refused),
            (
                &wrong_authority,
                "ssl.ca.location must name the certificate of the authority that signed the broker's",
            ),
            (&wrong_mechanism, "check sasl.username and sasl.password"),
            (
                &plaintext,
                "the broker may want TLS or SASL here; check security.protocol and the port",
            ),
        ],
    );
}

#[test]
fn oauthbearer() {
    let Some(fortress) = fortress() else { return };
    let properties = vec![
        ("security.protocol", "sasl_ssl".to_owned()),
        ("ssl.ca.location", fortress.file("ca.pem")),
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        ("sasl.oauthbearer.method", "oidc".to_owned()),
        (
            "sasl.oauthbearer.token.endpoint.url",
            format!("http://{}/token", fortress.tokens),
        ),
        ("sasl.oauthbearer.client.id", "token".to_owned()),
        ("sasl.oauthbearer.client.secret", PASSWORD.to_owned()),
    ];
    let wrong_secret = [("sasl.oauthbearer.client.secret", "wrong".to_owned())];
    let nobody = [(
        "sasl.oauthbearer.token.endpoint.url",
        format!("http://127.0.0.1:{}/token", kafka::free_port()),
    )];
    let refused = "the token server refuses us; check sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret";
    let silent = "no token server answers there; check sasl.oauthbearer.token.endpoint.url";
    try_door(
        fortress,
        &fortress.sasl,
        "token",
        &properties,
        &[(&wrong_secret, refused), (&nobody, silent)],
    );
}

#[test]
fn mutual_tls() {
    let Some(fortress) = fortress() else { return };
    fortress.issue("mutual", "mutual", 2099);
    fortress.issue("late", "mutual", 2021);
    let properties = certificate(fortress, "mutual");
    let late = [
        ("ssl.certificate.location", fortress.file("late.crt")),
        ("ssl.key.location", fortress.file("late.key")),
    ];
    let other_key = [("ssl.key.location", fortress.file("late.key"))];
    let wrong_authority = [("ssl.ca.location", fortress.file("other.pem"))];
    let refused = "the broker refuses our certificate";
    try_door(
        fortress,
        &fortress.mutual,
        "mutual",
        &properties,
        &[
            (&late, refused),
            (&other_key, "ssl.key.location"),
            (
                &wrong_authority,
                "ssl.ca.location must name the certificate of the authority that signed the broker's",
            ),
        ],
    );
    let setup = stage(fortress, &fortress.expired, "mutual", &properties);
    assert_refused("run", &setup, "the broker's own must not have expired");
    let setup = stage(
        fortress,
        &fortress.mutual,
        "mutual",
        &[
            ("security.protocol", "ssl".to_owned()),
            properties[1].clone(),
        ],
    );
    assert_refused("run", &setup, refused);
}

/// A password and a certificate are exchanged under a running worker: it drains, commits, and goes on with the new ones.
#[test]
fn credentials_are_exchanged_under_a_running_worker() {
    let Some(fortress) = fortress() else { return };
    fortress.issue("exchanged", "exchanged", 2099);
    let mutual = stage(
        fortress,
        &fortress.mutual,
        "exchanged",
        &certificate(fortress, "exchanged"),
    );
    let mut worker = Worker::start(&mutual).ready();
    pass_events(fortress, &mutual, &mut worker, 2);
    // First what cannot be used: a certificate without its key.
    fs::write(fortress.file("exchanged.key"), "no key").expect("it was written before");
    until(LIMIT, "the worker does not take it", || {
        worker.log().contains("cannot be used").then_some(())
    });
    pass_events(fortress, &mutual, &mut worker, 4);
    fortress.issue("exchanged", "exchanged", 2098);
    until(LIMIT, "the worker has started over", || {
        started_over(&mut worker).then_some(())
    });
    pass_events(fortress, &mutual, &mut worker.ready(), 2);

    let (file, mechanism) = (fortress.file("password"), "SCRAM-SHA-256");
    fortress.set_password(mechanism, "exchanged", "the first");
    fs::write(&file, "the first\n").expect("the target folder can be written");
    let mut properties = password(fortress, mechanism, "exchanged");
    properties.retain(|(name, _)| *name != "sasl.password");
    properties.push(("sasl.password", format!("{{ file: {file} }}")));
    let scram = stage(fortress, &fortress.sasl, "exchanged", &properties);
    let mut worker = Worker::start(&scram).ready();
    pass_events(fortress, &scram, &mut worker, 2);
    fortress.set_password(mechanism, "exchanged", "the second");
    fs::write(&file, "the second\n").expect("the target folder can be written");
    until(LIMIT, "the worker has started over", || {
        started_over(&mut worker).then_some(())
    });
    let mut worker = worker.ready();
    pass_events(fortress, &scram, &mut worker, 2);
    assert!(
        !worker.log().contains("the second") && !worker.log().contains("the first"),
        "{}",
        worker.log()
    );
    worker.stop();
}

fn started_over(worker: &mut Worker) -> bool {
    worker.assert_runs();
    worker.get("/metrics").is_some_and(|(_, page)| {
        page.lines()
            .any(|line| line == "groupcast_process_started_over_total 1")
    })
}

/// Every command does its work with the least rights that docs/security.md lists, and names the one that is missing.
#[test]
fn each_command_needs_the_rights_that_are_documented_and_no_others() {
    let Some(fortress) = fortress() else { return };
    let setup = stage(
        fortress,
        &fortress.sasl,
        "least",
        &password(fortress, "PLAIN", "least"),
    );
    let exactly_once = Setup {
        guarantee: "exactly_once",
        ..setup.clone()
    };
    let [read, write, group, transaction] = rights(&setup);
    topics::write(&fortress.brokers, &setup.source, b"g", event(0).as_bytes());
    // What the first worker makes a dead letter of.
    topics::write(&fortress.brokers, &setup.source, b"g", b"no JSON");
    {
        let mut requests = fortress.requests();
        rights(&setup)
            .iter()
            .for_each(|right| requests.forget("least", right));
    }
    let record = format!("explain --record {}/0/0", setup.source);
    let unread = format!("no right to read topic {}; grant Read on it", setup.source);
    let unwritten = format!(
        "no right to write to topic {}.dead; grant Write on it",
        setup.prefix
    );
    let unseen = format!(
        "topic {}: TopicAuthorizationFailed (Broker: Topic authorization failed); grant Read",
        setup.source
    );
    let dead = Right {
        name: format!("{}.dead", setup.prefix),
        ..read.clone()
    };
    let read_outputs = Right {
        operation: 3,
        ..write.clone()
    };
    let describe_group = Right {
        operation: 8,
        ..group.clone()
    };
    // Who may write to a topic sees it.
    let unread_dead = unread.replace(&setup.source, &dead.name);
    let unseen_dead = unseen.replace(&setup.source, &dead.name);
    let of = |kind: &str| {
        let name = format!("{}.{kind}.", setup.group);
        let transaction = Right {
            name: format!("groupcast-{name}"),
            ..transaction.clone()
        };
        (
            Right {
                name,
                pattern: 4,
                ..group.clone()
            },
            transaction,
        )
    };
    let ((replaying, replay_transaction), (redriving, redrive_transaction)) =
        (of("replay"), of("redrive"));
    let show = format!("dead-letters show {}/0/0", dead.name);
    let (ungrouped, unfenced) = (
        "grant Read on the consumer group",
        "grant Write on the transactional ids that begin with groupcast-",
    );
    let replay = "replay --from beginning --yes --name NEW";
    let commands: [Needs<'_>; 13] = [
        (
            "run",
            &setup,
            vec![(&read, &unread), (&write, &unwritten), (&group, ungrouped)],
        ),
        (
            "run",
            &exactly_once,
            vec![
                (&read, &unread),
                (&write, &unwritten),
                (&group, ungrouped),
                (&transaction, unfenced),
            ],
        ),
        (
            "check --broker",
            &setup,
            vec![(&read, &unread), (&write, &unwritten)],
        ),
        (
            "audit --from beginning",
            &setup,
            vec![
                (&read, &unseen),
                (&read_outputs, "grant Read"),
                (&describe_group, ungrouped),
            ],
        ),
        (&record, &setup, vec![(&read, &unseen)]),
        ("explain --group-id g0", &setup, vec![(&read, &unseen)]),
        (
            replay,
            &setup,
            vec![
                (&read, &unseen),
                (&write, &unwritten),
                (&replaying, ungrouped),
            ],
        ),
        (
            replay,
            &exactly_once,
            vec![
                (&read, &unseen),
                (&write, &unwritten),
                (&replaying, ungrouped),
                (&replay_transaction, unfenced),
            ],
        ),
        ("dead-letters counts", &setup, vec![(&dead, &unseen_dead)]),
        ("dead-letters list", &setup, vec![(&dead, &unseen_dead)]),
        (&show, &setup, vec![(&dead, &unseen_dead)]),
        (
            "dead-letters redrive --yes --name NEW",
            &exactly_once,
            vec![
                (&dead, &unread_dead),
                (&write, &unwritten),
                (&redriving, ungrouped),
                (&redrive_transaction, unfenced),
            ],
        ),
        ("suggest --sample 10", &setup, vec![(&read, &unseen)]),
    ];
    for (command, setup, needed) in commands {
        let allow = |right: &Right| fortress.requests().allow("least", right);
        let forget = |right: &Right| fortress.requests().forget("least", right);
        needed.iter().for_each(|(right, _)| allow(right));
        assert_works(fortress, command, setup);
        for (right, says) in &needed {
            forget(right);
            assert_complains(command, setup, says);
            allow(right);
        }
        needed.iter().for_each(|(right, _)| forget(right));
    }
}

fn assert_works(fortress: &Fortress, command: &str, setup: &Setup) {
    let mut worker = start(command, setup);
    if command == "run" {
        worker = worker.ready();
        let n_before = routed(&worker);
        pass_events(fortress, setup, &mut worker, n_before + 2);
        return worker.stop();
    }
    let status = worker.end(LIMIT);
    assert_eq!(status.code(), Some(0), "{command}: {}", worker.log());
}

/// Starts a command; a replay has a name of its own each time, since one that is done misses no right.
fn start(command: &str, setup: &Setup) -> Worker {
    Worker::run(&command.replace("NEW", &unique("r")), setup)
}

/// Fails where a command does not say so, however it goes on: a running worker waits until it is given the right.
fn assert_complains(command: &str, setup: &Setup, says: &str) {
    let mut worker = start(command, setup);
    until(LIMIT, says, || {
        let log = worker.log();
        let has_ended = worker.has_ended().is_some();
        assert!(
            !has_ended || worker.log().contains(says),
            "{command} does not say: {says}\n{log}"
        );
        log.contains(says).then_some(())
    });
}

/// Has a worker come in and do its work; then it must not write, and say so; then each wrong setting keeps it out.
fn try_door(
    fortress: &Fortress,
    brokers: &str,
    user: &str,
    properties: &[(&'static str, String)],
    wrong: &[(&[(&'static str, String)], &str)],
) {
    let setup = stage(fortress, brokers, user, properties);
    let mut worker = Worker::start(&setup).ready();
    pass_events(fortress, &setup, &mut worker, 3);
    worker.stop();
    for (changes, says) in wrong {
        let kept = properties
            .iter()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let properties = kept.chain(*changes).cloned().collect();
        assert_refused(
            "run",
            &Setup {
                properties,
                ..setup.clone()
            },
            says,
        );
    }
    let [_, write, ..] = rights(&setup);
    fortress.requests().forget(user, &write);
    assert_refused(
        "run",
        &setup,
        &format!(
            "no right to write to topic {}.dead; grant Write on it",
            setup.prefix
        ),
    );
}

/// Fails unless the command ends at once, with one line that says so.
fn assert_refused(command: &str, setup: &Setup, says: &str) {
    let mut worker = Worker::run(command, setup);
    let status = worker.end(LIMIT);
    let log = worker.log();
    // What librdkafka refuses without a broker is a fault of the configuration.
    let is_settings = log.contains("error: librdkafka makes no client of ");
    assert_eq!(status.code(), Some(1 + i32::from(is_settings)), "{log}");
    assert_eq!(
        log.lines().filter(|line| line.contains(says)).count(),
        1,
        "not said once: {says}\n{log}"
    );
    assert_eq!(
        log.lines().filter(|line| line.starts_with("error")).count(),
        1,
        "{log}"
    );
    assert!(
        !log.contains(PASSWORD) && !log.contains("PRIVATE KEY"),
        "{log}"
    );
}

/// Creates topics, and allows the user what a worker needs.
fn stage(
    fortress: &Fortress,
    brokers: &str,
    user: &str,
    properties: &[(&'static str, String)],
) -> Setup {
    let source = unique(user);
    let setup = Setup {
        properties: properties.to_vec(),
        ..Setup::new(brokers, &source, &source, "structured")
    };
    let outputs = support::generator::DESTINATIONS
        .iter()
        .copied()
        .chain(["dead"]);
    let names: Vec<(String, topics::Settings<'_>)> = outputs
        .map(|output| (format!("{source}.{output}"), &[][..]))
        .chain([(source.clone(), &[][..])])
        .collect();
    topics::create_all(&fortress.brokers, 1, &names);
    let mut requests = fortress.requests();
    rights(&setup)
        .iter()
        .for_each(|right| requests.allow(user, right));
    setup
}

/// Returns what a worker needs: to read the source, to write the outputs, the group, and transactions where it makes some.
fn rights(setup: &Setup) -> [Right; 4] {
    let right = |resource, name: &str, pattern, operation| Right {
        resource,
        name: name.to_owned(),
        pattern,
        operation,
    };
    [
        right(2, &setup.source, 3, 3),
        right(2, &format!("{}.", setup.prefix), 4, 4),
        right(3, &setup.group, 3, 3),
        right(5, &format!("groupcast-{}-", setup.group), 4, 4),
    ]
}

/// Writes events and waits until so many are routed since the worker began, and their offsets committed.
fn pass_events(fortress: &Fortress, setup: &Setup, worker: &mut Worker, n_routed: u64) {
    for number in routed(worker)..n_routed {
        topics::write(
            &fortress.brokers,
            &setup.source,
            b"g",
            event(number).as_bytes(),
        );
    }
    until(LIMIT, "the events are routed and committed", || {
        worker.assert_runs();
        let ends =
            topics::Ends::of_logs(&fortress.brokers, std::slice::from_ref(&setup.source)).now()?;
        let end = *ends.values().next()?;
        let committed = topics::committed(&fortress.brokers, &setup.group, &setup.source);
        (routed(worker) >= n_routed && committed.get(&0) == Some(&end)).then_some(())
    });
}

fn event(number: u64) -> String {
    format!(
        r#"{{"type":"group","groupId":"g{number}","userId":"u","messageId":"m{number}","traits":{{"name":"N"}}}}"#
    )
}

fn routed(worker: &Worker) -> u64 {
    let verdicts = worker.metric("groupcast_verdicts_total");
    verdicts
        .iter()
        .filter(|(labels, _)| labels.contains("\"routed\""))
        .map(|(_, value)| value)
        .sum()
}

fn password(fortress: &Fortress, mechanism: &str, user: &str) -> Properties {
    vec![
        ("security.protocol", "sasl_ssl".to_owned()),
        ("ssl.ca.location", fortress.file("ca.pem")),
        ("sasl.mechanism", mechanism.to_owned()),
        ("sasl.username", user.to_owned()),
        ("sasl.password", PASSWORD.to_owned()),
    ]
}

fn certificate(fortress: &Fortress, name: &str) -> Properties {
    vec![
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.location", fortress.file("ca.pem")),
        (
            "ssl.certificate.location",
            fortress.file(&format!("{name}.crt")),
        ),
        ("ssl.key.location", fortress.file(&format!("{name}.key"))),
    ]
}
