//! Fan-out: rooms of ten, one sender in each.
//!
//! *Closed loop*: each sender keeps [`IN_FLIGHT`] events under way; how many deliveries per second, at what CPU cost, and
//! was anything lost, doubled or out of order. *Paced*: a fixed rate far below that; how long from send to receive.
//!
//! Two kinds of event. Typing never leaves the server: the pure fan-out. A message is one call to Twilio first, in the sender's order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::{Heard, Socket, event};
use crate::process::{Core, Folder, Process, free_address};
use crate::table::Table;

const ROOMS: usize = 20;
const MEMBERS: usize = 10;
const IN_FLIGHT: u64 = 4;
/// All senders together.
const PACE_PER_SECOND: u64 = 200;
/// Unmeasured, so that caches, connections and allocators are warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long what is under way at the end may take to arrive before it counts as lost.
const STRAGGLERS: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// `typing_start` and `typing_stop` in turn, to the nine others.
    Typing,
    /// `send_message`, to all ten.
    Message,
}

impl Kind {
    fn listeners(self) -> u64 {
        match self {
            Self::Typing => MEMBERS as u64 - 1,
            Self::Message => MEMBERS as u64,
        }
    }

    fn event(self, conversation: &str, identity: &str, number: u64) -> String {
        match self {
            Self::Typing => {
                let name = if number.is_multiple_of(2) { "typing_start" } else { "typing_stop" };
                event(name, &json!({ "conversationSid": conversation, "identity": identity }))
            }
            Self::Message => {
                let message = json!({ "conversationSid": conversation, "body": number.to_string(), "author": identity });
                event("send_message", &message)
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Load {
    ClosedLoop,
    Paced,
}

pub(crate) async fn measure(table: &mut Table, duration: Duration) -> Result<()> {
    eprintln!("fan-out: {ROOMS} rooms of {MEMBERS}, {} s each", duration.as_secs());
    let address = free_address()?;
    let mock = Process::mock(Some(&address)).await?;
    let upstream = Process::of_ours(Core::Feeding, "upstream", &[&mock.address]).await?;
    let folder = Folder::new()?;
    let goals =
        Goals {
            deliveries: "≥ 110,000, in order, 0 lost, 0 doubled", cpu: "≤ 9 µs", p99: "p99 ≤ 0.9 ms"
        };

    let service = Process::service(&address, &upstream.address, &folder).await?;
    let rooms = create_rooms(&address, ROOMS, MEMBERS).await?;
    run(table, "switchboard, typing (no Twilio)", &service, &rooms, Kind::Typing, duration, &goals).await?;
    run(table, "switchboard, messages, Twilio at once", &service, &rooms, Kind::Message, duration, &goals)
        .await?;
    drop(service);

    let service = Process::service(&address, &mock.address, &folder).await?;
    let rooms = create_rooms(&address, ROOMS, MEMBERS).await?;
    let name = "switchboard, messages, mock Twilio with webhooks";
    run(table, name, &service, &rooms, Kind::Message, duration, &Goals::NONE).await?;
    drop(service);

    let bare = Process::of_ours(Core::Measured, "bare-socketioxide", &[&upstream.address]).await?;
    run(table, "bare socketioxide, typing", &bare, &rooms, Kind::Typing, duration, &Goals::NONE).await?;
    run(
        table,
        "bare socketioxide, messages, Twilio at once",
        &bare,
        &rooms,
        Kind::Message,
        duration,
        &Goals::NONE,
    )
    .await?;
    drop(bare);
    let bare = Process::of_ours(Core::Measured, "bare-websocket", &[]).await?;
    run(table, "raw websocket, no Twilio", &bare, &rooms, Kind::Message, duration, &Goals::NONE).await
}

struct Goals {
    deliveries: &'static str,
    cpu: &'static str,
    p99: &'static str,
}

impl Goals {
    /// What is measured only to compare with.
    const NONE: Self = Self { deliveries: "", cpu: "", p99: "" };
}

/// One server, one kind of event, both loads.
async fn run(
    table: &mut Table,
    name: &str,
    server: &Process,
    rooms: &[(String, Vec<String>)],
    kind: Kind,
    duration: Duration,
    goals: &Goals,
) -> Result<()> {
    let closed = drive(server, rooms, kind, Load::ClosedLoop, duration).await?;
    table.row(
        format!("{name}: deliveries/s"),
        format!(
            "{:.0}, {} out of order, {} lost, {} doubled",
            closed.per_second, closed.disorder, closed.lost, closed.doubled
        ),
        goals.deliveries,
    );
    table.row(format!("{name}: CPU per delivery"), format!("{:.1} µs", closed.cpu_us), goals.cpu);
    if kind == Kind::Message {
        let paced = drive(server, rooms, kind, Load::Paced, duration).await?;
        table.row(
            format!("{name}: send to receive at {PACE_PER_SECOND} messages/s"),
            format!("p50 {:.2} ms, p99 {:.2} ms", paced.percentile_ms(50), paced.percentile_ms(99)),
            goals.p99,
        );
    }
    Ok(())
}

/// Conversations with their members, made over REST as an app would.
pub(crate) async fn create_rooms(
    address: &str,
    rooms: usize,
    members: usize,
) -> Result<Vec<(String, Vec<String>)>> {
    let http = Client::new();
    let mut created = Vec::with_capacity(rooms);
    for room in 0..rooms {
        let identities: Vec<String> =
            (0..members).map(|member| format!("room-{room}-member-{member}")).collect();
        let answer: Value = http
            .post(format!("http://{address}/api/conversations/create"))
            .json(&json!({ "participants": identities }))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let sid = answer["data"]["conversation_sid"].as_str().context("no conversation_sid")?;
        created.push((sid.to_owned(), identities));
    }
    Ok(created)
}

/// What one member has received.
#[derive(Default)]
struct Tally {
    /// How often each number arrived.
    times: Vec<u8>,
    /// The next number expected.
    next: u64,
    disorder: u64,
    latencies: Vec<Duration>,
}

/// What a room's sender and members share.
struct Room {
    kind: Kind,
    sent: AtomicU64,
    received: AtomicU64,
    /// Wakes the sender when an event has reached everyone.
    arrived: Notify,
    /// When each number was sent; only kept when paced.
    sent_at: Mutex<Vec<Instant>>,
    stop: AtomicBool,
}

impl Room {
    fn under_way(&self) -> u64 {
        let sent = self.sent.load(Ordering::Relaxed);
        sent.saturating_sub(self.received.load(Ordering::Relaxed) / self.kind.listeners())
    }

    fn all_arrived(&self) -> bool {
        self.received.load(Ordering::Relaxed) >= self.sent.load(Ordering::Relaxed) * self.kind.listeners()
    }

    fn tally(&self, tally: &Mutex<Tally>, heard: &Heard) {
        let mut tally = tally.lock();
        let (number, in_order) = match (self.kind, heard) {
            (Kind::Message, Heard::Message(number)) => (*number, *number == tally.next),
            // Typing carries no number: what alternates as it was sent is in order.
            (Kind::Typing, Heard::Typing(typing)) => (tally.next, *typing == tally.next.is_multiple_of(2)),
            (Kind::Message, Heard::Typing(_) | Heard::Other)
            | (Kind::Typing, Heard::Message(_) | Heard::Other) => {
                return;
            }
        };
        let place = usize::try_from(number).expect("a count of events fits in memory");
        if tally.times.len() <= place {
            tally.times.resize(place + 1, 0);
        }
        tally.times[place] = tally.times[place].saturating_add(1);
        tally.disorder += u64::from(!in_order);
        tally.next = number + 1;
        if let Some(at) = self.sent_at.lock().get(place) {
            tally.latencies.push(at.elapsed());
        }
        let received = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        if received.is_multiple_of(self.kind.listeners()) {
            self.arrived.notify_one();
        }
    }
}

/// What a run came to.
struct Outcome {
    per_second: f64,
    cpu_us: f64,
    disorder: u64,
    lost: u64,
    doubled: u64,
    latencies: Vec<Duration>,
}

impl Outcome {
    fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Fills the rooms, lets the senders go, and counts.
async fn drive(
    server: &Process,
    rooms: &[(String, Vec<String>)],
    kind: Kind,
    load: Load,
    duration: Duration,
) -> Result<Outcome> {
    let mut tasks = JoinSet::new();
    let mut watched = Vec::new();
    let mut senders = Vec::new();
    for (conversation, members) in rooms {
        let room = Arc::new(Room {
            kind,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            arrived: Notify::new(),
            sent_at: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let mut tallies = Vec::new();
        for (place, identity) in members.iter().enumerate() {
            let mut socket = Socket::enter(&server.address, identity, conversation).await?;
            let tally = Arc::new(Mutex::new(Tally::default()));
            if place == 0 {
                senders.push((
                    Arc::clone(&room),
                    Arc::clone(&tally),
                    socket,
                    conversation.clone(),
                    identity.clone(),
                ));
            } else {
                let (room, tally) = (Arc::clone(&room), Arc::clone(&tally));
                tasks.spawn(async move {
                    loop {
                        let heard = socket.next().await?;
                        room.tally(&tally, &heard);
                    }
                });
            }
            // The sender of typing does not hear of it.
            if place > 0 || kind == Kind::Message {
                tallies.push(tally);
            }
        }
        watched.push((room, tallies));
    }
    for (place, (room, tally, socket, conversation, identity)) in senders.into_iter().enumerate() {
        let pace = match load {
            Load::ClosedLoop => None,
            Load::Paced => Some(Pace::of(place)),
        };
        tasks.spawn(async move { send(&room, &tally, socket, &conversation, &identity, pace).await });
    }

    let received = || watched.iter().map(|(room, _)| room.received.load(Ordering::Relaxed)).sum::<u64>();
    tokio::time::sleep(WARM_UP).await;
    let (cpu_before, received_before, began) = (server.cpu()?, received(), Instant::now());
    tokio::time::sleep(duration).await;
    let (cpu, deliveries, took) = (server.cpu()? - cpu_before, received() - received_before, began.elapsed());

    for (room, _) in &watched {
        room.stop.store(true, Ordering::Relaxed);
        room.arrived.notify_one();
    }
    let deadline = Instant::now() + STRAGGLERS;
    while Instant::now() < deadline && !watched.iter().all(|(room, _)| room.all_arrived()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Members read for ever; one that has ended was cut off by the server, and says why.
    while let Some(ended) = tasks.try_join_next() {
        if let Err(error) = ended? {
            eprintln!("  a connection ended: {error:#}");
        }
    }
    tasks.abort_all();

    let mut outcome = Outcome {
        per_second: per_second(deliveries, took),
        cpu_us: cpu.as_secs_f64() * 1e6 / per_second(deliveries.max(1), Duration::from_secs(1)),
        disorder: 0,
        lost: 0,
        doubled: 0,
        latencies: Vec::new(),
    };
    for (room, tallies) in &watched {
        let sent = usize::try_from(room.sent.load(Ordering::Relaxed))?;
        for tally in tallies {
            let mut tally = tally.lock();
            let seen = tally.times.len();
            tally.times.resize(sent.max(seen), 0);
            outcome.disorder += tally.disorder;
            outcome.lost += tally.times.iter().map(|times| u64::from(*times == 0)).sum::<u64>();
            outcome.doubled +=
                tally.times.iter().map(|times| u64::from(times.saturating_sub(1))).sum::<u64>();
            outcome.latencies.append(&mut tally.latencies);
        }
    }
    outcome.latencies.sort_unstable();
    Ok(outcome)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// When a paced sender sends.
struct Pace(tokio::time::Interval);

impl Pace {
    /// The rooms take turns, so that the rate is even.
    fn of(place: usize) -> Self {
        let rooms = u32::try_from(ROOMS).expect("a few rooms");
        let period = Duration::from_secs(1) * rooms / u32::try_from(PACE_PER_SECOND).expect("a few messages");
        let offset = period * u32::try_from(place).expect("a few rooms") / rooms;
        Self(tokio::time::interval_at(tokio::time::Instant::now() + offset, period))
    }
}

/// Sends until told to stop, and hears its own messages like any member.
async fn send(
    room: &Room,
    tally: &Mutex<Tally>,
    mut socket: Socket,
    conversation: &str,
    identity: &str,
    mut pace: Option<Pace>,
) -> Result<()> {
    loop {
        let stopped = room.stop.load(Ordering::Relaxed);
        if pace.is_none() && !stopped && room.under_way() < IN_FLIGHT {
            let number = room.sent.fetch_add(1, Ordering::Relaxed);
            socket.send(room.kind.event(conversation, identity, number)).await?;
            continue;
        }
        tokio::select! {
            heard = socket.next() => room.tally(tally, &heard?),
            () = room.arrived.notified() => {}
            () = tick(pace.as_mut()), if !stopped => {
                let number = room.sent.fetch_add(1, Ordering::Relaxed);
                room.sent_at.lock().push(Instant::now());
                socket.send(room.kind.event(conversation, identity, number)).await?;
            }
        }
    }
}

/// The next tick; never, for who is not paced.
async fn tick(pace: Option<&mut Pace>) {
    match pace {
        Some(Pace(interval)) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
