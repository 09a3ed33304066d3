//! The traps that make vouchers and activity ids.

use super::*;
use crate::calls::{UNUSED_NAME, in_both_forms};
use crate::world::RESULT;
use abi::code::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::PAGE_SIZE;
use kernel::limits::{ASKING_EFFORT, RECIPES_EFFORT_MAX};

/// An address that is never mapped.
const UNMAPPED: u64 = 0x1000;

// covers vouchers R-01
#[test]
fn an_empty_array_makes_no_voucher_wherever_it_is() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    for recipes in [0, UNMAPPED, u64::MAX, w.buffer(a)] {
        let args = [host.0.into(), recipes, 0, w.result(a)];
        assert_eq!(w.call_for_name(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Ok(MACH_PORT_NULL));
    }
}

// covers vouchers R-02
#[test]
fn a_recipe_without_a_whole_header_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    for bytes in [[0; 15], [0xFF; 15], [7; 15]] {
        assert_eq!(w.create_by_trap(a, host, &bytes), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.get(a, RESULT, 4), [0xAA; 4], "the name is not written");
    }
}

// covers vouchers R-07 R-08
#[test]
fn only_a_send_right_to_a_voucher_is_a_previous_voucher() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (plain, receive) = (w.port_with_send(a), w.port(a));
        let host = w.host(a);
        for name in [plain, a.to_init, host, MACH_PORT_DEAD, UNUSED_NAME, receive, a.self_port] {
            let recipe = it(USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, name, b"x");
            assert_eq!(w.make_voucher(a, &[recipe]), Err(KERN_INVALID_CAPABILITY), "{name:?}");
        }
        assert_eq!(w.values().0, 0);
    });
}

/// All recipes are executed in one step.
#[test]
fn an_array_of_recipes_asks_managers_a_limited_number_of_times() {
    let most = (RECIPES_EFFORT_MAX / ASKING_EFFORT) as usize;
    in_both_forms(|mut w| {
        let a = w.task();
        let store = |number: usize| st(USER_DATA, &[number as u8; 4]);
        let stores: Vec<_> = (0..=most).map(store).collect();
        assert_eq!(w.make_voucher(a, &stores), Err(KERN_RESOURCE_SHORTAGE));
        assert_eq!(w.values().0, 0);
        let voucher = w.make_voucher(a, &stores[..most]).unwrap();
        let copies = vec![cp(USER_DATA, voucher); ARRAY_MAX / HEADER];
        assert_eq!(w.make_voucher(a, &copies), Ok(voucher), "an array that only copies has room");
        assert_eq!(w.make_voucher(a, &[&copies[..most], &stores[..most]].concat()), Err(KERN_RESOURCE_SHORTAGE));
    });
}

// covers vouchers R-12
#[test]
fn the_size_is_checked_as_a_signed_number() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let valid = st(USER_DATA, &[5; ARRAY_MAX - HEADER]);
    assert_eq!(valid.len(), ARRAY_MAX);
    assert!(w.create_by_trap(a, host, &valid).unwrap().is_valid());
    let beyond = [valid, vec![0]].concat();
    assert_eq!(w.create_by_trap(a, host, &beyond), Err(MIG_ARRAY_TOO_LARGE));
    for size in [-1i32, i32::MIN] {
        let args = [host.0.into(), w.buffer(a), size as u32 as u64, w.result(a)];
        assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(KERN_INVALID_ARGUMENT), "{size}");
    }
}

// covers vouchers R-13
// covers mach-ipc K13
#[test]
fn the_host_is_checked_first() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    let host = w.host(a);
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, UNUSED_NAME, port, a.self_port, voucher] {
        for size in [16, 5121, u64::from(u32::MAX)] {
            let args = [name.0.into(), UNMAPPED, size, w.result(a)];
            assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(MACH_SEND_INVALID_DEST), "{name:?}");
        }
    }
    for (size, code) in [(u64::from(u32::MAX), KERN_INVALID_ARGUMENT), (5121, MIG_ARRAY_TOO_LARGE)] {
        let args = [host.0.into(), w.buffer(a), size, w.result(a)];
        assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(code));
    }
}

