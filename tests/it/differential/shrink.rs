//! From a long sequence that fails to a short one, by leaving steps out (delta debugging).

use super::step::Step;

/// Leaves out steps, in pieces that get smaller, as long as `fails` says the rest still fails. It asks
/// at most `most` times.
pub(super) async fn shrink(
    mut steps: Vec<Step>,
    most: usize,
    mut fails: impl AsyncFnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let mut asked = 0;
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let mut from = 0;
        let before = steps.len();
        while from < steps.len() && asked < most {
            let to = (from + piece).min(steps.len());
            let rest = [&steps[..from], &steps[to..]].concat();
            asked += 1;
            if fails(&rest).await {
                steps = rest;
            } else {
                from = to;
            }
        }
        if asked >= most || (piece == 1 && steps.len() == before) {
            break;
        }
        if piece > 1 || steps.len() == before {
            piece /= 2;
        }
    }
    steps
}
