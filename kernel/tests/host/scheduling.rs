//! The choice of the running thread, quanta and priorities (importance 8.6, 10.8), and message QoS (importance 7).

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, RESULT, World};
use abi::message::{MACH_NOTIFY_SEND_POSSIBLE, MsgOption};
use abi::port::PortName;
use abi::qos::{AppType, MessagePriority, Priority, Qos, Role};
use abi::trap::unix::UL_COMPARE_AND_WAIT;
use abi::trap::{mach, unix};
use kernel::kernel::{Event, Next};
use kernel::machine::Nanos;
use kernel::policy::ThreadPolicy;

const MS: Nanos = 1_000_000;

/// Creates a world with actors of these base priorities. No other thread can run, since init waits for a message.
fn world_with(bases: &[u8]) -> (World, Vec<Actor>) {
    let mut w = World::new();
    let actors: Vec<Actor> = bases.iter().map(|_| w.task()).collect();
    let init = w.init;
    let inbox = init.inbox;
    assert_eq!(w.receive(init, inbox, MsgOption::empty()), crate::world::Ret::Blocked);
    for (actor, &base) in actors.iter().zip(bases) {
        set_base(&mut w, *actor, base);
    }
    // Each actor starts with a new quantum, in this order, behind a thread that has just run.
    for actor in &actors {
        sleep(&mut w, *actor, 1);
    }
    w.machine.advance(1);
    let _ = w.event(Event::Timer);
    (w, actors)
}

fn set_base(w: &mut World, actor: Actor, base: u8) {
    w.set_base(actor.thread, base, true);
}

/// Makes a thread wait for this time.
fn sleep(w: &mut World, actor: Actor, time: Nanos) {
    let until = kernel::machine::Machine::now(&mut w.machine) + time;
    w.start_trap(actor, mach::MACH_WAIT_UNTIL, &[until]);
}

/// Returns the index of the actor that runs.
fn running(w: &World, actors: &[Actor]) -> usize {
    let current = w.kernel.sched.current(0).expect("a thread runs");
    actors.iter().position(|actor| actor.thread == current).expect("one of the actors runs")
}

/// Advances the clock by `time` in steps of 100 µs, with a timer interrupt whenever one is due. Returns the slices in
/// order: the index of an actor, and how long it ran.
fn run_for(w: &mut World, actors: &[Actor], time: Nanos) -> Vec<(usize, Nanos)> {
    const STEP: Nanos = MS / 10;
    let mut slices: Vec<(usize, Nanos)> = Vec::new();
    for _ in 0..time / STEP {
        let actor = running(w, actors);
        w.machine.advance(STEP);
        match slices.last_mut() {
            Some((last, length)) if *last == actor => *length += STEP,
            _ => slices.push((actor, STEP)),
        }
        let now = kernel::machine::Machine::now(&mut w.machine);
        if w.machine.timer.is_some_and(|deadline| deadline <= now) {
            w.machine.timer = None;
            let _ = w.event(Event::Timer);
        }
    }
    slices
}

// covers importance E141
#[test]
fn equal_priorities_take_turns_of_a_quantum() {
    let (mut w, actors) = world_with(&[31, 31]);
    assert_eq!(run_for(&mut w, &actors, 40 * MS), [(0, 10 * MS), (1, 10 * MS), (0, 10 * MS), (1, 10 * MS)]);
    let (mut w, actors) = world_with(&[4, 4]);
    let short = 5 * MS / 2;
    assert_eq!(run_for(&mut w, &actors, 10 * MS), [(0, short), (1, short), (0, short), (1, short)]);
}

#[test]
fn a_lower_priority_runs_only_while_higher_ones_wait() {
    let (mut w, actors) = world_with(&[20, 31]);
    assert_eq!(run_for(&mut w, &actors, 50 * MS), [(1, 50 * MS)]);
    sleep(&mut w, actors[1], 5 * MS);
    assert_eq!(run_for(&mut w, &actors, 10 * MS), [(0, 5 * MS), (1, 5 * MS)]);
}

