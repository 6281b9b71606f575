//! A 202 is never lost: not by kill -9, a stop, a broker that is away, or more messages than memory
//! holds. The gateway is a process, and its store a file.

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod kills;
mod operators;
mod restarts;

use std::net::{Ipv4Addr, SocketAddr};

use support::broker_node::shared_broker_url;
use support::tcp_proxy::TcpProxy;

/// A network of one's own before the broker that all tests share.
async fn proxy() -> TcpProxy {
    let url = shared_broker_url();
    let authority = url.split(['@', '/']).nth(3).expect("a host");
    let port = authority
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    TcpProxy::start(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        port.unwrap_or(5672),
    )))
    .await
}
