//! A Kafka that lets nobody in without a certificate, a password or a token, and allows nothing that no ACL says.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::support::kafka::node::{Node, Ports};
use super::support::kafka::{StateFolder, free_port, jars};
use super::support::requests::Requests;
use super::tokens;

/// Every user's password.
pub(crate) const PASSWORD: &str = "not-a-secret";

/// The broker, and what is needed to get in.
pub(crate) struct Fortress {
    /// Where tests get in, who may do all.
    pub(crate) brokers: String,
    /// Where passwords and tokens are asked for, over TLS.
    pub(crate) sasl: String,
    /// Where a client's certificate is asked for.
    pub(crate) mutual: String,
    /// Where the broker's own certificate has expired.
    pub(crate) expired: String,
    /// The server that gives tokens for the secret [`PASSWORD`].
    pub(crate) tokens: SocketAddr,
    authority: Authority,
    folder: StateFolder,
    jars: PathBuf,
    requests: Mutex<Requests>,
    _node: Node,
}

impl Fortress {
    pub(crate) fn start() -> Result<Fortress, String> {
        let (jars, folder) = (jars()?, StateFolder::new());
        let ports = [Ports {
            client: free_port(),
            controller: free_port(),
        }];
        let [sasl, mutual, expired] = [(); 3].map(|()| free_port());
        let authority = Authority::new("those whom all trust");
        fs::write(folder.path.join("ca.pem"), &authority.certificate)
            .expect("the target folder can be written");
        fs::write(
            folder.path.join("other.pem"),
            Authority::new("somebody else").certificate,
        )
        .expect("the same folder");
        for (name, last_year) in [("server", 2099), ("expired", 2021)] {
            let Issued { certificate, key } = authority.issue("127.0.0.1", last_year);
            fs::write(
                folder.path.join(format!("{name}.pem")),
                [key, certificate].concat(),
            )
            .expect("the same folder");
        }
        let extra = properties(&folder.path, ports[0], sasl, mutual, expired);
        let users = ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| {
            format!(
                "{mechanism}=[name={},password={PASSWORD}]",
                mechanism.to_lowercase()
            )
        });
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let mut node = Node::format_with_users(&folder.path, &jars, 0, &ports, &extra, &users)?;
        node.start()?;
        let address = |port: u16| format!("127.0.0.1:{port}");
        Ok(Fortress {
            brokers: node.address(),
            sasl: address(sasl),
            mutual: address(mutual),
            expired: address(expired),
            tokens: tokens::serve(PASSWORD),
            authority,
            jars,
            requests: Mutex::new(Requests::to(&node.address())),
            folder,
            _node: node,
        })
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the path of a file in the broker's folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path.join(name).display().to_string()
    }

    /// Writes a client's certificate and key that are good to the end of a year, as `NAME.crt` and `NAME.key`.
    pub(crate) fn issue(&self, name: &str, user: &str, last_year: i32) {
        let Issued { certificate, key } = self.authority.issue(user, last_year);
        fs::write(self.file(&format!("{name}.crt")), certificate)
            .expect("the target folder can be written");
        fs::write(self.file(&format!("{name}.key")), key)
            .expect("the target folder can be written");
    }

    /// Gives a SCRAM user another password.
    pub(crate) fn set_password(&self, mechanism: &str, user: &str, password: &str) {
        let said = Command::new("java")
            .args([
                "-cp",
                &format!("{}/*", self.jars.display()),
                "kafka.admin.ConfigCommand",
            ])
            .args([
                "--bootstrap-server",
                &self.brokers,
                "--alter",
                "--entity-type",
                "users",
                "--entity-name",
                user,
            ])
            .args([
                "--add-config",
                &format!("{mechanism}=[password={password}]"),
            ])
            .output()
            .expect("java started the broker");
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&[said.stdout, said.stderr].concat())
        );
    }
}

/// A certificate authority.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut parameters = named(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system gives random numbers");
        let certificate = parameters
            .self_signed(&key)
            .expect("the parameters are valid")
            .pem();
        Authority {
            certificate,
            issuer: Issuer::new(parameters, key),
        }
    }

    fn issue(&self, name: &str, last_year: i32) -> Issued {
        let mut parameters = named(name);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(last_year, 12, 31);
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("the system gives random numbers");
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid")
            .pem();
        Issued {
            certificate,
            key: key.serialize_pem(),
        }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut parameters =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a legal name");
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn properties(folder: &Path, ports: Ports, sasl: u16, mutual: u16, expired: u16) -> String {
    let (Ports { client, controller }, folder) = (ports, folder.display());
    let modules = "org.apache.kafka.common.security";
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller},\
           SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual},EXPIRED://127.0.0.1:{expired}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client},\
           SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual},EXPIRED://127.0.0.1:{expired}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,EXPIRED:SSL\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={folder}/server.pem\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={folder}/ca.pem\n\
         ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/\n\
         listener.name.mutual.ssl.client.auth=required\n\
         listener.name.expired.ssl.keystore.type=PEM\n\
         listener.name.expired.ssl.keystore.location={folder}/expired.pem\n\
         listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         listener.name.sasl.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required \
           user_plain=\"{PASSWORD}\" user_least=\"{PASSWORD}\";\n\
         listener.name.sasl.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
         listener.name.sasl.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
         listener.name.sasl.oauthbearer.sasl.jaas.config={modules}.oauthbearer.OAuthBearerLoginModule required;\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n"
    )
}
