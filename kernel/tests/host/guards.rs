//! Guards and contexts of ports (mach-ipc 2.9, 9.2).

use crate::calls::{halves, in_both_forms};
use crate::ports::{FREE, options, send_receive_right};
use crate::world::{Actor, World};
use abi::code::*;
use abi::mig::mach_port as mig;
use abi::port::PortStatusFlags as Flags;
use abi::port::*;
use abi::{KernReturn, PortName};

const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const GUARD: u64 = 0x1234;
const GUARD_2: u64 = 0xDE18;
/// A guard that needs all 64 bits.
const LONG_GUARD: u64 = 0x1122_3344_5566_7788;

fn guard_with_flags(w: &mut World, a: Actor, p: PortName, guard: u64, flags: u64) -> Result<(), KernReturn> {
    let ([low, high], [flags_low, flags_high]) = (halves(guard), halves(flags));
    w.mig(a, a.self_port, mig::GUARD_WITH_FLAGS, &[p.0, low, high, flags_low, flags_high]).map(|_| ())
}

fn swap_guard(w: &mut World, a: Actor, p: PortName, old: u64, new: u64) -> Result<(), KernReturn> {
    let ([old_low, old_high], [low, high]) = (halves(old), halves(new));
    w.mig(a, a.self_port, mig::SWAP_GUARD, &[p.0, old_low, old_high, low, high]).map(|_| ())
}

// covers mach-ipc P03
#[test]
fn a_strict_guard_hides_the_context_and_must_be_presented() {
    in_both_forms(|mut w| {
        let a = w.task();
        let flags = ConstructFlags::CONTEXT_AS_GUARD | ConstructFlags::STRICT;
        let p = w.construct(a, options(flags), GUARD).unwrap();
        assert_eq!(w.get_context(a, p), Ok(0));
        assert_eq!(w.set_context(a, p, 5), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.destruct(a, p, 0, 1), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
        assert_eq!(w.destruct(a, p, 0, GUARD), Ok(()));
        assert_eq!(w.port_type(a, p), FREE);
    });
}

// covers mach-ipc P14
#[test]
fn a_port_with_a_context_cannot_be_guarded() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        w.set_context(a, p, 7).unwrap();
        assert_eq!(w.guard(a, p, 1, false), Err(KERN_INVALID_ARGUMENT));
        assert_eq!((w.get_context(a, p), w.status_flags(a, p)), (Ok(7), Flags::empty()));
    });
}

// covers mach-ipc P15
#[test]
fn an_immovable_receive_right_stays_immovable_after_unguard() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        assert_eq!(guard_with_flags(&mut w, a, p, GUARD, MPG_IMMOVABLE_RECEIVE), Ok(()));
        assert_eq!(w.status_flags(a, p), Flags::GUARDED | Flags::GUARD_IMMOVABLE_RECEIVE);
        assert_eq!(swap_guard(&mut w, a, p, GUARD, GUARD_2), Ok(()));
        assert_eq!(w.unguard(a, p, GUARD_2), Ok(()));
        assert_eq!(send_receive_right(&mut w, a, p), Err(MACH_SEND_INVALID_RIGHT));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
    });
}

#[test]
fn a_guard_must_be_presented_to_swap_or_remove_it() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        assert_eq!(w.unguard(a, p, 0), Err(KERN_INVALID_ARGUMENT), "the port is not guarded");
        assert_eq!(w.guard(a, p, LONG_GUARD, false), Ok(()));
        assert_eq!((w.get_context(a, p), w.status_flags(a, p)), (Ok(LONG_GUARD), Flags::GUARDED));
        assert_eq!(w.destroy(a, p), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.unguard(a, p, LONG_GUARD as u32 as u64), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(swap_guard(&mut w, a, p, LONG_GUARD - 1, LONG_GUARD), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(swap_guard(&mut w, a, p, LONG_GUARD, LONG_GUARD + 1), Ok(()));
        assert_eq!(w.get_context(a, p), Ok(LONG_GUARD + 1));
        assert_eq!(w.set_context(a, p, GUARD), Ok(()), "the context replaces a guard that is not strict");
        assert_eq!(w.unguard(a, p, GUARD), Ok(()));
        assert_eq!((w.get_context(a, p), w.status_flags(a, p)), (Ok(0), Flags::empty()));
        assert_eq!(guard_with_flags(&mut w, a, p, LONG_GUARD, MPG_STRICT), Ok(()));
        assert_eq!(w.status_flags(a, p), Flags::GUARDED | Flags::STRICT_GUARD);
        assert_eq!(
            swap_guard(&mut w, a, p, LONG_GUARD, 1),
            Err(KERN_INVALID_ARGUMENT),
            "a strict guard cannot be swapped"
        );
        assert_eq!(w.unguard(a, p, LONG_GUARD), Ok(()));
        assert_eq!(w.guard(a, p, GUARD_2, true), Ok(()));
        assert_eq!(w.status_flags(a, p), Flags::GUARDED | Flags::STRICT_GUARD);
        assert_eq!(w.unguard(a, p, GUARD_2), Ok(()));
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Ok(()));
    });
}

/// mach-ipc 2.4. A guard of 0 protects no port either.
#[test]
fn a_context_protects_from_destruction_only_as_a_guard() {
    let mut w = World::new();
    let a = w.task();
    let (with_context, with_guard_0) = (w.port(a), w.port(a));
    w.set_context(a, with_context, 7).unwrap();
    w.guard(a, with_guard_0, 0, false).unwrap();
    for name in [with_context, with_guard_0] {
        assert_eq!(w.destroy(a, name), Ok(()));
    }
}
