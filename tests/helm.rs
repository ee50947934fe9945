//! The chart of `deploy/helm`: what it renders is a configuration that groupcast takes, and manifests that Kubernetes takes, for each set of
//! values; a slip in the values is an error that says so. It is rendered by helm and held to schemas; there is no cluster here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/tools.rs"]
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use self::tools::tool;

const CHART: &str = "deploy/helm/groupcast";

/// Sets of values, each with the manifests that it makes.
const SETS: [(&[&str], &str); 4] = [
    (&[], "ConfigMap PodDisruptionBudget Service StatefulSet"),
    (
        &["deploy/helm/groupcast/values-small.yaml"],
        "ConfigMap PodDisruptionBudget Service StatefulSet",
    ),
    (
        &["tests/helm/secure.yaml"],
        "ConfigMap PodDisruptionBudget Service StatefulSet",
    ),
    (
        &["tests/helm/everything.yaml"],
        "ConfigMap ConfigMap CronJob NetworkPolicy PodDisruptionBudget PodMonitor PrometheusRule ScaledObject Service ServiceAccount StatefulSet TriggerAuthentication",
    ),
];

/// The oldest and the newest Kubernetes that the chart is held to.
const KUBERNETES: [&str; 2] = ["1.25", "1.37"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

struct Helm(PathBuf);

impl Helm {
    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = Command::new(&self.0)
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        texts(&output)
    }

    fn template(&self, arguments: &[&str]) -> (bool, String, String) {
        // A helm that its makers did not build takes a very old cluster for given unless it is told.
        let fixed = [
            "template",
            "g",
            CHART,
            "--namespace",
            "events",
            "--kube-version",
            KUBERNETES[1],
        ];
        self.run(&[&fixed, arguments].concat())
    }

    /// Returns the manifests for files of values.
    fn render(&self, files: &[&str]) -> String {
        let arguments: Vec<&str> = files.iter().flat_map(|file| ["--values", *file]).collect();
        let (is_good, manifests, complaint) = self.template(&arguments);
        assert!(is_good && complaint.is_empty(), "{files:?}: {complaint}");
        manifests
    }
}

fn helm(test: &str) -> Option<Helm> {
    tool("helm", test).map(Helm)
}

