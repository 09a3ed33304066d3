//! Messages of random bytes (mach-ipc 9.12).

use crate::message::MachMsg;
use crate::simulation::Random;
use crate::world::{BUFFER, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::inspect::invariants::check_all;

/// The codes that a send may return here (mach-ipc 3.14), without their detail bits. The codes of message filters and
/// of strict replies are not among them.
const SEND_CODES: [abi::KernReturn; 15] = [
    MACH_MSG_SUCCESS,
    MACH_SEND_INVALID_DATA,
    MACH_SEND_INVALID_DEST,
    MACH_SEND_TIMED_OUT,
    MACH_SEND_INVALID_VOUCHER,
    MACH_SEND_INTERRUPTED,
    MACH_SEND_MSG_TOO_SMALL,
    MACH_SEND_INVALID_REPLY,
    MACH_SEND_INVALID_RIGHT,
    MACH_SEND_INVALID_MEMORY,
    MACH_SEND_NO_BUFFER,
    MACH_SEND_TOO_LARGE,
    MACH_SEND_INVALID_TYPE,
    MACH_SEND_INVALID_HEADER,
    MACH_SEND_NO_GRANT_DEST,
];

/// The size of the random messages.
const RANDOM_SIZE: usize = 64;

/// Returns random bytes in which most headers name a valid destination, so that later checks are reached too.
fn random_message(random: &mut Random, names: &[PortName]) -> [u8; RANDOM_SIZE] {
    let mut bytes = [0; RANDOM_SIZE];
    bytes
        .chunks_exact_mut(8)
        .for_each(|chunk| chunk.copy_from_slice(&(random.next() << 16 ^ random.next()).to_le_bytes()));
    let mut put = |at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    if !random.one_in(8) {
        put(8, random.pick(names).0);
        put(0, random.pick(&[0x13, 0x14, 0x15, 0x1513, 0x1314, 0x8000_0013, 0x8000_1514, 0x11, 0x12, 0xFFFF_FF14]));
    }
    if random.one_in(2) {
        put(12, random.pick(names).0);
        put(24, random.below(4) as u32);
        for at in [28, 40, 52] {
            put(at, random.pick(names).0);
            put(at + 8, (16 + random.below(7) as u32) << 16 | u32::from(random.one_in(8)) << 24);
        }
    }
    bytes
}

// covers mach-ipc G07
#[test]
fn random_messages_are_refused_or_sent() {
    let mut w = World::new();
    let a = w.task();
    let kept = w.names(a);
    let mut random = Random::new(7);
    let mut seen = std::collections::BTreeMap::new();
    w.checked = false;
    for _ in 0..10_000 {
        let (p, q) = (w.port_with_send(a), w.port_with_send(a));
        let dead = w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
        let once = w.transfer(a, q, D::MAKE_SEND_ONCE, a);
        let names = [p, p, p, p, q, dead, once, MACH_PORT_NULL, MACH_PORT_DEAD];
        for _ in 0..100 {
            w.put(a, BUFFER, &random_message(&mut random, &names));
            let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
            let send_size = RANDOM_SIZE as u32;
            let code = w.mach_msg(a, &MachMsg { options, send_size, ..MachMsg::default() }).code();
            let code = abi::KernReturn(code.0 & !MACH_MSG_MASK);
            assert!(SEND_CODES.contains(&code), "{code:?}");
            *seen.entry(code.0).or_insert(0) += 1;
            let _ = w.poll(a, p);
        }
        check_all(&w.kernel);
        for (name, _) in w.names(a) {
            if !kept.iter().any(|&(old, _)| old == name) {
                w.mig(a, a.self_port, abi::mig::mach_port::DESTROY, &[name.0]).unwrap();
            }
        }
    }
    assert!(seen[&MACH_MSG_SUCCESS.0] > 10_000 && seen.len() > 6, "the messages are too similar: {seen:x?}");
}
