//! A campaign from its beginning to its account.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::account;
use super::bad_disk::{self, SmallDisk};
use super::broker_faults::{BrokerFaults, Networks};
use super::choices::{GROUPS, WRITERS, dice};
use super::gateway_faults::{GatewayFaults, Means, clock_variables, set_clock};
use super::ledger::{self, Violation};
use super::left_over;
use super::messages::group_name;
use super::places::{Places, QUEUES};
use super::receiver::{CALLBACK_SECRET, Receiver};
use super::site::Site;
use super::support::broker_node::PrivateNode;
use super::support::gateway::{self, Gateway};
use super::support::tcp_proxy::TcpProxy;
use super::support::wait;
use super::writer::Writer;
use super::{consumer, follower, told};

/// For everything to be settled, consumed and told once all is well again.
const DRAIN_LIMIT: Duration = Duration::from_mins(4);
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Runs one, prints its account and gives what is not as it was promised.
pub(crate) async fn run(seed: u64, length: Duration) -> Vec<Violation> {
    left_over::remove();
    let scratch = left_over::directory().expect("there is room for temporary files");
    let means = means(scratch.path().join("clock"));
    let node = PrivateNode::start().await;
    Places::at(&node.url()).await.declare().await;
    node.settle_declarations().await;

    let receiver = Receiver::start().await;
    let broker_network = TcpProxy::start(local(node.port())).await;
    let gateway = Gateway::start(settings(seed, &broker_network, &means)).await;
    let port = gateway
        .url()
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let callers_network = TcpProxy::start(local(port.expect("a URL with a port"))).await;
    let callers_url = format!("http://{}", callers_network.address());
    let urls = [
        callers_url,
        gateway.url(),
        node.url(),
        receiver.url("callback"),
    ];
    let site = Arc::new(Site::new(seed, urls));
    site.say(&format!("{} s of faults", length.as_secs()));
    let standing = json!({"url": receiver.url("standing")}).to_string();
    let made = [("content-type", "application/json")];
    let made = gateway
        .request(Method::POST, "/v1/webhooks", &made, standing)
        .await;
    receiver.note_for(&site, made.text_at("/secret"));

    let (tell, stop) = watch::channel(false);
    let networks = Networks {
        site: Arc::clone(&site),
        broker: broker_network,
        callers: callers_network,
    };
    let broker = BrokerFaults {
        site: Arc::clone(&site),
        node,
    };
    let gateway = GatewayFaults {
        site: Arc::clone(&site),
        gateway,
        means,
        ahead_seconds: 0,
    };
    let mut readers = readers(&site);
    let mut writers = writers(&site, &stop);
    let mut networks = tokio::spawn(networks.run(stop.clone()));
    let mut broker = tokio::spawn(broker.run(stop.clone()));
    let mut gateway = tokio::spawn(gateway.run(stop));

    // Whoever panics ends it at once: the rest would be told of half a campaign.
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        early = &mut networks => gone(&site, "what troubles the networks", early.err()),
        early = &mut broker => gone(&site, "what troubles the broker", early.err()),
        early = &mut gateway => gone(&site, "what troubles the gateway", early.err()),
        Some(early) = writers.join_next() => gone(&site, "a writer", early.err()),
        Some(early) = readers.join_next() => gone(&site, "a reader", early.err()),
    }
    site.say("no more faults");
    let _ = tell.send(true);
    let ends = async {
        // Kept until the end: dropping them ends them.
        let kept = match tokio::try_join!(networks, broker, gateway) {
            Ok(kept) => kept,
            Err(error) => gone(&site, "what makes trouble", Some(error)),
        };
        while let Some(ended) = writers.join_next().await {
            if let Err(error) = ended {
                gone(&site, "a writer", Some(error));
            }
        }
        drain(&site).await;
        kept
    };
    let (_networks, _broker, mut gateway) = tokio::select! {
        kept = ends => kept,
        Some(early) = readers.join_next() => gone(&site, "a reader", early.err()),
    };
    readers.shutdown().await;

    if let Some(status) = gateway.gateway.ended() {
        site.incident(format!("the gateway ended by itself: {status}"));
    } else if !gateway
        .gateway
        .terminate_within(Duration::from_secs(40))
        .success()
    {
        site.incident("the gateway did not end well");
    }
    check_store(&site, &gateway);
    let books = site.books.lock();
    let violations = ledger::violations(&books);
    account::show_table(&site, &books, &violations);
    if !violations.is_empty() {
        keep(&gateway, &violations);
    }
    violations
}

