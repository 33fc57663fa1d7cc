//! From a long sequence that fails to a short one, by leaving steps out, and parts of transactions
//! (delta debugging).

use super::step::{Action, Step};

/// Makes a sequence shorter as long as `fails` says the rest still fails. It asks at most `most` times.
pub(super) async fn shrink(
    steps: Vec<Step>,
    most: usize,
    mut fails: impl AsyncFnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let mut left = most;
    let mut fails = async |steps: &[Step]| {
        left = left.saturating_sub(1);
        // Whoever may not ask any more keeps what there is.
        left > 0 && fails(steps).await
    };
    let steps = fewer_steps(steps, &mut fails).await;
    fewer_parts(steps, &mut fails).await
}

/// Leaves out pieces that get smaller, down to single steps none of which can be missed.
async fn fewer_steps(
    mut steps: Vec<Step>,
    fails: &mut impl AsyncFnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let before = steps.len();
        let mut from = 0;
        while from < steps.len() {
            let to = (from + piece).min(steps.len());
            let rest = [&steps[..from], &steps[to..]].concat();
            if fails(&rest).await {
                steps = rest;
            } else {
                from = to;
            }
        }
        if piece > 1 || steps.len() == before {
            piece /= 2;
        }
    }
    steps
}

/// Leaves comparisons and operations out of transactions.
async fn fewer_parts(
    mut steps: Vec<Step>,
    fails: &mut impl AsyncFnMut(&[Step]) -> bool,
) -> Vec<Step> {
    for place in 0..steps.len() {
        let mut part = 0;
        while let Some(smaller) = without_part(&steps[place], part) {
            let mut rest = steps.clone();
            rest[place] = smaller;
            if fails(&rest).await {
                steps = rest;
            } else {
                part += 1;
            }
        }
    }
    steps
}

/// A transaction without one of its comparisons or operations; `None` when there is none of this number.
fn without_part(step: &Step, part: usize) -> Option<Step> {
    let Some(Action::Txn(txn)) = &step.action else { return None };
    let mut txn = txn.clone();
    let (compares, successes) = (txn.compare.len(), txn.success.len());
    if part < compares {
        txn.compare.remove(part);
    } else if part < compares + successes {
        txn.success.remove(part - compares);
    } else if part < compares + successes + txn.failure.len() {
        txn.failure.remove(part - compares - successes);
    } else {
        return None;
    }
    Some(Step::new(Action::Txn(txn)))
}
