//! Bounds on what strangers may cost us.

use std::time::Duration;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time from accept to a finished handshake and a recognised protocol.
    pub handshake_deadline: Duration,
    /// Handshakes under way at once; more wait in the kernel's queue.
    pub max_handshakes: usize,
    /// Open connections; more are closed at once.
    pub max_connections: usize,
    /// Requests under way on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Bytes a client may send ahead on one stream. Holds most requests whole, so that no put waits
    /// for a window update.
    pub stream_window: u32,
    /// Bytes a client may send ahead on one connection; less when there are many connections.
    pub connection_window: u32,
    /// Largest HTTP/2 frame accepted. Above 16 KiB big values need fewer frames; small enough that
    /// no stream holds up the others for long.
    pub max_frame: u32,
    /// Bytes of answers kept per stream while a client does not read.
    pub send_buffer: usize,
    /// Bytes of headers in one request.
    pub max_headers: u32,
    /// Streams a client may reset before we have answered, per connection; above it the connection
    /// is closed (the rapid-reset attack).
    pub max_pending_resets: usize,
    /// Silence after which an HTTP/2 connection is asked for a sign of life.
    pub keepalive_interval: Duration,
    /// Time to answer that.
    pub keepalive_timeout: Duration,
    /// Shortest time between a client's own pings on a gRPC connection; none lets them ping freely.
    pub ping_interval: Option<Duration>,
    /// Whether encrypted connections are exempt from that.
    pub encrypted_ping_freely: bool,
    /// Time for an HTTP/1 request head to arrive, waiting for the next request included.
    pub header_timeout: Duration,
    /// Time connections get to finish their requests when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(10),
            max_handshakes: 1024,
            max_connections: 100_000,
            max_concurrent_streams: u32::MAX,
            stream_window: 1 << 20,
            connection_window: 8 << 20,
            max_frame: 64 << 10,
            send_buffer: 256 << 10,
            max_headers: 64 << 10,
            max_pending_resets: 1024,
            keepalive_interval: Duration::from_secs(2 * 60 * 60),
            keepalive_timeout: Duration::from_secs(20),
            ping_interval: None,
            encrypted_ping_freely: false,
            header_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}
