//! The messages of the `pprof` format, as far as a CPU profile needs them.

use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use pprof::{Report, Symbol};
use prost::Message;

/// A whole profile; texts are places in `string_table`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(super) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(super) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(super) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(super) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(super) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(super) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
}

/// What a number counts, and its unit.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

/// One stack and how often it was seen; the innermost place comes first.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

/// A text attached to a sample.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

/// A place in the program.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

/// A line of a function.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// Turns the samples of the profiler into a profile.
pub(super) fn encode(report: &Report) -> Profile {
    let mut builder = Builder::default();
    // The format wants the empty text in the first place.
    builder.text("");
    let samples = ValueType { kind: builder.text("samples"), unit: builder.text("count") };
    let cpu = ValueType { kind: builder.text("cpu"), unit: builder.text("nanoseconds") };
    let period = 1_000_000_000 / i64::from(report.timing.frequency.max(1));
    let thread = builder.text("thread");
    let mut sample = Vec::with_capacity(report.data.len());
    for (stack, count) in &report.data {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let symbols = stack.frames.iter().flatten();
        let location_id = symbols.map(|symbol| builder.location(symbol)).collect();
        let str = builder.text(&stack.thread_name_or_id());
        sample.push(Sample {
            location_id,
            value: vec![count, count.saturating_mul(period)],
            label: vec![Label { key: thread, str }],
        });
    }
    let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(0);
    let started = report.timing.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Profile {
        sample_type: vec![samples, cpu],
        sample,
        location: builder.locations,
        function: builder.functions,
        string_table: builder.texts,
        time_nanos: nanos(started),
        duration_nanos: nanos(report.timing.duration),
        period_type: Some(cpu),
        period,
    }
}

/// The tables a profile refers to, each entry once.
#[derive(Default)]
struct Builder {
    texts: Vec<String>,
    known_texts: HashMap<String, i64>,
    functions: Vec<Function>,
    known_functions: HashMap<(i64, i64), u64>,
    locations: Vec<Location>,
    known_locations: HashMap<(u64, i64), u64>,
}

impl Builder {
    fn text(&mut self, text: &str) -> i64 {
        if let Some(place) = self.known_texts.get(text) {
            return *place;
        }
        let place = i64::try_from(self.texts.len()).unwrap_or_default();
        self.texts.push(String::from(text));
        self.known_texts.insert(String::from(text), place);
        place
    }

    fn function(&mut self, symbol: &Symbol) -> u64 {
        let (name, filename) = (self.text(&symbol.name()), self.text(&symbol.filename()));
        let system_name = self.text(&symbol.sys_name());
        let functions = &mut self.functions;
        *self.known_functions.entry((name, filename)).or_insert_with(|| {
            let id = next_id(functions.len());
            functions.push(Function { id, name, system_name, filename });
            id
        })
    }

    fn location(&mut self, symbol: &Symbol) -> u64 {
        let function_id = self.function(symbol);
        let line = i64::from(symbol.lineno());
        let locations = &mut self.locations;
        *self.known_locations.entry((function_id, line)).or_insert_with(|| {
            let id = next_id(locations.len());
            locations.push(Location { id, line: vec![Line { function_id, line }] });
            id
        })
    }
}

/// Ids begin at one: zero means nothing.
fn next_id(taken: usize) -> u64 {
    u64::try_from(taken).unwrap_or(u64::MAX).saturating_add(1)
}
