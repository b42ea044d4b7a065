//! Processes and what the kernel says about them: cores, CPU time, memory.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The binary under measurement, built by cargo with the same profile as this benchmark.
const SWITCHBOARD: &str = env!("CARGO_BIN_EXE_switchboard");
/// Set in the copy of this process that has been given its core.
const PLACED: &str = "LOAD_GENERATOR_IS_PLACED";
const START_DEADLINE: Duration = Duration::from_secs(20);
/// The kernel counts CPU time in this many ticks per second on every Linux that matters (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The account that the mock plays and the service is told.
pub(crate) const ACCOUNT: [(&str, &str); 6] = [
    ("TWILIO_ACCOUNT_SID", "ACbe000000000000000000000000000001"),
    ("TWILIO_AUTH_TOKEN", "bench-auth-token-of-no-account-0"),
    ("TWILIO_API_KEY_SID", "SKbe000000000000000000000000000001"),
    ("TWILIO_API_KEY_SECRET", "bench-api-key-secret-of-no-account"),
    ("TWILIO_CONVERSATIONS_SERVICE_SID", "ISbe000000000000000000000000000001"),
    ("TWILIO_PHONE_NUMBER", "+15005550006"),
];

/// Signs the app's tokens.
pub(crate) const JWT_SECRET: &str = "bench-only-secret-for-the-app-own-jwts-01";

/// Who gets which core. With two cores the service has one to itself and all else shares the other.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    /// What is measured.
    Measured,
    /// Whatever feeds it.
    Feeding,
}

