//! What the history of vulnerabilities demands (vouchers 8).

use super::*;
use crate::calls::in_both_forms;
use abi::code::*;
use abi::mig::{mach_voucher as mig, task, thread_act};
use abi::port::Disposition as D;
use abi::port::*;

/// How often a call is repeated to see whether it gains or loses a reference.
const OFTEN: u32 = 2_000;
/// As many calls as the specification asks for, without the check of all invariants after each.
const VERY_OFTEN: u32 = 100_000;

/// Makes a call very often; names, objects and references are the same as after the first time.
fn repeat(w: &mut World, a: Actor, voucher: PortName, mut call: impl FnMut(&mut World)) {
    call(w);
    let state = |w: &mut World| (w.names(a), w.counts(), w.values(), w.refs(a, voucher), w.used(a.task));
    let before = state(w);
    let rounds = if w.checked { OFTEN } else { VERY_OFTEN };
    (0..rounds).for_each(|_| call(w));
    assert_eq!(state(w), before);
}

/// V1: the kernel trusts nobody's notification.
// covers vouchers L-28
#[test]
fn a_forged_notification_to_a_voucher_has_no_effect() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO)]).unwrap();
    let id = w.voucher_of(a, voucher).unwrap();
    let refs = w.voucher_refs(id);
    let host = w.host(a);
    for number in 64..=72 {
        for to in [voucher, host, a.self_port] {
            let forged = Msg::copy_send(to).id(number).body(&NDR).words(&[1]);
            assert_eq!(w.rpc(a, forged.clone()).unwrap_err(), MIG_BAD_ID, "{number}");
            w.send(a, &forged).unwrap();
            w.send(a, &Msg::copy_send(to).id(number)).unwrap();
        }
        assert_eq!((w.voucher_refs(id), w.refs(a, voucher)), (refs, 1), "{number}");
    }
    assert_eq!(w.extract(a, voucher, USER_DATA, 5120), Ok(st(USER_DATA, HELLO)));
}

/// V2: keys without a manager.
#[test]
fn keys_without_a_manager_are_refused() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    for key in [0, 1, 5, 6, 9, ALL] {
        assert_eq!(w.make_voucher(a, &[st(key, b"a")]), Err(KERN_INVALID_ARGUMENT), "{key}");
        assert_eq!(w.extract(a, voucher, key, 100), Ok(vec![]), "{key}");
        let command = Msg::copy_send(voucher).id(mig::ATTR_COMMAND).body(&NDR).words(&[key, 1, 0, 4]);
        assert_eq!(w.rpc(a, command).unwrap_err(), KERN_INVALID_ARGUMENT, "{key}");
    }
}

