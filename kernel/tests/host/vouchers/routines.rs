//! The routines that programs call by message (vouchers 4).

use super::*;
use crate::message::Received;
use abi::code::*;
use abi::mig::{mach_voucher as mig, mach_voucher_attr_control as control, task};
use abi::port::Disposition as D;
use abi::port::*;

/// The longest buffer for content in a message.
const CONTENT_MAX: usize = MACH_VOUCHER_ATTR_CONTENT_MAX;

/// The result of a call whose result is bytes.
type Expected = Result<&'static [u8], KernReturn>;

/// Makes a call whose result is bytes.
pub fn bytes(w: &mut World, a: Actor, to: PortName, id: i32, words: &[u32]) -> Result<Vec<u8>, KernReturn> {
    let reply = w.rpc(a, Msg::copy_send(to).id(id).body(&NDR).words(words))?;
    Ok(bytes_of(&reply))
}

/// Returns the bytes in a reply, after NDR, code and size.
fn bytes_of(reply: &Received) -> Vec<u8> {
    let size = reply.words()[3] as usize;
    let bytes = &reply.body()[16..];
    assert_eq!(bytes.len(), size.next_multiple_of(4), "only the bytes that are used are sent");
    assert!(bytes[size..].iter().all(|&byte| byte == 0));
    bytes[..size].to_vec()
}

/// Calls `mach_voucher_attr_command`.
pub fn command(
    w: &mut World,
    a: Actor,
    to: PortName,
    (key, command): (u32, u32),
    input: &[u8],
    room: u32,
) -> Result<Vec<u8>, KernReturn> {
    let mut padded = input.to_vec();
    padded.resize(input.len().next_multiple_of(4), 0xEE);
    let request = Msg::copy_send(to).id(mig::ATTR_COMMAND).body(&NDR).words(&[key, command, input.len() as u32]);
    Ok(bytes_of(&w.rpc(a, request.body(&padded).words(&[room]))?))
}

// covers vouchers R-16
#[test]
fn only_the_host_makes_vouchers() {
    let mut w = World::new();
    let a = w.task();
    let thread = w.thread_self(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    for port in [a.self_port, thread, voucher] {
        assert_eq!(w.create_by_message(a, port, &st(USER_DATA, b"x")), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.create_by_message(a, port, b""), Err(KERN_INVALID_ARGUMENT));
    }
}

#[test]
fn no_attribute_means_no_right() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let request = Msg::copy_send(host).id(mach_host::CREATE_MACH_VOUCHER).body(&NDR).words(&[0]);
    let reply = w.rpc(a, request).unwrap();
    assert_eq!((reply.descriptor(0).name, reply.descriptor(0).disposition), (MACH_PORT_NULL, D::PORT_SEND));
    assert_eq!(reply.header.msgh_id, mach_host::CREATE_MACH_VOUCHER + 100);
}

#[test]
fn an_array_of_the_wrong_size_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let create = |size: u32, bytes: usize| {
        let request = Msg::copy_send(host).id(mach_host::CREATE_MACH_VOUCHER).body(&NDR);
        request.words(&[size]).body(&vec![0; bytes])
    };
    for (size, bytes) in [(5121, 5124), (u32::MAX, 16), (16, 0), (16, 12), (0, 4), (13, 12), (13, 20)] {
        assert_eq!(w.rpc(a, create(size, bytes)).unwrap_err(), MIG_BAD_ARGUMENTS, "{size} {bytes}");
    }
    assert_eq!(w.rpc(a, Msg::copy_send(host).id(222).body(&NDR)).unwrap_err(), MIG_BAD_ARGUMENTS);
    assert_eq!(w.rpc(a, create(13, 16)).unwrap_err(), KERN_INVALID_ARGUMENT, "the recipes are looked at");
    let longest = st(USER_DATA, &[1; ARRAY_MAX - HEADER]);
    assert!(w.create_by_message(a, host, &longest).unwrap().is_valid());
}

/// Vouchers 5.4, mach-ipc 5.2: the call is made even if nobody takes the result, which is then gone.
#[test]
fn a_voucher_without_a_reply_port_is_gone() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let recipe = st(USER_DATA, b"1234");
    let request = Msg::copy_send(host).id(mach_host::CREATE_MACH_VOUCHER).body(&NDR);
    w.send(a, &request.words(&[recipe.len() as u32]).body(&recipe)).unwrap();
    assert_eq!(w.values().0, 0);
}

// covers vouchers S-04
#[test]
fn programs_cannot_register_managers() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let port = w.port_with_send(a);
    // Every port but the host's stands for no host.
    for (to, code) in [(host, KERN_NOT_SUPPORTED), (a.self_port, KERN_INVALID_HOST)] {
        for (id, words) in [(223, &[0u32, 0][..]), (224, &[0, 0, 5])] {
            let request = Msg::copy_send(to).id(id).port(port, D::COPY_SEND).body(&NDR);
            assert_eq!(w.rpc(a, request.clone().words(words)).unwrap_err(), code, "{id}");
            assert_eq!(w.rpc(a, request.words(&words[1..])).unwrap_err(), MIG_BAD_ARGUMENTS, "{id}");
            let once = Msg::copy_send(to).id(id).port(port, D::MAKE_SEND_ONCE).body(&NDR).words(words);
            assert_eq!(w.rpc(a, once).unwrap_err(), MIG_TYPE_ERROR, "{id}");
        }
    }
    assert_eq!(w.refs(a, port), 1);
}

