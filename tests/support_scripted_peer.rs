//! The scripted peer is enough of a broker for a real client, and strict with it.

mod support;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use support::scripted_peer::{Fault, PeerConnection, PeerEvent, PeerSettings, ScriptedPeer, Step};
use support::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn publisher(peer: &ScriptedPeer) -> (Connection, Channel, PeerConnection) {
    let url = peer.url();
    let client = async {
        let connection = Connection::connect(&url, ConnectionProperties::default())
            .await
            .expect("the handshake succeeds");
        let channel = confirm_channel(&connection).await;
        (connection, channel)
    };
    let ((connection, channel), server) = tokio::join!(client, peer.accept_publisher());
    (connection, channel, server)
}

async fn confirm_channel(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel opens");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms are known");
    channel
}

async fn publish(channel: &Channel, id: &str, payload: &[u8]) -> lapin::PublisherConfirm {
    let mut headers = FieldTable::default();
    headers.insert("x-amqpost-id".into(), AMQPValue::LongString(id.into()));
    channel
        .basic_publish(
            "log.exchange".into(),
            "test".into(),
            BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            },
            payload,
            BasicProperties::default().with_headers(headers),
        )
        .await
        .expect("a message can be published")
}

#[tokio::test]
async fn a_client_publishes_and_gets_the_confirms_of_the_script() {
    let peer = ScriptedPeer::listen().await;
    let (_connection, channel, mut server) = publisher(&peer).await;
    let first = publish(&channel, "a", b"").await;
    let second = publish(&channel, "b", b"two").await;
    let third = publish(&channel, "c", b"three").await;
    let published = server.next_publishes(3).await;
    assert_eq!(published[0].tag, 1);
    assert_eq!(published[0].body_frames, 0);
    assert_eq!(published[1].body, b"two");
    assert_eq!(published[1].amqpost_id().as_deref(), Some("b"));
    assert_eq!(published[1].exchange, "log.exchange");
    assert_eq!(published[1].routing_key, "test");
    assert!(published[1].mandatory && !published[1].duplicate_possible());
    assert_eq!(server.try_next_event(), None);

    server.nack(published[2].channel, 3, false).await;
    server.ack(published[0].channel, 2, true).await;
    assert_eq!(third.await, Ok(Confirmation::Nack(None)));
    assert_eq!(first.await, Ok(Confirmation::Ack(None)));
    assert_eq!(second.await, Ok(Confirmation::Ack(None)));
}

#[tokio::test]
async fn a_returned_message_comes_back_whole_also_byte_by_byte() {
    let settings = PeerSettings {
        frame_max: 8192,
        ..PeerSettings::default()
    };
    let peer = ScriptedPeer::listen_with(settings).await;
    let (_connection, channel, mut server) = publisher(&peer).await;
    let payload: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let confirm = publish(&channel, "a", &payload).await;
    let published = server.next_publish().await;
    assert_eq!(published.body, payload);
    assert_eq!(published.body_frames, 3);
    for byte in server.return_bytes(&published, 312, "NO_ROUTE").chunks(997) {
        server.send_bytes(byte).await;
    }
    server.ack(published.channel, 1, false).await;
    let confirm = confirm.await.expect("the channel lives");
    let returned = confirm.take_message().expect("it was returned");
    assert_eq!(returned.reply_code, 312);
    assert_eq!(returned.delivery.data, payload);
    assert_eq!(returned.delivery.routing_key.as_str(), "test");
}

#[tokio::test]
async fn a_closed_channel_throws_away_what_comes_until_its_close_ok() {
    let peer = ScriptedPeer::listen().await;
    let (connection, channel, mut server) = publisher(&peer).await;
    let confirm = publish(&channel, "a", b"culprit").await;
    let published = server.next_publish().await;
    server
        .close_channel(published.channel, 404, "NOT_FOUND - no exchange")
        .await;
    assert_eq!(server.expect_channel_close_ok().await, 0);
    assert!(confirm.await.is_err());

    let (fresh, fresh_id) = tokio::join!(
        confirm_channel(&connection),
        server.expect_confirm_channel()
    );
    let confirm = publish(&fresh, "b", b"again").await;
    let published = server.next_publish().await;
    assert_eq!((published.channel, published.tag), (fresh_id, 1));
    server.ack(fresh_id, 1, false).await;
    assert_eq!(confirm.await, Ok(Confirmation::Ack(None)));
}

