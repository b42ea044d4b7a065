//! The mock alone on the measured core: messages created and read, one conversation growing, memory per message.
//!
//! The client writes plain HTTP/1.1 over kept-alive connections and reads only the status and the length of each answer,
//! so that its own core is no limit. On a machine that others use too, CPU time per request is the steadier figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::{ACCOUNT, Core, Process};
use crate::table::Table;

const CONNECTIONS: u64 = 16;
/// Messages in the conversation at the end.
const MESSAGES: u64 = 100_000;
/// The rate is taken anew every so many messages.
const STEP: u64 = 10_000;
/// Requests per kind of read.
const READS: u64 = 50_000;
/// Rows of a page that is read.
const PAGE: u64 = 20;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!("the mock: {CONNECTIONS} connections, one conversation growing to {MESSAGES} messages");
    let mock = Process::mock_on(Core::Measured, None).await?;
    let conversation = create(&mock, "/v1/Conversations", "FriendlyName=Growing").await?;
    let participants = format!("{conversation}/Participants");
    create(&mock, &participants, "Identity=alice").await?;
    let participant = create(&mock, &participants, "Identity=bob").await?;
    let messages = format!("{conversation}/Messages");

    let mut rates = Vec::new();
    let mut memory_kb = Vec::new();
    let mut spent = Duration::ZERO;
    for _ in 0..MESSAGES / STEP {
        let post = |n: u64| {
            request(
                "POST",
                &messages,
                &format!("Author=alice&Body=Message+number+{n}+of+a+long+conversation"),
            )
        };
        let run = run(&mock, STEP, 201, post).await?;
        eprintln!("    {} messages: {}", STEP * (rates.len() as u64 + 1), run.told());
        rates.push(run.rate());
        spent += run.cpu;
        memory_kb.push(mock.resident_kb()?);
    }
    let (first, last) = (rates[0], rates[rates.len() - 1]);
    let mean = rates.len() as f64 / rates.iter().map(|rate| rate.recip()).sum::<f64>();
    table.row("mock: messages created per second", format!("{mean:.0}"), "> 5,000");
    table.row("  CPU per message created", micros(spent, MESSAGES), "");
    table.row(format!("  rate of the last {STEP} over the first"), format!("{:.2}", last / first), "≥ 0.9");
    // The first steps fill the journal, which keeps its size from then on.
    let grown = memory_kb[memory_kb.len() - 1].saturating_sub(memory_kb[1]);
    let stored = STEP * (memory_kb.len() as u64 - 2);
    table.row("  memory per stored message", format!("{} B", grown * 1024 / stored), "");

    let newest = format!("{messages}?Order=desc&PageSize=1");
    let page = fetch(&mock, &newest).await?;
    let message = page["messages"][0]["sid"].as_str().context("no message in the page")?;
    let reads = [
        ("a message", format!("{messages}/{message}"), "> 10,000"),
        ("a conversation", conversation.clone(), "> 10,000"),
        ("a participant", participant, "> 10,000"),
        ("the newest message", newest, "> 10,000"),
        ("the newest 20 messages", format!("{messages}?Order=desc&PageSize={PAGE}"), ""),
    ];
    for (what, path, goal) in reads {
        let run = run(&mock, READS, 200, |_| request("GET", &path, "")).await?;
        table.row(format!("mock: reads of {what} per second"), format!("{:.0}", run.rate()), goal);
        table.row("  CPU per read", micros(run.cpu, READS), "");
    }
    Ok(())
}

/// What a number of requests took.
struct Run {
    requests: u64,
    elapsed: Duration,
    cpu: Duration,
}

impl Run {
    /// Requests per second.
    fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    fn told(&self) -> String {
        format!("{:.0} per second, {} of CPU each", self.rate(), micros(self.cpu, self.requests))
    }
}

fn micros(time: Duration, requests: u64) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6 / requests as f64)
}

/// Sends `requests` requests, each built from its number, over all connections; every answer has to have `status`.
async fn run(mock: &Process, requests: u64, status: u16, build: impl Fn(u64) -> Vec<u8>) -> Result<Run> {
    // Built before the clock starts.
    let built: Arc<Vec<Vec<u8>>> = Arc::new((0..requests).map(build).collect());
    let next = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(&mock.address).await?);
    }
    let (began, cpu) = (Instant::now(), mock.cpu()?);
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (built, next) = (Arc::clone(&built), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some(request) = built.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed))?) {
                let answered = connection.send(request).await?;
                if answered.0 != status {
                    bail!("answered {} instead of {status}", answered.0);
                }
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Run { requests, elapsed: began.elapsed(), cpu: mock.cpu()?.saturating_sub(cpu) })
}

/// Creates a resource and returns its path.
async fn create(mock: &Process, path: &str, form: &str) -> Result<String> {
    let (status, body) = Connection::open(&mock.address).await?.send(&request("POST", path, form)).await?;
    let body: Value = serde_json::from_slice(&body)?;
    let sid = body["sid"].as_str().with_context(|| format!("POST {path} answered {status} {body}"))?;
    Ok(format!("{path}/{sid}"))
}

async fn fetch(mock: &Process, path: &str) -> Result<Value> {
    let (_, body) = Connection::open(&mock.address).await?.send(&request("GET", path, "")).await?;
    Ok(serde_json::from_slice(&body)?)
}

fn request(method: &str, path: &str, form: &str) -> Vec<u8> {
    let credentials = STANDARD.encode(format!("{}:{}", ACCOUNT[0].1, ACCOUNT[1].1));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// One kept-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads its answer: status and body.
    async fn send(&mut self, request: &[u8]) -> Result<(u16, BytesMut)> {
        self.stream.write_all(request).await?;
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..head_end])?;
        let status = head.split(' ').nth(1).context("no status line")?.parse()?;
        let length = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, length)| length.trim().parse::<usize>())?;
        self.buffer.advance(head_end + 4);
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok((status, self.buffer.split_to(length)))
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the mock closed the connection in the middle of an answer");
        }
        Ok(())
    }
}
