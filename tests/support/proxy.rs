//! A TCP proxy before one listener of a broker, which can be told to misbehave.
//!
//! It knows of Kafka's protocol that every message is a frame with its length before it, and of a request's header the API
//! key and the correlation id, which the reply repeats. The link's faults hold for every connection, old and new.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// Requests that the tests tell apart, by their API key.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const OFFSET_COMMIT: i16 = 8;
pub(crate) const END_TXN: i16 = 26;
pub(crate) const TXN_OFFSET_COMMIT: i16 = 28;

/// What a proxy does. By default it passes everything on.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    pub(crate) link: Link,
    /// Requests of these keys reach the broker, and their replies are dropped.
    pub(crate) unanswered: Vec<i16>,
    /// Requests of these keys are kept, and what follows on their connection, until the rules change.
    pub(crate) held: Vec<i16>,
    /// Requests of these keys reach the broker, and their replies are kept, and what follows on their connection, until the rules
    /// change.
    pub(crate) held_replies: Vec<i16>,
}

/// The state of the wire.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Link {
    #[default]
    Sound,
    /// Everything arrives so much later, each way.
    Far { latency: Duration },
    /// The same, and at most so many bytes a second pass on a connection.
    Slow {
        latency: Duration,
        bytes_per_second: u32,
    },
    /// Connections stand, new ones too, and nothing comes through.
    Silent,
    /// Connections are closed, new ones at once.
    Cut,
}

/// What has become of requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Seen,
    Held,
    Unanswered,
}

/// A proxy, on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    rules: watch::Sender<Rules>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts(Mutex<HashMap<(Fate, i16), u64>>);

impl Proxy {
    /// Starts a proxy before a port of this machine, where nobody needs to listen yet.
    pub(crate) fn start(target: u16) -> Proxy {
        let listener = RUNTIME
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let (rules, receiver) = watch::channel(Rules::default());
        let counts = Arc::new(Counts::default());
        RUNTIME.spawn(accept(listener, target, receiver, Arc::clone(&counts)));
        Proxy {
            port,
            rules,
            counts,
        }
    }

    pub(crate) fn follow(&self, rules: Rules) {
        self.rules.send_replace(rules);
    }

    /// Returns how many requests of a key have met this fate since the proxy was started.
    pub(crate) fn count(&self, fate: Fate, key: i16) -> u64 {
        self.counts
            .0
            .lock()
            .expect("nobody panics with it")
            .get(&(fate, key))
            .copied()
            .unwrap_or(0)
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("proxy")
        .enable_all()
        .build()
        .expect("a runtime can be built")
});

impl Counts {
    fn add(&self, fate: Fate, key: i16) {
        *self
            .0
            .lock()
            .expect("nobody panics with it")
            .entry((fate, key))
            .or_default() += 1;
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    rules: watch::Receiver<Rules>,
    counts: Arc<Counts>,
) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target, rules.clone(), Arc::clone(&counts)));
        }
    }
}

/// Serves a connection until either side closes it or the link is cut.
async fn serve(
    client: TcpStream,
    target: u16,
    mut rules: watch::Receiver<Rules>,
    counts: Arc<Counts>,
) {
    let Ok(broker) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let connection = Connection {
        keys: Mutex::default(),
        counts,
    };
    tokio::select! {
        _ = pump(from_client, to_broker, rules.clone(), |frame, rules| connection.judge_request(frame, rules)) => {}
        _ = pump(from_broker, to_client, rules.clone(), |frame, rules| connection.judge_reply(frame, rules)) => {}
        _ = rules.wait_for(|rules| rules.link == Link::Cut) => {}
    }
}

/// What to do with a frame under the present rules.
enum Judgement {
    Pass,
    Wait,
    Drop,
}

struct Connection {
    /// The API key of each request that is not answered yet, by its correlation id.
    keys: Mutex<HashMap<i32, i16>>,
    counts: Arc<Counts>,
}

impl Connection {
    fn judge_request(&self, frame: &[u8], rules: &Rules) -> Judgement {
        let &[_, _, _, _, a, b, _, _, c, d, e, f, ..] = frame else {
            return Judgement::Pass;
        };
        let (key, id) = (i16::from_be_bytes([a, b]), i32::from_be_bytes([c, d, e, f]));
        if rules.held.contains(&key) {
            self.counts.add(Fate::Held, key);
            return Judgement::Wait;
        }
        self.counts.add(Fate::Seen, key);
        self.keys
            .lock()
            .expect("nobody panics with it")
            .insert(id, key);
        Judgement::Pass
    }

    fn judge_reply(&self, frame: &[u8], rules: &Rules) -> Judgement {
        let &[_, _, _, _, a, b, c, d, ..] = frame else {
            return Judgement::Pass;
        };
        let id = i32::from_be_bytes([a, b, c, d]);
        let mut keys = self.keys.lock().expect("nobody panics with it");
        let Some(key) = keys.get(&id).copied() else {
            return Judgement::Pass;
        };
        if rules.held_replies.contains(&key) {
            self.counts.add(Fate::Held, key);
            return Judgement::Wait;
        }
        keys.remove(&id);
        if !rules.unanswered.contains(&key) {
            return Judgement::Pass;
        }
        self.counts.add(Fate::Unanswered, key);
        Judgement::Drop
    }
}

/// Passes frames on, each when it is due; `None` when either side has closed.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    judge: impl Fn(&[u8], &Rules) -> Judgement,
) -> Option<()> {
    let (queue, mut queued) = mpsc::unbounded_channel();
    let arrivals = rules.clone();
    let read = async {
        loop {
            let frame = read_frame(&mut from).await?;
            queue
                .send((Instant::now() + latency(&arrivals), frame))
                .ok()?;
        }
    };
    let write = async {
        while let Some((due, frame)) = queued.recv().await {
            sleep_until(due).await;
            if is_passed(&frame, &mut rules, &judge).await? {
                sleep(time_on_wire(frame.len(), &rules)).await;
                to.write_all(&frame).await.ok()?;
            }
        }
        None
    };
    tokio::select! { closed = read => closed, closed = write => closed }
}

/// Waits while the rules keep a frame; returns whether it goes on, and `None` where the proxy is gone.
async fn is_passed(
    frame: &[u8],
    rules: &mut watch::Receiver<Rules>,
    judge: impl Fn(&[u8], &Rules) -> Judgement,
) -> Option<bool> {
    loop {
        let judgement = judge(
            frame,
            &*rules
                .wait_for(|rules| rules.link != Link::Silent)
                .await
                .ok()?,
        );
        match judgement {
            Judgement::Pass => return Some(true),
            Judgement::Drop => return Some(false),
            Judgement::Wait => rules.changed().await.ok()?,
        }
    }
}

/// Reads a frame with its length; `None` at the end of the connection.
async fn read_frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut frame = length.to_be_bytes().to_vec();
    from.take(u64::from(length))
        .read_to_end(&mut frame)
        .await
        .ok()?;
    (frame.len() == 4 + usize::try_from(length).ok()?).then_some(frame)
}

fn latency(rules: &watch::Receiver<Rules>) -> Duration {
    match rules.borrow().link {
        Link::Far { latency } | Link::Slow { latency, .. } => latency,
        Link::Sound | Link::Silent | Link::Cut => Duration::ZERO,
    }
}

fn time_on_wire(n_bytes: usize, rules: &watch::Receiver<Rules>) -> Duration {
    let Link::Slow {
        bytes_per_second, ..
    } = rules.borrow().link
    else {
        return Duration::ZERO;
    };
    Duration::from_secs(u64::try_from(n_bytes).expect("frames are small")) / bytes_per_second
}