/// Somebody has ended who should go on.
fn gone(site: &Site, who: &str, error: Option<JoinError>) -> ! {
    let how = error.map_or_else(|| "before its time".into(), |error| error.to_string());
    panic!(
        "seed {}, after {} ms: {who} ended: {how}",
        site.seed,
        site.now_ms()
    );
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn means(clock: PathBuf) -> Means {
    let faked = bad_disk::faketime().and_then(|_| set_clock(&clock, 0));
    Means {
        disk: SmallDisk::new(),
        tamper: bad_disk::can_tamper(),
        clock: faked.map(|()| clock),
    }
}

/// The limits are small, so that they are met.
fn settings(seed: u64, broker: &TcpProxy, means: &Means) -> Vec<(String, String)> {
    use rand::Rng as _;
    let mut dice = dice(seed, "settings", 0);
    let mut all: Vec<(String, String)> = [
        ("AMQPOST_BROKER_URL", broker.amqp_url()),
        ("AMQPOST_HEARTBEAT_SECONDS", "1".into()),
        ("AMQPOST_CONNECT_TIMEOUT_SECONDS", "2".into()),
        (
            "AMQPOST_STALL_AFTER_MS",
            dice.random_range(1_000..5_000).to_string(),
        ),
        ("AMQPOST_LANES", dice.random_range(1..=4).to_string()),
        (
            "AMQPOST_WINDOW_MESSAGES",
            dice.random_range(20..1_000).to_string(),
        ),
        (
            "AMQPOST_LANE_MEMORY_MESSAGES_MAX",
            dice.random_range(100..2_000).to_string(),
        ),
        (
            "AMQPOST_PENDING_MESSAGES_MAX",
            dice.random_range(1_000..6_000).to_string(),
        ),
        (
            "AMQPOST_EXCHANGE_KNOWN_SECONDS",
            dice.random_range(1..30).to_string(),
        ),
        ("AMQPOST_RETRY_PAUSE_MS_MAX", "1000".into()),
        (
            "AMQPOST_SHUTDOWN_GRACE_SECONDS",
            dice.random_range(1..8).to_string(),
        ),
        ("AMQPOST_WEBHOOK_SECRETS", CALLBACK_SECRET.into()),
        ("AMQPOST_WEBHOOK_ALLOW", "127.0.0.0/8".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Ok(disk) = &means.disk {
        let file = disk.path().join("amqpost.db");
        all.push((
            "AMQPOST_STORE_URL".into(),
            format!("sqlite:{}", file.display()),
        ));
    }
    if let (Ok(file), Ok(library)) = (&means.clock, bad_disk::faketime()) {
        all.extend(clock_variables(file, &library));
    }
    all
}

/// Whoever only looks on.
fn readers(site: &Arc<Site>) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for queue in (0..).take(QUEUES.len()) {
        all.spawn(consumer::drain(Arc::clone(site), queue));
    }
    all.spawn(follower::follow(Arc::clone(site)));
    let site = Arc::clone(site);
    all.spawn(async move {
        loop {
            tokio::time::sleep(PROGRESS_EVERY).await;
            account::show_progress(&site);
        }
    });
    all
}

fn writers(site: &Arc<Site>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for number in 0..WRITERS {
        all.spawn(Writer::new(number, Arc::clone(site)).run(stop.clone()));
    }
    all
}

/// Waits until nothing is outstanding, and writes down what the gateway tells then.
async fn drain(site: &Site) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    loop {
        list(site).await;
        let outstanding = ledger::outstanding(&site.books.lock());
        if outstanding == 0 {
            break;
        }
        if Instant::now() >= deadline {
            site.say(&format!(
                "{outstanding} things are outstanding after {DRAIN_LIMIT:?}"
            ));
            break;
        }
        site.say(&format!("{outstanding} things are outstanding"));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Whatever comes twice comes now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    list(site).await;
}

/// All messages, and the counts.
async fn list(site: &Site) {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = asked(site, &format!("/v1/messages?limit=1000{cursor}")).await;
        let messages = page["messages"].as_array().cloned().unwrap_or_default();
        all.extend(
            messages
                .iter()
                .map(|one| told::told(one).expect("a message")),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let stats = asked(site, "/v1/stats").await;
    let mut groups = std::collections::BTreeMap::new();
    for group in 0..GROUPS {
        let name = group_name(group).replace('/', "%2F");
        let answer = asked(site, &format!("/v1/groups/{name}")).await;
        if let Some(tally) = told::tally(&answer) {
            groups.insert(group, tally);
        }
    }
    let mut books = site.books.lock();
    books.told = all;
    books.stats = told::tally(&stats["counts"]).unwrap_or_default();
    books.groups = groups;
}

/// A good answer, since all is well.
async fn asked(site: &Site, path: &str) -> serde_json::Value {
    wait::until(path, Duration::from_secs(30), || async {
        let reply = site.get(path).await?;
        let known = reply.status.is_success() || reply.status == reqwest::StatusCode::NOT_FOUND;
        known.then_some(reply.json)
    })
    .await
}

fn check_store(site: &Site, gateway: &GatewayFaults) {
    let mut command = Command::new(gateway::binary());
    command
        .args(["store", "check"])
        .current_dir(gateway.gateway.directory());
    if let Ok(disk) = &gateway.means.disk {
        let file = disk.path().join("amqpost.db");
        command.env("AMQPOST_STORE_URL", format!("sqlite:{}", file.display()));
    }
    let output = command.output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !said.contains("is whole") {
        let error = String::from_utf8_lossy(&output.stderr);
        site.incident(format!("store check says: {said} {error}"));
    }
}

/// What is left to look at after a failure.
fn keep(gateway: &GatewayFaults, violations: &[Violation]) {
    let site = &gateway.site;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let place = target.join("faults").join(site.seed.to_string());
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    let store = match &gateway.means.disk {
        Ok(disk) => disk.path().join("amqpost.db"),
        Err(_) => gateway.gateway.directory().join("amqpost-data/amqpost.db"),
    };
    let kept = std::fs::create_dir_all(&place)
        .and_then(|()| std::fs::write(place.join("violations"), lines.join("\n")))
        .and_then(|()| std::fs::write(place.join("log"), gateway.gateway.log()))
        .and_then(|()| std::fs::copy(store, place.join("amqpost.db")));
    match kept {
        Ok(_) => site.say(&format!("the log and the store are in {}", place.display())),
        Err(error) => site.say(&format!("the log and the store are not kept: {error}")),
    }
}
