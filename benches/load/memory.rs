//! Resident memory: idle, and what each idle websocket adds.

use anyhow::Result;

use crate::client::Socket;
use crate::fanout::create_rooms;
use crate::process::{Core, Folder, Process, free_address};
use crate::table::Table;

const ROOMS: usize = 100;
const MEMBERS: usize = 10;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    eprintln!(
        "memory: {} websockets, each connected, named and joined, {MEMBERS} to a room",
        ROOMS * MEMBERS
    );
    let mock = Process::mock(None).await?;
    let folder = Folder::new()?;
    let service = Process::service(&free_address()?, &mock.address, &folder).await?;
    table.row("memory idle", format!("{:.1} MB", mb(service.resident_kb()?)), "≤ 25 MB");
    // Rooms first: their cached conversations are not the websockets' memory.
    let rooms = create_rooms(&service.address, ROOMS, MEMBERS).await?;
    let each = per_websocket(&service, &rooms).await?;
    table.row("memory per idle websocket", format!("{each:.1} kB"), "≤ 20 kB");

    let bare = Process::of_ours(Core::Measured, "bare-socketioxide", &[&mock.address]).await?;
    let each = per_websocket(&bare, &rooms).await?;
    table.row("  bare socketioxide, default settings", format!("{each:.1} kB"), "");
    let bare = Process::of_ours(Core::Measured, "bare-websocket", &[]).await?;
    let each = per_websocket(&bare, &rooms).await?;
    table.row("  raw websocket", format!("{each:.1} kB"), "");
    Ok(())
}

async fn per_websocket(server: &Process, rooms: &[(String, Vec<String>)]) -> Result<f64> {
    let before = server.resident_kb()?;
    let mut sockets = Vec::new();
    for (conversation, members) in rooms {
        for identity in members {
            sockets.push(Socket::enter(&server.address, identity, conversation).await?);
        }
    }
    let added = server.resident_kb()?.saturating_sub(before);
    Ok(precise(added) / precise(sockets.len() as u64))
}

fn mb(kb: u64) -> f64 {
    precise(kb) / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn precise(number: u64) -> f64 {
    number as f64
}
