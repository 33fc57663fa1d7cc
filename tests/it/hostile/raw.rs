//! HTTP/2 written by hand, for what no library would send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::server::Server;
use crate::support::wait::LIMIT;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const END_STREAM: u8 = 1;

/// A socket that speaks whatever it is told to.
pub(super) struct Raw {
    pub(super) socket: TcpStream,
}

impl Raw {
    /// Connects and sends the preface and settings that let the server send without bounds.
    pub(super) fn open(server: &Server) -> Self {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut raw = Self { socket };
        // SETTINGS_INITIAL_WINDOW_SIZE and the connection's window, as large as they can be.
        raw.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).unwrap();
        raw.send(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()).unwrap();
        raw
    }

    /// Sends one frame.
    pub(super) fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.socket.write_all(&frame)
    }

    /// Begins a gRPC call with a message; `end` ends the request. An error when the server hung up.
    pub(super) fn call(
        &mut self,
        stream: u32,
        path: &str,
        message: &[u8],
        end: bool,
    ) -> std::io::Result<()> {
        self.send(HEADERS, END_HEADERS, stream, &head(path))?;
        let flags = if end { END_STREAM } else { 0 };
        self.send(DATA, flags, stream, message)
    }

    /// Reads until so many calls have got a message, or an end by force; tells how many a message.
    pub(super) fn answered(&mut self, calls: usize) -> usize {
        let (mut messages, mut refusals) = (0, 0);
        while messages + refusals < calls {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            self.socket.read_exact(&mut vec![0; length]).unwrap();
            assert_ne!(head[3], GOAWAY, "sent away after {messages} of {calls} messages");
            messages += usize::from(head[3] == DATA);
            refusals += usize::from(head[3] == RST_STREAM);
        }
        messages
    }

    /// Reads until the server says goodbye or hangs up; true if it gave a reason.
    pub(super) fn is_dismissed(&mut self) -> bool {
        let mut said = false;
        loop {
            let mut head = [0; 9];
            match self.socket.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the connection is still open")
                }
                Err(_) => return said,
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if self.socket.read_exact(&mut payload).is_err() {
                return said;
            }
            said |= head[3] == GOAWAY && payload.get(4..8).is_some_and(|code| code != [0; 4]);
        }
    }
}

/// The head of a gRPC request, every header a literal.
pub(super) fn head(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        literal(&mut block, name, value.as_bytes());
    }
    block
}

/// One header that is neither indexed nor compressed; at most 16,000 bytes.
pub(super) fn literal(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    for text in [name.as_bytes(), value] {
        if text.len() < 127 {
            block.push(text.len() as u8);
        } else {
            let rest = text.len() - 127;
            block.extend([127, 0x80 | (rest & 0x7f) as u8, (rest >> 7) as u8]);
        }
        block.extend(text);
    }
}
