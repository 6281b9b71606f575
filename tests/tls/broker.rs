//! Connections to a broker that asks for a client certificate.

use super::support::authority::{Authority, Certificate, quoted};
use super::support::broker_node::PrivateNode;
use super::support::callers::{assert_confirmed, broker_is, broker_is_up, message};
use super::support::gateway::Gateway;
use super::support::process;
use super::support::queues::{Kind, Place, unique};
use super::support::wait::{self, SOON};

/// Which versions of TLS a listener of the broker speaks, as Erlang has them.
const VERSIONS: [&str; 2] = ["['tlsv1.3', 'tlsv1.2']", "['tlsv1.2']"];

/// A node that lets in only who shows a certificate of `authority`, whose common name may be the login.
struct Strict {
    node: PrivateNode,
    authority: Authority,
    /// One for each of [`VERSIONS`].
    ports: [u16; 2],
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Login {
    Guest,
    Certificate,
}

impl Strict {
    async fn start() -> Self {
        let strict = Self {
            node: PrivateNode::start_with(None, "rabbitmq_auth_mechanism_ssl").await,
            authority: Authority::create(),
            ports: [process::free_port(), process::free_port()],
        };
        let broker = strict.authority.issue("broker");
        // What rabbitmq.conf has as ssl_options.verify, ssl_cert_login_from and auth_mechanisms. The plugin
        // takes nobody's certificate as a login unless the node's ssl_options themselves say that it is
        // verified, whatever those of a listener say.
        let options = format!(
            "[{{cacertfile, {}}}, {{certfile, {}}}, {{keyfile, {}}},
              {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]",
            quoted(&strict.authority.certificate()),
            quoted(&broker.cert),
            quoted(&broker.key)
        );
        let settings = format!(
            "{{ok, _}} = application:ensure_all_started(ssl),
             ok = application:set_env(rabbit, ssl_options, {options}),
             ok = application:set_env(rabbit, ssl_cert_login_from, common_name),
             ok = application:set_env(rabbit, auth_mechanisms, ['PLAIN', 'EXTERNAL'])"
        );
        strict.node.eval(&settings).await;
        for (port, versions) in strict.ports.iter().zip(VERSIONS) {
            let options = format!("[{{versions, {versions}}} | {options}]");
            let listening =
                format!("ok = rabbit_networking:start_ssl_listener({port}, {options}, 2)");
            strict.node.eval(&listening).await;
        }
        strict
    }

    /// Lets `name` in by its certificate, and by nothing else.
    async fn add_user(&self, name: &str) {
        self.node
            .eval(&format!(
                r#"ok = rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"unused">>, <<"test">>),
                   ok = rabbit_auth_backend_internal:clear_password(<<"{name}">>, <<"test">>),
                   ok = rabbit_auth_backend_internal:set_permissions(
                       <<"{name}">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)"#
            ))
            .await;
    }

    /// The users of all connections through TLS.
    async fn users(&self) -> String {
        self.node
            .eval(
                "lists:usort([binary_to_atom(U, utf8) || [{user, U}, {ssl, true}] <-
                     rabbit_networking:connection_info_all([user, ssl]), is_binary(U)])",
            )
            .await
    }

    async fn users_become(&self, expected: &str) {
        wait::until("all connections have one login", SOON * 2, || async {
            (self.users().await == expected).then_some(())
        })
        .await;
    }

    /// A gateway before the listener with this index, which shows `certificate` if there is one.
    async fn gateway(
        &self,
        (listener, login): (usize, Login),
        certificate: Option<&Certificate>,
        more: &[(&str, &str)],
    ) -> Gateway {
        let port = self.ports[listener];
        let url = match login {
            Login::Guest => format!("amqps://guest:guest@127.0.0.1:{port}/%2f"),
            Login::Certificate => {
                format!("amqps://127.0.0.1:{port}/%2f?auth_mechanism=external")
            }
        };
        let mut environment = vec![
            ("AMQPOST_BROKER_URL", url),
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
async fn a_client_certificate_opens_the_broker_and_may_be_the_login() {
    let strict = Strict::start().await;
    let certificate = strict.authority.issue("gateway");
    strict.add_user("gateway").await;
    let place = Place::declare(&strict.node.url(), Kind::Quorum).await;
    for (login, users) in [(Login::Guest, "[guest]"), (Login::Certificate, "[gateway]")] {
        // Declaring, asking and publishing each have connections of their own.
        let exchange = unique("declared");
        let file = strict.authority.path("topology.json");
        let topology = serde_json::json!({"exchanges": [{"name": exchange, "vhost": "/",
            "type": "direct", "durable": true, "auto_delete": false, "internal": false,
            "arguments": {}}]});
        std::fs::write(&file, topology.to_string()).expect("the directory is ours");
        let file = file.display().to_string();
        let more = [("AMQPOST_TOPOLOGY_FILE", file.as_str())];
        let gateway = strict.gateway((0, login), Some(&certificate), &more).await;
        assert_all_works(&gateway, &place).await;
        broker_is_up(&gateway).await;
        let ready = gateway.get_path("/readyz").await;
        assert_eq!(
            ready.json["topology"]["state"], "declared",
            "{login:?}: {}",
            ready.text
        );
        strict.users_become(users).await;
    }

    // Nobody gets in with the certificate of another authority, or with none.
    let elsewhere = Authority::create();
    let stranger = elsewhere.issue("gateway");
    for (login, certificate) in [
        (Login::Guest, None),
        (Login::Guest, Some(&stranger)),
        (Login::Certificate, Some(&stranger)),
    ] {
        let gateway = strict.gateway((0, login), certificate, &[]).await;
        let refused = || async {
            let log = gateway.log();
            let lost = log.contains("ertificate") || log.contains("lost") || log.contains("closed");
            (lost && !log.contains("drive: connected")).then_some(())
        };
        wait::until("the broker does not let it in", SOON, refused).await;
    }
}

/// Also where TLS sessions are resumed, which would go on under the old name.
#[tokio::test]
async fn a_renewed_client_certificate_is_who_connects_from_then_on() {
    let strict = Strict::start().await;
    for name in ["gateway", "renewed"] {
        strict.add_user(name).await;
    }
    let [gateways, renewed] = ["gateway", "renewed"].map(|name| strict.authority.issue(name));
    let place = Place::declare(&strict.node.url(), Kind::Quorum).await;
    for (listener, versions) in VERSIONS.iter().enumerate() {
        // Nobody is called so.
        let used = strict.authority.issue("used");
        let at = (listener, Login::Certificate);
        let one_lane = [("AMQPOST_LANES", "1")];
        let gateway = strict.gateway(at, Some(&used), &one_lane).await;
        broker_is(&gateway, |broker| {
            let detail = broker["reason"]["detail"].as_str().unwrap_or_default();
            broker["state"] == "down" && detail.contains("refused the login")
        })
        .await;
        for (next, users) in [(&gateways, "[gateway]"), (&renewed, "[renewed]")] {
            let read = gateway.log().matches("has a new certificate").count();
            next.replace(&used);
            let told = || async {
                let now = gateway.log().matches("has a new certificate").count();
                (now > read).then_some(())
            };
            wait::until("the certificate is read again", SOON, told).await;
            // Whoever is connected stays so, under the old name.
            strict.node.close_all_connections().await;
            strict.users_become(users).await;
            broker_is_up(&gateway).await;
            assert_all_works(&gateway, &place).await;
            assert_eq!(strict.users().await, users, "{versions}");
        }
    }
}
