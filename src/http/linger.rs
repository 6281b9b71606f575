//! Closing a connection so that its last answer arrives.
//!
//! Whoever is refused is often still sending: a body that is too large, a head that is none. When a socket
//! is closed with bytes that nobody has read, the system resets the connection, and the client finds
//! "broken pipe" where the answer was. So what still comes is read and forgotten for a while.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long nothing may come until the client is taken to have read the answer.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// How long that may take in all.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// Says that nothing more will be sent, and waits for the same from the client.
pub(super) async fn close(mut stream: TcpStream) {
    const FORGOTTEN_AT_ONCE_BYTES: usize = 16 << 10;
    let forgetting = async {
        // An error means that the client has gone, and then so has the wish to tell it something.
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut forgotten = Vec::with_capacity(FORGOTTEN_AT_ONCE_BYTES);
        while let Ok(Ok(1..)) = timeout(QUIET_MAX, stream.read_buf(&mut forgotten)).await {
            forgotten.clear();
        }
    };
    // Whoever never stops sending has had its time.
    let _ = timeout(LINGER_MAX, forgetting).await;
}
