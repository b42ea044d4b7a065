//! How many calls to Twilio stand behind one request, counted in the mock's journal: first after a restart, and again.

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::{Value, json};

use crate::client::Socket;
use crate::process::{Folder, Process, free_address};
use crate::table::Table;

const CONVERSATIONS: usize = 50;

struct Counted {
    http: Client,
    mock: Process,
    service: Option<Process>,
    address: String,
    folder: Folder,
}

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!("Twilio calls behind one request, by the mock's journal");
    let address = free_address()?;
    let mock = Process::mock(Some(&address)).await?;
    let folder = Folder::new()?;
    let service = Process::service(&address, &mock.address, &folder).await?;
    let mut counted = Counted { http: Client::new(), mock, service: Some(service), address, folder };

    let ada_and = |other: &str| json!({ "participants": [{ "id": "ada", "name": "Ada" }, { "id": other, "name": other }] });
    let mut conversation = String::new();
    for n in 0..CONVERSATIONS {
        let created =
            counted.post("/api/conversations/newconversation", &ada_and(&format!("friend-{n}"))).await?;
        conversation =
            created["data"]["conversation_sid"].as_str().context("no conversation_sid")?.to_owned();
        let path = format!("/api/conversations/{conversation}/send-message");
        counted.post(&path, &json!({ "author": "ada", "body": "hello" })).await?;
    }
    let friend = format!("friend-{}", CONVERSATIONS - 1);

    counted.restart().await?;
    let history = format!("/api/conversations/{conversation}/messages");
    let both = [counted.calls_of_get(&history).await?, counted.calls_of_get(&history).await?];
    table.row("Twilio calls: history, first and again", show(both), "1, 0");

    counted.restart().await?;
    let mut both = [0; 2];
    for calls in &mut both {
        let before = counted.journal().await?;
        counted.post("/api/conversations/newconversation", &ada_and(&friend)).await?;
        *calls = counted.journal().await? - before;
    }
    table.row("Twilio calls: existing newconversation, first and again", show(both), "≤ 1, 0");

    counted.restart().await?;
    let _online = Socket::enter(&counted.address, &friend, &conversation).await?;
    // Opening a room reads its roster beside; asking for it waits for that, so that it is not counted here.
    counted.calls_of_get(&format!("/api/conversations/{conversation}/participants")).await?;
    let calls = counted.calls_of_get(&format!("/api/conversations/users/{friend}/reachability")).await?;
    table.row("Twilio calls: reachability of someone connected", calls.to_string(), "0");

    counted.restart().await?;
    let list = "/api/conversations?userId=ada";
    let both = [counted.calls_of_get(list).await?, counted.calls_of_get(list).await?];
    table.row(format!("Twilio calls: list of {CONVERSATIONS}, first and again"), show(both), "≤ 2, 0");
    Ok(())
}

fn show([first, again]: [usize; 2]) -> String {
    format!("{first}, {again}")
}

impl Counted {
    /// A service that has forgotten what it cached, on the same database.
    async fn restart(&mut self) -> Result<()> {
        if let Some(service) = self.service.take() {
            service.stop()?;
        }
        self.service = Some(Process::service(&self.address, &self.mock.address, &self.folder).await?);
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        Ok(self.http.post(url).json(body).send().await?.error_for_status()?.json().await?)
    }

    async fn calls_of_get(&self, path: &str) -> Result<usize> {
        let before = self.journal().await?;
        let url = format!("http://{}{path}", self.address);
        self.http.get(url).send().await?.error_for_status()?.bytes().await?;
        Ok(self.journal().await? - before)
    }

    /// How many requests Twilio has received so far.
    async fn journal(&self) -> Result<usize> {
        let url = format!("http://{}/_mock/journal", self.mock.address);
        let journal: Value = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let requests = journal["requests"].as_array().context("no requests in the journal")?;
        Ok(requests
            .iter()
            .filter(|entry| entry["path"].as_str().is_some_and(|path| path.starts_with("/v1/")))
            .count())
    }
}
