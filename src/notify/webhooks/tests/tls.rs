//! Receivers behind TLS, trusted by a certificate authority of the tests' own.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::receiver::{Receiver, Reply};
use super::{Names, answered, limits, send};
use crate::domain::webhook::{ErrorClass, TryEnd};
use crate::notify::webhooks::Sender;

/// A certificate for `hooks.example` and 127.0.0.1, and who trusts its authority.
struct Certified {
    acceptor: TlsAcceptor,
    trusting: Arc<ClientConfig>,
}

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl is installed; scripts/test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
}

fn certified() -> Certified {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path();
    let names = "subjectAltName=DNS:hooks.example,IP:127.0.0.1";
    std::fs::write(path.join("names"), names).expect("the directory is ours");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        path,
        &format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"),
    );
    openssl(
        path,
        &format!("req {key} -subj /CN=hooks -keyout hooks.key -out hooks.csr"),
    );
    openssl(
        path,
        "x509 -req -in hooks.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out hooks.pem",
    );
    let certificate = |name: &str| CertificateDer::from_pem_file(path.join(name)).expect("a PEM");
    let key = PrivateKeyDer::from_pem_file(path.join("hooks.key")).expect("a PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate("hooks.pem")], key)
        .expect("a certificate with its key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("an authority");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Certified {
        acceptor: TlsAcceptor::from(Arc::new(server)),
        trusting: Arc::new(client),
    }
}

fn sender(tls: Option<Arc<ClientConfig>>) -> Sender {
    let allow = "127.0.0.0/8".parse().expect("a list");
    Sender::new(Names::of(&[&["127.0.0.1"]]), tls, allow, limits())
}

#[tokio::test]
async fn a_receiver_is_known_by_the_certificate_for_its_name() {
    let Certified { acceptor, trusting } = certified();
    let here = IpAddr::from([127, 0, 0, 1]);
    let receiver = Receiver::listen(here, Some(acceptor), |_| Reply::status(200)).await;
    let url = |host: &str| format!("https://{host}:{}/", receiver.port());
    let trusting_sender = sender(Some(trusting));
    let refused = TryEnd::NoAnswer(ErrorClass::Tls);
    for (host, end) in [
        ("hooks.example", answered(200)),
        ("HOOKS.example.", answered(200)),
        ("127.0.0.1", answered(200)),
        ("other.example", refused),
    ] {
        assert_eq!(send(&trusting_sender, &url(host)).await, end, "{host}");
    }
    assert_eq!(receiver.count(), 3);
    assert_eq!(send(&sender(None), &url("hooks.example")).await, refused);
    let strangers = Some(certified().trusting);
    assert_eq!(
        send(&sender(strangers), &url("hooks.example")).await,
        refused
    );
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn a_connection_through_tls_is_used_again() {
    let Certified { acceptor, trusting } = certified();
    let here = IpAddr::from([127, 0, 0, 1]);
    let receiver = Receiver::listen(here, Some(acceptor), |_| Reply::status(200)).await;
    let sender = sender(Some(trusting));
    for _ in 0..5 {
        let url = format!("https://hooks.example:{}/", receiver.port());
        assert_eq!(send(&sender, &url).await, answered(200));
    }
    assert_eq!((receiver.count(), receiver.connections()), (5, 1));
}

#[tokio::test]
async fn a_receiver_that_speaks_no_tls_is_no_receiver_for_https() {
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    let sender = sender(Some(certified().trusting));
    let end = send(&sender, &receiver.url().replace("http:", "https:")).await;
    // It takes the handshake for the head of a request that does not end, and so does not answer.
    assert!(
        matches!(end, TryEnd::NoAnswer(ErrorClass::Tls | ErrorClass::Timeout)),
        "{end:?}"
    );
    assert_eq!(receiver.count(), 0);
}
