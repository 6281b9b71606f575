//! One client's connection, as the script sees it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::frame::parse_frame;
use amq_protocol::protocol::{basic, channel, connection};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::reader::{Reaction, Reader};
use super::wire;
use super::{Client, PeerEvent, PeerSettings, Publish};
use crate::support::wait::{self, SOON};

/// More events than any test leaves unread; beyond it, the server stops reading.
const EVENTS_MAX: usize = 200_000;

/// A client that connected. Dropping it ends the connection.
#[derive(Debug)]
pub struct PeerConnection {
    client_address: SocketAddr,
    events: mpsc::Receiver<PeerEvent>,
    /// Taken from `events`, but not by whom they are for.
    passed_over: VecDeque<PeerEvent>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    reader: Mutex<Reader>,
    /// None once the script has cut the connection.
    writer: tokio::sync::Mutex<Option<OwnedWriteHalf>>,
    reading: watch::Sender<bool>,
}

impl PeerConnection {
    pub(super) fn start(socket: TcpStream, settings: PeerSettings) -> Self {
        socket.set_nodelay(true).expect("a TCP socket has Nagle");
        let client_address = socket.peer_addr().expect("it is connected");
        let (read_half, write_half) = socket.into_split();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            reader: Mutex::new(Reader::new(settings)),
            writer: tokio::sync::Mutex::new(Some(write_half)),
            reading: watch::Sender::new(true),
        });
        let task = tokio::spawn(read_all(read_half, Arc::clone(&shared), sender));
        Self {
            client_address,
            events,
            passed_over: VecDeque::new(),
            shared,
            task,
        }
    }

    /// Where the client connected from.
    pub fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    /// What the client did next.
    pub async fn next_event(&mut self) -> PeerEvent {
        self.next_event_within(SOON).await
    }

    /// As [`PeerConnection::next_event`], with a limit.
    pub async fn next_event_within(&mut self, limit: Duration) -> PeerEvent {
        if let Some(event) = self.passed_over.pop_front() {
            return event;
        }
        wait::within("the client does something", limit, self.events.recv())
            .await
            .unwrap_or(PeerEvent::Ended)
    }

    /// What the client has done already, if anything.
    pub fn try_next_event(&mut self) -> Option<PeerEvent> {
        let passed_over = self.passed_over.pop_front();
        passed_over.or_else(|| self.events.try_recv().ok())
    }

    /// The next message. Openings of connections and channels are passed over; all else is not
    /// what the script expects, and panics.
    pub async fn next_publish(&mut self) -> Publish {
        loop {
            match self.next_event().await {
                PeerEvent::Published(publish) => return *publish,
                PeerEvent::Connected(_)
                | PeerEvent::ChannelOpened(_)
                | PeerEvent::ConfirmSelected(_) => {}
                other => panic!("a publish was expected: {other:?}"),
            }
        }
    }

    /// The next `count` messages.
    pub async fn next_publishes(&mut self, count: usize) -> Vec<Publish> {
        let mut publishes = Vec::with_capacity(count);
        for _ in 0..count {
            publishes.push(self.next_publish().await);
        }
        publishes
    }

    /// Panics when the client publishes anything within `period`. All else that it does is kept.
    pub async fn expect_no_publish(&mut self, period: Duration) {
        let until = tokio::time::Instant::now() + period;
        while let Ok(Some(event)) = tokio::time::timeout_at(until, self.events.recv()).await {
            assert!(
                !matches!(event, PeerEvent::Published(_)),
                "nothing was to be published: {event:?}"
            );
            self.passed_over.push_back(event);
        }
    }

    /// Waits for the end of the handshake.
    pub async fn expect_connected(&mut self) -> Client {
        match self.next_event().await {
            PeerEvent::Connected(client) => client,
            other => panic!("a complete handshake was expected: {other:?}"),
        }
    }

    /// Waits until a channel is in confirm mode, and returns which.
    pub async fn expect_confirm_channel(&mut self) -> u16 {
        loop {
            match self.next_event().await {
                PeerEvent::ConfirmSelected(channel) => return channel,
                PeerEvent::Connected(_) | PeerEvent::ChannelOpened(_) => {}
                other => panic!("a channel with confirms was expected: {other:?}"),
            }
        }
    }

    /// `basic.ack`.
    pub async fn ack(&self, channel: u16, tag: u64, multiple: bool) {
        let ack = basic::AMQPMethod::Ack(basic::Ack {
            delivery_tag: tag,
            multiple,
        });
        self.send_bytes(&wire::encode(&[wire::on_basic(channel, ack)]))
            .await;
    }

    /// `basic.nack`.
    pub async fn nack(&self, channel: u16, tag: u64, multiple: bool) {
        let nack = basic::AMQPMethod::Nack(basic::Nack {
            delivery_tag: tag,
            multiple,
            requeue: false,
        });
        self.send_bytes(&wire::encode(&[wire::on_basic(channel, nack)]))
            .await;
    }

    /// `basic.return` of a message as it came; without the ack that follows it.
    pub async fn return_(&self, publish: &Publish, code: u16, text: &str) {
        self.send_bytes(&self.return_bytes(publish, code, text))
            .await;
    }

    /// The bytes of [`PeerConnection::return_`], for sending them in pieces.
    pub fn return_bytes(&self, publish: &Publish, code: u16, text: &str) -> Vec<u8> {
        let frame_max = self.shared.reader.lock().frame_max();
        wire::encode(&wire::returned(publish, code, text, frame_max))
    }

    /// `channel.close`, blaming `basic.publish`. What the client publishes until its close-ok is
    /// thrown away, as a broker does.
    pub async fn close_channel(&self, channel: u16, code: u16, text: &str) {
        const PUBLISH: u16 = 40;
        self.close_channel_for(channel, code, text, wire::BASIC_CLASS, PUBLISH)
            .await;
    }

    /// As [`PeerConnection::close_channel`], blaming any method.
    pub async fn close_channel_for(
        &self,
        channel: u16,
        code: u16,
        text: &str,
        class_id: u16,
        method_id: u16,
    ) {
        self.shared.reader.lock().closing_channel(channel);
        let close = channel::AMQPMethod::Close(channel::Close {
            reply_code: code,
            reply_text: wire::short(text),
            class_id,
            method_id,
        });
        self.send_bytes(&wire::encode(&[wire::on_channel(channel, close)]))
            .await;
    }

    /// Waits for the answer to `close_channel`, past messages that were read before the close, and
    /// returns how many the server threw away.
    pub async fn expect_channel_close_ok(&mut self) -> usize {
        loop {
            match self.next_event().await {
                PeerEvent::ChannelCloseOk {
                    ignored_publishes, ..
                } => return ignored_publishes,
                PeerEvent::Published(_) => {}
                other => panic!("channel close-ok was expected: {other:?}"),
            }
        }
    }

    /// `connection.close`.
    pub async fn close_connection(&self, code: u16, text: &str) {
        self.shared.reader.lock().closing_connection();
        self.send_bytes(&wire::encode(&[wire::connection_close(code, text)]))
            .await;
    }

    /// Waits for the answer to `close_connection`, past messages that were read before the close.
    pub async fn expect_connection_close_ok(&mut self) {
        loop {
            match self.next_event().await {
                PeerEvent::ConnectionCloseOk => return,
                PeerEvent::Published(_) => {}
                other => panic!("connection close-ok was expected: {other:?}"),
            }
        }
    }

    /// `connection.blocked`.
    pub async fn blocked(&self, reason: &str) {
        let blocked = connection::AMQPMethod::Blocked(connection::Blocked {
            reason: wire::short(reason),
        });
        self.send_bytes(&wire::encode(&[wire::on_connection(blocked)]))
            .await;
    }

    /// `connection.unblocked`.
    pub async fn unblocked(&self) {
        let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
        self.send_bytes(&wire::encode(&[wire::on_connection(unblocked)]))
            .await;
    }

    /// A heartbeat.
    pub async fn heartbeat(&self) {
        self.send_bytes(&[8, 0, 0, 0, 0, 0, 0, 0xCE]).await;
    }

    /// Any bytes. A client that is gone is not the script's business.
    pub async fn send_bytes(&self, bytes: &[u8]) {
        write(&self.shared, bytes).await;
    }

    /// Stops or resumes reading: the client's socket fills up.
    pub fn set_reading(&self, reading: bool) {
        self.shared.reading.send_replace(reading);
    }

    /// Ends the connection without a word.
    pub async fn cut(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.shared.writer.lock().await.take();
    }

    /// Ends only the server's sending; it goes on reading.
    pub async fn cut_sending(&self) {
        self.shared.writer.lock().await.take();
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(shared: &Shared, bytes: &[u8]) {
    if let Some(writer) = shared.writer.lock().await.as_mut() {
        let _ = writer.write_all(bytes).await;
    }
}

async fn read_all(mut socket: OwnedReadHalf, shared: Arc<Shared>, events: mpsc::Sender<PeerEvent>) {
    let mut reading = shared.reading.subscribe();
    let mut bytes = Vec::with_capacity(1 << 16);
    loop {
        if reading.wait_for(|reading| *reading).await.is_err() {
            return;
        }
        match socket.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => {
                let _ = events.send(PeerEvent::Ended).await;
                return;
            }
            Ok(_) => {}
        }
        let mut taken = 0;
        while let Some((reaction, length)) = take_frame(&shared, &bytes[taken..]) {
            taken += length;
            let broken = reaction.is_err();
            let reaction = reaction.unwrap_or_else(|what| Reaction {
                events: vec![PeerEvent::Broken(what)],
                ..Reaction::default()
            });
            // The script hears of a step before the client can do the next one.
            for event in reaction.events {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            write(&shared, &reaction.answer).await;
            if broken || reaction.cut {
                shared.writer.lock().await.take();
                return;
            }
        }
        bytes.drain(..taken);
    }
}

/// The first whole frame of `bytes`, what follows from it, and its length.
fn take_frame(shared: &Shared, bytes: &[u8]) -> Option<(Result<Reaction, String>, usize)> {
    if bytes.is_empty() {
        return None;
    }
    match parse_frame(bytes) {
        Ok((rest, frame)) => {
            let length = bytes.len() - rest.len();
            Some((shared.reader.lock().take(frame, length), length))
        }
        Err(error) if error.is_incomplete() => None,
        Err(error) => Some((Err(format!("no frame: {error}")), bytes.len())),
    }
}
