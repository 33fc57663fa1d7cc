//! The two messages of a look-up (RFC 1035, section 4): the question for SRV records, and the answer.

use std::fmt;

/// Type and class asked for: SRV (RFC 2782), Internet.
const SRV: u16 = 33;
const INTERNET: u16 = 1;
const HEADER: usize = 12;
/// Flags: "this is an answer", "it was cut", "please ask others", and the code of what went wrong.
const IS_ANSWER: u16 = 0x8000;
const IS_CUT: u16 = 0x0200;
const ASK_OTHERS: u16 = 0x0100;
const CODE: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;
/// Longest label and longest name.
const LABEL: usize = 63;
const NAME: usize = 255;

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones come first.
    pub priority: u16,
    /// The host, without the dot at its end.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Services(Vec<Service>),
    /// It did not fit; TCP brings the whole.
    TooLong,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The name is none.
    Name,
    NoSuchHost,
    /// The server could not or would not.
    Refused,
    Malformed,
    /// The answer is to another question.
    Stranger,
    Silent,
    /// What the system said.
    Io(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Name | Self::NoSuchHost => "no such host",
            Self::Refused => "server misbehaving",
            Self::Malformed => "cannot unmarshal DNS message",
            Self::Stranger => "the answer is to another question",
            Self::Silent => "i/o timeout",
            Self::Io(text) => text,
        })
    }
}

/// The question for the SRV records of `name`.
///
/// # Errors
/// If the name is none.
pub(super) fn question(id: u16, name: &str) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(HEADER + name.len() + 6);
    for word in [id, ASK_OTHERS, 1, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).map_err(|_| Fault::Name)?;
        if label.is_empty() || label.len() > LABEL {
            return Err(Fault::Name);
        }
        out.push(length);
        out.extend(label.as_bytes());
    }
    out.push(0);
    if out.len() - HEADER > NAME {
        return Err(Fault::Name);
    }
    out.extend([SRV, INTERNET].iter().flat_map(|word| word.to_be_bytes()));
    Ok(out)
}

/// Reads the answer to `question`.
///
/// # Errors
/// If it is no answer to it, or one that tells of no service.
pub(super) fn answer(question: &[u8], bytes: &[u8]) -> Result<Answer, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let same_id = bytes.get(..2) == question.get(..2);
    reader.skip(2)?;
    let flags = reader.word()?;
    if !same_id || flags & IS_ANSWER == 0 {
        return Err(Fault::Stranger);
    }
    if flags & IS_CUT != 0 {
        return Ok(Answer::TooLong);
    }
    match flags & CODE {
        0 => {}
        NO_SUCH_NAME => return Err(Fault::NoSuchHost),
        _ => return Err(Fault::Refused),
    }
    let (questions, answers) = (reader.word()?, reader.word()?);
    reader.skip(4)?;
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut services = Vec::new();
    for _ in 0..answers {
        services.extend(reader.record()?);
    }
    if services.is_empty() { Err(Fault::NoSuchHost) } else { Ok(Answer::Services(services)) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.bytes.get(self.at).copied().ok_or(Fault::Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.at += count;
        if self.at > self.bytes.len() { Err(Fault::Malformed) } else { Ok(()) }
    }

    /// A record; nothing if it is of another type, such as the aliases on the way.
    fn record(&mut self) -> Result<Option<Service>, Fault> {
        self.name()?;
        let kind = (self.word()?, self.word()?);
        self.skip(4)?;
        let end = usize::from(self.word()?) + self.at;
        let service = if kind == (SRV, INTERNET) {
            let (priority, _weight, port) = (self.word()?, self.word()?, self.word()?);
            let host = self.name()?;
            // "Decidedly not available", as RFC 2782 has it.
            (!host.is_empty()).then_some(Service { priority, host, port })
        } else {
            None
        };
        self.at = end;
        if end > self.bytes.len() { Err(Fault::Malformed) } else { Ok(service) }
    }

    /// A name, whose end may be somewhere before it (RFC 1035, section 4.1.4).
    fn name(&mut self) -> Result<String, Fault> {
        let mut name = String::new();
        // Where reading goes on behind the name, once it has led elsewhere.
        let mut behind = None;
        // Each jump must go further back, so that there is an end to them.
        let mut lowest = self.at;
        loop {
            let length = usize::from(self.byte()?);
            match length {
                0 => break,
                1..=LABEL => {
                    let label =
                        self.bytes.get(self.at..self.at + length).ok_or(Fault::Malformed)?;
                    self.at += length;
                    push(&mut name, label)?;
                }
                0xc0.. => {
                    let target = ((length & 0x3f) << 8) | usize::from(self.byte()?);
                    behind = behind.or(Some(self.at));
                    if target >= lowest {
                        return Err(Fault::Malformed);
                    }
                    (lowest, self.at) = (target, target);
                }
                _ => return Err(Fault::Malformed),
            }
        }
        self.at = behind.unwrap_or(self.at);
        Ok(name)
    }
}

/// Appends a label of a host name; what can be none is refused.
fn push(name: &mut String, label: &[u8]) -> Result<(), Fault> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let text = std::str::from_utf8(label).ok().filter(|_| label.iter().all(fits));
    let text = text.filter(|text| name.len() + text.len() < NAME).ok_or(Fault::Malformed)?;
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(text);
    Ok(())
}