// covers vouchers R-14 R-15
#[test]
fn recipes_that_cannot_be_read_and_a_name_that_cannot_be_written_leave_nothing() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let recipe = st(USER_DATA, b"");
    let args = [host.0.into(), UNMAPPED, recipe.len() as u64, w.result(a)];
    assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(KERN_MEMORY_ERROR));
    // The last byte is on a page that is not there.
    let end = a.memory + crate::world::MEMORY_PAGES * PAGE_SIZE;
    let args = [host.0.into(), end - recipe.len() as u64 + 1, recipe.len() as u64, w.result(a)];
    assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(KERN_MEMORY_ERROR));

    let before = (w.names(a), w.counts(), w.values());
    let recipe = st(USER_DATA, b"x");
    w.put(a, BUFFER, &recipe);
    let args = [host.0.into(), w.buffer(a), recipe.len() as u64, UNMAPPED];
    assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(KERN_MEMORY_ERROR));
    assert_eq!((w.names(a), w.counts(), w.values()), before);
    // A name that the caller has already keeps its references.
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"x")]).unwrap();
    w.put(a, BUFFER, &recipe);
    assert_eq!(w.call(a, mach::HOST_CREATE_MACH_VOUCHER, &args), Err(KERN_MEMORY_ERROR));
    assert_eq!(w.refs(a, voucher), 1);
}

#[test]
fn a_full_space_gives_no_name_and_the_voucher_is_gone() {
    let mut w = World::with_limits(kernel::limits::Limits { names_per_task: 64, ..Default::default() });
    let a = w.task();
    let host = w.host(a);
    w.fill_names(a);
    assert_eq!(w.create_by_trap(a, host, &st(USER_DATA, b"x")), Ok(MACH_PORT_NULL));
    assert_eq!(w.values().0, 0);
}

#[test]
fn an_error_in_a_later_recipe_leaves_nothing_of_the_earlier_ones() {
    in_both_forms(|mut w| {
        let a = w.task();
        w.host(a);
        let before = (w.names(a), w.values());
        for last in [it(USER_DATA, 999, MACH_PORT_NULL, b""), vec![0; 3], cp(99, a.self_port)] {
            assert!(w.make_voucher(a, &[st(USER_DATA, b"a"), st(TEST, b"b"), last]).is_err());
            assert_eq!((w.names(a), w.values()), before);
        }
    });
}

#[test]
fn activity_ids_are_consecutive_and_unique() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let generate = |w: &mut World, actor: Actor, count: i32| {
        w.put(actor, RESULT, &[0xAA; 8]);
        let args = [0x1234, count as u32 as u64, w.result(actor)];
        w.call(actor, mach::MACH_GENERATE_ACTIVITY_ID, &args)?;
        Ok(u64::from_le_bytes(w.get(actor, RESULT, 8).try_into().unwrap()))
    };
    for count in [0, 17, -1, i32::MIN] {
        assert_eq!(generate(&mut w, a, count), Err(KERN_INVALID_ARGUMENT), "{count}");
    }
    assert_eq!((generate(&mut w, a, 16), generate(&mut w, b, 1), generate(&mut w, a, 1)), (Ok(1), Ok(17), Ok(18)));
}

// covers vouchers S-18
#[test]
fn an_activity_id_that_cannot_be_written_is_lost() {
    let mut w = World::new();
    let a = w.task();
    let mut generate = |to: u64| w.call(a, mach::MACH_GENERATE_ACTIVITY_ID, &[0, 1, to]);
    assert_eq!(generate(UNMAPPED), Err(KernReturn(14)));
    assert_eq!(generate(a.memory + RESULT), Ok(()));
    assert_eq!(w.get(a, RESULT, 8), 2u64.to_le_bytes());
}