// covers vouchers S-05
#[test]
fn no_port_is_the_control_of_an_attribute() {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    for to in [host, a.self_port, voucher] {
        let get = Msg::copy_send(to).id(control::GET_VALUES).port(voucher, D::COPY_SEND).body(&NDR).words(&[4]);
        assert_eq!(w.rpc(a, get).unwrap_err(), KERN_INVALID_CAPABILITY);
        let create = Msg::copy_send(to).id(control::CREATE_MACH_VOUCHER).body(&NDR).words(&[0]);
        assert_eq!(w.rpc(a, create).unwrap_err(), KERN_INVALID_CAPABILITY);
        for id in [5602, 5699] {
            assert_eq!(w.rpc(a, Msg::copy_send(to).id(id)).unwrap_err(), MIG_BAD_ID);
        }
    }
    assert_eq!(w.refs(a, voucher), 1);
}

// covers vouchers S-06
#[test]
fn a_task_has_no_voucher() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let [v, u] = [b"v", b"u"].map(|content| w.make_voucher(a, &[st(USER_DATA, content)]).unwrap());
    let get = Msg::copy_send(a.self_port).id(task::GET_MACH_VOUCHER).body(&NDR).words(&[0]);
    let reply = w.rpc(a, get).unwrap().descriptor(0);
    assert_eq!((reply.name, reply.disposition), (MACH_PORT_NULL, D::PORT_SEND));
    for name in [v, port, MACH_PORT_NULL] {
        let set = Msg::copy_send(a.self_port).id(task::SET_MACH_VOUCHER).port(name, D::COPY_SEND);
        assert!(w.rpc(a, set).is_ok());
    }
    let swap = Msg::copy_send(a.self_port).id(task::SWAP_MACH_VOUCHER).port(v, D::COPY_SEND).port(u, D::COPY_SEND);
    assert_eq!(w.rpc(a, swap).unwrap_err(), KERN_NOT_SUPPORTED);
    assert_eq!((w.refs(a, v), w.refs(a, u)), (1, 1));
    // Another object is no task.
    let host = w.host(a);
    for (request, code) in [
        (Msg::copy_send(host).id(task::GET_MACH_VOUCHER).body(&NDR).words(&[0]), KERN_INVALID_TASK),
        (Msg::copy_send(host).id(task::SET_MACH_VOUCHER).port(v, D::COPY_SEND), KERN_INVALID_TASK),
    ] {
        assert_eq!(w.rpc(a, request).unwrap_err(), code);
    }
}

// covers vouchers E-17
#[test]
fn a_long_content_can_be_read_by_trap_only() {
    let mut w = World::new();
    let a = w.task();
    let recipe = st(USER_DATA, &[9; 5104]);
    let voucher = w.make_voucher(a, std::slice::from_ref(&recipe)).unwrap();
    for room in [4096, 5104, u32::MAX] {
        let read = bytes(&mut w, a, voucher, mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, room]);
        assert_eq!(read, Err(KERN_NO_SPACE), "{room}");
    }
    assert_eq!(w.extract(a, voucher, USER_DATA, 5120), Ok(recipe.clone()));
    assert_eq!(bytes(&mut w, a, voucher, mig::EXTRACT_ALL_ATTR_RECIPES, &[u32::MAX]), Ok(recipe));
}

