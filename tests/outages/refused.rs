//! A broker that does not let the gateway in.

use std::time::Duration;

use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::{End, TcpProxy};
use super::support::wait::{self, SOON};
use super::{assert_confirmed, assert_down, broker_is_up, gateway, node, post_some, proxy};

/// Long enough to tell a pause of seconds from a loop.
const PERIOD: Duration = Duration::from_secs(5);
/// Four lanes, which try once each, and one try of the probe's.
const CONNECTIONS_MAX: u64 = 5;

/// The gateway says why it is not let in, goes on accepting, and does not hammer the broker, also
/// with messages to be asked about.
async fn assert_refused(url: &str, words: &str, proxy: &TcpProxy, place: &Place) {
    let gateway = gateway(url, &[]).await;
    assert_down(&gateway, place, words).await;
    let before = proxy.accepted();
    post_some(&gateway, place, 50).await;
    tokio::time::sleep(PERIOD).await;
    let tries = proxy.accepted() - before;
    assert!(tries <= CONNECTIONS_MAX, "{tries} logins in {PERIOD:?}");
    let log = gateway.log();
    assert!(log.contains("not connected to the broker"), "{log}");
    assert!(!log.contains("wrong-password"), "the password is logged");
    assert!(log.lines().count() < 40, "the log is flooded:\n{log}");
    assert!(place.take_all().await.is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_tried_over_and_over() {
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let url = format!("amqp://guest:wrong-password@{}/%2f", proxy.address());
    assert_refused(&url, "refused the login", &proxy, &place).await;
}

#[tokio::test]
async fn a_wrong_virtual_host_is_told_and_not_tried_over_and_over() {
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let url = format!("amqp://guest:guest@{}/no-such-vhost", proxy.address());
    assert_refused(&url, "virtual host", &proxy, &place).await;
}

#[tokio::test]
async fn a_password_that_is_changed_stops_questions_about_exchanges_too() {
    let node = node().await;
    let change = async |password: &str| {
        node.eval(&format!(
            r#"rabbit_auth_backend_internal:change_password(<<"moody">>, <<"{password}">>, <<"test">>)"#
        ))
        .await;
    };
    node.eval(
        r#"rabbit_auth_backend_internal:add_user(<<"moody">>, <<"old">>, <<"test">>),
           rabbit_auth_backend_internal:set_permissions(
               <<"moody">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)"#,
    )
    .await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let url = format!("amqp://moody:old@{}/%2f", proxy.address());
    let gateway = gateway(&url, &[]).await;
    broker_is_up(&gateway).await;

    // The exchange is asked about for the first time, over a new connection, while the lanes still
    // have theirs. Then they lose them.
    change("new").await;
    let before = proxy.accepted();
    let mut ids = post_some(&gateway, &place, 1).await;
    wait::until("the exchange is asked about", SOON, || async {
        (proxy.accepted() > before).then_some(())
    })
    .await;
    proxy.end_all(End::Close);
    ids.push(assert_down(&gateway, &place, "refused the login").await);
    let before = proxy.accepted();
    tokio::time::sleep(PERIOD).await;
    let tries = proxy.accepted() - before;
    assert!(tries <= CONNECTIONS_MAX, "{tries} logins in {PERIOD:?}");

    change("old").await;
    for id in &ids {
        assert_confirmed(&gateway.wait_final(id).await);
    }
    assert_eq!(place.take_all().await.len(), ids.len());
}
