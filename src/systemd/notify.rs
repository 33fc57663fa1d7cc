//! Tells the service manager how the daemon is doing, one datagram per message.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a message that changes what the manager takes the daemon for waits to get through.
const PATIENCE: Duration = Duration::from_secs(1);

/// The daemon's line to the service manager; without one, every call does nothing.
///
/// Messages are sent on the caller. Those that come again anyway never wait; those that come once wait a
/// second for a manager that does not listen. What does not get through is logged, and the daemon goes on, as
/// etcd does.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    manager: Option<Arc<Manager>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    /// For what must arrive: waits at most [`PATIENCE`] for room in the manager's queue.
    patient: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, which are left as they are.
    pub fn from_env() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let notifier = var("NOTIFY_SOCKET").map_or_else(Self::default, |socket| Self::to(&socket));
        let text = |name| var(name).and_then(|value| value.into_string().ok());
        let pid = text("WATCHDOG_PID");
        notifier.with_watchdog(text("WATCHDOG_USEC").as_deref(), pid.as_deref())
    }

    /// A notifier that talks to `socket`: a path, or an abstract name after `@`.
    pub fn to(socket: &OsStr) -> Self {
        let manager = match open(socket) {
            Ok(manager) => Some(Arc::new(manager)),
            Err(error) => {
                tracing::warn!(?socket, error = %error, "cannot talk to the service manager");
                None
            }
        };
        Self { manager, watchdog: None }
    }

    /// Takes the watchdog period from what the variables say; it counts only for this process.
    #[must_use]
    pub fn with_watchdog(mut self, usec: Option<&str>, pid: Option<&str>) -> Self {
        let ours = pid.is_none_or(|pid| pid == std::process::id().to_string());
        let period = usec.and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0 && ours);
        self.watchdog = period.map(Duration::from_micros);
        self
    }

    /// The daemon serves now (also after a reload).
    pub fn ready(&self, status: &str) {
        self.insist(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// One line for people, shown by `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// Asks for so much time from now on, whatever the limit of the present phase; service managers before
    /// systemd 236 do not hear it.
    pub fn extend(&self, time: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    /// Whether there is anybody to tell.
    pub fn is_heard(&self) -> bool {
        self.manager.is_some()
    }

    /// A reload begins; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.insist(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The daemon begins to stop.
    pub fn stopping(&self, status: &str) {
        self.insist(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// How often [`Self::ping`] is due: half of what the manager allows; `None` if it watches not.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.manager.as_ref().and(self.watchdog).map(|period| period / 2)
    }

    /// Tells the watchdog that the daemon is alive.
    pub fn ping(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        if let Some(manager) = &self.manager {
            manager.send(&manager.socket, message);
        }
    }

    fn insist(&self, message: &str) {
        if let Some(manager) = &self.manager {
            manager.send(&manager.patient, message);
        }
    }
}

impl Manager {
    fn send(&self, socket: &UnixDatagram, message: &str) {
        if let Err(error) = socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::error!(%error, message, "failed to notify systemd");
        }
    }
}

fn open(socket: &OsStr) -> io::Result<Manager> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A full queue of the manager must not hold up a reload or the watchdog.
    socket.set_nonblocking(true)?;
    let patient = UnixDatagram::unbound()?;
    patient.set_write_timeout(Some(PATIENCE))?;
    Ok(Manager { socket, patient, address })
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    #[test]
    fn a_manager_hears_the_whole_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        let notifier = Notifier::to(path.as_os_str());
        notifier.ready("serving\nREADY=0");
        assert_eq!(received(&manager), "READY=1\nSTATUS=serving READY=0");
        notifier.reloading();
        let reload = received(&manager);
        let usec = reload.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
        notifier.extend(LONG);
        assert_eq!(received(&manager), "EXTEND_TIMEOUT_USEC=10000000");
        notifier.ping();
        assert_eq!(received(&manager), "WATCHDOG=1");
        notifier.stopping("told to");
        assert_eq!(received(&manager), "STOPPING=1\nSTATUS=told to");
    }

    #[test]
    fn what_comes_once_waits_for_a_manager_that_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        let notifier = Notifier::to(path.as_os_str());
        // More than the queue of any socket takes.
        (0..10_000).for_each(|_| notifier.ping());
        let ready = std::thread::spawn(move || notifier.ready("up"));
        while received(&manager) == "WATCHDOG=1" {}
        ready.join().unwrap();
    }

    #[test]
    fn abstract_sockets_work() {
        let name = format!("etcd-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        Notifier::to(OsStr::new(&format!("@{name}"))).status("up");
        assert_eq!(received(&manager), "STATUS=up");
    }

    #[test]
    fn the_watchdog_counts_for_this_process_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let of = |usec, pid: Option<&str>| {
            Notifier::to(path.as_os_str()).with_watchdog(usec, pid).watchdog_interval()
        };
        let own = std::process::id().to_string();
        assert_eq!(of(Some("3000000"), Some(&own)), Some(Duration::from_millis(1500)));
        assert_eq!(of(Some("3000000"), None), Some(Duration::from_millis(1500)));
        assert_eq!(of(Some("3000000"), Some("1")), None);
        assert_eq!(of(Some("0"), None), None);
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let silent = Notifier::default().with_watchdog(Some("1000"), None);
        silent.ready("up");
        assert_eq!(silent.watchdog_interval(), None);
        Notifier::to(OsStr::new("/nonexistent/notify")).ready("nobody listens");
    }
}
