//! What is told of a load that stands still: what the gateway thinks of it, where its connections are,
//! what each node that runs thinks of the queue, and whether it serves others.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};

use super::support::broker_node::PrivateNode;
use super::support::cluster::Cluster;
use super::support::load::Load;
use super::support::queues;

/// Between two looks at the load.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It stands still when nothing was accepted for so long; then, and every so often, it is told of.
const STILL_FOR: Duration = Duration::from_secs(15);
/// How long another publisher is waited for.
const OTHER_LIMIT: Duration = Duration::from_secs(5);

/// Prints what there is to know whenever the load stands still. Never ends by itself.
#[expect(
    clippy::print_stderr,
    reason = "only the time of the standstill shows its cause, and the test may pass all the same"
)]
pub(super) async fn tell(cluster: &Cluster, load: &Load, queue: &str) {
    let began = Instant::now();
    let (mut accepted, mut since) = (load.accepted(), began);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if load.accepted() != accepted {
            (accepted, since) = (load.accepted(), Instant::now());
        } else if since.elapsed() >= STILL_FOR {
            let story = story(cluster, load, queue).await;
            eprintln!("after {:?} {story}", began.elapsed());
            since = Instant::now();
        }
    }
}

async fn story(cluster: &Cluster, load: &Load, queue: &str) -> String {
    let mut told = format!("the load stands still: {:?}", load.stack.relay.health());
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        let view = view_of(node, queue).await;
        let began = Instant::now();
        let other = tokio::time::timeout(OTHER_LIMIT, publish(&node.url(), queue)).await;
        let took = began.elapsed();
        let _ = write!(
            told,
            "\n{}: {view}\n  another publisher there: {other:?} after {took:?}",
            node.name()
        );
    }
    told
}

/// Who leads the queue, as written down and as its members say; the names, ports and states of the
/// connections; and where their channels are.
async fn view_of(node: &PrivateNode, queue: &str) -> String {
    let view = format!(
        r#"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
           {{Name, Leader}} = amqqueue:get_pid(Q),
           Members = (catch ra:members({{Name, node()}}, 1000)),
           Connections = [catch [[T || {{<<"connection_name">>, longstr, T}} <- Ps] ++ [N, S]
                || {{client_properties, Ps}} <- rabbit_reader:info(P, [client_properties]),
                   {{peer_port, N}} <- rabbit_reader:info(P, [peer_port]),
                   {{state, S}} <- rabbit_reader:info(P, [state])]
                || P <- rabbit_networking:local_connections()],
           Stack = fun(P) -> case process_info(P, current_stacktrace) of
                     {{current_stacktrace, S}} -> [{{M, F}} || {{M, F, _, _}} <- lists:sublist(S, 6)];
                     undefined -> undefined end end,
           Channels = [{{process_info(P, message_queue_len), Stack(P)}}
                || P <- rabbit_channel:list_local()],
           lists:flatten(io_lib:format("~0p", [[Leader, Members, Connections, Channels]]))"#
    );
    node.eval(&view).await
}

/// A message of somebody else, which the account of this test does not know.
async fn publish(url: &str, queue: &str) -> lapin::Result<lapin::Confirmation> {
    let connection = queues::connect(url).await;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel
        .basic_publish("".into(), queue.into(), options, b"", properties)
        .await?
        .await
}