#[tokio::test]
async fn a_client_that_closes_is_answered_and_one_that_is_closed_answers() {
    let peer = ScriptedPeer::listen().await;
    let (connection, _channel, mut server) = publisher(&peer).await;
    connection.close(200, "bye".into()).await.expect("close-ok");
    let event = server.next_event().await;
    assert!(
        matches!(event, PeerEvent::ClosedByClient { code: 200, .. }),
        "{event:?}"
    );
    assert_eq!(server.next_event().await, PeerEvent::Ended);

    // lapin may be gone before its close-ok is; the raw client below answers.
    let (connection, _channel, server) = publisher(&peer).await;
    server.close_connection(320, "CONNECTION_FORCED").await;
    wait::until("the client knows", wait::SOON, || async {
        (!connection.status().connected()).then_some(())
    })
    .await;

    let mut client = TcpStream::connect(peer.address())
        .await
        .expect("the peer listens");
    let mut server = peer.accept().await;
    server.close_connection(320, "CONNECTION_FORCED").await;
    let close_ok = b"\x01\0\0\0\0\0\x04\x00\x0a\x00\x33\xce";
    client.write_all(close_ok).await.expect("it is open");
    server.expect_connection_close_ok().await;
}

#[tokio::test]
async fn a_cut_connection_ends_the_client_and_several_may_be_open_at_once() {
    let peer = ScriptedPeer::listen().await;
    let (_first, first_channel, mut first_server) = publisher(&peer).await;
    let (_second, second_channel, mut second_server) = publisher(&peer).await;
    let lost = publish(&first_channel, "a", b"lost").await;
    first_server.next_publish().await;
    first_server.cut().await;
    assert!(wait::within("the end", wait::SOON, lost).await.is_err());

    let confirm = publish(&second_channel, "b", b"safe").await;
    let published = second_server.next_publish().await;
    second_server.blocked("low on memory").await;
    second_server.unblocked().await;
    second_server.heartbeat().await;
    second_server.ack(published.channel, 1, false).await;
    assert_eq!(confirm.await, Ok(Confirmation::Ack(None)));
}

#[tokio::test]
async fn the_handshake_fails_where_the_settings_say_so() {
    for (step, code, text) in [
        (Step::StartOk, 403, "ACCESS_REFUSED - Login was refused"),
        (Step::Open, 530, "NOT_ALLOWED - vhost not found"),
    ] {
        let fault = Fault::CloseConnection {
            code,
            text: text.to_owned(),
        };
        let settings = PeerSettings::default().with_fault(step, fault);
        let peer = ScriptedPeer::listen_with(settings).await;
        let url = peer.url();
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let (connected, _server) = tokio::join!(
            wait::within("a refusal", wait::SOON, connecting),
            peer.accept()
        );
        let error = connected.expect_err("it was refused").to_string();
        assert!(error.contains(text), "{step:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_may_also_cut_or_say_anything_in_the_handshake() {
    // A raw client, since lapin may wait for ever for what was cut.
    let other_version = b"AMQP\x00\x01\x00\x00".to_vec();
    for (fault, said) in [
        (Fault::Cut, Vec::new()),
        (Fault::Bytes(other_version.clone()), other_version),
    ] {
        let settings = PeerSettings::default().with_fault(Step::ProtocolHeader, fault.clone());
        let peer = ScriptedPeer::listen_with(settings).await;
        let mut client = TcpStream::connect(peer.address())
            .await
            .expect("the peer listens");
        let server = peer.accept().await;
        client
            .write_all(b"AMQP\x00\x00\x09\x01")
            .await
            .expect("it is open");
        let mut answer = vec![0; said.len()];
        wait::within("the answer", wait::SOON, client.read_exact(&mut answer))
            .await
            .expect("it comes");
        assert_eq!(answer, said);
        if fault != Fault::Cut {
            server.cut().await;
        }
        let end = wait::within("the end", wait::SOON, client.read(&mut [0])).await;
        assert_eq!(end.expect("an orderly end"), 0);
    }
}

#[tokio::test]
async fn the_script_sees_who_connected() {
    let peer = ScriptedPeer::listen().await;
    let url = peer.url();
    let connecting = Connection::connect(&url, ConnectionProperties::default());
    let server = async {
        let mut server = peer.accept().await;
        server.expect_connected().await
    };
    let (connected, client) = tokio::join!(connecting, server);
    connected.expect("the handshake succeeds");
    assert_eq!(client.mechanism, "PLAIN");
    assert_eq!(client.response, b"\0guest\0guest");
    assert_eq!(client.vhost, "/");
    assert!(client.properties.contains_key("capabilities"));
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_caught() {
    // An ack on a channel that was never opened, after a proper start.
    let header = b"AMQP\x00\x00\x09\x01".as_slice();
    let ack = b"\x01\x00\x07\x00\x00\x00\x0d\x00\x3c\x00\x50\0\0\0\0\0\0\0\x01\0\xce".as_slice();
    let no_frame = b"\x09\x00\x00\x00\x00\x00\x00\xce".as_slice();
    for wrong in [ack, no_frame] {
        let peer = ScriptedPeer::listen().await;
        let mut client = TcpStream::connect(peer.address())
            .await
            .expect("the peer listens");
        let mut server = peer.accept().await;
        client.write_all(header).await.expect("it is open");
        client.write_all(wrong).await.expect("it is open");
        let event = server.next_event().await;
        assert!(matches!(event, PeerEvent::Broken(_)), "{event:?}");
    }
}
