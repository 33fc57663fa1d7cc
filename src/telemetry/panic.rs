//! What happens when a broken assumption panics: it is explained, logged, and ends the daemon.

use std::backtrace::Backtrace;
use std::panic::{PanicHookInfo, set_hook, take_hook};

use super::logging::LogHandle;

/// Whether the process ends after a panic is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It ends at once, with SIGABRT: a daemon whose state may be half-changed must not serve it.
    Abort,
    /// The panic goes on as usual.
    Unwind,
}

/// Has panics logged, once and with the place and the stack, before `then` happens.
///
/// With [`Then::Unwind`] the hook that was there before still runs.
pub fn install(log: LogHandle, then: Then) {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        report(info);
        log.flush();
        match then {
            Then::Abort => std::process::abort(),
            Then::Unwind => before(info),
        }
    }));
}

fn report(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| String::from("unknown"), ToString::to_string);
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let thread = std::thread::current();
    let stack = Backtrace::force_capture().to_string();
    tracing::error!(
        severity = "panic",
        panic = text.unwrap_or("the panic carried no message"),
        place,
        thread = thread.name().unwrap_or("unnamed"),
        version = crate::types::version::OURS,
        stacktrace = stack,
        "a broken assumption in the program; what was acknowledged is on disk and a restart is safe; \
         please report this line",
    );
}
