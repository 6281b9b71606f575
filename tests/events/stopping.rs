//! A stop does not wait for streams, and least of all for those who do not read.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::post_batch;
use super::reader::{Stream, client};
use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::queues::{Kind, Place};
use super::support::wait::{SOON, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_end_at_once_when_the_gateway_stops() {
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let (client, url) = (client(), format!("{}/v1/events", gateway.url()));
    let mut streams = Vec::new();
    for _ in 0..50 {
        let stream = Stream::open(&client, &url, &[], None).await;
        streams.push(stream.expect("a stream"));
    }
    // One that does not read, until nothing more goes into its connection.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = url["http://".len()..url.len() - "/v1/events".len()].parse();
    let mut stuck = socket
        .connect(address.expect("an address"))
        .await
        .expect("a connection");
    let request = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n";
    stuck.write_all(request.as_bytes()).await.expect("written");
    for _ in 0..20 {
        post_batch(&gateway, &[], &place, 1000).await;
    }
    super::settled(&gateway).await;
    for stream in &mut streams {
        within("the opening", SOON, stream.block())
            .await
            .expect("the opening");
    }
    let started = Instant::now();
    let reading = async {
        for mut stream in streams {
            while stream.block().await.is_some() {}
        }
    };
    let reading = tokio::spawn(reading);
    let ended = tokio::task::spawn_blocking(move || {
        let status = gateway.terminate_within(Duration::from_secs(10));
        (status, gateway)
    });
    let (status, gateway) = ended.await.expect("no panic");
    assert!(status.success(), "{status}");
    // Far less than the time that is granted for what is in flight.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(!gateway.log().contains("the grace period is over"));
    within("the streams end", SOON, reading)
        .await
        .expect("no panic");
    drop(stuck);
}
