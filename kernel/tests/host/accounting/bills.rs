//! Bills: what is charged to whom, and that nothing is lost or charged twice.

use super::*;
use crate::message::{MachMsg, Msg};
use crate::rpc::Pair;
use crate::vouchers::{USER_DATA, st};
use crate::world::Ret;
use abi::code::*;
use abi::debug::{DEBUG_THREAD, ThreadInfo};
use abi::mig::thread_act;
use abi::policy::SET_SELF_QOS;
use abi::port::MACH_PORT_NULL;
use abi::qos::{AppType, Priority, Qos, Role};
use abi::trap::{mach, tally, unix};
use kernel::limits::Limits;
use kernel::policy::Power;

const TIME: Nanos = 1_000_000;

/// A world with a client, a server, and the server's name for a voucher for which the client pays.
fn client_and_server() -> (World, Actor, Actor, PortName) {
    let mut w = World::new();
    let (client, server) = (w.task(), w.task());
    let voucher = w.send_account(client, server);
    (w, client, server, voucher)
}

// covers vouchers B-23 B-24
#[test]
fn work_with_an_adopted_voucher_is_billed_to_its_holder_and_serviced_by_the_worker() {
    let (mut w, client, server, voucher) = client_and_server();
    w.burn(server, 7 * TIME);
    assert_eq!((w.times(client), w.times(server)), ((0, 0, 0), (7 * TIME, 0, 0)), "nobody else pays yet");
    w.adopt(server, voucher);
    w.burn(server, 3 * TIME);
    w.burn(server, TIME);
    let held = ((0, 4 * TIME, 0), (11 * TIME, 0, 4 * TIME));
    assert_eq!((w.times(client), w.times(server)), held, "while the voucher is held");
    w.adopt(server, MACH_PORT_NULL);
    w.burn(server, 5 * TIME);
    w.deallocate(server, voucher).unwrap();
    assert_eq!(w.kernel.vouchers.system().bank.len().1, 0, "the account is closed");
    assert_eq!((w.times(client), w.times(server)), ((0, 4 * TIME, 0), (16 * TIME, 0, 4 * TIME)));
}

/// The time between two traps of the same thread is split where the voucher changes, though the thread never leaves
/// the processor.
#[test]
fn a_change_of_vouchers_splits_the_time_between_the_accounts() {
    let (mut w, client, server, first) = client_and_server();
    let other = w.task();
    let second = w.send_account(other, server);
    let name = w.trap(server, mach::THREAD_SELF, &[]).name();
    for (voucher, time) in [(first, 1), (second, 20), (first, 300), (MACH_PORT_NULL, 4000), (second, 50_000)] {
        w.occupy(server);
        w.adopt(server, voucher);
        w.machine.advance(time);
        // The next adoption is by message.
        let request = Msg::copy_send(name).id(thread_act::SET_MACH_VOUCHER).port(voucher, D::COPY_SEND);
        w.rpc(server, request).unwrap();
        w.machine.advance(time);
        w.adopt(server, MACH_PORT_NULL);
    }
    assert_eq!((w.times(client), w.times(other)), ((0, 602, 0), (0, 100_040, 0)));
    assert_eq!(w.times(server), (108_642, 0, 100_642));
}

#[test]
fn a_thread_that_has_not_started_is_billed_from_its_start() {
    let (mut w, client, server, voucher) = client_and_server();
    let me = u64::from(server.self_port.0);
    let flags = u64::from(tally::THREAD_CREATE_SUSPENDED);
    let args = [me, crate::program::PROGRAM_BASE, server.memory, 0, flags, w.result(server)];
    let name = w.call_for_name(server, tally::THREAD_CREATE, &args).unwrap();
    assert_eq!(w.set_voucher(server, name, voucher), Ok(()));
    w.burn(server, TIME);
    assert_eq!(w.times(client).1, 0);
    let thread = w.kernel.tasks[server.task].threads.back().unwrap();
    w.rpc(server, Msg::copy_send(name).id(thread_act::RESUME)).unwrap();
    w.burn(Actor { thread, ..server }, 2 * TIME);
    assert_eq!((w.times(client), w.times(server)), ((0, 2 * TIME, 0), (3 * TIME, 0, 2 * TIME)));
}