fn texts(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Returns the text that stands under `key: |`, without its indentation.
fn block(manifests: &str, key: &str) -> String {
    let (_, after) = manifests
        .split_once(&format!("  {key}: |\n"))
        .unwrap_or_else(|| panic!("no {key} in {manifests}"));
    after
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Returns the container's variables that are ours, as the pod `events/g-groupcast-0` has them.
fn variables(manifests: &str) -> Vec<(String, String)> {
    let is_ours = |manifest: &&str| manifest.contains("\nkind: StatefulSet\n");
    let pod = manifests.split("\n---\n").find(is_ours).unwrap();
    let pairs = pod
        .split("- name: GROUPCAST__")
        .skip(1)
        .filter_map(|part| part.split_once("\n              value: "));
    let resolved = |value: &str| {
        value
            .replace("$(POD_NAMESPACE)", "events")
            .replace("$(POD_NAME)", "g-groupcast-0")
    };
    pairs
        .map(|(name, rest)| {
            (
                format!("GROUPCAST__{name}"),
                resolved(rest.lines().next().unwrap()),
            )
        })
        .collect()
}

/// Runs `groupcast check` on the rendered configuration as the pod would have it: its files, its variables.
fn check(manifests: &str, variables: &[(String, String)]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let configuration = block(manifests, "groupcast.yaml");
    for part in configuration.split(" /secrets/").skip(1) {
        let file = part.split_whitespace().next().unwrap();
        let (secret, _) = file.split_once('/').unwrap();
        assert!(
            manifests.contains(&format!("mountPath: /secrets/{secret}\n")),
            "{secret} is not mounted"
        );
        fs::create_dir_all(folder.path().join("secrets").join(secret)).unwrap();
        // `check` has librdkafka make its clients, which reads certificates.
        let text = match file.ends_with(".crt") {
            true => rcgen::generate_simple_self_signed([]).unwrap().cert.pem(),
            false => "a text of some length".to_owned(),
        };
        fs::write(folder.path().join("secrets").join(file), text).unwrap();
    }
    if configuration.contains("definitions: /definitions") {
        assert!(manifests.contains("mountPath: /definitions\n"));
        fs::create_dir(folder.path().join("definitions")).unwrap();
        fs::write(
            folder.path().join("definitions/crm.yaml"),
            block(manifests, "crm.yaml"),
        )
        .unwrap();
    }
    let file = folder.path().join("groupcast.yaml");
    let is_here =
        |text: String, mount: &str| text.replace(&format!(" {mount}"), &format!(" {here}{mount}"));
    fs::write(
        &file,
        ["/secrets/", "/definitions"]
            .into_iter()
            .fold(configuration, is_here),
    )
    .unwrap();
    let pairs = variables.iter().map(|(name, value)| (name, value));
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
    texts(
        &command
            .args(["check", "--config"])
            .arg(&file)
            .envs(pairs)
            .output()
            .unwrap(),
    )
}

#[test]
fn groupcast_takes_every_configuration_that_is_rendered() {
    let Some(helm) = helm("groupcast_takes_every_configuration_that_is_rendered") else {
        return;
    };
    for (files, _) in SETS {
        let manifests = helm.render(files);
        let (is_good, said, complaint) = check(&manifests, &variables(&manifests));
        assert!(
            is_good && complaint.is_empty(),
            "{files:?}: {said}{complaint}"
        );
        assert!(said.contains("configuration: good"), "{files:?}: {said}");
    }
    let small = helm.render(SETS[1].0);
    assert!(
        block(&small, "groupcast.yaml").contains("profile: small")
            && small.contains("memory: 64Mi"),
        "{small}"
    );
}

/// The pod's name reaches librdkafka's property: another name of the variable is refused, so that the right one is not passed over.
#[test]
fn each_pod_is_a_static_member_of_its_own() {
    let Some(helm) = helm("each_pod_is_a_static_member_of_its_own") else {
        return;
    };
    let manifests = helm.render(&[]);
    let [(name, value)] = variables(&manifests).try_into().unwrap();
    assert_eq!(value, "events.g-groupcast-0");
    let misspelt = name.replace("GROUP__INSTANCE__ID", "GROUP__INSTANCE__IDD");
    assert_ne!(misspelt, name);
    let (is_good, _, complaint) = check(&manifests, &[(misspelt, value)]);
    assert!(
        !is_good
            && complaint.contains("no such property: kafka.consumer_properties.group.instance.idd"),
        "{complaint}"
    );
    let dynamic = helm.render(&["tests/helm/secure.yaml"]);
    assert_eq!(variables(&dynamic), [], "staticMembers: false");
}

#[test]
fn kubernetes_and_the_operators_take_every_manifest() {
    let test = "kubernetes_and_the_operators_take_every_manifest";
    let (Some(helm), Some(validator)) = (helm(test), tool("kubernetes-validate", test)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut add = |name: String, manifests: &str| {
        files.push(folder.path().join(name));
        fs::write(files.last().unwrap(), manifests).unwrap();
    };
    for (index, (values, _)) in SETS.iter().enumerate() {
        add(format!("set-{index}"), &helm.render(values));
    }
    let slips = [
        "readOnlyRootFilesystem",
        "maxReplicaCount",
        "jobLabel",
        "secretTargetRef",
        "maxUnavailable",
        "concurrencyPolicy",
    ];
    let everything = helm.render(SETS[3].0);
    for slip in slips {
        add(format!("slip-{slip}"), &everything.replace(slip, "slip"));
    }
    // The interpreter that has the schemas is beside it.
    let mut command = Command::new(validator.with_file_name("python"));
    command
        .arg("tests/helm/validate.py")
        .arg(KUBERNETES.join(","))
        .args(&files)
        .current_dir(root());
    let (has_run, kinds, faults) = texts(&command.output().unwrap());
    assert!(has_run, "{faults}");
    for (index, (values, expected)) in SETS.iter().enumerate() {
        assert_eq!(kinds.lines().nth(index), Some(*expected), "{values:?}");
        assert!(
            !faults.contains(&format!("set-{index}: ")),
            "{values:?}: {faults}"
        );
    }
    for slip in slips {
        let is_found = |line: &str| {
            line.contains(&format!("slip-{slip}: ")) && line.contains("slip'")
                || line.contains(".slip")
        };
        assert!(
            faults.lines().any(is_found),
            "nobody finds the slip for {slip}: {faults}"
        );
    }
}

#[test]
fn a_slip_in_the_values_is_an_error_that_says_so() {
    let Some(helm) = helm("a_slip_in_the_values_is_an_error_that_says_so") else {
        return;
    };
    let secret = "config.kafka.properties.sasl\\.password.file=/secrets/kafka/password";
    for (values, expected) in [
        (
            "replicaCount=3",
            "additional properties 'replicaCount' not allowed",
        ),
        ("replicas=many", "at '/replicas': got string, want integer"),
        (
            "config.sources=x",
            "at '/config': additional properties 'sources' not allowed",
        ),
        (
            "config.http.listen=off",
            "at '/config': additional properties 'http' not allowed",
        ),
        (
            "config.delivery.guarantee=eos",
            "value must be one of 'at_least_once', 'exactly_once'",
        ),
        (
            "config.source.topics=null",
            "at '/config/source': missing property 'topics'",
        ),
        ("image.digest=sha256:1", "at '/image/digest'"),
        (
            "audit.since=2h",
            "additional properties 'since' not allowed",
        ),
        (
            "keda.authentication[0].parameter=sasl",
            "missing properties 'name', 'key'",
        ),
        (
            secret,
            "config reads a file of /secrets/kafka, but secrets does not list kafka",
        ),
        (
            "config.kafka.properties.group\\.instance\\.id=a",
            "would be the same in every pod",
        ),
        (
            "keda.enabled=true,keda.minReplicas=9",
            "keda.maxReplicas is less than keda.minReplicas",
        ),
        (
            "keda.enabled=true,config.kafka.brokers.env=BROKERS",
            "set keda.bootstrapServers",
        ),
    ] {
        let (is_good, _, complaint) = helm.template(&["--set", values]);
        assert!(
            !is_good && complaint.contains(expected),
            "{values}: {complaint}"
        );
    }
}

/// An install renders the notes, and fails with them; `helm template` leaves them out, so that here they are a manifest.
#[test]
fn the_notes_are_rendered_and_say_what_holds_for_the_values() {
    let Some(helm) = helm("the_notes_are_rendered_and_say_what_holds_for_the_values") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root().join(CHART))
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let chart = folder.path().join("groupcast");
    let notes = read("deploy/helm/groupcast/templates/NOTES.txt");
    let manifest = format!(
        "{{{{ define \"notes\" }}}}{notes}{{{{ end }}}}notes: {{{{ include \"notes\" . | toJson }}}}\n"
    );
    fs::write(chart.join("templates/notes.yaml"), manifest).unwrap();
    let notes = |files: &[&str]| {
        let fixed = [
            "template",
            "g",
            chart.to_str().unwrap(),
            "--kube-version",
            KUBERNETES[1],
            "--show-only",
            "templates/notes.yaml",
        ];
        let values: Vec<&str> = files.iter().flat_map(|file| ["--values", *file]).collect();
        let (is_good, said, complaint) = helm.run(&[&fixed[..], &values].concat());
        assert!(is_good, "{files:?}: {complaint}");
        said
    };
    for (files, _) in SETS {
        assert!(
            notes(files).contains("exec statefulset/g-groupcast -- groupcast check --broker"),
            "{files:?}"
        );
    }
    let (plain, everything) = (notes(&[]), notes(SETS[3].0));
    assert!(
        plain.contains("reads group-events as the group groupcast.")
            && plain.contains(":9464/readyz"),
        "{plain}"
    );
    for sentence in [
        "read_committed",
        "KEDA chooses from 1 to 12 processes",
        "after its session is over",
        ":8080/readyz",
    ] {
        assert!(
            everything.contains(sentence) && !plain.contains(sentence),
            "{sentence}: {everything}"
        );
    }
}

#[test]
fn a_rollout_has_the_time_it_needs_and_comes_with_every_change_of_the_configuration() {
    let test = "a_rollout_has_the_time_it_needs_and_comes_with_every_change_of_the_configuration";
    let Some(helm) = helm(test) else { return };
    let line = |values: &str, start: &str| {
        let (is_good, manifests, complaint) = helm.template(&["--set", values]);
        assert!(is_good, "{values}: {complaint}");
        let found: Vec<&str> = manifests
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(start))
            .collect();
        assert_eq!(found.len(), 1, "{start}: {found:?}");
        found.concat()
    };
    for (milliseconds, seconds) in [(30_000, 40), (30_001, 41), (1000, 11), (600_000, 610)] {
        let found = line(
            &format!("config.delivery.shutdown_timeout_ms={milliseconds}"),
            "terminationGracePeriodSeconds",
        );
        assert_eq!(found, format!("terminationGracePeriodSeconds: {seconds}"));
    }
    assert_eq!(
        line("replicas=2", "terminationGracePeriodSeconds"),
        "terminationGracePeriodSeconds: 40"
    );
    let print = |values: &str| line(values, "checksum/config");
    assert_eq!(print("replicas=2"), print("replicas=3"));
    let prints = [
        print("replicas=2"),
        print("config.log.level=warn"),
        print("http.port=9000"),
        print("definitions.a\\.yaml=x"),
    ];
    assert!(
        prints
            .iter()
            .enumerate()
            .all(|(index, print)| !prints[..index].contains(print)),
        "{prints:?}"
    );
}

#[test]
fn alerts_take_their_values() {
    let Some(helm) = helm("alerts_take_their_values") else {
        return;
    };
    let rules = |values: &[&str]| {
        let fixed = ["--show-only", "templates/monitoring.yaml", "--set"];
        let values: Vec<&str> = values.iter().flat_map(|value| ["--set", *value]).collect();
        let (is_good, rules, complaint) =
            helm.template(&[&fixed[..], &["prometheusRule.enabled=true"], &values].concat());
        assert!(is_good, "{complaint}");
        rules
    };
    let changed = rules(&[
        "prometheusRule.runbookUrl=https://wiki.example.org/runbook.md",
        "prometheusRule.behindSeconds=900",
    ]);
    assert!(
        changed.contains("runbook_url: https://wiki.example.org/runbook.md#groupcastbehind\n"),
        "{changed}"
    );
    assert!(!changed.contains("runbook_url: docs"), "{changed}");
    assert!(
        changed.contains("groupcast_oldest_unprocessed_age_seconds) > 900\n"),
        "{changed}"
    );
    assert!(rules(&[]).contains("groupcast_oldest_unprocessed_age_seconds) > 300\n"));
}

#[test]
fn the_chart_is_of_this_version_and_has_the_alerts() {
    let chart = read("deploy/helm/groupcast/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("\nversion: {version}\n"),
        format!("\nappVersion: \"{version}\"\n"),
    ] {
        assert!(chart.contains(&line), "no {line} in {chart}");
    }
    let alerts = read("deploy/prometheus/alerts.yml");
    let same = "cp deploy/prometheus/alerts.yml deploy/helm/groupcast/files/alerts.yml";
    assert!(
        read("deploy/helm/groupcast/files/alerts.yml") == alerts,
        "the chart's alerts are old: {same}"
    );

    let Some(helm) = helm("the_chart_is_of_this_version_and_has_the_alerts") else {
        return;
    };
    let (is_good, said, complaint) =
        helm.run(&["lint", "--strict", "--kube-version", KUBERNETES[1], CHART]);
    assert!(is_good, "{said}{complaint}");
    let folder = tempfile::tempdir().unwrap();
    let (is_good, said, complaint) = helm.run(&[
        "package",
        CHART,
        "--destination",
        folder.path().to_str().unwrap(),
    ]);
    assert!(is_good, "{said}{complaint}");
    let package = folder.path().join(format!("groupcast-{version}.tgz"));
    let rules = [
        "--show-only",
        "templates/monitoring.yaml",
        "--set",
        "prometheusRule.enabled=true",
    ];
    let fixed = [
        "template",
        "g",
        package.to_str().unwrap(),
        "--kube-version",
        KUBERNETES[1],
    ];
    let (is_good, rendered, complaint) = helm.run(&[&fixed[..], &rules].concat());
    assert!(is_good, "{complaint}");
    let (_, spec) = rendered.split_once("\nspec:\n").unwrap();
    let without_indentation: String = spec
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned() + "\n")
        .collect();
    assert_eq!(without_indentation.trim_end(), alerts.trim_end());
}
