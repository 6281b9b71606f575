//! A bare AMQP publisher: frames that were encoded beforehand, written to a blocking socket with a window
//! of unconfirmed messages. It knows neither returns nor bulk acks of what it did not send, and stores
//! nothing: what it reaches is the limit of the broker and the machine.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::super::{Failure, WINDOW};

/// Messages of one write at most.
const CHUNK: usize = 100;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xce;
/// What is asked of the broker, which may grant less.
const FRAME_MAX: u32 = 128 << 10;

type Method = (u16, u16);

const TUNE: Method = (10, 30);
const ACK: Method = (60, 80);

/// Publishes `messages` to `queue` of the broker at `address`, and returns when all are confirmed.
pub fn publish(address: &str, queue: &str, messages: usize, payload: &[u8]) -> Result<(), Failure> {
    let mut peer = Peer::connect(address)?;
    let one = frames(queue, payload, peer.frame_max);
    let chunk = one.repeat(CHUNK);
    let mut confirmed = Confirmed::default();
    let mut sent = 0;
    while confirmed.count() < messages {
        let next = CHUNK.min(messages - sent);
        if next > 0 && sent - confirmed.count() + next <= WINDOW {
            peer.socket.write_all(&chunk[..next * one.len()])?;
            sent += next;
        } else {
            peer.read_confirms(&mut confirmed)?;
        }
    }
    Ok(())
}

/// The delivery tags that are confirmed: all up to one, and some behind it.
#[derive(Default)]
struct Confirmed {
    up_to: u64,
    behind: BTreeSet<u64>,
}

impl Confirmed {
    fn note(&mut self, tag: u64, multiple: bool) {
        if multiple {
            self.up_to = self.up_to.max(tag);
            self.behind = self.behind.split_off(&(tag + 1));
        } else {
            self.behind.insert(tag);
        }
        while self.behind.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }

    fn count(&self) -> usize {
        usize::try_from(self.up_to).unwrap_or(usize::MAX) + self.behind.len()
    }
}

struct Peer {
    socket: TcpStream,
    input: Vec<u8>,
    frame_max: usize,
}

impl Peer {
    /// A connection with one channel that confirms, as the user guest on the default virtual host.
    fn connect(address: &str) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let mut peer = Self {
            socket,
            input: Vec::with_capacity(64 << 10),
            frame_max: 0,
        };
        peer.socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        peer.expect((10, 10))?;
        let mut start_ok = vec![0; 4];
        short(&mut start_ok, "PLAIN");
        long(&mut start_ok, b"\0guest\0guest");
        short(&mut start_ok, "en_US");
        peer.send(0, (10, 11), &start_ok)?;
        let tune = peer.expect(TUNE)?;
        let granted = u32::from_be_bytes(tune[2..6].try_into()?);
        let frame_max = match granted {
            0 => FRAME_MAX,
            granted => granted.min(FRAME_MAX),
        };
        peer.frame_max = frame_max as usize;
        let mut tune_ok = vec![0, 1];
        tune_ok.extend_from_slice(&frame_max.to_be_bytes());
        tune_ok.extend_from_slice(&[0, 0]);
        peer.send(0, (10, 31), &tune_ok)?;
        peer.send(0, (10, 40), b"\x01/\0\0")?;
        peer.expect((10, 41))?;
        peer.send(1, (20, 10), &[0])?;
        peer.expect((20, 11))?;
        peer.send(1, (85, 10), &[0])?;
        peer.expect((85, 11))?;
        Ok(peer)
    }

    fn send(
        &mut self,
        channel: u16,
        (class, method): Method,
        arguments: &[u8],
    ) -> Result<(), Failure> {
        let mut payload = Vec::new();
        payload.extend_from_slice(&class.to_be_bytes());
        payload.extend_from_slice(&method.to_be_bytes());
        payload.extend_from_slice(arguments);
        let mut out = Vec::new();
        frame(&mut out, METHOD, channel, &payload);
        Ok(self.socket.write_all(&out)?)
    }

    /// The arguments of the next method, which must be this one.
    fn expect(&mut self, expected: Method) -> Result<Vec<u8>, Failure> {
        loop {
            let mut found = None;
            self.take(|method, arguments| {
                found = found.take().or(Some((method, arguments.to_vec())));
            })?;
            match found {
                Some((method, arguments)) if method == expected => return Ok(arguments),
                Some((method, arguments)) => {
                    let said = String::from_utf8_lossy(&arguments).into_owned();
                    return Err(format!("the broker says {method:?}: {said}").into());
                }
                None => {}
            }
        }
    }

    /// Reads once, and notes what is confirmed.
    fn read_confirms(&mut self, confirmed: &mut Confirmed) -> Result<(), Failure> {
        let mut other = None;
        self.take(|method, arguments| match (method, arguments) {
            (ACK, [tag @ .., multiple]) if tag.len() == 8 => {
                let tag = tag.try_into().map_or(0, u64::from_be_bytes);
                confirmed.note(tag, *multiple == 1);
            }
            _ => other = Some(method),
        })?;
        other.map_or(Ok(()), |method| {
            Err(format!("the broker says {method:?}").into())
        })
    }

    /// Reads once, and gives every whole method to `each`.
    fn take(&mut self, mut each: impl FnMut(Method, &[u8])) -> Result<(), Failure> {
        let mut buffer = [0; 8 << 10];
        let read = self.socket.read(&mut buffer)?;
        if read == 0 {
            return Err("the broker closed the connection".into());
        }
        self.input.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        while let Some(head) = self.input.get(at..at + 7) {
            let length = u32::from_be_bytes(head[3..7].try_into()?) as usize;
            let Some(payload) = self.input.get(at + 7..at + 7 + length) else {
                break;
            };
            if head[0] == METHOD
                && let [a, b, c, d, arguments @ ..] = payload
            {
                each(
                    (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
                    arguments,
                );
            }
            if self.input.len() < at + 8 + length {
                break;
            }
            at += 8 + length;
        }
        self.input.drain(..at);
        Ok(())
    }
}

/// The frames of one message: persistent, mandatory, with an id, as the gateway sends them.
fn frames(queue: &str, payload: &[u8], frame_max: usize) -> Vec<u8> {
    const ID: &str = "0193a5c4-0000-7000-8000-000000000000";
    let mut out = Vec::new();
    let mut method = vec![0, 60, 0, 40, 0, 0, 0];
    short(&mut method, queue);
    method.push(1);
    frame(&mut out, METHOD, 1, &method);
    let mut header = vec![0, 60, 0, 0];
    header.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    // Headers, delivery_mode and message_id.
    header.extend_from_slice(&0b0011_0000_1000_0000_u16.to_be_bytes());
    let mut table = Vec::new();
    short(&mut table, "x-amqpost-id");
    table.push(b'S');
    long(&mut table, ID.as_bytes());
    long(&mut header, &table);
    header.push(2);
    short(&mut header, ID);
    frame(&mut out, HEADER, 1, &header);
    for piece in payload.chunks(frame_max - 8) {
        frame(&mut out, BODY, 1, piece);
    }
    out
}

fn frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    long(out, payload);
    out.push(END);
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
