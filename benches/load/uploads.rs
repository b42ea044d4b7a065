//! Files: so many at once that memory would show it if a file, or what stands before it, were kept there.
//!
//! What plays Twilio throws the bytes away (`upstream.rs`), so that neither its memory nor its speed is measured; and every
//! upload has begun before any may end.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::process::{Core, Folder, Process, free_address};
use crate::table::Table;

const UPLOADS: usize = 100;
/// What all of them may take at the most.
const MOST_MB: u64 = 200;
const BYTES: usize = 15 * 1024 * 1024;
/// Bytes that everybody has sent before anybody goes on.
const BEGUN: usize = 1024 * 1024;
/// Bytes of one write.
const PIECE: usize = 64 * 1024;

/// A grey picture of one pixel, without its last chunk, which is what tells that it is whole.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d";
const END: &[u8] = b"\0\0\0\0IEND\xaeB\x60\x82";

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!("uploads: {UPLOADS} of {} MiB at once", BYTES / 1024 / 1024);
    let mock = Process::mock(None).await?;
    let upstream = Process::of_ours(Core::Feeding, "upstream", &[&mock.address]).await?;
    let folder = Folder::new()?;
    let service = Process::service(&free_address()?, &upstream.address, &folder).await?;
    let idle = service.peak_kb()?;
    let began = Instant::now();
    all_at_once(&service.address, &body(), "200").await?;
    let took = began.elapsed();
    let peak = service.peak_kb()?;
    let of = format!("{UPLOADS} × {} MiB at once", BYTES / 1024 / 1024);
    table.bounded_memory(format!("uploads: peak memory, {of}"), peak, MOST_MB);
    table.row("uploads: of it by each upload", format!("{} kB", (peak - idle) / UPLOADS as u64), "");
    table.row("uploads: all of them", format!("{:.1} s", took.as_secs_f64()), "");
    // No file, only what may stand before one.
    all_at_once(&service.address, &vec![b'x'; BYTES].into(), "413").await?;
    table.bounded_memory(format!("uploads: peak memory, preambles, {of}"), service.peak_kb()?, MOST_MB);
    Ok(())
}

async fn all_at_once(address: &str, body: &Bytes, status: &'static str) -> Result<()> {
    let barrier = Arc::new(Barrier::new(UPLOADS));
    let mut uploads = JoinSet::new();
    for _ in 0..UPLOADS {
        uploads.spawn(upload(address.to_owned(), body.clone(), Arc::clone(&barrier), status));
    }
    while let Some(uploaded) = uploads.join_next().await {
        uploaded??;
    }
    Ok(())
}

fn body() -> Bytes {
    let mut body = Vec::with_capacity(BYTES + 1024);
    body.extend_from_slice(
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n",
    );
    let head = body.len();
    body.extend_from_slice(PNG);
    body.resize(head + BYTES - END.len(), 0);
    body.extend_from_slice(END);
    body.extend_from_slice(b"\r\n--x--\r\n");
    body.into()
}

async fn upload(address: String, body: Bytes, everybody: Arc<Barrier>, expected: &'static str) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    let head = format!(
        "POST /api/upload/image HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let (first, rest) = body.split_at(BEGUN);
    stream.write_all(first).await?;
    everybody.wait().await;
    for piece in rest.chunks(PIECE) {
        stream.write_all(piece).await?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).context("no status line")?;
    if status != expected {
        bail!("an upload was answered {answer}");
    }
    Ok(())
}
