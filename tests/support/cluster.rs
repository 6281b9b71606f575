//! Three `RabbitMQ` nodes of the test's own that are one cluster.

use super::broker_node::PrivateNode;
use super::wait::{self, SOON};

/// Three nodes: with two of them queues have a majority.
#[derive(Debug)]
pub struct Cluster {
    /// Each may be stopped, killed and started again.
    pub nodes: [PrivateNode; 3],
}

impl Cluster {
    /// Starts three nodes at the same time and joins them (about 20 s).
    pub async fn start() -> Self {
        let cookie = format!("amqpostcluster{}", std::process::id());
        let node = || PrivateNode::start_with_cookie(Some(&cookie));
        let (first, second, third) = tokio::join!(node(), node(), node());
        let mut nodes = [first, second, third];
        let [first, others @ ..] = &mut nodes;
        // One after the other: two that join at the same time may miss each other.
        for node in others {
            node.stop_app().await;
            node.ctl(&["join_cluster", first.name()]).await;
            node.start_app().await;
        }
        let cluster = Self { nodes };
        cluster.wait_whole().await;
        cluster
    }

    /// Waits until every node sees every other.
    pub async fn wait_whole(&self) {
        for node in &self.nodes {
            wait::until("the cluster is whole", SOON * 2, || async {
                let running = node.eval("rabbit_nodes:running_count()").await;
                (running == "3").then_some(())
            })
            .await;
        }
    }

    /// Waits until every node takes part in a quorum queue: only then may the next one be lost.
    pub async fn wait_members(&self, queue: &str) {
        let members = format!(
            r#"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
               [{{online, Nodes}}] = rabbit_quorum_queue:info(Q, [online]), length(Nodes)"#
        );
        wait::until("the queue has all its members", SOON * 2, || async {
            (self.nodes[0].eval(&members).await == "3").then_some(())
        })
        .await;
    }

    /// The addresses of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(PrivateNode::url).collect()
    }

    /// The number of the node that leads a quorum queue.
    pub async fn leader_of(&self, queue: &str) -> usize {
        let leader = self.nodes[0]
            .eval(&format!(
                r#"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
                   {{_, Node}} = amqqueue:get_pid(Q), Node"#
            ))
            .await;
        let leads = |node: &PrivateNode| node.name() == leader.trim_matches('\'');
        let number = self.nodes.iter().position(leads);
        number.unwrap_or_else(|| panic!("{leader} leads {queue}"))
    }

    /// As [`PrivateNode::settle_declarations`], on every node.
    pub async fn settle_declarations(&self) {
        for node in &self.nodes {
            node.settle_declarations().await;
        }
    }

    /// Kills the nodes with these numbers at the same moment, as a power cut would.
    pub fn kill_9(&mut self, numbers: &[usize]) {
        for number in numbers {
            self.nodes[*number].kill_9();
        }
    }

    /// Starts all that do not run, at the same time: each may wait for another.
    pub async fn restart(&mut self, numbers: &[usize]) {
        let starting = self
            .nodes
            .iter_mut()
            .enumerate()
            .filter(|(number, _)| numbers.contains(number))
            .map(|(_, node)| node.restart());
        futures_util::future::join_all(starting).await;
        self.wait_whole().await;
    }
}
