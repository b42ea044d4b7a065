//! A Twilio that answers at once: creating a message and storing a file are answered here, everything else is asked of the
//! mock.
//!
//! The mock signs and posts webhooks and keeps what it is told; on a machine of two cores it would be what is measured.
//! This stand-in keeps only a counter per conversation, and nothing of a file, so what it makes does not exist anywhere else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::process::ACCOUNT;

/// Next index by conversation, and by what files are counted under.
type Indices = Arc<Mutex<HashMap<String, u64>>>;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(address: &str, mock: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let indices = Indices::default();
    let http = Client::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (indices, http, mock) = (Arc::clone(&indices), http.clone(), mock.to_owned());
        tokio::spawn(async move {
            if let Err(error) = answer_all(stream, &indices, &http, &mock).await {
                eprintln!("the stand-in for Twilio: {error:#}");
            }
        });
    }
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

async fn answer_all(mut stream: TcpStream, indices: &Indices, http: &Client, mock: &str) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let (status, body) = if request.method == "POST" && request.path.ends_with("/Messages") {
            (201, created(&request, indices)?.to_string())
        } else if request.is_upload() {
            (201, stored(&request, indices).to_string())
        } else {
            ask_the_mock(&request, http, mock).await?
        };
        let mut answer = String::with_capacity(body.len() + 128);
        write!(
            answer,
            "HTTP/1.1 {status} -\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

impl Request {
    fn is_upload(&self) -> bool {
        self.method == "POST" && self.path.split('?').next().is_some_and(|path| path.ends_with("/Media"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// The next request on a kept-alive connection, `None` when the client has closed it.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = std::str::from_utf8(&buffer[..head_end])?.to_owned();
    buffer.advance(head_end + 4);
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (method, path) =
        (start.next().unwrap_or_default().to_owned(), start.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, headers, body: Vec::new() };
    let mut length = request.header("content-length").map_or(Ok(0), str::parse)?;
    loop {
        if request.is_upload() {
            let read = buffer.len().min(length);
            buffer.advance(read);
            length -= read;
        }
        if buffer.len() >= length {
            break;
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("a request ended in the middle of its body");
        }
    }
    request.body = buffer.split_to(length).to_vec();
    Ok(Some(request))
}

/// The message as Twilio's `POST …/Messages` answers it.
///
/// Source: <https://www.twilio.com/docs/conversations/api/conversation-message-resource>
fn created(request: &Request, indices: &Indices) -> Result<Value> {
    let conversation = request.path.rsplit('/').nth(1).context("no conversation in the path")?;
    let index = {
        let mut indices = indices.lock();
        let next = indices.entry(conversation.to_owned()).or_default();
        *next += 1;
        *next - 1
    };
    let form: HashMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
    let sid = format!("IM{}{index:016x}", &conversation[conversation.len() - 16..]);
    Ok(json!({
        "sid": sid,
        "account_sid": ACCOUNT[0].1,
        "chat_service_sid": ACCOUNT[4].1,
        "conversation_sid": conversation,
        "index": index,
        "author": form.get("Author"),
        "body": form.get("Body"),
        "media": null,
        "attributes": form.get("Attributes").map_or("{}", String::as_str),
        "participant_sid": null,
        "date_created": "2025-12-17T10:30:00Z",
        "date_updated": "2025-12-17T10:30:00Z",
        "delivery": null,
        "content_sid": null,
        "url": format!("https://conversations.twilio.com{}/{sid}", request.path),
        "links": {},
    }))
}

/// A file as Twilio's media service answers its upload.
///
/// Source: <https://www.twilio.com/docs/conversations/api/media-resource>
fn stored(request: &Request, indices: &Indices) -> Value {
    let number = {
        let mut indices = indices.lock();
        let next = indices.entry("Media".to_owned()).or_default();
        *next += 1;
        *next
    };
    let sid = format!("ME{number:032x}");
    let url = format!("/v1/Services/{}/Media/{sid}", ACCOUNT[4].1);
    json!({
        "sid": sid,
        "service_sid": ACCOUNT[4].1,
        "channel_sid": null,
        "message_sid": null,
        "size": request.header("content-length").and_then(|length| length.parse::<u64>().ok()),
        "content_type": request.header("content-type"),
        "filename": null,
        "author": "system",
        "category": "media",
        "links": { "content": format!("{url}/Content") },
        "url": url,
    })
}

async fn ask_the_mock(request: &Request, http: &Client, mock: &str) -> Result<(u16, String)> {
    let method = Method::from_bytes(request.method.as_bytes())?;
    let mut outgoing =
        http.request(method, format!("http://{mock}{}", request.path)).body(request.body.clone());
    for (name, value) in &request.headers {
        if ["authorization", "content-type"].contains(&name.as_str()) {
            outgoing = outgoing.header(name, value);
        }
    }
    let answer = outgoing.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
