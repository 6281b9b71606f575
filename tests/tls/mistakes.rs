//! Mistakes with certificates end the start, with a word that helps.

use super::https;
use super::support::authority::{Authority, Certificate};
use super::support::gateway::Gateway;
use super::support::process;
use super::support::wait::{self, SOON};

/// The last words of a gateway that does not start with these files.
fn refused(cert: &str, key: &str) -> String {
    let environment = [
        ("AMQPOST_TLS_CERT_FILE", cert),
        ("AMQPOST_TLS_KEY_FILE", key),
    ];
    let environment = environment.into_iter().filter(|(_, file)| !file.is_empty());
    let (status, log) = Gateway::start_in_vain(environment);
    assert!(!status.success(), "{log}");
    log
}

#[test]
fn each_mistake_names_the_file_and_what_is_wrong() {
    let authority = Authority::create();
    let Certificate { cert, key } = authority.issue("gateway");
    let [cert, key] = [cert, key].map(|file| file.display().to_string());
    let other = authority.issue("other").key.display().to_string();
    authority.openssl("ec -in gateway.key -aes128 -passout pass:secret -out old.key");
    authority.openssl("pkcs8 -topk8 -in gateway.key -passout pass:secret -out sealed.key");
    let file = |name: &str| authority.path(name).display().to_string();
    std::fs::write(file("empty"), "").expect("the directory is ours");
    let broken = "-----BEGIN PRIVATE KEY-----\nnot base64 at all!\n-----END PRIVATE KEY-----\n";
    std::fs::write(file("broken.key"), broken).expect("the directory is ours");
    for (cert, key, words) in [
        (&cert, &file("none"), [&file("none"), "cannot be read"]),
        (&file("none"), &key, [&file("none"), "cannot be read"]),
        (&file("empty"), &key, [&file("empty"), "no certificate"]),
        (&key, &key, [&key, "no certificate"]),
        (&cert, &cert, [&cert, "no private key"]),
        (&cert, &other, [&other, "is not the key of the certificate"]),
        (
            &cert,
            &file("sealed.key"),
            [&file("sealed.key"), "needs a password"],
        ),
        (
            &cert,
            &file("broken.key"),
            [&file("broken.key"), "is not PEM"],
        ),
        (
            &cert,
            &String::new(),
            ["tls_cert_file", "without tls_key_file"],
        ),
        (
            &String::new(),
            &key,
            ["tls_key_file", "without tls_cert_file"],
        ),
    ] {
        let log = refused(cert, key);
        for word in words {
            assert!(log.contains(word), "{word} is missing: {log}");
        }
        assert!(!log.contains("base64 at all"), "a key is shown: {log}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_warned_about() {
    let authority = Authority::create();
    let [cert, key] = authority.issue_expired("gateway").texts();
    let environment = [
        ("AMQPOST_TLS_CERT_FILE", cert),
        ("AMQPOST_TLS_KEY_FILE", key),
    ];
    let gateway = Gateway::launch_only(environment);
    let warned = || async { gateway.log().contains("has expired").then_some(()) };
    wait::until("a warning", SOON, warned).await;
    let good = https(&authority, &authority.issue("good"), &[]).await;
    // It has looked at the certificate before it hears of the signal.
    process::signal("HUP", &good.pid().to_string());
    let looked = || {
        good.log()
            .contains("the certificate of the listener is the same")
    };
    assert!(wait::blocking_until(SOON, looked), "{}", good.log());
    assert!(!good.log().contains("has expired"));
}