/// V6, and ownership of references in general: every routine, when it succeeds and when it fails.
#[test]
fn no_routine_gains_or_loses_a_reference() {
    let mut w = World::new();
    let a = w.task();
    let thread = w.thread_self(a);
    let host = w.host(a);
    let port = w.port_with_send(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"v"), current_task()]).unwrap();
    let other = w.make_voucher(a, &[st(TEST, b"u")]).unwrap();
    let with_ports = |to, id, names: &[PortName]| {
        names.iter().fold(Msg::copy_send(to).id(id), |message, &name| message.port(name, D::COPY_SEND))
    };
    let plain = |to, id, words: &[u32]| Msg::copy_send(to).id(id).body(&NDR).words(words);
    let recipe = cp(ALL, voucher);
    let bad = [cp(ALL, voucher), it(BANK, 999, voucher, b"")].concat();
    let create = |recipes: &[u8]| plain(host, 222, &[recipes.len() as u32]).body(recipes);
    let requests = [
        with_ports(a.self_port, task::SWAP_MACH_VOUCHER, &[voucher, other]),
        with_ports(thread, thread_act::SWAP_MACH_VOUCHER, &[voucher, other]),
        with_ports(a.self_port, task::SET_MACH_VOUCHER, &[voucher]),
        with_ports(thread, thread_act::SET_MACH_VOUCHER, &[voucher]),
        with_ports(thread, thread_act::SET_MACH_VOUCHER, &[port]),
        with_ports(host, thread_act::SET_MACH_VOUCHER, &[voucher]),
        with_ports(thread, thread_act::SET_MACH_VOUCHER, &[voucher, other]),
        with_ports(host, 5600, &[voucher]).body(&NDR).words(&[1]),
        with_ports(host, 223, &[voucher]).body(&NDR).words(&[0, 0]),
        plain(voucher, mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, 100]),
        plain(voucher, mig::EXTRACT_ATTR_CONTENT, &[BANK, 499]),
        plain(voucher, mig::EXTRACT_ATTR_RECIPE, &[USER_DATA, 17]),
        plain(voucher, mig::EXTRACT_ATTR_RECIPE, &[USER_DATA, 16]),
        plain(voucher, mig::EXTRACT_ALL_ATTR_RECIPES, &[5120]),
        plain(voucher, mig::ATTR_COMMAND, &[BANK, 1, 0, 4]),
        plain(voucher, mig::ATTR_COMMAND, &[USER_DATA, 1, 0, 4]),
        plain(voucher, mig::DEBUG_INFO, &[voucher.0, 10]),
        create(&bad),
    ];
    for request in &requests {
        let _ = w.set_voucher(a, thread, MACH_PORT_NULL);
        repeat(&mut w, a, voucher, |w| drop(w.rpc(a, request.clone())));
    }
    // These give the caller another reference each time.
    w.set_voucher(a, thread, voucher).unwrap();
    let get = plain(thread, thread_act::GET_MACH_VOUCHER, &[0]);
    for request in [get, create(&recipe)] {
        repeat(&mut w, a, voucher, |w| {
            assert_eq!(w.rpc(a, request.clone()).unwrap().descriptor(0).name, voucher);
            w.deallocate(a, voucher).unwrap();
        });
    }
}

/// S-07, with as many calls as it asks for.
// covers vouchers S-07
#[test]
fn a_hundred_thousand_swaps_leave_everything_as_it_was() {
    let mut w = World::new();
    let a = w.task();
    let thread = w.thread_self(a);
    let [v, u] = [b"v", b"u"].map(|content| w.make_voucher(a, &[st(USER_DATA, content)]).unwrap());
    w.checked = false;
    let swap = Msg::copy_send(thread).id(thread_act::SWAP_MACH_VOUCHER).port(v, D::COPY_SEND).port(u, D::COPY_SEND);
    let refs = |w: &World| [v, u].map(|name| w.voucher_refs(w.voucher_of(a, name).unwrap()));
    let before = refs(&w);
    repeat(&mut w, a, v, |w| assert_eq!(w.rpc(a, swap.clone()).unwrap_err(), KERN_NOT_SUPPORTED));
    assert_eq!((refs(&w), w.refs(a, u)), (before, 1));
    w.checked = true;
    w.settle();
}

/// A failed trap keeps nothing of what it looked at.
#[test]
fn no_trap_gains_or_loses_a_reference() {
    in_both_forms(|mut w| {
        let a = w.task();
        let voucher = w.make_voucher(a, &[st(USER_DATA, b"v")]).unwrap();
        let host = w.host(a);
        for recipes in [
            vec![cp(ALL, voucher), it(USER_DATA, 999, voucher, b"")],
            vec![it(USER_DATA, MACH_VOUCHER_ATTR_REDEEM, voucher, b""), vec![1]],
            vec![it(BANK, MACH_VOUCHER_ATTR_REDEEM, voucher, b""), cp(USER_DATA, host)],
        ] {
            repeat(&mut w, a, voucher, |w| assert!(w.make_voucher(a, &recipes).is_err()));
        }
        repeat(&mut w, a, voucher, |w| {
            assert_eq!(w.make_voucher(a, &[it(USER_DATA, MACH_VOUCHER_ATTR_REDEEM, voucher, b"")]), Ok(voucher));
            w.deallocate(a, voucher).unwrap();
        });
        repeat(&mut w, a, voucher, |w| drop(w.extract(a, voucher, USER_DATA, 16)));
        repeat(&mut w, a, voucher, |w| {
            let name = w.make_voucher(a, &[st(TEST, b"short-lived")]).unwrap();
            w.deallocate(a, name).unwrap();
        });
    });
}

