//! Requests to kernel objects of all kinds.

use super::bytes::change;
use super::{BATCH, Stage, run_batches};
use crate::message::{MachMsg, Msg};
use crate::simulation::Random;
use crate::vouchers::st;
use crate::world::{Actor, BUFFER, Ret, World};
use abi::message::*;
use abi::mig::*;
use abi::port::*;
use abi::trap::mach::THREAD_SELF;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_USER_DATA;

/// Inputs of a run of the tests.
const INPUTS: u64 = 10_000;

/// The ids with the numbers of descriptors and of words that their requests have.
const REQUESTS: [(i32, usize, usize); 57] = [
    (mach_port::TYPE, 0, 1),
    (mach_port::RENAME, 0, 2),
    (mach_port::ALLOCATE_NAME, 0, 2),
    (mach_port::ALLOCATE, 0, 1),
    (mach_port::DESTROY, 0, 1),
    (mach_port::DEALLOCATE, 0, 1),
    (mach_port::GET_REFS, 0, 2),
    (mach_port::MOD_REFS, 0, 3),
    (mach_port::SET_MSCOUNT, 0, 2),
    (mach_port::MOVE_MEMBER, 0, 2),
    (mach_port::REQUEST_NOTIFICATION, 1, 3),
    (mach_port::INSERT_RIGHT, 1, 1),
    (mach_port::EXTRACT_RIGHT, 0, 2),
    (mach_port::SET_SEQNO, 0, 2),
    (mach_port::GET_ATTRIBUTES, 0, 3),
    (mach_port::SET_ATTRIBUTES, 0, 4),
    (mach_port::SET_ATTRIBUTES, 0, 3),
    (mach_port::GET_SRIGHTS, 0, 1),
    (mach_port::INSERT_MEMBER, 0, 2),
    (mach_port::EXTRACT_MEMBER, 0, 2),
    (mach_port::GET_CONTEXT, 0, 1),
    (mach_port::SET_CONTEXT, 0, 3),
    (mach_port::KOBJECT, 0, 1),
    (mach_port::CONSTRUCT, 0, 8),
    (mach_port::DESTRUCT, 0, 4),
    (mach_port::GUARD, 0, 4),
    (mach_port::UNGUARD, 0, 3),
    (mach_port::SPECIAL_REPLY_PORT_RESET_LINK, 0, 1),
    (mach_port::GUARD_WITH_FLAGS, 0, 5),
    (mach_port::SWAP_GUARD, 0, 5),
    (task::TERMINATE, 0, 0),
    (task::GET_SPECIAL_PORT, 0, 1),
    (task::SET_SPECIAL_PORT, 1, 1),
    (task::GET_MACH_VOUCHER, 0, 1),
    (task::SET_MACH_VOUCHER, 1, 0),
    (task::SWAP_MACH_VOUCHER, 2, 0),
    (task::POLICY_SET, 0, 3),
    (task::POLICY_SET, 0, 18),
    (task::POLICY_GET, 0, 3),
    (thread_act::TERMINATE, 0, 0),
    (thread_act::SUSPEND, 0, 0),
    (thread_act::RESUME, 0, 0),
    (thread_act::ABORT, 0, 0),
    (thread_act::GET_MACH_VOUCHER, 0, 1),
    (thread_act::SET_MACH_VOUCHER, 1, 0),
    (thread_act::SWAP_MACH_VOUCHER, 2, 0),
    (mach_host::CREATE_MACH_VOUCHER, 0, 5),
    (mach_host::CREATE_MACH_VOUCHER, 0, 9),
    (mach_host::REGISTER_MACH_VOUCHER_ATTR_MANAGER, 1, 2),
    (mach_host::REGISTER_WELL_KNOWN_MACH_VOUCHER_ATTR_MANAGER, 1, 3),
    (mach_voucher::EXTRACT_ATTR_CONTENT, 0, 2),
    (mach_voucher::EXTRACT_ATTR_RECIPE, 0, 2),
    (mach_voucher::EXTRACT_ALL_ATTR_RECIPES, 0, 1),
    (mach_voucher::ATTR_COMMAND, 0, 5),
    (mach_voucher::DEBUG_INFO, 0, 2),
    (mach_voucher_attr_control::GET_VALUES, 1, 1),
    (mach_voucher_attr_control::CREATE_MACH_VOUCHER, 0, 5),
];

