use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A table and its hand-driven clock.
struct Bench {
    table: Deadlines,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = crate::types::clock::Clock.now();
        Self { table: Deadlines::new(now, Some(CHECKPOINT_EVERY)), now }
    }

    /// Lets time pass the way a healthy member sees it: in half seconds.
    fn pass(&mut self, time: Duration) {
        let half = SECOND / 2;
        for _ in 0..time.as_millis() / half.as_millis() {
            self.now += half;
            assert_eq!(self.table.look(self.now), Duration::ZERO);
        }
    }

    fn due(&mut self) -> Vec<i64> {
        self.table.due(500).iter().map(|id| id.0).collect()
    }
}

#[test]
fn leases_end_in_the_order_of_their_deadlines() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 5, 0);
    bench.table.grant(LeaseId(2), 3, 0);
    assert!(bench.table.deadline(LeaseId(2)) < bench.table.deadline(LeaseId(1)));
    bench.pass(2 * SECOND);
    assert!(bench.due().is_empty());
    assert_eq!(bench.table.remaining(LeaseId(1)), Some((3, 5)));
    bench.pass(SECOND);
    assert_eq!(bench.due(), [2]);
    bench.pass(2 * SECOND);
    assert_eq!(bench.due(), [1]);
    assert_eq!(bench.table.remaining(LeaseId(1)), Some((0, 5)));
}

#[test]
fn a_renewed_lease_lives_on_and_an_ended_one_does_not() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 2, 0);
    bench.pass(SECOND);
    assert_eq!(bench.table.renew(LeaseId(1)), Renewed::Alive(2, false));
    bench.pass(SECOND);
    assert!(bench.due().is_empty());
    bench.pass(SECOND);
    assert_eq!(bench.table.renew(LeaseId(1)), Renewed::Ending);
    assert_eq!(bench.due(), [1]);
    assert_eq!(bench.table.renew(LeaseId(1)), Renewed::Ending);
    bench.table.revoke(LeaseId(1));
    assert_eq!(bench.table.renew(LeaseId(1)), Renewed::Unknown);
}

#[test]
fn a_revocation_that_does_not_happen_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 1, 0);
    bench.pass(SECOND);
    assert_eq!(bench.due(), [1]);
    assert!(bench.due().is_empty());
    bench.pass(3 * SECOND);
    assert_eq!(bench.due(), [1]);
    bench.table.revoke(LeaseId(1));
    bench.pass(10 * SECOND);
    assert!(bench.due().is_empty());
}

#[test]
fn a_paused_member_does_not_end_leases() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 60, 0);
    bench.now += 3600 * SECOND;
    let lost = bench.table.look(bench.now);
    assert_eq!(lost, 3600 * SECOND - MAX_STEP);
    assert!(bench.due().is_empty());
    assert_eq!(bench.table.remaining(LeaseId(1)), Some((58, 60)));
    bench.pass(58 * SECOND);
    assert_eq!(bench.due(), [1]);
}

#[test]
fn a_new_leader_starts_every_lease_anew() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 10, 0);
    bench.table.grant(LeaseId(2), 1000, 0);
    bench.table.checkpointed(LeaseId(2), 7);
    bench.pass(10 * SECOND);
    bench.table.promote(SECOND);
    assert!(bench.due().is_empty());
    assert_eq!(bench.table.remaining(LeaseId(1)), Some((11, 10)));
    assert_eq!(bench.table.remaining(LeaseId(2)), Some((8, 1000)));
    bench.table.promote(SECOND);
    bench.pass(8 * SECOND);
    assert_eq!(bench.due(), [2]);
    bench.table.revoke(LeaseId(2));
    bench.pass(3 * SECOND);
    assert_eq!(bench.due(), [1]);
}

#[test]
fn many_leases_of_a_new_leader_end_over_time() {
    let mut bench = Bench::new();
    for id in 0..3000 {
        bench.table.grant(LeaseId(id), 10, 0);
    }
    bench.table.promote(Duration::ZERO);
    bench.pass(10 * SECOND);
    let mut ended = bench.table.due(usize::MAX).len();
    assert!(ended < 10, "{ended} leases ended at once");
    bench.pass(SECOND);
    ended += bench.table.due(usize::MAX).len();
    assert!((700..=760).contains(&ended), "{ended} leases ended in a second");
    bench.pass(4 * SECOND);
    let all: std::collections::HashSet<_> = bench.table.due(usize::MAX).into_iter().collect();
    assert_eq!(all.len(), 3000, "those not revoked yet are handed out again");
}

#[test]
fn an_id_that_is_used_again_is_a_new_lease() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 2, 0);
    bench.table.revoke(LeaseId(1));
    bench.table.grant(LeaseId(1), 5, 0);
    bench.pass(5 * SECOND);
    assert_eq!(bench.due(), [1]);
    assert!(bench.due().is_empty());
}

#[test]
fn a_round_is_bounded() {
    let mut bench = Bench::new();
    for id in 0..1200 {
        bench.table.grant(LeaseId(id), 1, 0);
    }
    bench.pass(SECOND);
    assert_eq!(bench.table.due(500).len(), 500);
    assert_eq!(bench.table.due(500).len(), 500);
    assert_eq!(bench.table.due(500).len(), 200);
}

#[test]
fn long_leases_are_checkpointed_and_short_ones_are_not() {
    let mut bench = Bench::new();
    bench.table.grant(LeaseId(1), 1000, 0);
    bench.table.grant(LeaseId(2), 300, 0);
    bench.pass(299 * SECOND);
    assert!(bench.table.due_checkpoints(1000).is_empty());
    bench.pass(SECOND);
    assert_eq!(bench.table.due_checkpoints(1000), [(LeaseId(1), 700)]);
    bench.table.checkpointed(LeaseId(1), 700);
    assert_eq!(bench.table.renew(LeaseId(1)), Renewed::Alive(1000, true));
    bench.pass(300 * SECOND);
    assert_eq!(bench.table.due_checkpoints(1000), [(LeaseId(1), 700)]);
}

#[test]
fn revoked_leases_leave_nothing_behind() {
    let mut bench = Bench::new();
    for id in 0..10_000 {
        bench.table.grant(LeaseId(id), 1_000_000, 0);
        bench.table.revoke(LeaseId(id));
    }
    assert!(bench.table.expiry.len() <= SPREAD_FROM + 1, "{}", bench.table.expiry.len());
    assert!(bench.table.checkpoints.len() <= SPREAD_FROM + 1);
}
