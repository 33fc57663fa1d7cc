//! Starts tasks and threads under a name, stops them stage by stage, and notices when one fails.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Stop;

/// The stages of a shutdown, in the order they stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Listeners and client connections: first, so that nothing new is asked.
    Serving,
    /// Watch fan-out: after the connections it feeds, so that streams end with a clear status.
    Watching,
    /// Lessor, compactor, quota: before consensus, so that nothing new is proposed.
    Upkeep,
    /// Raft and apply: once nobody proposes, so that what was accepted is still answered.
    Consensus,
    /// Sync and flush threads: last, so that everything applied reaches the disk.
    Storage,
}

impl Stage {
    const ALL: [Self; 5] =
        [Self::Serving, Self::Watching, Self::Upkeep, Self::Consensus, Self::Storage];
}

/// The owner of every task and thread of a node; clones share one set.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    stages: [StageTasks; Stage::ALL.len()],
    fault: watch::Sender<Option<String>>,
    /// The runtime it was made in, so that plain threads can spawn tasks too.
    runtime: Option<Handle>,
}

struct StageTasks {
    stop: Stop,
    running: Mutex<Running>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Running {
    next: u64,
    /// The second half is the way to end a task that overran; threads have none.
    tasks: HashMap<u64, (&'static str, Option<AbortHandle>)>,
}

impl StageTasks {
    fn new() -> Self {
        let running = Mutex::new(Running::default());
        Self { stop: Stop::new(), running, count: watch::Sender::new(0) }
    }

    fn enter(&self, name: &'static str) -> u64 {
        let mut running = self.running.lock();
        running.next += 1;
        let id = running.next;
        running.tasks.insert(id, (name, None));
        self.count.send_replace(running.tasks.len());
        id
    }

    fn leave(&self, id: u64) {
        let mut running = self.running.lock();
        running.tasks.remove(&id);
        self.count.send_replace(running.tasks.len());
    }

    /// Ends what is still running and names it, with a count when several share a name.
    fn abort(&self) -> Vec<String> {
        let running = self.running.lock();
        let mut names: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (name, abort) in running.tasks.values() {
            *names.entry(name).or_default() += 1;
            if let Some(abort) = abort {
                abort.abort();
            }
        }
        let shown = |(name, n)| if n == 1 { String::from(name) } else { format!("{name} (x{n})") };
        names.into_iter().map(shown).collect()
    }
}

/// Takes its task off the list, however the task ends: return, panic or abort.
struct Entry {
    inner: Arc<Inner>,
    stage: Stage,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.inner.stage(self.stage).leave(self.id);
    }
}

impl Inner {
    fn stage(&self, stage: Stage) -> &StageTasks {
        // The discriminants of `Stage` are the places in the array.
        &self.stages[stage as usize]
    }

    fn fail(&self, name: &str, error: &str) {
        tracing::error!(task = name, error, "task failed; the server must stop");
        self.fault.send_if_modified(|fault| {
            let first = fault.is_none();
            if first {
                *fault = Some(format!("{name}: {error}"));
            }
            first
        });
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// A supervisor without tasks; inside a runtime it remembers that runtime for [`Self::spawn`].
    pub fn new() -> Self {
        let stages = std::array::from_fn(|_| StageTasks::new());
        let runtime = Handle::try_current().ok();
        Self { inner: Arc::new(Inner { stages, fault: watch::Sender::new(None), runtime }) }
    }

    /// Starts a task; a panic in it is reported through [`Self::failed`].
    ///
    /// The task takes its [`Stop`] from [`Self::stop_token`] beforehand. From a thread outside the
    /// runtime this works only if the supervisor was made inside it; otherwise the task is not
    /// started and a fault is reported.
    pub fn spawn<F>(&self, name: &'static str, stage: Stage, fut: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(runtime) = Handle::try_current().ok().or_else(|| self.inner.runtime.clone())
        else {
            self.fail(name, String::from("cannot start the task: no runtime is running"));
            return;
        };
        let tasks = self.inner.stage(stage);
        let id = tasks.enter(name);
        let entry = Entry { inner: Arc::clone(&self.inner), stage, id };
        let task = runtime.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(fut).catch_unwind().await {
                entry.inner.fail(name, &panic_text(&*panic));
            }
        });
        if let Some(slot) = tasks.running.lock().tasks.get_mut(&id) {
            slot.1 = Some(task.abort_handle());
        }
    }

