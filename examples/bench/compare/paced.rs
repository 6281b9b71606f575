//! Requests at a rate that nothing slows down: each has a time at which it is due, and its latency counts
//! from there, also when its connection was still busy. So a gateway that stands still for a moment is
//! charged for everybody who would have come in that time.
//!
//! Every connection has a thread of its own, since a sleeping thread wakes more exactly than a timer of a
//! runtime, which counts milliseconds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::super::Failure;
use super::load::{Request, is_whole};

/// What a paced run is like.
pub struct Pace {
    /// Requests a second in all.
    pub per_second: u32,
    /// For so long.
    pub lasts: Duration,
    /// Shared by so many connections in turn.
    pub connections: u32,
}

/// Sends `request` at this pace; gives the latencies from when each was due.
pub fn send(address: &str, request: &Request, pace: &Pace) -> Result<Vec<Duration>, Failure> {
    // Threads need a moment to start.
    let start = Instant::now() + Duration::from_millis(100);
    let between = Duration::from_secs(1) / pace.per_second;
    let one = |connection| {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let mut took = Vec::new();
        let mut answer = Vec::with_capacity(4096);
        let mut number = connection;
        loop {
            let due = between * number;
            if due >= pace.lasts {
                return Ok(took);
            }
            let due = start + due;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            exchange(&mut socket, &request.bytes, &mut answer)?;
            took.push(due.elapsed());
            number += pace.connections;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..pace.connections)
            .map(|connection| scope.spawn(move || one(connection)))
            .collect();
        let mut took = Vec::new();
        for thread in threads {
            let sent: Result<Vec<Duration>, Failure> = thread
                .join()
                .map_err(|_| "a thread of the load has panicked")?;
            took.extend(sent?);
        }
        Ok(took)
    })
}

fn exchange(socket: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<(), Failure> {
    socket.write_all(request)?;
    answer.clear();
    let mut buffer = [0; 4096];
    while !is_whole(answer)? {
        let read = socket.read(&mut buffer)?;
        if read == 0 {
            return Err("the connection was closed".into());
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    Ok(())
}
