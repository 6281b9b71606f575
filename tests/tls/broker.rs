//! Connections to a broker that asks for a client certificate.

use super::support::authority::{Authority, Certificate, quoted};
use super::support::broker_node::PrivateNode;
use super::support::callers::{assert_confirmed, broker_is_up, message};
use super::support::gateway::Gateway;
use super::support::process;
use super::support::queues::{Kind, Place, unique};
use super::support::wait::{self, SOON};

/// A node that lets in only who shows a certificate of `authority`, besides the login.
struct Strict {
    node: PrivateNode,
    authority: Authority,
    port: u16,
}

impl Strict {
    async fn start() -> Self {
        let strict = Self {
            node: PrivateNode::start_with(None, "rabbitmq_auth_mechanism_ssl").await,
            authority: Authority::create(),
            port: process::free_port(),
        };
        let broker = strict.authority.issue("broker");
        strict
            .node
            .eval(&format!(
                "{{ok, _}} = application:ensure_all_started(ssl),
                 ok = application:set_env(rabbit, auth_mechanisms, ['PLAIN', 'EXTERNAL']),
                 ok = rabbit_networking:start_ssl_listener({},
                     [{{cacertfile, {}}}, {{certfile, {}}}, {{keyfile, {}}},
                      {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}], 2)",
                strict.port,
                quoted(&strict.authority.certificate()),
                quoted(&broker.cert),
                quoted(&broker.key)
            ))
            .await;
        strict
    }

    /// The users of all connections through TLS.
    async fn users(&self) -> String {
        self.node
            .eval(
                "lists:usort([binary_to_atom(U, utf8) || [{user, U}, {ssl, true}] <-
                     rabbit_networking:connection_info_all([user, ssl])])",
            )
            .await
    }

    fn url(&self) -> String {
        format!("amqps://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// A gateway before it, which shows `certificate` if there is one.
    async fn gateway(&self, certificate: Option<&Certificate>, more: &[(&str, &str)]) -> Gateway {
        let mut environment = vec![
            ("AMQPOST_BROKER_URL", self.url()),
            (
                "AMQPOST_BROKER_CA_FILE",
                self.authority.certificate().display().to_string(),
            ),
        ];
        if let Some(certificate) = certificate {
            let [cert, key] = certificate.texts();
            environment.push(("AMQPOST_BROKER_CERT_FILE", cert));
            environment.push(("AMQPOST_BROKER_KEY_FILE", key));
        }
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Gateway::start(environment.into_iter().chain(more)).await
    }
}

/// Publishes, asks about an exchange that is missing, and has declared what the file says.
async fn assert_all_works(gateway: &Gateway, place: &Place) {
    let wait = [("prefer", "wait=30")];
    assert_confirmed(&gateway.post_with(&message(place, "shown"), &wait).await);
    let missing = serde_json::json!({"exchange": unique("missing"), "payload": "lost"});
    let answer = gateway.post_with(&missing, &wait).await;
    assert_eq!(
        answer.json["reason"]["code"], "exchange_not_found",
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_client_certificate_opens_the_broker_and_no_other_does() {
    let strict = Strict::start().await;
    let certificate = strict.authority.issue("gateway");
    let place = Place::declare(&strict.node.url(), Kind::Quorum).await;
    // Declaring, asking and publishing each have connections of their own.
    let exchange = unique("declared");
    let file = strict.authority.path("topology.json");
    let topology = serde_json::json!({"exchanges": [{"name": exchange, "vhost": "/",
        "type": "direct", "durable": true, "auto_delete": false, "internal": false,
        "arguments": {}}]});
    std::fs::write(&file, topology.to_string()).expect("the directory is ours");
    let file = file.display().to_string();
    let more = [("AMQPOST_TOPOLOGY_FILE", file.as_str())];
    let gateway = strict.gateway(Some(&certificate), &more).await;
    assert_all_works(&gateway, &place).await;
    broker_is_up(&gateway).await;
    let ready = gateway.get_path("/readyz").await;
    assert_eq!(
        ready.json["topology"]["state"], "declared",
        "{}",
        ready.text
    );
    wait::until("all connections have one login", SOON, || async {
        (strict.users().await == "[guest]").then_some(())
    })
    .await;

    // Nobody gets in with the certificate of another authority, or with none.
    let elsewhere = Authority::create();
    let stranger = elsewhere.issue("gateway");
    for certificate in [None, Some(&stranger)] {
        let gateway = strict.gateway(certificate, &[]).await;
        let refused = || async {
            let log = gateway.log();
            let lost = log.contains("ertificate") || log.contains("lost") || log.contains("closed");
            (lost && !log.contains("drive: connected")).then_some(())
        };
        wait::until("the broker does not let it in", SOON, refused).await;
    }
}
