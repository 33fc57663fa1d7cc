//! A member in this process, on threads of its own.

use std::ffi::OsString;
use std::thread::JoinHandle;

use etcd::config;
use etcd::server::Embedded;
use tokio::sync::oneshot;

/// A running member; dropping it stops it.
pub(crate) struct Inside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// Starts a member with these flags. That it does not serve, its thread tells by a panic.
    pub(super) fn start(name: &str, arguments: Vec<OsString>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let live = move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(live(&arguments, stopped));
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(live).unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Whether it is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops it in order and waits until it is gone.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a member ended by a panic");
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn live(arguments: &[OsString], mut stopped: oneshot::Receiver<()>) {
    let loaded = config::load(arguments, []).unwrap_or_else(|exit| panic!("{}", exit.stderr));
    let node = tokio::select! {
        started = Embedded::start(&loaded) => started.unwrap_or_else(|error| panic!("{error}")),
        _ = &mut stopped => return,
    };
    tokio::select! {
        _ = stopped => node.stop().await,
        why = node.ended() => panic!("{why}"),
    }
}