/// A voucher is made again while its last right dies in a message that is being destroyed.
#[test]
fn a_voucher_made_again_while_its_last_right_is_destroyed_lives() {
    /// Names whose destruction takes several slices. The message is destroyed after them.
    const SEVERAL_SLICES: usize = 600;
    let mut w = World::new();
    let (dying, b) = (w.task(), w.task());
    let host = w.host(b);
    let port = w.port_with_send(dying);
    let recipe = st(USER_DATA, b"v");
    let voucher = w.make_voucher(dying, std::slice::from_ref(&recipe)).unwrap();
    let id = w.voucher_of(dying, voucher).unwrap();
    w.send(dying, &Msg::copy_send(port).port(voucher, D::MOVE_SEND)).unwrap();
    for _ in 0..SEVERAL_SLICES {
        w.allocate(dying, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    }
    w.hold_background();
    w.run(dying.thread);
    w.kernel.sched[dying.thread].frame_mut().rax = abi::trap::unix::EXIT.into();
    let _ = w.event(kernel::kernel::Event::Trap);
    assert_eq!(w.voucher_refs(id), 1, "the message still has the right");
    w.put(b, BUFFER, &recipe);
    let args = [host.0.into(), w.buffer(b), recipe.len() as u64, w.result(b)];
    w.start_trap(b, mach::HOST_CREATE_MACH_VOUCHER, &args);
    assert!(w.kernel.step.has_background_work(), "the message is not destroyed yet");
    w.settle();
    let name = PortName(u32::from_le_bytes(w.get(b, crate::world::RESULT, 4).try_into().unwrap()));
    assert_eq!((w.voucher_of(b, name), w.voucher_refs(id), w.refs(b, name)), (Some(id), 1, 1));
    w.deallocate(b, name).unwrap();
    assert_eq!(w.values().0, 0);
}

/// A name's count of references saturates. The voucher dies with the name all the same.
#[test]
fn seventy_thousand_references_are_given_up_with_the_name() {
    const MANY: u32 = 70_000;
    let mut w = World::new();
    let a = w.task();
    w.host(a);
    let before = (w.counts(), w.values());
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"v")]).unwrap();
    w.checked = false;
    let host = w.host(a);
    for _ in 1..MANY {
        assert_eq!(w.create_by_trap(a, host, &st(USER_DATA, b"v")), Ok(voucher));
    }
    w.checked = true;
    let id = w.voucher_of(a, voucher).unwrap();
    assert_eq!((w.refs(a, voucher), w.voucher_refs(id)), (u32::from(MACH_PORT_UREFS_MAX), 1));
    w.deallocate(a, voucher).unwrap();
    assert_eq!(w.refs(a, voucher), u32::from(MACH_PORT_UREFS_MAX), "a count that is saturated stays");
    w.destroy(a, voucher).unwrap();
    assert_eq!((w.counts(), w.values()), before);
}

/// Hoarding is limited by the hoarder's own budget (V12).
#[test]
fn a_hoarder_does_not_take_memory_from_others() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    w.checked = false;
    let host = w.host(a);
    let mut count = 0u32;
    while let Ok(name) = w.create_by_trap(a, host, &st(USER_DATA, &count.to_le_bytes())) {
        // The space can be the first for which there is no memory left (quirk Q26).
        if name == MACH_PORT_NULL {
            break;
        }
        count += 1;
    }
    assert!((1000..10_000).contains(&count), "{count}");
    w.checked = true;
    assert!(w.make_voucher(b, &[st(USER_DATA, b"b")]).unwrap().is_valid());
    w.end_task(a);
    assert_eq!(w.values().0, 1);
}
