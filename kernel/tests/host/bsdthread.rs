//! `bsdthread_ctl`: what threads request for themselves and for each other, and that it takes effect at once
//! (importance 8.4 and 8.5, dispatch 1.9).

use crate::calls::UNUSED_NAME;
use crate::program::spawn_args;
use crate::unix::call;
use crate::vouchers::{USER_DATA, st};
use crate::world::{ARGUMENTS, Actor, RESULT, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::debug::{DEBUG_THREAD, ThreadInfo};
use abi::policy::*;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL};
use abi::qos::{AppType, Priority, Qos, Role};
use abi::task::TaskSpawnArgs;
use abi::trap::unix::{BSDTHREAD_CTL, SETPRIORITY};
use abi::trap::{mach, tally};
use kernel::policy::ThreadPolicy;
use zerocopy::FromBytes;

const START: u32 = BSDTHREAD_CTL_QOS_OVERRIDE_START;
const END: u32 = BSDTHREAD_CTL_QOS_OVERRIDE_END;
const DISPATCH: u32 = BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH;
const RESET: u32 = BSDTHREAD_CTL_QOS_OVERRIDE_RESET;

/// Resources of overrides, which the kernel compares and does not use.
const RESOURCE: u64 = 0x5000;
const OTHER_RESOURCE: u64 = u64::MAX;

fn control(w: &mut World, a: Actor, command: u32, args: [u64; 3]) -> Result<u64, Errno> {
    call(w, a, BSDTHREAD_CTL, &[command.into(), args[0], args[1], args[2]])
}

/// Makes a thread set its own class, voucher or mode.
fn set_self(w: &mut World, a: Actor, priority: u32, voucher: PortName, flags: u32) -> Result<u64, Errno> {
    control(w, a, BSDTHREAD_CTL_SET_SELF, [priority.into(), voucher.0.into(), flags.into()])
}

fn pthread(qos: Qos) -> u64 {
    Priority::of(qos).to_pthread().into()
}

fn base(w: &World, a: Actor) -> u8 {
    w.kernel.sched[a.thread].schedule().base
}

/// Returns a standard daemon, whose first thread has the class legacy, and the name of that thread.
fn daemon() -> (World, Actor, PortName) {
    let mut w = World::new();
    let a = w.task_of(AppType::DaemonStandard, Role::Unspecified);
    let name = w.trap(a, mach::THREAD_SELF, &[]).name();
    (w, a, name)
}

/// Asks for the state of a thread of the caller's task.
fn info(w: &mut World, a: Actor, thread: PortName) -> ThreadInfo {
    let (at, size) = (a.memory + ARGUMENTS, size_of::<ThreadInfo>());
    w.call(a, tally::DEBUG_STATE, &[DEBUG_THREAD.into(), thread.0.into(), at, size as u64]).unwrap();
    ThreadInfo::read_from_bytes(&w.get(a, ARGUMENTS, size)).unwrap()
}

#[test]
fn a_thread_sets_the_class_and_relative_priority_that_it_requests() {
    let (mut w, a, name) = daemon();
    for (qos, relative, priority) in [
        (Qos::Utility, 0, 20),
        (Qos::Utility, -8, 12),
        (Qos::UserInteractive, -15, 37),
        (Qos::Background, 0, 4),
        (Qos::Legacy, -15, 21),
    ] {
        let requested = Priority { qos, relative };
        assert_eq!(set_self(&mut w, a, requested.to_pthread(), PortName(0), SET_SELF_QOS), Ok(0));
        assert_eq!((base(&w, a), w.kernel.sched[a.thread].policy().requested), (priority, requested));
    }
    assert_eq!(info(&mut w, a, name).set_self_calls, 5);
    let flags = 0x8800_0000;
    assert_eq!(set_self(&mut w, a, pthread(Qos::Utility) as u32 | flags, PortName(0), SET_SELF_QOS), Ok(0));
    assert_eq!(base(&w, a), 20, "the kinds of worker in the word do not matter");
    assert_eq!(set_self(&mut w, a, 0, PortName(0), 0), Ok(0));
    assert_eq!(base(&w, a), 20, "without a flag nothing is set");
}