#[test]
fn three_equal_priorities_run_in_order_without_starvation() {
    let (mut w, actors) = world_with(&[31, 31, 31]);
    let order: Vec<usize> = run_for(&mut w, &actors, 90 * MS).iter().map(|slice| slice.0).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

// covers importance E142
#[test]
fn a_preempted_thread_runs_next_with_the_rest_of_its_quantum() {
    let (mut w, actors) = world_with(&[31, 31, 47]);
    sleep(&mut w, actors[2], 4 * MS);
    assert_eq!(run_for(&mut w, &actors, 4 * MS), [(0, 4 * MS)]);
    assert_eq!(run_for(&mut w, &actors, MS), [(2, MS)]);
    sleep(&mut w, actors[2], 100 * MS);
    assert_eq!(run_for(&mut w, &actors, 16 * MS), [(0, 6 * MS), (1, 10 * MS)]);
}

// covers importance E143
#[test]
fn a_preempted_thread_near_the_end_of_its_quantum_goes_to_the_tail() {
    let (mut w, actors) = world_with(&[31, 31, 47]);
    sleep(&mut w, actors[2], 98 * MS / 10);
    assert_eq!(run_for(&mut w, &actors, 98 * MS / 10), [(0, 98 * MS / 10)]);
    sleep(&mut w, actors[2], 100 * MS);
    assert_eq!(run_for(&mut w, &actors, 202 * MS / 10), [(1, 10 * MS), (0, 102 * MS / 10)]);
}

/// Importance 8.6, "first slice" and "preempted": the preempted thread keeps the rest of its quantum.
#[test]
fn after_its_first_slice_a_thread_yields_to_a_woken_equal() {
    let (mut w, actors) = world_with(&[31, 31]);
    sleep(&mut w, actors[1], 15 * MS);
    assert_eq!(run_for(&mut w, &actors, 40 * MS), [(0, 15 * MS), (1, 10 * MS), (0, 5 * MS), (1, 10 * MS)]);
}

#[test]
fn in_its_first_slice_a_thread_does_not_yield_to_a_woken_equal() {
    let (mut w, actors) = world_with(&[31, 31]);
    sleep(&mut w, actors[1], 5 * MS);
    assert_eq!(run_for(&mut w, &actors, 20 * MS), [(0, 10 * MS), (1, 10 * MS)]);
}

// covers importance E144
#[test]
fn a_thread_whose_priority_drops_is_preempted_at_once() {
    let mut w = World::new();
    let (a, b, other) = (w.app(), w.adaptive(), w.task());
    let (_, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    w.receive(a, a.inbox, MsgOption::empty());
    assert_eq!(w.kernel.sched[b.thread].schedule().base, 31);
    set_base(&mut w, other, 20);
    let (init, inbox) = (w.init, w.init.inbox);
    w.receive(init, inbox, MsgOption::empty());
    assert_eq!(w.kernel.sched.current(0), Some(b.thread));
    w.kernel.change_task_policy(a.task, |policy| policy.role = Role::DarwinBg);
    assert_eq!(w.event(Event::Timer), Next::Run(other.thread));
    assert_eq!(w.kernel.sched[b.thread].schedule().base, 4);
}

// covers importance E145
#[test]
fn a_fixed_priority_is_suspended_while_its_task_is_in_the_background() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (_, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    *w.kernel.sched.policy_mut(b.thread) = ThreadPolicy { timeshare: false, ..ThreadPolicy::default() };
    let boost = |w: &mut World, boosted| {
        w.set_role(a, if boosted { Role::Foreground } else { Role::DarwinBg });
        let schedule = w.kernel.sched[b.thread].schedule();
        (schedule.base, schedule.timeshare)
    };
    assert_eq!(boost(&mut w, false), (4, true));
    assert_eq!(boost(&mut w, true), (31, false));
    assert_eq!(boost(&mut w, false), (4, true));
    assert_eq!(boost(&mut w, true), (31, false));
}

#[test]
fn a_yielding_thread_runs_after_all_others_even_lower_priorities() {
    let (mut w, actors) = world_with(&[31, 20]);
    assert_eq!(running(&w, &actors), 0);
    w.start_trap(actors[0], mach::SWTCH, &[]);
    assert_eq!(running(&w, &actors), 1, "a yield lets lower priorities run");
    // The yielding thread has priority 0 until it is chosen again, which happens when the other thread waits.
    sleep(&mut w, actors[1], 5 * MS);
    assert_eq!(running(&w, &actors), 0);
    assert_eq!(w.kernel.sched[actors[0].thread].schedule().priority, 31, "its priority is restored");
    assert_eq!(w.state(actors[0]).code().0, 1, "another thread was ready");
    w.start_trap(actors[0], mach::SWTCH, &[]);
    assert_eq!((running(&w, &actors), w.state(actors[0]).code().0), (0, 0), "no other thread was ready");
}

#[test]
fn a_yielding_thread_is_below_others_for_a_quantum_at_most() {
    let (mut w, actors) = world_with(&[31, 20]);
    w.start_trap(actors[0], mach::SWTCH, &[]);
    assert_eq!(run_for(&mut w, &actors, 30 * MS), [(1, 10 * MS), (0, 20 * MS)], "the lower one spins");

    // Each of two has its own quantum; the second one comes back at 14 ms, when its equal runs.
    let (mut w, actors) = world_with(&[31, 31, 20]);
    w.start_trap(actors[0], mach::SWTCH, &[]);
    assert_eq!(run_for(&mut w, &actors, 4 * MS), [(1, 4 * MS)]);
    w.start_trap(actors[1], mach::SWTCH_PRI, &[0]);
    assert_eq!(run_for(&mut w, &actors, 30 * MS), [(2, 6 * MS), (0, 10 * MS), (1, 6 * MS), (0, 8 * MS)]);
}

#[test]
fn a_yield_ends_in_time_behind_many_depressed_threads() {
    const DEPRESSED: usize = 150;
    let bases: Vec<u8> = core::iter::repeat_n(40, DEPRESSED).chain([31, 20]).collect();
    let (mut w, actors) = world_with(&bases);
    let (yielding, spinning) = (DEPRESSED, DEPRESSED + 1);
    // One interrupt does not end the sleep of all of them.
    for _ in 0..3 {
        let _ = w.event(Event::Timer);
    }
    for _ in 0..DEPRESSED {
        let current = running(&w, &actors);
        let arguments = [0, u64::from(abi::trap::SWITCH_OPTION_DEPRESS), 1000];
        w.start_trap(actors[current], mach::THREAD_SWITCH, &arguments);
    }
    assert_eq!(running(&w, &actors), yielding);
    for _ in 0..2 {
        w.start_trap(actors[yielding], mach::SWTCH, &[]);
        // One timer interrupt does not look at all of them.
        let slices = run_for(&mut w, &actors, 20 * MS);
        assert!(
            matches!(slices[..], [(first, 10_000_000..10_500_000), (second, _)] if (first, second) == (spinning, yielding)),
            "{slices:?}"
        );
    }
}

#[test]
fn a_depressed_thread_runs_below_all_others_for_the_given_time() {
    let (mut w, actors) = world_with(&[31, 20]);
    w.start_trap(actors[0], mach::THREAD_SWITCH, &[0, u64::from(abi::trap::SWITCH_OPTION_DEPRESS), 30]);
    assert_eq!(run_for(&mut w, &actors, 50 * MS), [(1, 30 * MS), (0, 20 * MS)]);
    w.start_trap(actors[0], mach::THREAD_SWITCH, &[0, u64::from(abi::trap::SWITCH_OPTION_DEPRESS), 0]);
    assert_eq!(run_for(&mut w, &actors, 30 * MS), [(1, 10 * MS), (0, 20 * MS)], "the default time is one quantum");
}

#[test]
fn a_woken_thread_of_a_higher_class_preempts_a_spinning_one() {
    let (mut w, actors) = world_with(&[31, 47]);
    const MICROSECONDS: u64 = 2000;
    w.put(actors[1], RESULT, &7u32.to_le_bytes());
    let word = w.result(actors[1]);
    w.start_trap(actors[1], unix::ULOCK_WAIT, &[UL_COMPARE_AND_WAIT.into(), word, 7, MICROSECONDS]);
    assert_eq!(run_for(&mut w, &actors, 3 * MS), [(0, 2 * MS), (1, MS)]);
}

/// Creates a port with a send right and a queue limit that these tests do not reach.
fn mailbox(w: &mut World, a: Actor) -> PortName {
    let name = w.port_with_send(a);
    w.set_qlimit(a, name, 16).unwrap();
    name
}

/// Sends a message from a task to itself with options and the `priority` argument, and receives it. Returns the
/// message's QoS as a `pthread_priority_t` and its override class.
fn send_with_priority(w: &mut World, a: Actor, options: MsgOption, priority: u32) -> (u32, Qos) {
    let name = mailbox(w, a);
    post(w, a, name, options, priority);
    receive_qos(w, a, name)
}

/// Sends a message with options and the `priority` argument.
fn post(w: &mut World, a: Actor, name: PortName, options: MsgOption, priority: u32) {
    let bytes = Msg::copy_send(name).encode();
    w.put(a, BUFFER, &bytes);
    let send_size = bytes.len() as u32;
    let options = options | MsgOption::SEND_MSG;
    w.mach_msg(a, &MachMsg { options, send_size, priority, ..MachMsg::default() }).code().ok().unwrap();
}

/// Receives a message; returns its QoS as a `pthread_priority_t` and its override class.
fn receive_qos(w: &mut World, a: Actor, name: PortName) -> (u32, Qos) {
    w.poll(a, name).unwrap();
    let rdx = w.kernel.sched[a.thread].frame().rdx;
    ((rdx >> 32) as u32, Priority::from_pthread(rdx as u32).qos)
}

const OVERRIDE: MsgOption = MsgOption::SEND_OVERRIDE;
const PROPAGATE: MsgOption = MsgOption::SEND_PROPAGATE_QOS;

/// Sets the requested QoS of an actor's thread.
fn request(w: &mut World, a: Actor, requested: Priority) {
    *w.kernel.sched.policy_mut(a.thread) = ThreadPolicy::requesting(requested);
}

/// A `priority` argument in the native form: class 2 with relative priority -5, override class 6 (user-interactive).
const NATIVE_FORM: u32 = 0x0062_fa00;
/// The class user-interactive in the pthread form.
const PTHREAD_FORM: u32 = 0x20ff;
/// The same with relative priority -1. It is taken for the native form, in which it has neither class nor override.
const PTHREAD_FORM_WITH_RELATIVE: u32 = 0x20fe;

// covers importance E123 E124 E127 E128
#[test]
fn the_priority_argument_needs_its_option_and_a_known_form() {
    let mut w = World::new();
    let a = w.task();
    assert_eq!(send_with_priority(&mut w, a, OVERRIDE, NATIVE_FORM), (0x2fa, Qos::UserInteractive));
    assert_eq!(send_with_priority(&mut w, a, OVERRIDE, PTHREAD_FORM), (0, Qos::UserInteractive));
    assert_eq!(send_with_priority(&mut w, a, MsgOption::empty(), NATIVE_FORM), (0, Qos::Unspecified));
    assert_eq!(send_with_priority(&mut w, a, OVERRIDE, PTHREAD_FORM_WITH_RELATIVE), (0, Qos::Unspecified));
}

// covers importance E125
#[test]
fn a_pthread_override_raises_the_requested_class() {
    let mut w = World::new();
    let a = w.task();
    request(&mut w, a, Priority::of(Qos::Utility));
    let sent = send_with_priority(&mut w, a, OVERRIDE | PROPAGATE, PTHREAD_FORM);
    assert_eq!(sent, (0x4ff, Qos::UserInteractive));
}

// covers importance E126
#[test]
fn a_thread_without_a_class_propagates_the_class_of_its_priority() {
    let mut w = World::new();
    let a = w.task();
    request(&mut w, a, Priority::UNSPECIFIED);
    let rows = [
        (31, 0x8ff, Qos::Legacy),
        (28, 0x4ff, Qos::Utility),
        (63, 0x20ff, Qos::UserInteractive),
        (3, 0x1ff, Qos::Maintenance),
    ];
    for (base, pthread, over) in rows {
        set_base(&mut w, a, base);
        assert_eq!(send_with_priority(&mut w, a, PROPAGATE, 0), (pthread, over), "base {base}");
    }
}

// covers importance E129
#[test]
fn clamps_on_the_sender_do_not_leak_into_its_messages() {
    let mut w = World::new();
    let a = w.task_of(AppType::DaemonAdaptive, Role::Unspecified);
    request(&mut w, a, Priority::of(Qos::UserInteractive));
    assert_eq!(w.kernel.sched[a.thread].schedule().base, 4);
    assert_eq!(send_with_priority(&mut w, a, PROPAGATE, 0), (0x20ff, Qos::UserInteractive));
}

// covers importance E130
#[test]
fn a_message_raises_the_override_of_the_messages_before_it() {
    let mut w = World::new();
    let a = w.task();
    let name = mailbox(&mut w, a);
    let overrides = |w: &World| {
        let port = w.space_of(a.task).get(name).unwrap().right.port().unwrap();
        w.kernel.ipc.queued(port).map(|message| message.qos_override as u32).collect::<Vec<_>>()
    };
    for over in [2, 5, 3] {
        post(&mut w, a, name, OVERRIDE, MessagePriority::encode(Qos::from_number(over), Qos::Unspecified, 0));
    }
    assert_eq!(overrides(&w), [5, 5, 3]);
    post(&mut w, a, name, OVERRIDE, MessagePriority::encode(Qos::UserInteractive, Qos::Unspecified, 0));
    assert_eq!(overrides(&w), [6, 6, 6, 6]);
    for _ in 0..4 {
        assert_eq!(receive_qos(&mut w, a, name).1, Qos::UserInteractive);
    }
}

// covers importance E131
#[test]
fn a_refused_send_can_raise_the_override_of_the_queue_head() {
    let mut w = World::new();
    let a = w.task();
    let (name, notify) = (w.port_with_send(a), w.port(a));
    for _ in 0..abi::port::MACH_PORT_QLIMIT_DEFAULT {
        post(&mut w, a, name, OVERRIDE, MessagePriority::encode(Qos::Background, Qos::Unspecified, 0));
    }
    let port = w.space_of(a.task).get(name).unwrap().right.port().unwrap();
    let refused_send_with = |w: &mut World, options, priority| {
        let bytes = Msg::copy_send(name).encode();
        w.put(a, BUFFER, &bytes);
        let options = options | MsgOption::SEND_NOTIFY | MsgOption::SEND_TIMEOUT | MsgOption::SEND_MSG;
        let args = MachMsg { options, send_size: bytes.len() as u32, priority, ..MachMsg::default() };
        assert_eq!(w.mach_msg(a, &args).code(), abi::code::MACH_SEND_TIMED_OUT);
        w.kernel.ipc.queued(port).next().unwrap().qos_override
    };
    let refused_send = |w: &mut World, priority| refused_send_with(w, OVERRIDE, priority);
    let with_override = MessagePriority::encode(Qos::UserInteractive, Qos::Unspecified, 0);
    assert_eq!(refused_send(&mut w, with_override), Qos::Background, "the name has no request");
    let notify_right = (notify, abi::port::Disposition::MAKE_SEND_ONCE);
    w.request(a, name, MACH_NOTIFY_SEND_POSSIBLE, 0, notify_right).unwrap();
    assert_eq!(refused_send_with(&mut w, MsgOption::empty(), with_override), Qos::Background, "the option is missing");
    let class_alone = MessagePriority::encode(Qos::Unspecified, Qos::UserInteractive, 0);
    assert_eq!(refused_send(&mut w, class_alone), Qos::Background);
    assert_eq!(refused_send(&mut w, with_override), Qos::UserInteractive);
}
