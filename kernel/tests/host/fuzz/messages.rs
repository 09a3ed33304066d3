//! Messages, as `mach_msg` takes them from a task.

use super::bytes::change;
use super::{BATCH, Stage, run_batches};
use crate::message::{MachMsg, Msg};
use crate::simulation::Random;
use crate::world::{Actor, BUFFER, Ret, World};
use abi::code::MACH_MSG_MASK;
use abi::message::*;
use abi::port::*;

/// Inputs of a run of the tests.
const INPUTS: u64 = 10_000;

/// Returns a valid message to one of the names, with rights of all kinds.
fn valid(w: &World, a: Actor, random: &mut Random) -> Vec<u8> {
    let names = w.names(a);
    let of = |types: PortType, random: &mut Random| {
        let fitting: Vec<PortName> =
            names.iter().filter(|entry| entry.1.intersects(types)).map(|entry| entry.0).collect();
        if fitting.is_empty() { MACH_PORT_NULL } else { random.pick(&fitting) }
    };
    let mut message = match random.below(4) {
        0 => Msg::to(of(PortType::RECEIVE, random), Disposition::MAKE_SEND_ONCE),
        1 => Msg::to(of(PortType::SEND_ONCE, random), Disposition::MOVE_SEND_ONCE),
        _ => Msg::copy_send(of(PortType::SEND, random)),
    };
    if random.one_in(2) {
        message = message.reply_to(of(PortType::RECEIVE, random), Disposition::MAKE_SEND_ONCE);
    }
    for _ in 0..random.below(8).saturating_sub(3) {
        message = match random.below(6) {
            0 => message.port(of(PortType::RECEIVE, random), Disposition::MOVE_RECEIVE),
            1 => message.port(of(PortType::RECEIVE, random), Disposition::MAKE_SEND),
            2 => message.port(of(PortType::RECEIVE, random), Disposition::MAKE_SEND_ONCE),
            3 => message.port(of(PortType::SEND_ONCE, random), Disposition::MOVE_SEND_ONCE),
            _ => message.port(of(PortType::SEND, random), Disposition::COPY_SEND),
        };
    }
    message.id(random.pick(&[1, -1, 3204])).body(&vec![7; random.pick(&[0, 4, 100, 300, 3_000])]).encode()
}

/// Calls `mach_msg` with the bytes as a message, and with random options that do not block.
fn call(w: &mut World, a: Actor, bytes: &[u8], random: &mut Random) -> Ret {
    w.put(a, BUFFER, bytes);
    let fixed = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT | MsgOption::RCV_TIMEOUT;
    let receive = random.pick(&[MsgOption::empty(), MsgOption::RCV_MSG]);
    let more = MsgOption::from_bits_retain(if random.one_in(8) { random.next() as u32 & 0x0FB6_DBBF } else { 0 });
    let size = bytes.len() as u32;
    let from = w.names(a).into_iter().find(|entry| entry.1.contains(PortType::RECEIVE)).map(|entry| entry.0);
    w.mach_msg(
        a,
        &MachMsg {
            options: fixed | receive | more,
            send_size: if random.one_in(20) { random.next() as u32 & 0x1FFFF } else { size },
            receive_size: random.pick(&[0, 24, 40, 200, 8_000]),
            receive_name: from.unwrap_or_default(),
            priority: random.next() as u32,
            ..MachMsg::default()
        },
    )
}

#[test]
fn a_changed_message_arrives_or_is_refused_and_loses_nothing() {
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        let mut stage = Stage::new();
        let (a, b) = (stage.actor, stage.other);
        let w = &mut stage.world;
        for _ in 0..BATCH {
            // A thread may have begun to wait for a special reply port, and a task may have sent away all its rights.
            if w.state(a) == Ret::Blocked || w.state(a) == Ret::Ended {
                break;
            }
            if w.names(a).len() < 200 && w.allocate(a, MACH_PORT_RIGHT_RECEIVE).is_ok() {
                let inbox = w.names(a).iter().rev().find(|entry| entry.1 == PortType::RECEIVE).map(|entry| entry.0);
                if let Some(inbox) = inbox {
                    let _ = w.insert_right(a, inbox, inbox, Disposition::MAKE_SEND);
                }
            }
            let mut bytes = valid(w, a, random);
            change(&mut bytes, random);
            bytes.truncate(8 * 4_096);
            let text = match call(w, a, &bytes, random) {
                Ret::Done(code) => abi::KernReturn(code as u32 as i32 & !MACH_MSG_MASK).to_string(),
                other => format!("{other:?}"),
            };
            *outcomes.entry(text).or_insert(0) += 1;
            if random.one_in(2) && matches!(w.state(b), Ret::Done(_)) {
                let _ = w.poll_with(b, b.inbox, MsgOption::empty(), random.pick(&[32, 60, 8_000]));
            }
        }
        stage.finish();
    });
    if let Some(outcomes) = outcomes {
        assert!(outcomes.len() > 8, "the messages are too similar: {outcomes:?}");
        assert!(outcomes[&abi::code::MACH_MSG_SUCCESS.to_string()] > 1_000, "{outcomes:?}");
    }
}