#[test]
fn each_part_of_set_self_fails_with_its_own_error() {
    let (mut w, a, name) = daemon();
    let (good, no_class, too_high, too_low) = (pthread(Qos::Utility) as u32, 0xFF, 0x0400, 0x04EF);
    let (null, unused) = (PortName(0), UNUSED_NAME);
    let both = SET_SELF_QOS | SET_SELF_VOUCHER;
    for (priority, voucher, flags, result) in [
        (no_class, null, SET_SELF_QOS, Err(EINVAL)),
        (too_high, null, SET_SELF_QOS, Err(EINVAL)),
        (too_low, null, SET_SELF_QOS, Err(EINVAL)),
        (0, unused, SET_SELF_VOUCHER, Err(ENOENT)),
        (0, name, SET_SELF_VOUCHER, Err(ENOENT)),
        (no_class, unused, both, Err(EBADMSG)),
        (no_class, null, both, Err(EINVAL)),
        (no_class, null, SET_SELF_QOS | SET_SELF_FIXED_PRIORITY, Err(EINVAL)),
        (0, null, SET_SELF_KEVENT_UNBIND, Err(EINVAL)),
    ] {
        assert_eq!(set_self(&mut w, a, priority, voucher, flags), result, "{priority:#x} {flags:#x}");
        let policy = *w.kernel.sched[a.thread].policy();
        assert_eq!((policy.requested, policy.timeshare), (Priority::of(Qos::Legacy), true), "nothing is set");
    }
    assert_eq!(set_self(&mut w, a, 0, null, SET_SELF_VOUCHER), Ok(0), "a thread without a voucher gives up none");
    assert_eq!(set_self(&mut w, a, good, unused, both), Err(ENOENT));
    assert_eq!(base(&w, a), 20, "the class is set nevertheless");
    let unbind = SET_SELF_QOS | SET_SELF_KEVENT_UNBIND;
    assert_eq!(set_self(&mut w, a, pthread(Qos::Legacy) as u32, null, unbind), Err(EINVAL));
    assert_eq!(base(&w, a), 31, "the class is set nevertheless");
}

/// Any failure is `ENOENT` for the program (vouchers 4.12).
// covers vouchers S-13
#[test]
fn a_name_that_is_no_vouchers_leaves_the_binding() {
    let mut w = World::new();
    let a = w.task();
    let (port, receive) = (w.port_with_send(a), w.port(a));
    let made = [b"1", b"2"].map(|content| w.make_voucher(a, &[st(USER_DATA, content)]).unwrap());
    let ids = made.map(|name| w.voucher_of(a, name));
    set_self(&mut w, a, 0, made[0], SET_SELF_VOUCHER).unwrap();
    let adopt = |w: &World, name| w.kernel.ipc.voucher_to_adopt(w.kernel.tasks[a.task].space, name);
    let non_vouchers = [port, receive, UNUSED_NAME, a.self_port].map(|name| (name, KERN_INVALID_ARGUMENT));
    for (name, code) in [(MACH_PORT_DEAD, KERN_INVALID_RIGHT)].into_iter().chain(non_vouchers) {
        assert_eq!(adopt(&w, name), Err(code), "{name:?}");
        assert_eq!(set_self(&mut w, a, 0, name, SET_SELF_VOUCHER), Err(ENOENT), "{name:?}");
        assert_eq!(w.kernel.sched[a.thread].voucher(), ids[0], "{name:?}");
    }
    for (name, bound) in [(made[1], ids[1]), (MACH_PORT_NULL, None)] {
        assert_eq!(adopt(&w, name), Ok(bound));
        assert_eq!(set_self(&mut w, a, 0, name, SET_SELF_VOUCHER), Ok(0));
        assert_eq!(w.kernel.sched[a.thread].voucher(), bound);
    }
}