    /// Starts a named thread and hands it the stop token of its stage.
    ///
    /// # Errors
    /// If the operating system refuses another thread.
    pub fn thread<F>(&self, name: &'static str, stage: Stage, f: F) -> io::Result<()>
    where
        F: FnOnce(Stop) + Send + 'static,
    {
        let tasks = self.inner.stage(stage);
        let stop = tasks.stop.clone();
        let id = tasks.enter(name);
        // Made here, so that it leaves the list as well when the thread does not start.
        let entry = Entry { inner: Arc::clone(&self.inner), stage, id };
        std::thread::Builder::new().name(String::from(name)).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(stop))) {
                entry.inner.fail(name, &panic_text(&*panic));
            }
            drop(entry);
        })?;
        Ok(())
    }

    /// The token that tells the tasks of `stage` to stop.
    pub fn stop_token(&self, stage: Stage) -> Stop {
        self.inner.stage(stage).stop.clone()
    }

    /// Reports a fault after which the process must not go on; the first one is kept.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand over a message they made")]
    pub fn fail(&self, name: &str, error: String) {
        self.inner.fail(name, &error);
    }

    /// Waits for the first fault and tells it as `name: error`.
    pub async fn failed(&self) -> String {
        let mut fault = self.inner.fault.subscribe();
        let first = fault.wait_for(Option::is_some).await.map(|fault| fault.clone());
        match first {
            Ok(fault) => fault.unwrap_or_default(),
            // The sender lives in `self`; without it nothing can fail any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops all stages in order, each within `deadline_per_stage`; returns the names of the tasks
    /// that overran it. Those are aborted; overrunning threads are left to end with the process.
    pub async fn shutdown(&self, deadline_per_stage: Duration) -> Vec<String> {
        let mut overrun = Vec::new();
        for stage in Stage::ALL {
            let tasks = self.inner.stage(stage);
            tasks.stop.stop();
            let mut count = tasks.count.subscribe();
            let idle = count.wait_for(|n| *n == 0);
            if tokio::time::timeout(deadline_per_stage, idle).await.is_err() {
                let names = tasks.abort();
                tracing::warn!(?stage, tasks = ?names, "tasks overran their deadline to stop");
                overrun.extend(names);
            }
        }
        overrun
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("the panic carried no message"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn stages_stop_one_after_the_other() {
        let supervisor = Supervisor::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for stage in Stage::ALL.into_iter().rev() {
            let (stop, order) = (supervisor.stop_token(stage), Arc::clone(&order));
            supervisor.spawn("step", stage, async move {
                stop.stopped().await;
                order.lock().push(stage);
            });
        }
        assert!(supervisor.shutdown(LONG).await.is_empty());
        assert_eq!(*order.lock(), Stage::ALL);
    }

    #[tokio::test]
    async fn an_overrun_is_named_and_does_not_hold_up_later_stages() {
        let supervisor = Supervisor::new();
        for _ in 0..3 {
            supervisor.spawn("deaf", Stage::Serving, std::future::pending());
        }
        let (told, heard) = mpsc::channel();
        supervisor
            .thread("writer", Stage::Storage, move |stop| {
                assert!(stop.wait(LONG), "the stop token of the stage is handed over");
                told.send(()).unwrap();
            })
            .unwrap();
        assert_eq!(supervisor.shutdown(Duration::from_millis(20)).await, ["deaf (x3)"]);
        heard.recv_timeout(LONG).unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_and_the_first_fault_is_kept() {
        let supervisor = Supervisor::new();
        supervisor.thread("apply", Stage::Consensus, |_| panic!("disk {}", "gone")).unwrap();
        assert_eq!(supervisor.failed().await, "apply: panicked: disk gone");
        supervisor.spawn("late", Stage::Upkeep, async { panic!("second") });
        assert!(supervisor.shutdown(LONG).await.is_empty());
        assert_eq!(supervisor.failed().await, "apply: panicked: disk gone");
    }

    #[tokio::test]
    async fn threads_can_spawn_tasks() {
        let supervisor = Supervisor::new();
        let (sent, received) = tokio::sync::oneshot::channel();
        let inner = supervisor.clone();
        let spawn = move |_| {
            inner.spawn("child", Stage::Upkeep, async move { sent.send(7).unwrap_or_default() });
        };
        supervisor.thread("parent", Stage::Upkeep, spawn).unwrap();
        assert_eq!(received.await.unwrap(), 7);
    }

    #[test]
    fn without_a_runtime_spawning_is_a_fault() {
        let supervisor = Supervisor::new();
        supervisor.spawn("lost", Stage::Serving, async {});
        let fault = supervisor.inner.fault.borrow().clone().unwrap();
        assert!(fault.starts_with("lost: cannot start"), "{fault}");
    }
}
