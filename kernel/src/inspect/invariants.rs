//! The invariants: conditions that hold between two steps (mach-ipc 1.9, and those that the code relies on).
//!
//! Each owner checks its own; the conditions between owners are checked here. Host tests call [`check_all`] after every
//! step.

use crate::ipc::check::Outside;
use crate::kernel::Kernel;
use crate::lifetime::{TASK_COST, THREAD_COST};
use crate::sched::coalition::COALITION_COST;
use crate::step::Work;
use crate::task::regions::{REGION_COST, REGIONS_AT_FIRST};
use crate::task::start::Start;
use crate::vouchers::billing::usage;

/// Panics unless every invariant holds. Visits all objects of the kernel.
pub fn check_all(kernel: &Kernel) {
    let Kernel { ipc, sched, tasks, step, vouchers, .. } = kernel;
    let late = step.late_policy_changes().collect();
    let mut outside = Outside { tasks: tasks.count(), late, ..Outside::default() };
    for (id, task) in tasks.iter() {
        outside.carried.extend([&task.bootstrap, &task.debug_port]);
        outside.send_once.extend(task.exit_port.iter().map(|right| right.port()));
        task.regions().check();
        let threads = sched.iter().filter(|(_, thread)| thread.task() == id).count();
        assert_eq!(threads, task.threads.len(), "the threads of {id:?} are on its list");
        let regions = task.regions().paid() - REGIONS_AT_FIRST;
        let start = task.start.iter().map(Start::cost).sum::<usize>();
        let cost = TASK_COST + threads * THREAD_COST + regions * REGION_COST + start;
        *outside.charged.entry(ipc.space(task.space).budget()).or_default() += cost;
    }
    for (id, budget, members) in sched.coalitions() {
        let tasks = tasks.iter().filter(|(_, task)| task.coalition == id).count();
        assert_eq!(tasks, members as usize, "the tasks of {id:?}");
        *outside.charged.entry(budget).or_default() += COALITION_COST;
    }
    vouchers.add_costs(&mut outside.charged);
    tasks.check();
    check_boosts(kernel);
    check_bills(kernel);
    sched.check();
    ipc.check(sched, &outside);
    let adopted = sched.iter().filter_map(|(_, thread)| thread.voucher());
    vouchers.check(ipc, adopted, tasks.iter().filter(|(_, task)| task.bank.is_some()).count());
    let places = ipc.work_places() + tasks.count();
    // A late change keeps its place when it does not concern a servicer any more.
    let kept = outside.late.iter().filter(|&&change| !ipc.raises_servicer(change)).count();
    step.check(places, tasks.count() + sched.count() + ipc.policy_places() + kept);
}

/// Panics unless the account of each thread is that of its voucher, and has been charged for the time until the thread
/// left the processor. The last direct switch may be left to charge.
fn check_bills(kernel: &Kernel) {
    let Kernel { sched, tasks, step, vouchers, .. } = kernel;
    for (id, thread) in sched.iter() {
        let bank = tasks[thread.task()].bank.expect("a task with threads is in the bank");
        let adoption = vouchers.adoption(bank, thread.voucher());
        assert_eq!(thread.bill().bill(), adoption.bill, "the voucher of {id:?} says who pays");
        let named = thread.voucher_name() != abi::port::MACH_PORT_NULL;
        assert!(thread.voucher().is_some() || !named, "{id:?} has a name for no voucher");
        if thread.is_billed() && !thread.is_running() && step.billed_switch() != Some(id) {
            assert_eq!(thread.bill().charged(), usage(sched.used(id)), "{id:?} has been charged");
        }
    }
}

/// Panics unless the policies of all live tasks, and the deadline for boosts, are those that importance has told.
fn check_boosts(kernel: &Kernel) {
    let Kernel { ipc, sched, tasks, step, .. } = kernel;
    let importance = ipc.importance();
    assert!(!importance.has_news(), "everything that importance tells is heard");
    let untold = importance.elements().any(|(_, element)| element.is_untold());
    assert!(!(untold || importance.is_unfinished()) || ipc.boosts_spread(), "boosts that were too many spread later");
    let spread_later = step.background_work().filter(|&work| work == Work::Boosts).count();
    assert_eq!(spread_later, usize::from(ipc.boosts_spread()), "boosts spread later, once");
    for (id, task) in tasks.iter().filter(|(_, task)| task.is_live()) {
        let element = ipc.element_of(task.space).and_then(|id| importance.element(id));
        let element = element.expect("a live task has an element");
        if element.is_untold() {
            continue;
        }
        assert_eq!(element.is_boosted(), task.policy.boosted, "the boost of {id:?} is in its policy");
        assert_eq!(element.live_wish(), task.policy.effective().live_donor, "importance knows the policy of {id:?}");
    }
    assert_eq!(sched.drop_deadline(), importance.delayed_drop_deadline(), "the delayed drop has its deadline");
}
