//! Whom one may want to talk to, in a directory of many: the first answer after a start, then searches and pages by people
//! who never asked before, and the memory it takes.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{AnyPool, QueryBuilder};
use switchboard::store::Store;

use crate::process::{Folder, JWT_SECRET, Process, free_address};
use crate::table::Table;

const PEOPLE: usize = 100_000;
/// Contacts of each person who has any.
const CONTACTS: usize = 50;
/// Who has contacts: everybody who asks, and their neighbours.
const SOCIABLE: usize = 8_000;
const REQUESTS: usize = 1_000;
/// How long 99 of 100 may take.
const AT_MOST: Duration = Duration::from_millis(20);
/// Rows of one statement: databases bound its parameters.
const AT_ONCE: usize = 1_000;

const FIRST: [&str; 16] = [
    "carter", "kierra", "emerson", "ann", "abram", "zoe", "livia", "marcus", "hanna", "talan", "corey",
    "desirae", "jaxson", "lindsey", "madelyn", "paityn",
];
const LAST: [&str; 12] = [
    "lipshutz", "curtis", "dokidis", "botosh", "mango", "press", "vaccaro", "bergson", "rosser", "saris",
    "gouse", "stanton",
];

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!("suggestions among {PEOPLE} people, {SOCIABLE} of them with {CONTACTS} contacts each");
    let folder = Folder::new()?;
    fill(&folder.database_url()).await?;
    let mock = Process::mock(None).await?;
    let service = Process::service(&free_address()?, &mock.address, &folder).await?;
    let http = Client::new();
    let before = service.resident_kb()?;
    let first = ask(&http, &service.address, 0, "").await?;
    table.row("suggestions: the first answer after a start", in_ms(first), "");
    let added = service.resident_kb()?.saturating_sub(before) * 1024 / PEOPLE as u64;
    table.row("suggestions: memory per person", format!("{added} B"), "≤ 1 kB");
    let pages = percentiles(&http, &service.address, |n| format!("&page={}", 1 + n % 200)).await?;
    table.bounded("suggestions: a page", pages, AT_MOST);
    let rare =
        percentiles(&http, &service.address, |n| format!("&q={}%20{}", FIRST[n % 16], LAST[n % 12])).await?;
    table.bounded("suggestions: a search that finds few", rare, AT_MOST);
    let common =
        percentiles(&http, &service.address, |n| format!("&q={}", ["a", "e", "er", "an"][n % 4])).await?;
    table.bounded("suggestions: a search that finds most", common, AT_MOST);
    Ok(())
}

/// One request after the other, each by another person.
async fn percentiles(http: &Client, address: &str, query: impl Fn(usize) -> String) -> Result<[Duration; 2]> {
    let mut times = Vec::with_capacity(REQUESTS);
    for n in 0..REQUESTS {
        times.push(ask(http, address, 1 + n * 7, &query(n)).await?);
    }
    times.sort_unstable();
    Ok([times[REQUESTS / 2], times[REQUESTS * 99 / 100]])
}

async fn ask(http: &Client, address: &str, person: usize, query: &str) -> Result<Duration> {
    let exp = switchboard::clock::Clock::system().now().timestamp() + 3600;
    let claims = json!({ "sub": identity(person), "exp": exp });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
    let request =
        http.get(format!("http://{address}/users/suggestions?type=message{query}")).bearer_auth(token);
    let began = Instant::now();
    let answer: Value = request.send().await?.error_for_status()?.json().await?;
    let took = began.elapsed();
    anyhow::ensure!(answer["success"] == true, "{answer}");
    Ok(took)
}

fn identity(person: usize) -> String {
    format!("person-{person:06}")
}

/// Writes the directory as the service would have, in few statements.
async fn fill(database_url: &str) -> Result<()> {
    Store::open(database_url).await?.close().await;
    let pool = AnyPool::connect(database_url).await?;
    let all: Vec<usize> = (0..PEOPLE).collect();
    for people in all.chunks(AT_ONCE) {
        let mut insert = QueryBuilder::<sqlx::Any>::new(
            "INSERT INTO people (identity, name, nickname_key, bio, bio_key, updated_at, created_at) ",
        );
        insert.push_values(people, |mut row, n| {
            let name = format!("{} {} {n}", FIRST[n % 16], LAST[(n / 16) % 12]);
            let bio = format!("striving for excellence, embracing challenges, number {n}");
            row.push_bind(identity(*n)).push_bind(name.clone()).push_bind(name);
            row.push_bind(bio.clone()).push_bind(bio).push_bind(1_i64).push_bind(1_i64);
        });
        insert.build().execute(&pool).await?;
    }
    for owners in all[..SOCIABLE].chunks(AT_ONCE / CONTACTS) {
        let mut insert = QueryBuilder::<sqlx::Any>::new(
            "INSERT INTO contacts (contact_id, owner, phone, first_name, last_name, customer, created_at, updated_at) ",
        );
        let pairs = owners.iter().flat_map(|owner| (1..=CONTACTS).map(move |n| (*owner, n)));
        insert.push_values(pairs, |mut row, (owner, n)| {
            // Friends live nearby: neighbours share most of theirs.
            let customer = (owner / CONTACTS * CONTACTS + n * 3) % PEOPLE;
            row.push_bind(format!("{owner}-{n}")).push_bind(identity(owner)).push_bind(format!("{customer}"));
            row.push_bind("F").push_bind("L").push_bind(identity(customer)).push_bind(1_i64).push_bind(1_i64);
        });
        insert.build().execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}

fn in_ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
