//! The broker's own way to publish over HTTP: its management plugin.

use std::time::{Duration, Instant};

use super::amqpost_tests::broker_node::PrivateNode;
use super::amqpost_tests::process;
use super::case::Case;
use super::load;
use super::measured::{Cpu, Report, Sample};
use crate::Failure;

/// As it is told.
pub const NAME: &str = "management API of the broker";
const CASE: Case = Case::SMALL;
/// It makes a connection for every message, so few are enough.
const MESSAGES: usize = 1000;
/// The plugin takes a moment to start, and so do other gateways.
const START_MAX: Duration = Duration::from_secs(30);

/// The management API's own publish. The plugin is switched on last, since it costs the node something.
pub async fn measure(
    node: &PrivateNode,
    report: &mut Report,
    rounds: usize,
) -> Result<(), Failure> {
    let port = process::free_port();
    // A node that has no such plugin says so, and is left as it is.
    let started = node
        .eval(&format!(
            r#"case application:load(rabbitmq_management) of
                {{error, {{already_loaded, _}}}} -> ok; Loaded -> Loaded end,
            application:set_env(rabbitmq_management, tcp_config, [{{port, {port}}}, {{ip, "127.0.0.1"}}]),
            {{ok, File}} = application:get_env(rabbit, enabled_plugins_file),
            ok = file:write_file(File, <<"[rabbitmq_management].">>),
            catch rabbit_plugins:ensure(File)"#
        ))
        .await;
    let address = format!("127.0.0.1:{port}");
    if !listens(&address).await {
        eprintln!("the management plugin is not there: {started}");
        return Ok(());
    }
    let queue = CASE.declare(&node.url()).await?;
    let payload = "x".repeat(CASE.payload_bytes);
    let body = format!(
        r#"{{"properties":{{"delivery_mode":2}},"routing_key":"{queue}","payload":"{payload}","payload_encoding":"string"}}"#
    );
    // guest:guest
    let headers = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Type: application/json\r\n";
    let line = "POST /api/exchanges/%2f/amq.default/publish";
    let request = load::request(line, &address, headers, body.as_bytes(), 1);
    for round in 0..=rounds {
        let before = Cpu::now("self", node.beam_pid());
        let began = Instant::now();
        let (to, request) = (address.clone(), request.clone());
        let send = move || load::send(&to, &request, MESSAGES, 64);
        let accepted = tokio::task::spawn_blocking(send).await??;
        let seconds = began.elapsed().as_secs_f64();
        let used = Cpu::now("self", node.beam_pid())
            .since(&before)
            .without_publisher();
        if round > 0 {
            let sample = Sample::new(MESSAGES, seconds, &used, true, accepted, 0.0);
            report.add(NAME, CASE, sample);
        }
    }
    CASE.delete(&node.url(), &queue).await
}

/// Whether somebody listens there before long.
pub async fn listens(address: &str) -> bool {
    let end = Instant::now() + START_MAX;
    while Instant::now() < end {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
