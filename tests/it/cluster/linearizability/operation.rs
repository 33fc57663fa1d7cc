//! One operation on one key, as its client saw it.

/// What a key holds; every write writes another one.
pub(super) type Value = u64;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// What the key holds.
    Get,
    /// To hold this.
    Put(Value),
    /// To hold nothing.
    Delete,
    /// To hold `to` if it holds `from`.
    Swap { from: Option<Value>, to: Value },
}

/// What was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The key held this.
    Read(Option<Value>),
    /// It was done.
    Done,
    /// Whether it was done.
    Swapped(bool),
    /// Nothing: it may have been done, be done later, or never.
    Unknown,
}

/// From when to when, in nanoseconds since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Who asked.
    pub(super) client: usize,
    /// About which key.
    pub(super) key: usize,
    /// What.
    pub(super) action: Action,
    /// And what came of it.
    pub(super) outcome: Outcome,
    /// When it was asked.
    pub(super) called: u64,
    /// When it was answered; of no meaning if it never was.
    pub(super) returned: u64,
}

impl Operation {
    /// What the key holds after it, if it can have happened while the key held `before`.
    pub(super) fn after(&self, before: Option<Value>) -> Option<Option<Value>> {
        match (self.action, self.outcome) {
            (Action::Get, Outcome::Read(told)) => (told == before).then_some(before),
            (Action::Put(value), Outcome::Done | Outcome::Unknown) => Some(Some(value)),
            (Action::Delete, Outcome::Done | Outcome::Unknown) => Some(None),
            (Action::Swap { from, to }, Outcome::Swapped(done)) => {
                let next = if done { Some(to) } else { before };
                (done == (from == before)).then_some(next)
            }
            (Action::Swap { from, to }, Outcome::Unknown) => {
                Some(if from == before { Some(to) } else { before })
            }
            _ => None,
        }
    }

    /// Whether it was answered.
    pub(super) fn known(&self) -> bool {
        self.outcome != Outcome::Unknown
    }

    /// What it writes, if it does.
    pub(super) fn writes(&self) -> Option<Value> {
        match self.action {
            Action::Put(value) | Action::Swap { to: value, .. } => Some(value),
            Action::Get | Action::Delete => None,
        }
    }

    /// What it proves the key to have held.
    pub(super) fn saw(&self) -> Option<Value> {
        match (self.action, self.outcome) {
            (_, Outcome::Read(told)) => told,
            (Action::Swap { from, .. }, Outcome::Swapped(true)) => from,
            _ => None,
        }
    }
}