#[test]
fn only_the_thread_that_has_adopted_the_voucher_is_billed() {
    let (mut w, client, server, voucher) = client_and_server();
    let other = w.thread(server);
    w.adopt(server, voucher);
    for round in 0..10 {
        // Each preempts the other.
        w.burn(server, 30);
        w.burn(other, 400);
        assert_eq!(w.times(client).1, 30 * (round + 1));
    }
    assert_eq!(w.times(server), (4300, 0, 300));
}

#[test]
fn two_threads_with_one_voucher_are_billed_together() {
    let (mut w, client, server, voucher) = client_and_server();
    let other = w.thread(server);
    [server, other].into_iter().for_each(|thread| w.adopt(thread, voucher));
    w.burn(server, 30);
    w.burn(other, 400);
    assert_eq!((w.times(client).1, w.times(server)), (430, (430, 0, 430)));
}

#[test]
fn a_quantum_that_ends_is_billed_though_the_thread_goes_on() {
    let (mut w, client, server, voucher) = client_and_server();
    w.adopt(server, voucher);
    w.set_base(server.thread, 120, true);
    w.occupy(server);
    w.machine.advance(10 * TIME);
    let _ = w.event(Event::Timer);
    assert_eq!(w.kernel.sched.current(0), Some(server.thread));
    let bank = w.kernel.tasks[client.task].bank.unwrap();
    assert_eq!(w.kernel.vouchers.balance(bank).billed.cpu, 10 * TIME, "without anybody asking");
}

#[test]
fn a_thread_that_ends_settles_its_bill() {
    for by_itself in [true, false] {
        let (mut w, client, server, voucher) = client_and_server();
        let worker = w.thread(server);
        let name = w.trap(worker, mach::THREAD_SELF, &[]).name();
        w.adopt(worker, voucher);
        w.deallocate(server, voucher).unwrap();
        w.burn(worker, 30);
        if by_itself {
            w.occupy(worker);
            w.machine.advance(4);
            assert_eq!(w.trap(worker, tally::THREAD_EXIT, &[]), Ret::Ended);
        } else {
            w.burn(worker, 4);
            w.send(server, &Msg::copy_send(name).id(thread_act::TERMINATE)).unwrap();
        }
        assert!(!w.kernel.sched.contains(worker.thread));
        assert_eq!(w.kernel.vouchers.system().bank.len().1, 0, "the account is closed");
        assert_eq!((w.times(client), w.times(server)), ((0, 34, 0), (34, 0, 34)));
    }
}

#[test]
fn a_task_that_ends_settles_the_bills_of_its_threads() {
    let (mut w, client, server, voucher) = client_and_server();
    let second = w.thread(server);
    [server, second].into_iter().for_each(|thread| w.adopt(thread, voucher));
    w.burn(second, 30);
    w.occupy(server);
    w.machine.advance(4);
    w.trap(server, unix::EXIT, &[0]);
    w.settle();
    assert!(!w.kernel.tasks.contains(server.task));
    assert_eq!(w.times(client), (0, 34, 0));
}

// covers vouchers B-25
#[test]
fn work_for_a_task_that_has_ended_is_serviced_all_the_same() {
    let (mut w, client, server, voucher) = client_and_server();
    w.adopt(server, voucher);
    w.end_task(client);
    w.settle();
    w.burn(server, 34);
    assert_eq!(w.times(server), (34, 0, 34));
    w.adopt(server, MACH_PORT_NULL);
    w.deallocate(server, voucher).unwrap();
    assert_eq!(w.times(server), (34, 0, 34));
}

/// The account is that of the voucher, whether or not anybody has a name for it.
// covers vouchers B-28
#[test]
fn a_voucher_without_names_is_charged_until_the_thread_gives_it_up() {
    let (mut w, client, server, voucher) = client_and_server();
    w.adopt(server, voucher);
    w.deallocate(server, voucher).unwrap();
    w.burn(server, 34);
    assert_eq!(w.values().0, 2, "the client's voucher, and the adopted one");
    w.adopt(server, MACH_PORT_NULL);
    w.burn(server, 5);
    assert_eq!((w.times(client), w.times(server)), ((0, 34, 0), (39, 0, 34)));
}

