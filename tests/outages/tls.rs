//! Brokers behind TLS, trusted by a certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::support::broker_node::PrivateNode;
use super::support::process;
use super::support::queues::{Kind, Place, unique};
use super::{assert_confirmed, assert_down, broker_is_up, gateway, message, node};

/// An authority, and a certificate for 127.0.0.1 that it has signed.
struct Authority {
    directory: TempDir,
}

impl Authority {
    fn create() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let authority = Self { directory };
        std::fs::write(authority.path("names"), "subjectAltName=IP:127.0.0.1")
            .expect("the directory is ours");
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=authority -keyout authority.key -out authority.pem",
        );
        authority.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -subj /CN=broker -keyout broker.key -out broker.csr",
        );
        authority.openssl(
            "x509 -req -in broker.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
             -days 2 -extfile names -out broker.pem",
        );
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn certificate(&self) -> String {
        self.path("authority.pem").display().to_string()
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed; scripts/test installs it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
    }

    /// Lets the node listen with TLS on one more port, and gives the URL.
    async fn listen(&self, node: &PrivateNode) -> String {
        let port = process::free_port();
        let file = |name: &str| quoted(&self.path(name));
        node.eval(&format!(
            "{{ok, _}} = application:ensure_all_started(ssl),
             ok = rabbit_networking:start_ssl_listener({port},
                 [{{cacertfile, {}}}, {{certfile, {}}}, {{keyfile, {}}}], 2)",
            file("authority.pem"),
            file("broker.pem"),
            file("broker.key")
        ))
        .await;
        format!("amqps://guest:guest@127.0.0.1:{port}/%2f")
    }
}

/// As Erlang writes strings.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[tokio::test]
async fn messages_are_published_and_exchanges_asked_about_through_tls() {
    let node = node().await;
    let authority = Authority::create();
    let url = authority.listen(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let certificate = authority.certificate();
    let settings = [
        ("SSL_CERT_FILE", certificate.as_str()),
        ("AMQPOST_LOG_FILTER", "amqpost=debug"),
    ];
    let gateway = gateway(&url, &settings).await;
    let wait = [("prefer", "wait=30")];
    let answer = gateway.post_with(&message(&place, "sealed"), &wait).await;
    assert_confirmed(&answer);
    broker_is_up(&gateway).await;
    let large = message(&place, &"sealed ".repeat(100_000));
    assert_confirmed(&gateway.post_with(&large, &wait).await);
    let missing = serde_json::json!({"exchange": unique("missing"), "payload": "lost"});
    let answer = gateway.post_with(&missing, &wait).await;
    assert_eq!(answer.json["reason"]["code"], "exchange_not_found");
    let log = gateway.log();
    assert!(!log.contains("cannot ask"), "{log}");
    assert_eq!(place.take_all().await.len(), 2);
}

#[tokio::test]
async fn a_broker_that_another_authority_vouches_for_is_not_spoken_to() {
    let node = node().await;
    let authority = Authority::create();
    let url = authority.listen(&node).await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let stranger = Authority::create();
    let certificate = stranger.certificate();
    let gateway = gateway(&url, &[("SSL_CERT_FILE", certificate.as_str())]).await;
    assert_down(&gateway, &place, "certificate").await;
    assert!(place.take_all().await.is_empty());
}