fn has_taskset() -> bool {
    Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn core_number(core: Core) -> usize {
    match core {
        Core::Measured => 0,
        Core::Feeding => 1,
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `measure` in a copy of this process that is bound to the feeding core and may open as many files as the system allows.
pub(crate) fn on_its_own_core(measure: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::env::var_os(PLACED).is_some() {
        return measure();
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"", "sh"]);
    if has_taskset() && cores() > 1 {
        shell.args(["taskset", "-c", &core_number(Core::Feeding).to_string()]);
        shell.env(PLACED, "pinned");
    } else {
        shell.env(PLACED, "free");
    }
    let status = shell.arg(std::env::current_exe()?).args(std::env::args().skip(1)).status()?;
    if !status.success() {
        bail!("the measurement ended with {status}");
    }
    Ok(())
}

fn is_pinned() -> bool {
    std::env::var(PLACED).is_ok_and(|how| how == "pinned")
}

/// What the figures depend on.
pub(crate) fn describe_machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    eprintln!(
        "CPU: {model}; {}",
        if is_pinned() {
            "the measured process on core 0, everything else on core 1, loopback"
        } else {
            "processes not bound to cores (no taskset, or one core), loopback"
        }
    );
}

/// What no benchmark may meet: all its people come from one machine, as fast as they can.
const OFF: [&str; 14] = [
    "LIMIT_REQUESTS",
    "LIMIT_REQUESTS_PER_ADDRESS",
    "LIMIT_WRONG_TOKENS",
    "LIMIT_SENDS",
    "LIMIT_GUESTS",
    "LIMIT_EVENTS",
    "LIMIT_JOINS",
    "LIMIT_ROOMS",
    "LIMIT_HANDSHAKES",
    "LIMIT_SOCKETS",
    "LIMIT_SOCKETS_PER_IDENTITY",
    "LIMIT_SOCKETS_PER_ADDRESS",
    "LIMIT_CONNECTIONS_PER_ADDRESS",
    "LIMIT_UPLOADS",
];

/// A running process; it is killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// `127.0.0.1:port` it listens on.
    pub(crate) address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn command(core: Core, program: &str) -> Command {
    if is_pinned() {
        let mut command = Command::new("taskset");
        command.args(["-c", &core_number(core).to_string(), program]);
        command
    } else {
        Command::new(program)
    }
}

/// Where a process writes its log: shown with `LOAD_LOG=1`, else nowhere.
fn log() -> Stdio {
    if std::env::var_os("LOAD_LOG").is_some() { Stdio::inherit() } else { Stdio::null() }
}

impl Process {
    /// This benchmark's own executable in another role (`bare.rs`, `upstream.rs`), listening on a free port.
    pub(crate) async fn of_ours(core: Core, role: &str, arguments: &[&str]) -> Result<Self> {
        let address = free_address()?;
        let myself = std::env::current_exe()?;
        let myself = myself.to_str().context("the benchmark's own path is not text")?;
        let child =
            command(core, myself).arg(role).arg(&address).args(arguments).stdin(Stdio::null()).spawn()?;
        let process = Self { child, address };
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(&process.address).await.is_err() {
            if Instant::now() > deadline {
                bail!("{role} did not listen in time");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(process)
    }

    /// `switchboard mock-twilio` beside what is measured. `webhooks` is where it tells of changes.
    pub(crate) async fn mock(webhooks: Option<&str>) -> Result<Self> {
        Self::mock_on(Core::Feeding, webhooks).await
    }

    /// `switchboard mock-twilio` on a core of one's choice.
    pub(crate) async fn mock_on(core: Core, webhooks: Option<&str>) -> Result<Self> {
        let address = free_address()?;
        let mut command = command(core, SWITCHBOARD);
        command.arg("mock-twilio").env("MOCK_TWILIO_LISTEN", &address);
        if let Some(service) = webhooks {
            command.env("MOCK_TWILIO_WEBHOOK_URL", format!("http://{service}/webhooks/twilio"));
        }
        Self::healthy(command, address).await
    }

    /// `switchboard serve` on `address`, pointed at what plays Twilio on `twilio`.
    pub(crate) async fn service(address: &str, twilio: &str, folder: &Folder) -> Result<Self> {
        let mut command = command(Core::Measured, SWITCHBOARD);
        command
            .arg("serve")
            .env("LISTEN", address)
            .env("PUBLIC_URL", format!("http://{address}"))
            .env("AUTH_MODE", "optional")
            .env("JWT_SECRET", JWT_SECRET)
            .env("DATABASE_URL", folder.database_url())
            .env("TWILIO_CONVERSATIONS_URL", format!("http://{twilio}"))
            .env("TWILIO_MEDIA_URL", format!("http://{twilio}"))
            .env("RUST_LOG", "warn")
            .envs(OFF.map(|limit| (limit, "off")));
        Self::healthy(command, address.to_owned()).await
    }

    async fn healthy(mut command: Command, address: String) -> Result<Self> {
        let child = command.envs(ACCOUNT).stdin(Stdio::null()).stdout(log()).stderr(log()).spawn()?;
        let mut process = Self { child, address };
        let deadline = Instant::now() + START_DEADLINE;
        while !is_healthy(&process.address).await {
            if let Some(status) = process.child.try_wait()? {
                bail!("switchboard ended with {status} before it was healthy; LOAD_LOG=1 shows its log");
            }
            if Instant::now() > deadline {
                bail!("switchboard was not healthy in time; LOAD_LOG=1 shows its log");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(process)
    }

    /// SIGTERM, and its exit awaited: what a restart does.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("switchboard ended with {status} after SIGTERM");
        }
        Ok(())
    }

    /// CPU time of all its threads so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
        let (_, fields) = stat.rsplit_once(')').context("/proc/<pid>/stat without a name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    }

    /// Resident memory in kB.
    pub(crate) fn resident_kb(&self) -> Result<u64> {
        self.status_kb("VmRSS:")
    }

    /// The most resident memory there ever was, in kB.
    pub(crate) fn peak_kb(&self) -> Result<u64> {
        self.status_kb("VmHWM:")
    }

    fn status_kb(&self, field: &'static str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let line = line.with_context(|| format!("no {field} in /proc/<pid>/status"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// One `GET /healthz` on a fresh connection.
async fn is_healthy(address: &str) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    answer.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A folder for one database, gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let unique = free_address()?.replace(['.', ':'], "-");
        let path = std::env::temp_dir().join(format!("switchboard-bench-{}-{unique}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// The service's database in it.
    pub(crate) fn database_url(&self) -> String {
        format!("sqlite://{}", self.0.join("bench.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left in the system's temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