#[test]
fn content_recipe_and_all_recipes_are_read_by_message() {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO), st(TEST, b"bc")]).unwrap();
    let all: &[u8] = [st(USER_DATA, HELLO), st(TEST, b"bc")].concat().leak();
    let rows: [(i32, &[u32], Expected); 13] = [
        (mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, 100], Ok(HELLO)),
        (mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, 13], Ok(HELLO)),
        (mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, 12], Err(KERN_NO_SPACE)),
        (mig::EXTRACT_ATTR_CONTENT, &[USER_DATA, 0], Ok(b"")),
        (mig::EXTRACT_ATTR_CONTENT, &[BANK, 0], Ok(b"")),
        (mig::EXTRACT_ATTR_CONTENT, &[99, 100], Ok(b"")),
        (mig::EXTRACT_ATTR_RECIPE, &[TEST, 100], Ok(&all[HELLO_SIZE..])),
        (mig::EXTRACT_ATTR_RECIPE, &[TEST, 15], Err(KERN_NO_SPACE)),
        (mig::EXTRACT_ATTR_RECIPE, &[1, 0], Ok(b"")),
        (mig::EXTRACT_ALL_ATTR_RECIPES, &[u32::MAX], Ok(all)),
        (mig::EXTRACT_ALL_ATTR_RECIPES, &[all.len() as u32], Ok(all)),
        (mig::EXTRACT_ALL_ATTR_RECIPES, &[all.len() as u32 - 1], Err(KERN_NO_SPACE)),
        (mig::EXTRACT_ALL_ATTR_RECIPES, &[0], Err(KERN_NO_SPACE)),
    ];
    for (id, words, result) in rows {
        assert_eq!(bytes(&mut w, a, voucher, id, words), result.map(<[u8]>::to_vec), "{id} {words:?}");
    }
    // Any other object stands for no voucher.
    for (id, words) in [(5400, &[7u32, 100][..]), (5401, &[7, 100]), (5402, &[100])] {
        assert_eq!(bytes(&mut w, a, a.self_port, id, words), Err(KERN_INVALID_ARGUMENT), "{id}");
        assert_eq!(bytes(&mut w, a, voucher, id, &words[1..]), Err(MIG_BAD_ARGUMENTS), "{id}");
    }
    assert_eq!(w.mig(a, voucher, 5405, &[]), Err(MIG_BAD_ID));
    for to in [a.self_port, voucher] {
        assert_eq!(w.mig(a, to, mig::DEBUG_INFO, &[voucher.0, 100]), Err(KERN_NOT_SUPPORTED));
    }
}

#[test]
fn commands_go_to_the_manager_of_the_key() {
    let mut w = World::new();
    let a = w.task();
    let pid: &[u8] = w.kernel.tasks[a.task].credentials.pid.to_le_bytes().to_vec().leak();
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a"), current_task()]).unwrap();
    let rows: [(u32, u32, u32, Expected); 10] = [
        (BANK, BANK_ORIGINATOR_PID, 4, Ok(pid)),
        (BANK, BANK_ORIGINATOR_PID, u32::MAX, Ok(pid)),
        (BANK, BANK_ORIGINATOR_PID, 3, Err(KERN_NO_SPACE)),
        (BANK, BANK_PERSONA_TOKEN, 96, Err(KERN_INVALID_OBJECT)),
        (BANK, BANK_PERSONA_ID, 4, Ok(&[0xFF; 4])),
        (BANK, 5, 4, Err(KERN_INVALID_ARGUMENT)),
        (USER_DATA, 1, 4, Err(KERN_FAILURE)),
        (TEST, 1, 4, Err(KERN_FAILURE)),
        (1, 1, 4, Err(KERN_INVALID_ARGUMENT)),
        (0, 1, 4, Err(KERN_INVALID_ARGUMENT)),
    ];
    for (key, number, room, result) in rows {
        for input in [&b""[..], b"x", &[1; CONTENT_MAX]] {
            let answer = command(&mut w, a, voucher, (key, number), input, room);
            assert_eq!(answer, result.map(<[u8]>::to_vec), "{key} {number} {room}");
        }
    }
    assert_eq!(command(&mut w, a, voucher, (BANK, 1), &[1; CONTENT_MAX + 4], 4), Err(MIG_BAD_ARGUMENTS));
    assert_eq!(command(&mut w, a, a.self_port, (BANK, 1), b"", 4), Err(KERN_INVALID_ARGUMENT));
    let short = Msg::copy_send(voucher).id(mig::ATTR_COMMAND).body(&NDR);
    for words in [&[3u32, 1, 0][..], &[3, 1, 4, 4], &[3, 1, 0, 4, 4], &[3, 1, u32::MAX, 4]] {
        assert_eq!(w.rpc(a, short.clone().words(words)).unwrap_err(), MIG_BAD_ARGUMENTS, "{words:?}");
    }
}

// covers vouchers B-02
#[test]
fn the_calling_task_is_the_one_that_sends_the_request() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let voucher = w.make_voucher(a, &[current_task()]).unwrap();
    let copy = w.transfer(a, voucher, D::COPY_SEND, b);
    for (actor, name) in [(a, voucher), (b, copy)] {
        let pid = w.kernel.tasks[actor.task].credentials.pid;
        let answer = command(&mut w, actor, name, (BANK, BANK_ORIGINATOR_PID), b"", 4);
        assert_eq!(answer, Ok(pid.to_le_bytes().to_vec()));
    }
}

#[test]
fn the_bank_describes_a_task() {
    let mut w = World::new();
    let a = w.task();
    let pid = w.kernel.tasks[a.task].credentials.pid;
    let voucher = w.make_voucher(a, &[current_task()]).unwrap();
    let text = format!(" Bank Context for a pid {pid}\n\0");
    assert_eq!(bytes(&mut w, a, voucher, mig::EXTRACT_ATTR_CONTENT, &[BANK, 500]), Ok(text.into_bytes()));
    assert_eq!(bytes(&mut w, a, voucher, mig::EXTRACT_ATTR_CONTENT, &[BANK, 499]), Err(KERN_NO_SPACE));
}
