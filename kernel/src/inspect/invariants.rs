//! What is always true between two steps (mach-ipc 1.9, and what the other modules rely on).
//!
//! [`check_all`] visits everything; host tests call it after every step. It panics with the first sentence that does not
//! hold. Each owner checks itself; here is what holds between them.

use crate::ipc::check::Outside;
use crate::kernel::Kernel;
use crate::lifetime::THREAD_COST;

/// Panics with a helpful message unless every invariant holds.
pub fn check_all(kernel: &Kernel) {
    let Kernel { ipc, sched, tasks, step, .. } = kernel;
    let mut outside = Outside::default();
    for (id, task) in tasks.iter() {
        outside.carried.push(&task.bootstrap);
        outside.send_once.extend(task.exit_port.iter().map(|right| right.port()));
        task.regions().check();
        let threads = sched.iter().filter(|(_, thread)| thread.task() == id).count();
        assert_eq!(threads, task.threads.len(), "{id:?} knows its threads");
        *outside.charged.entry(ipc.space(task.space).budget()).or_default() += threads * THREAD_COST;
    }
    sched.check();
    ipc.check(sched, &outside);
    let places = ipc.work_places() + tasks.len();
    step.check(places, tasks.len() + sched.len());
}
