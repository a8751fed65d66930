//! What engineers who embed a node meet when they do something wrong, or nothing wrong but early.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use deut::{
    BootstrapFile, CallFailure, Destination, MAX_ROOM, Node, NodeConfig, PersonaKey, Profile,
    ServeError, Service, StartError,
};
use deut_kademlia::PersonaSecret;
use tokio::{runtime::Builder, time::timeout};

use crate::common::{Scratch, client, loopback, start};

const SERVICE: Service = Service(256);
/// Calls that one node has open at most.
const MOST: usize = 256;

fn alone() -> BootstrapFile {
    BootstrapFile::new("embedding", Profile::Test)
}

/// A persona that nobody has.
fn nobody() -> Destination {
    Destination {
        key: PersonaKey(PersonaSecret::from_seed(&[7; 32]).public()),
        at: vec![loopback(9_999)],
    }
}

/// Lets so many calls begin, which nobody will answer.
async fn begin(
    node: &Node,
    calls: usize,
) -> Vec<impl Future<Output = Result<Vec<u8>, CallFailure>> + use<>> {
    let mut open = Vec::new();
    for _ in 0..calls {
        let node = node.clone();
        let mut call = Box::pin(async move { node.call(SERVICE, nobody(), Vec::new()).await });
        assert!(timeout(Duration::from_millis(1), &mut call).await.is_err());
        open.push(call);
    }
    // The driver has taken them when it answers this.
    node.status().await.expect("runs");
    open
}

/// Whether one more call is refused for the others.
async fn is_busy(node: &Node) -> bool {
    let call = node.call(SERVICE, nobody(), Vec::new());
    let answer = timeout(Duration::from_millis(300), call).await;
    matches!(
        answer,
        Ok(Err(CallFailure::Failed(
            deut_transport::io::CallError::Busy
        )))
    )
}

#[tokio::test]
async fn calls_that_nobody_waits_for_hold_no_place() {
    let node = client(&alone()).await;
    let open = begin(&node, MOST).await;
    assert!(is_busy(&node).await, "control: as many as there may be");
    drop(open);
    for _ in 0..3 {
        assert!(!is_busy(&node).await);
    }
    node.shutdown().await;
}

#[tokio::test]
async fn whoever_waits_for_a_call_at_shutdown_hears_that_the_node_stopped() {
    let node = client(&alone()).await;
    let mut open = begin(&node, 2).await;
    let calls = tokio::spawn(async move { (open.remove(0).await, open.remove(0).await) });
    node.shutdown().await;
    let stopped = Err(CallFailure::Stopped(deut::Stopped));
    assert_eq!(calls.await.expect("ends"), (stopped.clone(), stopped));
}

#[tokio::test]
async fn what_does_not_fit_and_who_is_reserved_is_told_at_once() {
    let node = client(&alone()).await;
    let too_long = node.call(SERVICE, nobody(), vec![0; 1_017]).await;
    assert_eq!(too_long, Err(CallFailure::TooLong(1_017)));
    let reserved = Service(255);
    let called = node.call(reserved, nobody(), Vec::new()).await;
    assert_eq!(called, Err(CallFailure::Reserved(reserved)));
    let served = node.serve(reserved, 1).await;
    assert_eq!(served.err(), Some(ServeError::Reserved(reserved)));
    for room in [0, MAX_ROOM + 1, usize::MAX] {
        let served = node.serve(SERVICE, room).await;
        assert_eq!(served.err(), Some(ServeError::Room(room)));
    }
    let mut served = Vec::new();
    for number in 0..64 {
        served.push(node.serve(Service(300 + number), 1).await.expect("room"));
    }
    let refused = node.serve(Service(500), 1).await;
    assert_eq!(refused.err(), Some(ServeError::TooManyServices));
    node.serve(Service(300), 1).await.expect("takes over");
    served.pop();
    node.serve(Service(500), 1).await.expect("one less");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_dropped_can_be_waited_for_and_started_again() {
    let scratch = Scratch::new();
    let with_files = |config: &mut NodeConfig| config.data_dir = Some(scratch.path().to_owned());
    let mut node = start(&alone(), with_files).await;
    for _ in 0..10 {
        let ended = node.ended();
        drop(node);
        timeout(Duration::from_secs(60), ended).await.expect("ends");
        node = start(&alone(), with_files).await;
    }
    // Whoever does not wait finds the lock held for some milliseconds.
    for _ in 0..10 {
        drop(node);
        node = start(&alone(), with_files).await;
    }
    node.shutdown().await;
}

#[test]
fn a_node_needs_a_runtime_and_leaves_nothing_behind_without_one() {
    let scratch = Scratch::new();
    let config = || NodeConfig {
        data_dir: Some(scratch.path().to_owned()),
        ..NodeConfig::new(alone(), loopback(crate::ports::block()))
    };
    let mut outside = pin!(Node::start(config()));
    let Poll::Ready(end) = outside
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("there is nothing to wait for");
    };
    let missing = |end: Result<Node, StartError>| match end {
        Err(StartError::NoRuntime(what)) => what,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(missing(end), "I/O and time");
    let bare = Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(missing(bare.block_on(Node::start(config()))), "time");
    let deaf = Builder::new_current_thread().enable_time().build();
    let deaf = deaf.expect("a runtime");
    assert_eq!(missing(deaf.block_on(Node::start(config()))), "I/O");
    assert!(!scratch.path().exists());
    // Control: with both it starts.
    let whole = Builder::new_current_thread().enable_all().build();
    let whole = whole.expect("a runtime");
    whole.block_on(async {
        let node = Node::start(config()).await.expect("starts");
        node.shutdown().await;
    });
}