/// The budget of the task that makes a voucher pays for the voucher, its port and its values, as long as it lives.
#[test]
fn the_maker_of_a_voucher_pays_for_it_as_long_as_it_lives() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        w.host(a);
        w.host(b);
        // Both tables have room for the names of this test.
        let used = [a, b].map(|actor| w.used(actor.task));
        let content = [3; 4000];
        let voucher = w.make_voucher(a, &[st(USER_DATA, &content)]).unwrap();
        let cost = w.used(a.task) - used[0];
        assert!((4000..6000).contains(&cost), "{cost}");
        let same = w.make_voucher(b, &[st(USER_DATA, &content)]).unwrap();
        let larger = w.make_voucher(b, &[cp(USER_DATA, same), st(TEST, b"x")]).unwrap();
        assert_eq!(w.used(a.task) - used[0], cost, "a found voucher costs nothing");
        let cost_of_larger = w.used(b.task) - used[1];
        assert!(cost_of_larger > 4000, "a shared value is paid for by each voucher: {cost_of_larger}");
        w.deallocate(a, voucher).unwrap();
        assert_eq!(w.used(a.task) - used[0], cost, "the voucher lives");
        w.deallocate(b, same).unwrap();
        assert_eq!((w.used(a.task), w.used(b.task) - used[1]), (used[0], cost_of_larger));
        w.deallocate(b, larger).unwrap();
        assert_eq!([a, b].map(|actor| w.used(actor.task)), used);
    });
}

#[test]
fn a_task_without_budget_gets_no_voucher_and_others_do() {
    let limits = kernel::limits::Limits { kernel_bytes_per_task: 64 * 1024, ..Default::default() };
    let mut w = World::with_limits(limits);
    let (a, b) = (w.task(), w.task());
    let host = w.host(a);
    let make = |w: &mut World, content: &[u8]| w.create_by_trap(a, host, &st(USER_DATA, content));
    let mut made = Vec::new();
    // Room for the calls that follow, too little for a voucher.
    let spare = [(); 6].map(|()| w.port(a));
    let code = loop {
        let content = [made.len() as u8; 3000];
        match make(&mut w, &content) {
            Ok(name) => made.push(name),
            Err(code) => break code,
        }
    };
    assert_eq!((code, w.values().0), (KERN_RESOURCE_SHORTAGE, made.len()));
    assert!((5..16).contains(&made.len()), "{}", made.len());
    spare.into_iter().for_each(|name| w.destroy(a, name).unwrap());
    assert!(make(&mut w, &[0; 3000]).is_ok(), "a voucher that exists costs nothing");
    assert!(w.make_voucher(b, &[st(USER_DATA, b"b")]).is_ok());
    w.deallocate(a, made[1]).unwrap();
    assert!(make(&mut w, &[0xFF; 3000]).is_ok());
}

/// A voucher's port is the kernel's: programs have send rights to it and nothing else.
#[test]
fn a_voucher_is_a_send_right_to_a_port_of_the_kernel() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO)]).unwrap();
    assert_eq!(w.port_type(a, voucher), Ok(PortType::SEND));
    let kind = w.mig(a, a.self_port, abi::mig::mach_port::KOBJECT, &[voucher.0]);
    assert_eq!(kind, Ok(vec![ikot::VOUCHER, 0, 0]));
    for disposition in [D::MAKE_SEND, D::MAKE_SEND_ONCE, D::MOVE_RECEIVE, D::MOVE_SEND_ONCE] {
        assert_eq!(w.extract_right(a, voucher, disposition), Err(KERN_INVALID_RIGHT), "{disposition:?}");
    }
    assert_eq!(w.extract_right(a, voucher, D::COPY_SEND), Ok((voucher, D::PORT_SEND)));
    assert_eq!(w.refs(a, voucher), 2);
}