#[test]
fn a_thread_adopts_the_voucher_of_a_name() {
    let mut w = World::new();
    let a = w.task();
    let made = [b"1", b"2"].map(|content| w.make_voucher(a, &[st(USER_DATA, content)]).unwrap());
    let ids = made.map(|name| w.voucher_of(a, name));
    for (name, adopted) in [(made[0], ids[0]), (made[1], ids[1]), (MACH_PORT_NULL, None)] {
        assert_eq!(set_self(&mut w, a, 0, name, SET_SELF_VOUCHER), Ok(0));
        assert_eq!(w.kernel.sched[a.thread].voucher(), adopted);
    }
    assert_eq!(set_self(&mut w, a, 0, made[0], SET_SELF_VOUCHER), Ok(0));
    w.deallocate(a, made[0]).unwrap();
    w.deallocate(a, made[1]).unwrap();
    assert_eq!(w.values().0, 1, "the thread holds the voucher that it has adopted");
    assert_eq!(set_self(&mut w, a, 0, MACH_PORT_NULL, SET_SELF_VOUCHER), Ok(0));
    assert_eq!(w.values().0, 0);
}

#[test]
fn a_thread_outside_of_the_classes_cannot_choose_one() {
    let mut w = World::new();
    let a = w.task();
    assert_eq!(w.kernel.sched[a.thread].policy().requested, Priority::UNSPECIFIED);
    let class = pthread(Qos::Utility) as u32;
    assert_eq!(set_self(&mut w, a, class, PortName(0), SET_SELF_QOS), Err(EPERM));
    assert_eq!(set_self(&mut w, a, class, UNUSED_NAME, SET_SELF_QOS | SET_SELF_VOUCHER), Err(EBADMSG));
    assert_eq!(base(&w, a), 31);
}

#[test]
fn a_thread_chooses_between_a_fixed_priority_and_time_sharing() {
    let (mut w, a, _) = daemon();
    for (flags, timeshare) in [
        (SET_SELF_FIXED_PRIORITY, false),
        (SET_SELF_QOS, false),
        (SET_SELF_TIMESHARE, true),
        (SET_SELF_FIXED_PRIORITY | SET_SELF_TIMESHARE, false),
        (SET_SELF_TIMESHARE | SET_SELF_QOS, true),
    ] {
        assert_eq!(set_self(&mut w, a, pthread(Qos::Utility) as u32, PortName(0), flags), Ok(0));
        assert_eq!(w.kernel.sched[a.thread].schedule().timeshare, timeshare, "{flags:#x}");
    }
    assert_eq!(set_self(&mut w, a, 0, UNUSED_NAME, SET_SELF_VOUCHER | SET_SELF_FIXED_PRIORITY), Err(ENOENT));
    assert!(!w.kernel.sched[a.thread].schedule().timeshare, "the mode is set nevertheless");
}

#[test]
fn an_override_lasts_until_its_last_end() {
    let (mut w, a, name) = daemon();
    let b = w.thread(a);
    let thread = u64::from(name.0);
    assert_eq!(set_self(&mut w, a, Priority { qos: Qos::Utility, relative: -8 }.to_pthread(), PortName(0), 1), Ok(0));
    for (command, args, priority) in [
        (START, [thread, pthread(Qos::Background), RESOURCE], 20),
        (START, [thread, pthread(Qos::Legacy), RESOURCE], 31),
        (START, [thread, pthread(Qos::UserInitiated), OTHER_RESOURCE], 37),
        (END, [thread, OTHER_RESOURCE, 0], 31),
        (END, [thread, OTHER_RESOURCE, 0], 31),
        (END, [thread, RESOURCE, 0], 31),
        (END, [thread, RESOURCE, 0], 12),
    ] {
        assert_eq!(control(&mut w, b, command, args), Ok(0));
        assert_eq!(base(&w, a), priority, "{command:#x} {args:x?}");
    }
}

#[test]
fn the_state_of_a_thread_shows_its_class_before_the_limits_of_its_task() {
    let mut w = World::new();
    let a = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
    let name = w.trap(a, mach::THREAD_SELF, &[]).name();
    let requested = Priority { qos: Qos::Legacy, relative: -3 };
    assert_eq!(set_self(&mut w, a, requested.to_pthread(), PortName(0), SET_SELF_QOS), Ok(0));
    let seen = info(&mut w, a, name);
    assert_eq!((seen.requested, seen.effective), (requested.to_pthread(), requested.to_pthread()));
    assert_eq!((seen.io_tier, seen.latency_qos, seen.throughput_qos), (2, 4, 6), "those of the background");
    control(&mut w, a, START, [name.0.into(), pthread(Qos::UserInteractive), RESOURCE]).unwrap();
    let seen = info(&mut w, a, name);
    assert_eq!((seen.requested, u64::from(seen.effective)), (requested.to_pthread(), pthread(Qos::UserInteractive)));
    assert_eq!((seen.base_priority, seen.set_self_calls), (4, 1), "an override lifts no thread out of the background");
}

