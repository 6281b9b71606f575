//! Declares what the quick start publishes to: the durable direct exchange `log.exchange`, the
//! quorum queue `info.log.queue`, and the binding `info.log.key`. Doing it again changes nothing.
//!
//! `declare_topology [AMQP URL]`

use std::process::ExitCode;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties, ExchangeKind};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "this is a command line tool")]
async fn main() -> ExitCode {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
    // The gateway takes several addresses; any of a cluster will do here.
    let first = url.split(',').next().unwrap_or(&url);
    match tokio::time::timeout(LIMIT, declare(first)).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("the broker refused the declarations: {error}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("the broker did not answer within {LIMIT:?}");
            ExitCode::FAILURE
        }
    }
}

async fn declare(url: &str) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .exchange_declare(
            "log.exchange".into(),
            ExchangeKind::Direct,
            ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            },
            FieldTable::default(),
        )
        .await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(
            "info.log.queue".into(),
            QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            },
            arguments,
        )
        .await?;
    channel
        .queue_bind(
            "info.log.queue".into(),
            "log.exchange".into(),
            "info.log.key".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    connection.close(200, "done".into()).await
}
