//! Who leads in which term: one member in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::world::World;
use crate::types::ids::MemberId;

pub(super) struct Terms {
    world: Arc<World>,
    leaders: Mutex<BTreeMap<u64, MemberId>>,
}

impl Terms {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), leaders: Mutex::default() }
    }

    /// A member says that it leads.
    pub(super) fn leads(&self, term: u64, member: MemberId) {
        let mut leaders = self.leaders.lock();
        let known = *leaders.entry(term).or_insert_with(|| {
            self.world.note(format_args!("{member} leads term {term}"));
            member
        });
        if known != member {
            self.world.fail(format!("members {known} and {member} both lead in term {term}"));
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.leaders.lock().len()
    }
}