#[test]
fn a_thread_has_a_limited_number_of_overrides() {
    let (mut w, a, name) = daemon();
    let start = |w: &mut World, resource: u64| control(w, a, START, [name.0.into(), pthread(Qos::Utility), resource]);
    let most = kernel::policy::overrides::OVERRIDES_MAX as u64;
    (0..most).for_each(|resource| assert_eq!(start(&mut w, resource), Ok(0)));
    assert_eq!(start(&mut w, most), Err(ENOMEM));
    assert_eq!(start(&mut w, 0), Ok(0), "one that exists is counted");
    assert_eq!(control(&mut w, a, END, [name.0.into(), 1, 0]), Ok(0));
    assert_eq!(start(&mut w, most), Ok(0));
}

#[test]
fn an_override_is_for_live_threads_of_the_same_task() {
    let (mut w, a, name) = daemon();
    let other = w.task();
    let foreign = w.trap(other, mach::THREAD_SELF, &[]).name();
    w.send(other, &crate::message::Msg::copy_send(other.to_init).port(foreign, abi::port::Disposition::COPY_SEND))
        .unwrap();
    let (init, inbox) = (w.init, w.init.inbox);
    let at_init = w.poll(init, inbox).unwrap().descriptor(0).name;
    w.send(init, &crate::message::Msg::copy_send(a.at_init).port(at_init, abi::port::Disposition::COPY_SEND)).unwrap();
    let foreign = w.poll(a, a.inbox).unwrap().descriptor(0).name;
    let ended = w.thread(a);
    let dead = w.trap(ended, mach::THREAD_SELF, &[]).name();
    assert_eq!(w.trap(ended, tally::THREAD_EXIT, &[]), Ret::Ended);
    let class = pthread(Qos::UserInitiated);
    for wrong in [PortName(0), UNUSED_NAME, a.self_port, a.inbox, foreign, dead] {
        let wrong = u64::from(wrong.0);
        assert_eq!(control(&mut w, a, START, [wrong, class, RESOURCE]), Err(ESRCH));
        assert_eq!(control(&mut w, a, END, [wrong, RESOURCE, 0]), Err(ESRCH));
        assert_eq!(control(&mut w, a, DISPATCH, [wrong, class, 0]), Err(ESRCH));
        assert_eq!(control(&mut w, a, START, [wrong, 0xFF, RESOURCE]), Err(EINVAL), "the class comes first");
    }
    assert_eq!(control(&mut w, a, START, [name.0.into(), 0, RESOURCE]), Err(EINVAL));
    assert_eq!(control(&mut w, a, DISPATCH, [name.0.into(), 0, 0]), Err(EINVAL));
    assert_eq!((base(&w, a), base(&w, other)), (31, 31));
    for command in [0x10, 0x401, 0x402] {
        assert_eq!(control(&mut w, a, command, [name.0.into(), class, 0]), Err(ENOTSUP), "{command:#x}");
    }
    for command in [0, 1, 0x41, 0x800, 0x1000, u32::MAX] {
        assert_eq!(control(&mut w, a, command, [name.0.into(), class, 0]), Err(EINVAL), "{command:#x}");
    }
}

