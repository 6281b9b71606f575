//! The bad network is as bad as the tests say, and no worse.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use support::tcp_proxy::{Direction, End, TcpProxy};
use support::wait::{self, SOON};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A client and a server that are connected through a proxy.
async fn connected() -> (TcpProxy, TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("it is bound");
    let proxy = TcpProxy::start(server).await;
    let (client, server) = connect(&proxy, &listener).await;
    (proxy, listener, client, server)
}

async fn connect(proxy: &TcpProxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (client, server) = tokio::join!(TcpStream::connect(proxy.address()), listener.accept());
    (client.expect("it accepts"), server.expect("it accepts").0)
}

async fn read_exactly(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    wait::within("bytes", SOON, socket.read_exact(&mut bytes))
        .await
        .expect("they arrive");
    bytes
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_so_does_the_end() {
    let (proxy, _listener, mut client, mut server) = connected().await;
    client.write_all(b"question").await.expect("it is open");
    assert_eq!(read_exactly(&mut server, 8).await, b"question");
    server.write_all(b"answer").await.expect("it is open");
    assert_eq!(read_exactly(&mut client, 6).await, b"answer");
    drop(client);
    assert_eq!(server.read(&mut [0]).await.expect("an orderly end"), 0);
    assert_eq!(proxy.accepted(), 1);
    assert_eq!(proxy.passed_bytes(Direction::ToServer), 8);
    assert_eq!(proxy.passed_bytes(Direction::ToClient), 6);
}

#[tokio::test]
async fn a_connection_is_closed_after_exactly_so_many_bytes_and_the_next_one_lives() {
    let (proxy, listener, mut client, mut server) = connected().await;
    proxy.end_after(Direction::ToServer, 5, End::Close);
    client.write_all(b"question").await.expect("it is open");
    let mut arrived = Vec::new();
    wait::within("the end", SOON, server.read_to_end(&mut arrived))
        .await
        .expect("an orderly end");
    assert_eq!(arrived, b"quest");
    let ended = wait::within("the end", SOON, client.read(&mut [0])).await;
    assert_eq!(ended.expect("an orderly end"), 0);

    let (mut client, mut server) = connect(&proxy, &listener).await;
    client.write_all(b"again, and longer").await.expect("open");
    assert_eq!(read_exactly(&mut server, 17).await, b"again, and longer");
}

#[tokio::test]
async fn a_reset_is_a_reset_on_both_sides() {
    let (proxy, _listener, mut client, mut server) = connected().await;
    client.write_all(b"x").await.expect("it is open");
    read_exactly(&mut server, 1).await;
    proxy.end_all(End::Reset);
    for side in [&mut client, &mut server] {
        let read = wait::within("the reset", SOON, side.read(&mut [0])).await;
        let error = read.expect_err("it is no orderly end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_silent_direction_holds_back_what_comes_and_gives_it_when_healed() {
    let (proxy, _listener, mut client, mut server) = connected().await;
    proxy.silent_after(Direction::ToServer, 2);
    client.write_all(b"question").await.expect("it is open");
    assert_eq!(read_exactly(&mut server, 2).await, b"qu");
    server.write_all(b"other way").await.expect("it is open");
    assert_eq!(read_exactly(&mut client, 9).await, b"other way");
    let mut one = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), server.read(&mut one)).await;
    assert!(early.is_err());
    proxy.heal();
    assert_eq!(read_exactly(&mut server, 6).await, b"estion");
}

#[tokio::test]
async fn new_connections_are_refused_until_they_are_accepted_again() {
    let (mut proxy, listener, mut client, mut server) = connected().await;
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.address()).await;
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        ErrorKind::ConnectionRefused
    );
    client.write_all(b"still").await.expect("it is open");
    assert_eq!(read_exactly(&mut server, 5).await, b"still");
    proxy.accept_again().await;
    let (mut client, mut server) = connect(&proxy, &listener).await;
    client.write_all(b"anew").await.expect("it is open");
    assert_eq!(read_exactly(&mut server, 4).await, b"anew");
}
