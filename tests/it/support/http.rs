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
    request_with(address, method, path, &[("Host", address)])
}

/// As [`request`], with these headers, `Host` among them.
pub(crate) fn request_with(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    parse(&exchange(address, method, path, headers))
}

/// The body of an answer that is no text.
pub(crate) fn bytes(address: &str, path: &str) -> Vec<u8> {
    let answer = exchange(address, "GET", path, &[("Host", address)]);
    let end = find(&answer, b"\r\n\r\n").unwrap();
    answer[end + 4..].to_vec()
}

fn exchange(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn parse(answer: &[u8]) -> Answer {
    let end = find(answer, b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]);
    let body = answer.get(end + 4..).unwrap_or_default();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    headers.sort();
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer { status: status.parse().unwrap_or(0), headers, body }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = find(body, b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).unwrap_or(0);
        whole.extend(&body[end + 2..end + 2 + size]);
        body = body.get(end + 2 + size + 2..).unwrap_or_default();
    }
    whole
}
