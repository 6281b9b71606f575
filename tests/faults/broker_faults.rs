//! What happens to the broker, and to the networks on both sides of the gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::gateway_faults::paused;
use super::places::Places;
use super::plan::{Fault, Plan, Step, Track, Trouble};
use super::site::Site;
use super::support::broker_node::PrivateNode;
use super::support::tcp_proxy::TcpProxy;

/// See the module.
pub(crate) struct BrokerFaults {
    pub(crate) site: Arc<Site>,
    pub(crate) node: PrivateNode,
}

impl BrokerFaults {
    /// Goes on until it is told to stop; then the broker is well again.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        for step in Plan::new(self.site.seed, Track::Broker) {
            if paused(&mut stop, step.pause_ms).await {
                break;
            }
            self.inflict(&step).await;
            self.site.faults.did(step.fault);
        }
        self.places().await.complete().await;
        self
    }

    async fn inflict(&mut self, step: &Step) {
        let lasts = Duration::from_millis(step.lasts_ms);
        let from = self.site.now_ms();
        match step.fault {
            Fault::BrokerKilled => {
                self.node.kill_9();
                tokio::time::sleep(lasts / 2).await;
                self.node.restart().await;
            }
            Fault::BrokerStopped => {
                self.node.stop_app().await;
                tokio::time::sleep(lasts).await;
                self.node.start_app().await;
            }
            Fault::BrokerFrozen => {
                self.node.suspend();
                tokio::time::sleep(lasts).await;
                self.node.resume();
            }
            Fault::Alarm => {
                self.node.set_alarm().await;
                tokio::time::sleep(lasts).await;
                self.node.clear_alarm().await;
            }
            Fault::Unbound => {
                self.places().await.unbind_sometimes().await;
                tokio::time::sleep(lasts).await;
                self.places().await.complete().await;
            }
            Fault::ExchangeDeleted => {
                self.places().await.delete_vanishing().await;
                tokio::time::sleep(lasts).await;
                self.places().await.complete().await;
            }
            _ => self.node.close_all_connections().await,
        }
        if matches!(
            step.fault,
            Fault::BrokerKilled | Fault::BrokerStopped | Fault::BrokerFrozen
        ) {
            let to = self.site.now_ms();
            self.site.books.lock().leader_losses.push((from, to));
        }
    }

    async fn places(&self) -> Places {
        Places::at(&self.node.url()).await
    }
}

/// The bad networks.
pub(crate) struct Networks {
    pub(crate) site: Arc<Site>,
    pub(crate) broker: TcpProxy,
    pub(crate) callers: TcpProxy,
}

impl Networks {
    /// Goes on until it is told to stop; then all passes again.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) -> Self {
        for step in Plan::new(self.site.seed, Track::Networks) {
            if paused(&mut stop, step.pause_ms).await {
                break;
            }
            let (proxy, trouble) = match step.fault {
                Fault::CallersNetwork(trouble) => (&self.callers, trouble),
                Fault::BrokerNetwork(trouble) => (&self.broker, trouble),
                _ => continue,
            };
            trouble_in(proxy, trouble, &step).await;
            self.site.faults.did(step.fault);
        }
        self.broker.heal();
        self.callers.heal();
        self
    }
}

async fn trouble_in(proxy: &TcpProxy, trouble: Trouble, step: &Step) {
    let lasts = Duration::from_millis(step.lasts_ms);
    match trouble {
        Trouble::Cut | Trouble::Reset => proxy.end_all(step.fault.end()),
        Trouble::CutInside | Trouble::ResetInside => {
            proxy.end_after(step.direction, step.bytes, step.fault.end());
        }
        Trouble::Silence => {
            proxy.silence();
            tokio::time::sleep(lasts).await;
            proxy.heal();
        }
        Trouble::HalfSilence => {
            proxy.silent_after(step.direction, step.bytes);
            tokio::time::sleep(lasts).await;
            proxy.heal();
        }
    }
}