/// Calls in both directions, with time between all traps, while the server has adopted the voucher of the client.
fn calls_with_a_voucher(direct: bool) -> (Times, Times) {
    let mut pair = Pair::new(direct);
    let (client, server) = (pair.client, pair.server);
    let voucher = pair.w.send_account(client, server);
    pair.w.adopt(server, voucher);
    [client, server].into_iter().for_each(|actor| pair.set_priority(actor, 100));
    pair.serve();
    for _ in 0..50 {
        pair.w.occupy(client);
        pair.w.machine.advance(1);
        let once = pair.call();
        assert_eq!(pair.w.kernel.sched.current(0), Some(server.thread), "the call leads to the server");
        pair.w.machine.advance(1000);
        pair.answer(once);
        assert_eq!(pair.w.state(client).code(), KERN_SUCCESS);
    }
    let bank = pair.w.kernel.tasks[client.task].bank.unwrap();
    let billed = pair.w.kernel.vouchers.balance(bank).billed.cpu;
    assert!(billed >= 49_000, "every switch but the last has been charged before anybody asks: {billed}");
    (pair.w.times(client), pair.w.times(pair.helpers[1]))
}

#[test]
fn calls_on_the_fast_path_are_billed_as_on_the_slow_path() {
    let direct = calls_with_a_voucher(true);
    assert_eq!(direct, ((50, 50_000, 0), (50_000, 0, 50_000)));
    assert_eq!(calls_with_a_voucher(false), direct);
}

/// Two threads of a server yield to each other, one of them with a voucher.
fn yields_with_a_voucher(shortcuts: bool) -> (Nanos, Times) {
    let mut w = World::with_limits(Limits { shortcuts, ..Limits::default() });
    let (client, server) = (w.task(), w.task());
    let voucher = w.send_account(client, server);
    let other = w.thread(server);
    w.adopt(server, voucher);
    [server, other].into_iter().for_each(|thread| w.set_base(thread.thread, 120, true));
    for idle in [w.init, client] {
        assert_eq!(w.receive(idle, idle.inbox, MsgOption::empty()), Ret::Blocked);
    }
    for _ in 0..20 {
        for _ in 0..2 {
            let thread = w.kernel.sched.current(0).unwrap();
            w.machine.advance(if thread == server.thread { 30 } else { 400 });
            w.kernel.sched[thread].frame_mut().rax = mach::SWTCH.into();
            let _ = w.event(Event::Trap);
            assert_ne!(w.kernel.sched.current(0), Some(thread), "the other one runs");
        }
    }
    let billed = w.rusage(server, w.pid(client), RUSAGE_INFO_V6).unwrap().ri_billed_system_time;
    (billed, w.times(server))
}

#[test]
fn threads_that_yield_directly_are_billed_as_on_the_slow_path() {
    let direct = yields_with_a_voucher(true);
    assert_eq!(direct, (600, (8600, 0, 600)));
    assert_eq!(yields_with_a_voucher(false), direct);
}

#[test]
fn energy_has_the_price_of_the_class_in_which_it_was_used() {
    let mut w = World::new();
    let client = w.task();
    let server = w.task_of(AppType::DaemonStandard, Role::Unspecified);
    let voucher = w.send_account(client, server);
    let energy = |class, time| Power::of(class).energy(time);
    w.burn(server, 1000);
    assert_eq!(w.own_usage(server).ri_energy_nj, energy(Qos::Legacy, 1000));
    w.adopt(server, voucher);
    // The time until the class changes has the old price.
    w.occupy(server);
    w.machine.advance(50);
    let background = Priority::of(Qos::Background).to_pthread();
    let args = [BSDTHREAD_CTL_SET_SELF, background, 0, SET_SELF_QOS].map(u64::from);
    call(&mut w, server, BSDTHREAD_CTL, &args).unwrap();
    w.burn(server, 600);
    let used = energy(Qos::Legacy, 50) + energy(Qos::Background, 600);
    let (billed, serviced) = (w.own_usage(client), w.own_usage(server));
    assert_eq!((billed.ri_billed_energy, billed.ri_serviced_energy, billed.ri_energy_nj), (used, 0, 0));
    let all = used + energy(Qos::Legacy, 1000);
    assert_eq!((serviced.ri_billed_energy, serviced.ri_serviced_energy, serviced.ri_energy_nj), (0, used, all));
}