/// The kernel objects that a task of the test can reach.
struct Objects {
    task: PortName,
    thread: PortName,
    host: PortName,
    voucher: PortName,
}

impl Objects {
    /// Returns the port that usually serves this id.
    fn of(&self, id: i32) -> PortName {
        match id {
            0..300 => self.host,
            3_600..3_700 => self.thread,
            5_400.. => self.voucher,
            _ => self.task,
        }
    }
}

fn request(w: &World, a: Actor, objects: &Objects, random: &mut Random) -> Vec<u8> {
    let names = w.names(a);
    let name = |random: &mut Random| {
        // Not the name that most requests go to, because few would go on without it.
        let others: Vec<_> = names.iter().filter(|entry| entry.0 != a.self_port).collect();
        if others.is_empty() || random.one_in(12) { PortName(random.next() as u32) } else { random.pick(&others).0 }
    };
    let (id, ports, words) = random.pick(&REQUESTS);
    // After these there is nobody to go on.
    let is_deadly = matches!(id, task::TERMINATE | thread_act::TERMINATE | thread_act::SUSPEND);
    let to = if random.one_in(16) || is_deadly && !random.one_in(40) { name(random) } else { objects.of(id) };
    let mut message = Msg::copy_send(to).id(id);
    if !random.one_in(8) {
        message = message.reply_to(a.inbox, Disposition::MAKE_SEND_ONCE);
    }
    for _ in 0..ports {
        let disposition = random.pick(&[Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE, Disposition::MAKE_SEND]);
        message = message.port(name(random), disposition);
    }
    if words > 0 || random.one_in(4) {
        message = message.body(&NDR);
    }
    for _ in 0..words {
        let word = match random.below(8) {
            0..4 => name(random).0,
            4..6 => random.below(10) as u32,
            6 => random.pick(&[u32::MAX, 0, 4, 16, 100]),
            _ => random.next() as u32,
        };
        message = message.words(&[word]);
    }
    message.encode()
}

#[test]
fn a_changed_request_is_answered_or_refused_and_loses_nothing() {
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        let mut stage = Stage::new();
        let a = stage.actor;
        let w = &mut stage.world;
        let objects = Objects {
            task: a.self_port,
            thread: w.trap(a, THREAD_SELF, &[]).name(),
            host: w.host(a),
            voucher: w.make_voucher(a, &[st(MACH_VOUCHER_ATTR_KEY_USER_DATA, b"fuzz")]).expect("a voucher is made"),
        };
        for _ in 0..BATCH {
            // The task may have suspended or ended itself.
            if !matches!(w.state(a), Ret::Done(_)) {
                break;
            }
            let mut bytes = request(w, a, &objects, random);
            if random.one_in(3) {
                change(&mut bytes, random);
            }
            w.put(a, BUFFER, &bytes);
            let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
            let _ = w.mach_msg(a, &MachMsg { options, send_size: bytes.len() as u32, ..MachMsg::default() });
            if !matches!(w.state(a), Ret::Done(_)) {
                continue;
            }
            let text = match w.poll(a, a.inbox) {
                Ok(reply) if reply.is_complex() => "a right".to_owned(),
                Ok(reply) => {
                    reply.words().get(2).map_or_else(String::new, |&word| abi::KernReturn(word as i32).to_string())
                }
                Err(_) => "no reply".into(),
            };
            *outcomes.entry(text).or_insert(0) += 1;
        }
        stage.finish();
    });
    if let Some(outcomes) = outcomes {
        assert!(outcomes.len() > 12, "the requests are too similar: {outcomes:?}");
        assert!(outcomes["a right"] > 100 && outcomes[&abi::code::KERN_SUCCESS.to_string()] > 500, "{outcomes:?}");
    }
}