#[test]
fn a_dispatch_override_needs_the_lock_and_lasts_until_the_thread_resets_it() {
    let (mut w, a, name) = daemon();
    let b = w.thread(a);
    let (thread, lock) = (u64::from(name.0), a.memory + RESULT);
    let raise = |w: &mut World, word: u32, lock: u64, qos: Qos| {
        w.put(a, RESULT, &word.to_le_bytes());
        assert_eq!(control(w, b, DISPATCH, [thread, pthread(qos), lock]), Ok(0));
        base(w, a)
    };
    assert_eq!(raise(&mut w, 0, lock, Qos::UserInitiated), 31, "the lock is free");
    assert_eq!(raise(&mut w, name.0 ^ 0x100, lock, Qos::UserInitiated), 31, "another thread has the lock");
    assert_eq!(raise(&mut w, name.0 & !LOCK_FLAGS, lock, Qos::UserInitiated), 37);
    assert_eq!(raise(&mut w, name.0, lock, Qos::Utility), 37, "a lower class lowers nothing");
    assert_eq!(control(&mut w, a, RESET, [0; 3]), Ok(0));
    assert_eq!(base(&w, a), 31);
    assert_eq!(raise(&mut w, 0, 0, Qos::UserInitiated), 37, "without a lock");
    assert_eq!(control(&mut w, b, RESET, [thread, 0, 0]), Ok(0));
    assert_eq!(base(&w, a), 37, "a thread resets its own override only");
    assert_eq!(control(&mut w, a, RESET, [0; 3]), Ok(0));
    assert_eq!(raise(&mut w, 0, 8, Qos::UserInitiated), 37, "a lock that cannot be read");
}

/// Two threads of different tasks with the class legacy, of which the first runs, while init waits.
fn rivals() -> (World, Actor, Actor) {
    let (mut w, a, _) = daemon();
    let b = w.task_of(AppType::DaemonStandard, Role::Unspecified);
    let (init, inbox) = (w.init, w.init.inbox);
    assert_eq!(w.receive(init, inbox, abi::message::MsgOption::empty()), Ret::Blocked);
    (w, a, b)
}

#[test]
fn a_thread_that_lowers_its_class_is_preempted_in_the_same_step() {
    let (mut w, a, b) = rivals();
    let args = [BSDTHREAD_CTL_SET_SELF.into(), pthread(Qos::Utility), 0, SET_SELF_QOS.into()];
    w.start_trap(a, BSDTHREAD_CTL, &args);
    assert_eq!((w.kernel.sched.current(0), base(&w, a)), (Some(b.thread), 20));
    let args = [BSDTHREAD_CTL_SET_SELF.into(), pthread(Qos::UserInitiated), 0, SET_SELF_QOS.into()];
    w.start_trap(b, BSDTHREAD_CTL, &args);
    assert_eq!((w.kernel.sched.current(0), base(&w, b)), (Some(b.thread), 37), "a raised thread goes on");
}

#[test]
fn a_thread_that_raises_another_above_itself_is_preempted_in_the_same_step() {
    let (mut w, a, _) = rivals();
    let helper = w.thread(a);
    *w.kernel.sched.policy_mut(helper.thread) = ThreadPolicy::requesting(Priority::of(Qos::Utility));
    let name = w.trap(helper, mach::THREAD_SELF, &[]).name();
    w.start_trap(a, BSDTHREAD_CTL, &[START.into(), name.0.into(), pthread(Qos::UserInitiated), RESOURCE]);
    assert_eq!((w.kernel.sched.current(0), base(&w, helper)), (Some(helper.thread), 37));
    w.start_trap(helper, BSDTHREAD_CTL, &[END.into(), name.0.into(), RESOURCE]);
    assert_ne!(w.kernel.sched.current(0), Some(helper.thread), "without the override it has the class utility again");
    assert_eq!(base(&w, helper), 20);
}

#[test]
fn a_task_that_goes_into_the_background_is_preempted_in_the_same_step() {
    let (mut w, a, b) = rivals();
    let background = [PRIO_DARWIN_PROCESS, 0, PRIO_DARWIN_BG].map(u64::from);
    w.start_trap(a, SETPRIORITY, &background);
    assert_eq!((w.kernel.sched.current(0), base(&w, a)), (Some(b.thread), 4));
    let (c, _) = w.spawn(b, TaskSpawnArgs { app_type: AppType::AppDefault as u32, ..spawn_args() }).unwrap();
    let foreground = [PRIO_DARWIN_ROLE.into(), u64::from(w.kernel.tasks[c.task].credentials.pid), 1];
    w.start_trap(b, SETPRIORITY, &foreground);
    assert_eq!(
        (w.kernel.sched.current(0), base(&w, c)),
        (Some(c.thread), 47),
        "a task that becomes more important runs"
    );
}