#[test]
fn a_flavor_writes_its_part_and_nothing_behind_it() {
    let (mut w, _, server, voucher) = client_and_server();
    w.adopt(server, voucher);
    w.burn(server, 34);
    let pid = w.pid(server);
    let v2 = w.rusage(server, pid, 2).unwrap();
    assert_eq!((v2.ri_user_time, v2.ri_serviced_system_time), (34, 0));
    let v3 = w.rusage(server, pid, 3).unwrap();
    assert_eq!((v3.ri_serviced_system_time, v3.ri_serviced_energy, v3.ri_energy_nj), (34, 0, 0));
    for flavor in [4, 5] {
        let info = w.rusage(server, pid, flavor).unwrap();
        assert_eq!((info.ri_serviced_energy, info.ri_energy_nj), (136, 0));
    }
    assert_eq!(w.rusage(server, pid, 6).unwrap().ri_energy_nj, 136);
}

#[test]
fn usage_is_for_the_same_user_and_for_user_0() {
    let mut w = World::new();
    let root = w.task();
    let spawn = |uid| abi::task::TaskSpawnArgs { uid, ..crate::program::spawn_args() };
    let (one, same, two) = (w.task_with(spawn(501)), w.task_with(spawn(501)), w.task_with(spawn(502)));
    let pids = [root, one, same, two].map(|actor| w.pid(actor));
    let mut ask = |actor, pid| w.rusage(actor, pid, RUSAGE_INFO_V6).map(|_| ());
    assert_eq!(pids.map(|pid| ask(root, pid)), [Ok(()); 4]);
    assert_eq!(pids.map(|pid| ask(one, pid)), [Err(EPERM), Ok(()), Ok(()), Err(EPERM)]);
    assert_eq!((ask(one, 0), ask(one, 9999)), (Err(ESRCH), Err(ESRCH)));
    assert_eq!(w.rusage(one, pids[0], 7), Err(EINVAL), "an unknown flavor comes first");
    let args = [PROC_INFO_CALL_PIDRUSAGE.into(), pids[1], 6, 0, 0x10, 464];
    assert_eq!(call(&mut w, one, PROC_INFO, &args), Err(EFAULT));
}

#[test]
fn debug_state_tells_voucher_time_and_energy_of_a_thread() {
    let (mut w, _, server, voucher) = client_and_server();
    let name = w.trap(server, mach::THREAD_SELF, &[]).name();
    let info = |w: &mut World| {
        let (at, size) = (server.memory + ARGUMENTS, size_of::<ThreadInfo>());
        w.call(server, tally::DEBUG_STATE, &[DEBUG_THREAD.into(), name.0.into(), at, size as u64]).unwrap();
        let info = ThreadInfo::read_from_bytes(&w.get(server, ARGUMENTS, size)).unwrap();
        (info.voucher, info.run_time, info.energy)
    };
    assert_eq!(info(&mut w), (0, 0, 0));
    w.adopt(server, voucher);
    let other = w.make_voucher(server, &[st(USER_DATA, b"x")]).unwrap();
    w.burn(server, 34);
    let (adopted, time, energy) = info(&mut w);
    assert_eq!((time, energy), (34, 136));
    w.adopt(server, other);
    let (second, ..) = info(&mut w);
    assert!(adopted != 0 && second != 0 && adopted != second);
    w.adopt(server, voucher);
    assert_eq!(info(&mut w).0, adopted);
    w.adopt(server, MACH_PORT_NULL);
    assert_eq!(info(&mut w), (0, 34, 136));
    // A receive that waits is time of nobody.
    let args = MachMsg { options: MsgOption::RCV_MSG, receive_name: server.inbox, ..MachMsg::default() };
    assert_eq!(w.mach_msg(server, &args), Ret::Blocked);
    w.advance(1000);
    assert_eq!(w.kernel.sched.used(server.thread).time, 34);
}
