//! Calls of one task on several threads of the pool that runs the caller.

/// Calls `task` once for each part number below `parts`, on any threads of the pool, and returns
/// when all calls have.
pub(super) fn for_each(parts: usize, task: &(dyn Fn(usize) + Sync)) {
    halve(0, parts, task);
}

fn halve(first: usize, count: usize, task: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => task(first),
        _ => {
            let half = count / 2;
            rayon::join(
                || halve(first, half, task),
                || halve(first + half, count - half, task),
            );
        }
    }
}
