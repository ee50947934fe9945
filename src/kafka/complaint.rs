//! What a client complains of when a broker does not let it in, and what a person can do about it.

/// What librdkafka or a broker says, all of it, and what to do. The first row that fits counts.
const ADVICE: &[(&[&str], &str)] = &[
    // librdkafka tells the HTTP status in brackets, and -1 where there was no answer.
    (
        &["OIDC", "(-1)"],
        "no token server answers there; check sasl.oauthbearer.token.endpoint.url",
    ),
    (&["OIDC", "(400)"], REFUSED_CLIENT),
    (&["OIDC", "(401)"], REFUSED_CLIENT),
    (&["OIDC", "(403)"], REFUSED_CLIENT),
    (
        &["OIDC"],
        "check sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret",
    ),
    (
        &["JWT"],
        "check sasl.oauthbearer.token.endpoint.url and the assertion's key",
    ),
    (
        &["SASL", "mechanism"],
        "check sasl.mechanism, sasl.username and sasl.password",
    ),
    (&["SASL"], "check sasl.username and sasl.password"),
    // OpenSSL does not say which of the three it is.
    (
        &["certificate verify failed"],
        "ssl.ca.location must name the certificate of the authority that signed the broker's; the broker's own must not have \
         expired, and must name it as kafka.brokers does",
    ),
    (&["alert", "certificate"], OWN_CERTIFICATE),
    (&["alert unknown ca"], OWN_CERTIFICATE),
    (&["alert handshake failure"], OWN_CERTIFICATE),
    (
        &["wrong version number"],
        "the broker does not speak TLS here; check security.protocol and the port",
    ),
    (&["security.protocol"], WANTS_MORE),
    (
        &["PLAINTEXT broker listener"],
        "the broker does not speak TLS here; check security.protocol and the port",
    ),
    (&["Failed to resolve"], "check the names in kafka.brokers"),
    (
        &["Connection refused"],
        "check kafka.brokers, and that the broker runs",
    ),
    (
        &["Group authorization failed"],
        "grant Read on the consumer group",
    ),
    (
        &["Transactional Id authorization failed"],
        "grant Write on the transactional ids that begin with groupcast-",
    ),
    (
        &["Topic authorization failed"],
        "grant Read on what is read, or Write on what is written",
    ),
    (
        &["Cluster authorization failed"],
        "grant IdempotentWrite on the cluster, which brokers before 2.8 want",
    ),
];

const REFUSED_CLIENT: &str = "the token server refuses us; check sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.scope";

const OWN_CERTIFICATE: &str = "the broker refuses our certificate; it must be one that has not expired, from an authority that \
                               the brokers trust: ssl.certificate.location, ssl.key.location";

const WANTS_MORE: &str =
    "the broker may want TLS or SASL here; check security.protocol and the port";

/// Returns what a person can do about a complaint, where it is a known one.
pub(super) fn advice(complaint: &str) -> Option<&'static str> {
    let is_of = |words: &[&str]| words.iter().all(|word| complaint.contains(word));
    ADVICE
        .iter()
        .find(|(words, _)| is_of(words))
        .map(|(_, advice)| *advice)
}

/// Returns a complaint with what to do about it, in one line.
pub(super) fn with_advice(complaint: &str) -> String {
    match advice(complaint) {
        Some(advice) => format!("{complaint}; {advice}"),
        None => complaint.to_owned(),
    }
}

/// Returns which of a client's complaints says that it will never be let in as it is.
pub(super) fn lockout(complaints: &[String]) -> Option<String> {
    let is_lockout = |complaint: &&String| {
        ["SASL", "SSL", "OIDC", "JWT"]
            .iter()
            .any(|word| complaint.contains(word))
    };
    complaints
        .iter()
        .find(is_lockout)
        .map(|complaint| with_advice(plain(complaint)))
}

/// Returns which of the complaints of a client that got no answer says most, with what to do about it.
pub(super) fn most_telling(complaints: &[String]) -> Option<String> {
    let telling = complaints
        .iter()
        .find(|complaint| advice(complaint).is_some());
    let told = with_advice(plain(telling.or(complaints.last())?));
    // While all is well a connection ends as well; one that ends before the first answer is not wanted.
    Some(if telling.is_none() && told.contains("Disconnected") {
        format!("{told}; {WANTS_MORE}")
    } else {
        told
    })
}

/// Leaves out which of the client's threads it was, and for how long it had been in which state.
fn plain(complaint: &str) -> &str {
    let of_thread = complaint
        .strip_prefix("[thrd:")
        .and_then(|rest| rest.split_once("]: "));
    let complaint = of_thread.map_or(complaint, |(_, complaint)| complaint);
    complaint
        .rsplit_once(" (after ")
        .map_or(complaint, |(complaint, _)| complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_told_without_the_clients_own_matters() {
        let told = "[thrd:ssl://b:9093/bootstrap]: ssl://b:9093/bootstrap: Connect to ipv4#1.2.3.4:9093 failed: Connection \
                    refused (after 0ms in state CONNECT, 3 identical error(s) suppressed)";
        let plain = plain(told);
        assert_eq!(
            plain,
            "ssl://b:9093/bootstrap: Connect to ipv4#1.2.3.4:9093 failed: Connection refused"
        );
        assert_eq!(
            with_advice(plain),
            format!("{plain}; check kafka.brokers, and that the broker runs")
        );
        assert_eq!(with_advice("something new"), "something new");
    }
}
