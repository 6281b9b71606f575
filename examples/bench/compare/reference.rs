//! What HTTP and JSON alone cost: a handler that reads the body of a single post, and answers an id.
//! It runs in a process of its own, so that its CPU can be told apart.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use amqpost::domain::{IdMinter, RowId, WallTime};
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use super::super::Failure;

/// The mode of this benchmark that [`serve`] is.
pub const MODE: &str = "reference";

/// As it is told.
pub const NAME: &str = "axum handler that reads and answers";

#[derive(Deserialize)]
#[expect(dead_code, reason = "to be read is all that is wanted of it")]
struct Wanted<'a> {
    exchange: &'a str,
    routing_key: &'a str,
    payload: &'a str,
}

#[derive(Serialize)]
struct Told<'a> {
    id: String,
    status: &'a str,
}

async fn publish(body: Bytes) -> Response {
    let wanted: Wanted<'_> = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let row = RowId::from_stored(wanted.payload.len() as u64);
    let id = IdMinter::after(row).mint(WallTime::default(), 7);
    let told = Told {
        id: id.to_string(),
        status: "pending",
    };
    let body = serde_json::to_vec(&told).unwrap_or_default();
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, headers, body).into_response()
}

/// Serves until it is killed; tells its address in a line.
pub async fn serve() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let router = axum::Router::new().route("/v1/messages", post(publish));
    Ok(axum::serve(listener, router).await?)
}

/// A process that serves.
pub struct Reference {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Reference {
    /// Starts it.
    pub fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(MODE)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let output = child.stdout.take().ok_or("it has no output")?;
        BufReader::new(output).read_line(&mut address)?;
        let address = address.trim().to_owned();
        Ok(Self { child, address })
    }

    /// Its process id.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
