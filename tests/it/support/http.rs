//! A plain HTTP/1.1 request over a socket, answered whole.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::wait::LIMIT;

/// Status line, the headers that are behaviour (sorted), and the body.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Lower-case names with values.
    pub(crate) headers: Vec<(String, String)>,
    /// Body as text.
    pub(crate) body: String,
}

/// Sends one request without a body and reads the answer to its end.
pub(crate) fn request(address: &str, method: &str, path: &str) -> Answer {
    parse(&String::from_utf8_lossy(&exchange(address, method, path)))
}

/// The body of an answer that is no text.
pub(crate) fn bytes(address: &str, path: &str) -> Vec<u8> {
    let answer = exchange(address, "GET", path);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    answer[end + 4..].to_vec()
}

fn exchange(address: &str, method: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    headers.sort();
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status: status.parse().unwrap_or(0), headers, body }
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        whole.push_str(&rest[..size]);
        body = rest.get(size + 2..).unwrap_or("");
    }
    whole
}
